"""Which images a version was trained on, beside its card: two versions are compared on images that neither learnt.

Of each image the first 8 bytes of the SHA-256 of its file are kept, sorted, one after the other. That is enough to tell
ten thousand test images from a million others (a chance of one in two billion to take one for another), and it gives
nothing of an image away.
"""

from collections.abc import Iterable
from pathlib import Path

from tounum_tasks.errors import ConfigurationError

TRAINED_ON_FILE = "trained_on.bin"
PREFIX_BYTES = 8


def prefix_of(sha256: str) -> bytes:
    """Return what is kept of an image whose file has a hash (hex)."""
    return bytes.fromhex(sha256)[:PREFIX_BYTES]


def write_trained_on(folder: Path, prefixes: Iterable[bytes]) -> None:
    """Write the file into the folder of a version, before its card is written."""
    (folder / TRAINED_ON_FILE).write_bytes(b"".join(sorted(set(prefixes))))


def read_trained_on(folder: Path) -> frozenset[bytes] | None:
    """Return the prefixes of a version's training images; None for versions of releases that did not keep them.

    Raises:
        ConfigurationError: the file is cut short.
    """
    try:
        content = (folder / TRAINED_ON_FILE).read_bytes()
    except FileNotFoundError:
        return None
    if len(content) % PREFIX_BYTES:
        raise ConfigurationError(f"The model {folder} is damaged: {TRAINED_ON_FILE} is cut short.")
    return frozenset(content[at : at + PREFIX_BYTES] for at in range(0, len(content), PREFIX_BYTES))
