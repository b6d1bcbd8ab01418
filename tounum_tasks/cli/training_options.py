"""The options of ``train`` that set how a model is trained: one for each field of its settings that names one."""

import argparse
from typing import Any, TypeVar

from tounum_tasks.training.options import options_of

Settings = TypeVar("Settings")


def add_training_options(parser: argparse.ArgumentParser, settings: type) -> None:
    """Add an option for each field of a dataclass that was made with :func:`~tounum_tasks.training.options.option`."""
    group = parser.add_argument_group("how it is trained")
    for option in options_of(settings):
        how: dict[str, Any] = {"dest": option.field, "default": option.default, "help": option.description}
        if isinstance(option.default, bool):
            how["action"] = "store_false" if option.default else "store_true"
        else:
            how["type"], how["metavar"], how["choices"] = type(option.default), option.metavar, option.choices
            how["help"] += f" (default: {option.shown_default})"
        group.add_argument(option.flag, **how)


def settings_given(arguments: argparse.Namespace, settings: type[Settings]) -> Settings:
    """Return the settings that the options say; fields without an option have their default.

    Raises:
        ConfigurationError: nothing can be trained in this way.
    """
    return settings(**{option.field: getattr(arguments, option.field) for option in options_of(settings)})
