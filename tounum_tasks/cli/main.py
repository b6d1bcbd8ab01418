"""Reads the command line, runs one command, and turns errors into one sentence and an exit code."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import tounum_tasks
from tounum_tasks.cli import (
    caption,
    classify,
    diff,
    enhance,
    evaluate_captioner,
    evaluate_classifier,
    evaluate_restorer,
    history,
    models,
    prune,
    restore,
    run,
    sample,
    show,
    train_captioner,
    train_classifier,
    train_restorer,
)
from tounum_tasks.errors import ConfigurationError, EnvironmentFault, FailureRateExceeded, TounumError
from tounum_tasks.logs import KeyValueFormatter
from tounum_tasks.store.folder import forbid_world_writing
from tounum_tasks.visible import one_line

# Packages that only some commands need, and the extra that installs them.
EXTRAS = {"matplotlib": "measure", "skimage": "measure", "keras": "train", "tensorflow": "train"}
EXIT_DONE, EXIT_FAILURES, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 more failures than allowed, 2 wrong usage or environment."""
    forbid_world_writing()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(KeyValueFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    chosen = _parser().parse_args(arguments)
    try:
        code: int = chosen.run(chosen)
        sys.stdout.flush()
        return code
    except FailureRateExceeded as error:
        return _say(error, EXIT_FAILURES)
    except (ConfigurationError, EnvironmentFault) as error:
        return _say(error, EXIT_USAGE)
    except TounumError as error:
        return _say(error, EXIT_FAILURES)
    except BrokenPipeError:  # whoever reads our output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except Exception as error:
        if missing := _missing_extra(error):
            return _say(missing, EXIT_USAGE)
        logging.exception("This is a fault of the program.")
        return _say("The program failed; the lines above say where. Please report them.", EXIT_USAGE)
    except KeyboardInterrupt:
        return _say("Interrupted: what was finished is kept, run the same command again to go on.", EXIT_INTERRUPTED)


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints may hold the name of any file: shells put such names where options are expected."""

    def error(self, message: str) -> NoReturn:
        super().error(one_line(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m tounum_tasks", description=(tounum_tasks.__doc__ or "").partition("\n")[0])
    parser.add_argument("--version", action="version", version=tounum_tasks.__version__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (run, enhance, classify, caption, show, history, diff, restore, prune, models, sample):
        command.add_parser(commands)
    train = commands.add_parser("train", help="train a model from a data set")
    trainable = train.add_subparsers(title="models", metavar="MODEL", required=True)
    evaluate = commands.add_parser("evaluate", help="measure a model on a data set")
    measurable = evaluate.add_subparsers(title="models", metavar="MODEL", required=True)
    for command in (train_captioner, train_classifier, train_restorer):
        command.add_parser(trainable)
    for command in (evaluate_captioner, evaluate_classifier, evaluate_restorer):
        command.add_parser(measurable)
    return parser


def _missing_extra(error: Exception) -> str | None:
    """Return what to install if a package of an extra is not there, as in a lean installation."""
    package = error.name.partition(".")[0] if isinstance(error, ModuleNotFoundError) and error.name else None
    if package not in EXTRAS:
        return None
    return f"This command needs {package}, which is not installed: pip install 'tounum[{EXTRAS[package]}]'."


def _say(message: object, code: int) -> int:
    print(f"tounum: {one_line(str(message))}", file=sys.stderr)
    return code
