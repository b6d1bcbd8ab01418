"""The ``models`` command."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.unit.published import small_settings
from tests.unit.published_lake import ok_row, publish
from tests.unit.test_registry import as_weights
from tounum_tasks.cli.main import main
from tounum_tasks.models.card import read_version, write_card
from tounum_tasks.models.registry import STARTERS


@pytest.fixture
def lake(tmp_path):
    return ["--lake", str(tmp_path / "lake")]


@pytest.fixture
def trained(tmp_path):
    folder = tmp_path / "out" / "classifier" / "2026.11.20-1"
    shutil.copytree(max(STARTERS.glob("classifier/*")), folder)
    write_card(folder, name="classifier", version=folder.name)
    return tmp_path / "out"


def test_register_promote_list_show_and_roll_back(trained, lake, capsys):
    assert main(["models", "register", str(trained), *lake]) == 0
    assert main(["models", "promote", "classifier", "2026.11.20-1", *lake]) == 0
    capsys.readouterr()
    main(["models", "list", "classifier", *lake])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines if line.startswith("*")] == [["*", "classifier", "2026.11.20-1"]]
    main(["models", "show", "classifier", *lake])
    assert json.loads(capsys.readouterr().out)["version"] == "2026.11.20-1"
    main(["models", "rollback", "classifier", *lake])
    main(["models", "list", *lake])
    output = capsys.readouterr().out
    assert "* classifier starter-" in output
    assert "* captioner  starter-" in output


@pytest.mark.parametrize(
    ("model", "part", "changes", "sentence"),
    [
        ("classifier", "weights", {}, "weights lack"),
        ("captioner", "network", {"units": 100}, "has shape (512, 256), expected (100, 256)"),
        ("captioner", "search", {"max_words": 3}, "is damaged, or says something else than its card"),
    ],
)
def test_a_version_that_no_run_could_load_is_not_promoted(
    model, part, changes, sentence, trained, lake, capsys, tmp_path
):
    folder = tmp_path / "lying"
    starter = max(STARTERS.glob(f"{model}/*"))
    shutil.copytree(starter, folder)
    card = read_version(starter)
    if part == "weights":
        (folder / "weights.safetensors").write_bytes(as_weights(b"weights"))
        training = card.training
    else:
        training = card.training | {part: card.training[part] | changes}
    write_card(folder, name=model, version="lying-1", training=training, partners=card.partners)
    assert main(["models", "register", str(folder), *lake]) == 0
    assert main(["models", "promote", model, "lying-1", *lake]) == 2
    error = capsys.readouterr().err
    assert sentence in error and "Traceback" not in error
    main(["models", "list", model, *lake])
    assert f"* {model:<10} starter-" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["show", "captioner", "v9"], "There is no version v9 of the captioner"),
        (["promote", "classifier", "../x"], "is no version"),
        (["rollback", "classifier"], "no version of the classifier to go back to"),
        (["register", "."], "there is no model.json in it"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(arguments, sentence, lake, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["models", *arguments, *lake]) == 2
    assert sentence in capsys.readouterr().err


def test_damage_in_production_is_told_after_the_list(lake, tmp_path, capsys):
    path = tmp_path / "lake/models/captioner/production.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    assert main(["models", "list", *lake]) == 2
    output = capsys.readouterr()
    assert "* classifier starter-" in output.out
    assert "  captioner  starter-" in output.out
    assert "production.json is damaged; promote a version again" in output.err


@pytest.mark.parametrize("model", ["captioner", "classifier", "restorer"])
@pytest.mark.parametrize("version", ["Two Words", "../elsewhere", "production"])
def test_a_version_that_cannot_be_called_so_is_refused_before_anything_is_done(model, version, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", model, "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--version", version])
    assert stopped.value.code == 2
    assert f"{version!r} is no version" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# Run in a fresh process: the list of models has one more, which no step uses.
WITH_ONE_MORE = """
import sys
from tounum_tasks.model_kinds import KINDS, Kind

KINDS["handwriting"] = Kind("handwriting", "classify.handwriting:Handwriting")

from tounum_tasks.cli.main import main
from tounum_tasks.reprocess.outdated import choose, wanted_models
from tounum_tasks.settings import load_settings

lake, folder = sys.argv[1:]
settings = load_settings(lake_root=lake)
print(*sorted(wanted_models(settings)), choose(settings, order="oldest", at_most=9).dates)
for what in ("register", folder), ("promote", "handwriting", "v1"), ("list", "handwriting"):
    assert main(["models", *what, "--lake", lake]) == 0
"""


def test_a_model_that_no_step_uses_can_be_promoted_and_no_run_asks_for_it(tmp_path):
    settings = small_settings(tmp_path)
    publish(settings, [ok_row(settings, "a.jpg", "Photo", batch_id="box", batch_date="2026-11-01")])
    folder = tmp_path / "out" / "v1"
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(as_weights(b"weights"))
    write_card(folder, name="handwriting", version="v1")
    command = [sys.executable, "-c", WITH_ONE_MORE, settings.lake_root, str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    first, *listed = done.stdout.splitlines()
    assert first.startswith("captioner classifier extractor restorer [")
    assert "* handwriting v1" in "\n".join(listed)
