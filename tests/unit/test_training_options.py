"""The options of ``train``: people script against their names, and what they say reaches the training."""

import argparse
import re
from typing import Any

import pytest

from tounum_tasks.cli import train_captioner, train_classifier, train_restorer
from tounum_tasks.cli.main import main
from tounum_tasks.cli.training_options import settings_given
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.training import captioner_settings, classifier_recipe, restorer_recipe
from tounum_tasks.training.options import options_of

COMMANDS = {
    "captioner": (train_captioner, captioner_settings.TrainingSettings),
    "classifier": (train_classifier, classifier_recipe.Recipe),
    "restorer": (train_restorer, restorer_recipe.Recipe),
}
# A name may join, none may go.
NAMES = {
    "captioner": "--data --out --extractor --last-block --continue --epochs --head-epochs --full-epochs "
    "--reward-epochs --patience --keep-judge --no-mirror --windows --balance --images-per-pass --views-of-repeated "
    "--reward-likelihood --seed --vocabulary-size --fewest-images --max-words --limit --train-share --batch-images "
    "--version --licence --notes --lake",
    "classifier": "--data --out --version --extra --limit-per-source --leave-out --initial --architecture --views "
    "--renderings --unknown --l2 --agreement --photo-cost --passes --learning-rate --patience --seed "
    "--leave-one-source-out --leave-out-images --average-with --int8 --ranges-of --data-licence --notes",
    "restorer": "--data --reduced --out --version --validate-on --steps --batch-size --patch --learning-rate "
    "--drawn-share --checkpoint-steps --continue --lake --seed --data-licence --notes",
}


@pytest.mark.parametrize("model", COMMANDS)
def test_options_keep_their_names(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", model, "--help"])
    told = capsys.readouterr().out
    assert set(re.findall(r"^  (--[a-z0-9-]+)", told, re.MULTILINE)) == set(NAMES[model].split())


@pytest.mark.parametrize("model", COMMANDS)
def test_each_option_says_what_it_is_and_what_it_is_by_default(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", model, "--help"])
    told = " ".join(capsys.readouterr().out.split())
    for option in options_of(COMMANDS[model][1]):
        assert option.description in told.replace("- ", "-")
        assert isinstance(option.default, bool) or f"(default: {option.shown_default})" in told


@pytest.mark.parametrize("model", COMMANDS)
def test_without_options_a_training_is_as_its_settings_say(model: str) -> None:
    _, settings = COMMANDS[model]
    assert settings_given(_parsed(model), settings) == settings()


@pytest.mark.parametrize(
    ("model", "typed", "field", "value"),
    [
        ("captioner", "--epochs 4", "decoder_epochs", 4),
        ("captioner", "--no-mirror", "mirrored", False),
        ("captioner", "--views-of-repeated", "views_of_repeated", True),
        ("captioner", "--reward-likelihood 0.5", "reward_likelihood", 0.5),
        ("classifier", "--architecture notebook", "architecture", "notebook"),
        ("classifier", "--l2 1e-3", "l2", 1e-3),
        ("restorer", "--checkpoint-steps 7", "checkpoint_steps", 7),
    ],
)
def test_an_option_sets_its_field(model: str, typed: str, field: str, value: object) -> None:
    settings = settings_given(_parsed(model, *typed.split()), COMMANDS[model][1])
    assert getattr(settings, field) == value


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("--seed -1", "--seed -1: give a whole number from 0 to 4,294,967,295."),
        ("--vocabulary-size 4", "--vocabulary-size 4: give at least 5"),
        ("--max-words 1001", "--max-words 1001: at most 1000."),
        ("--windows 1000", "--windows 1000: at most"),
        ("--batch-images 0", "Passes, words, windows, images of a word and batches must be positive numbers."),
        ("--max-words 0", "Passes, words, windows, images of a word and batches must be positive numbers."),
        ("--head-epochs -1", "Passes, words, windows, images of a word and batches must be positive numbers."),
        ("--reward-likelihood inf", "--reward-likelihood inf: it must be a number from 0 on."),
    ],
)
def test_values_with_which_nothing_can_be_learnt_are_told(
    typed: str, told: str, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "captioner", "--data", str(tmp_path), *typed.split()]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": -1}, "--seed -1: give a whole number from 0"),
        ({"seed": 2**32}, "--seed 4294967296: give a whole number from 0"),
        ({"views": 0}, "--views 0: give a whole number from 1 on"),
        ({"patience": 0}, "--patience 0: give a whole number from 1 on"),
        ({"renderings": -1}, "--renderings -1: give a whole number from 0 on"),
        ({"unknown": -1}, "--unknown -1: give a whole number from 0 on"),
        ({"l2": -1.0}, "--l2 -1.0: give a number from 0 on"),
        ({"passes": float("nan")}, "--passes nan: give a number from 0 on"),
        ({"learning_rate": 0.0}, "--learning-rate 0.0: give a number above 0"),
        ({"photo_cost": float("inf")}, "--photo-cost inf: give a number"),
        ({"architecture": "notebook", "passes": 0}, "--passes 0 trains the last layer alone"),
    ],
)
def test_a_recipe_with_which_no_classifier_can_be_trained_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        classifier_recipe.Recipe(**changes)
    assert told in str(refused.value)


@pytest.mark.parametrize("option", ["--average-with=production", "--int8", "--leave-one-source-out"])
def test_what_a_network_does_not_know_is_not_passed_over(
    option: str, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "classifier", "--data", str(tmp_path), "--architecture", "notebook", option]) == 2
    assert "leave it out with --architecture notebook" in capsys.readouterr().err


def _parsed(model: str, *typed: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    COMMANDS[model][0].add_parser(parser.add_subparsers())
    return parser.parse_args([model, "--data", "somewhere", *typed])
