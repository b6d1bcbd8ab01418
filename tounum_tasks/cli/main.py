"""Reads the command line, runs one command, and turns errors into one sentence and an exit code."""

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import tounum_tasks
from tounum_tasks.errors import ConfigurationError, EnvironmentFault, FailureRateExceeded, TounumError
from tounum_tasks.logs import KeyValueFormatter
from tounum_tasks.store.folder import forbid_world_writing
from tounum_tasks.visible import one_line

# Packages that only some commands need, and the extra that installs them.
EXTRAS = {"matplotlib": "measure", "skimage": "measure", "keras": "train", "tensorflow": "train"}
COMMANDS = (
    *("run", "enhance", "classify", "caption"),
    *("show", "search", "history", "diff", "restore", "prune", "verify", "reviews", "thumbnail", "index"),
    *("models", "sample"),
)
MODELS = ("captioner", "classifier", "restorer")
# Commands on models, which lie in cli/COMMAND_MODEL.py.
MODEL_COMMANDS = {"train": "train a model from a data set", "evaluate": "measure a model on a data set"}
EXIT_DONE, EXIT_FAILURES, EXIT_USAGE, EXIT_INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 more failures than allowed, 2 wrong usage or environment."""
    forbid_world_writing()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(KeyValueFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    arguments = sys.argv[1:] if arguments is None else arguments
    chosen = _parser(arguments).parse_args(arguments)
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


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of the command that is called, or of all if it is none of them: most are slow to import."""
    parser = _Parser(prog="python -m tounum_tasks", description=(tounum_tasks.__doc__ or "").partition("\n")[0])
    parser.add_argument("--version", action="version", version=tounum_tasks.__version__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    command, model = (*arguments, "", "")[:2]
    is_known = command in COMMANDS or command in MODEL_COMMANDS
    for name in COMMANDS:
        if name == command or not is_known:
            _module(name).add_parser(commands)
    for name, text in MODEL_COMMANDS.items():
        if name == command or not is_known:
            models = commands.add_parser(name, help=text).add_subparsers(title="models", metavar="MODEL", required=True)
            for one in [model] if model in MODELS else MODELS:
                _module(f"{name}_{one}").add_parser(models)
    return parser


def _module(name: str) -> Any:
    return importlib.import_module(f"tounum_tasks.cli.{name}")


def _missing_extra(error: Exception) -> str | None:
    """Return what to install if a package of an extra is not there, as in a lean installation."""
    package = error.name.partition(".")[0] if isinstance(error, ModuleNotFoundError) and error.name else None
    if package not in EXTRAS:
        return None
    return f"This command needs {package}, which is not installed: pip install 'tounum[{EXTRAS[package]}]'."


def _say(message: object, code: int) -> int:
    print(f"tounum: {one_line(str(message))}", file=sys.stderr)
    return code
