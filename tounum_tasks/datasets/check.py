"""Check of a data set's pictures before hours are spent on it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tounum_tasks.errors import ConfigurationError, ItemError
from tounum_tasks.images.decode import decode
from tounum_tasks.threads import processors
from tounum_tasks.visible import display_name

MOST_NAMED = 20
PROGRESS_EVERY = 1000
log = logging.getLogger(__name__)


def check_pictures(paths: Sequence[Path]) -> None:
    """Decode every picture once, by several threads.

    Raises:
        ConfigurationError: some cannot be decoded; the message names them, the first 20 with the reason.
    """
    bad = []
    with ThreadPoolExecutor(processors()) as pool:
        for done, fault in enumerate(pool.map(_fault_of, paths), start=1):
            if fault:
                bad.append(fault)
            if done % PROGRESS_EVERY == 0 or done == len(paths):
                log.info("Looked at %d of %d pictures: %d cannot be read.", done, len(paths), len(bad))
    if bad:
        others = f"; and {len(bad) - MOST_NAMED} others" if len(bad) > MOST_NAMED else ""
        raise ConfigurationError(
            f"{len(bad)} of {len(paths)} pictures cannot be trained on, mend or remove them: "
            f"{'; '.join(bad[:MOST_NAMED])}{others}."
        )


def _fault_of(path: Path) -> str:
    """What is wrong with a picture; empty if it decodes."""
    try:
        decode(path.read_bytes())
    except (OSError, ItemError) as error:
        return f"{display_name(str(path))} ({error})"
    return ""
