"""Fields of a training's settings that the command line sets: the field says all that its option needs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from tounum_tasks.errors import ConfigurationError

OPTION = "option"
LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Option:
    """An option of ``train`` that sets a field.

    Attributes:
        field: name of the field.
        default: of the field; a switch turns it around if it is a truth value.
        description: what the field is, as help says it.
        flag: as it is typed.
        metavar: what stands for its value in help; none for switches and choices.
        choices: the only values, if there are few.
        shown_default: how help calls the default.
    """

    field: str
    default: Any
    description: str
    flag: str
    metavar: str | None
    choices: Sequence[str] | None
    shown_default: str


def option(
    default: Any,
    description: str,
    *,
    flag: str = "",
    metavar: str | None = None,
    choices: Sequence[str] | None = None,
    shown_default: str = "",
) -> Any:
    """Return a field of a dataclass, which an option sets; see :class:`Option`.

    Args:
        flag: if it is not the field's name.
        shown_default: if it is not the default as it is.
    """
    described = {
        "description": description,
        "flag": flag,
        "metavar": metavar,
        "choices": choices,
        "shown_default": shown_default or str(default),
    }
    return field(default=default, metadata={OPTION: described})


def options_of(settings: type) -> Iterator[Option]:
    """Yield the options that set fields of a dataclass, in the order of the fields."""
    for one in fields(settings):
        if described := one.metadata.get(OPTION):
            flag = described["flag"] or f"--{one.name.replace('_', '-')}"
            yield Option(one.name, one.default, **{**described, "flag": flag})


def require_seed(seed: int) -> None:
    """Raise ConfigurationError if nothing can be drawn with a seed."""
    if not 0 <= seed <= LARGEST_SEED:
        raise ConfigurationError(f"--seed {seed}: give a whole number from 0 to {LARGEST_SEED:,}.")
