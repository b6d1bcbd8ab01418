"""What an image is for, drawn from the bytes of its file: it stays so for good.

Whatever an image is called, whichever images are beside it and whoever trains: it is never learnt by one model and
used to measure another one.
"""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.threads import processors
from tounum_tasks.visible import display_name


def hashes_of_files(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the SHA-256 (hex) of each file, in the order given; several are read at once.

    Raises:
        ConfigurationError: one cannot be read.
    """
    known = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(processors()) as pool:
        return dict(zip(known, pool.map(_known_hash_of, known), strict=True))


def drawn(hashes: Iterable[str], purpose: str, share: float) -> set[str]:
    """Return those of some images that are drawn for a purpose: at least one and, of several, never all.

    Each has a lot of its own, which its bytes decide for every purpose anew; the one nearest to the border gives way
    where too few images leave a side empty.

    Args:
        hashes: SHA-256 (hex) of the images' files.
        share: of the images, between 0 and 1, that is drawn on average.
    """
    lots = {sha256: _lot(sha256, purpose) for sha256 in hashes}
    chosen = {sha256 for sha256, lot in lots.items() if lot < share}
    if not chosen and lots:
        chosen = {min(lots, key=lots.__getitem__)}
    if len(chosen) == len(lots) > 1:
        chosen.remove(max(lots, key=lots.__getitem__))
    return chosen


def _lot(sha256: str, purpose: str) -> float:
    return int(hashlib.sha256(f"{purpose} {sha256}".encode()).hexdigest()[:8], 16) / 2**32


def _known_hash_of(path: Path) -> str:
    try:
        found = path.stat()
        return _hash_of(path, (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
    except OSError as error:
        raise ConfigurationError(f"{display_name(str(path))} cannot be read: {error.strerror}.") from error


@lru_cache(maxsize=1 << 20)  # a training asks several times for what its images are, and they may be large
def _hash_of(path: Path, identity: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
