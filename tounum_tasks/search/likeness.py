"""More like this: which photographs of a lake look like one of them, or like any picture.

All vectors of a lake lie side by side in a folder on a local disk, made once whenever a batch was published, and mapped
into memory: a query looks at every one of them. A million take a fraction of a second, so that no index library is
needed, and nothing is missed.
"""

import contextlib
import hashlib
import json
import logging
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ConfigurationError, DamagedFile, EnvironmentFault
from tounum_tasks.manifest.published import BatchRef
from tounum_tasks.search.vectors import DIGEST_DIGITS, DIMENSIONS, vector_files, vectors_path
from tounum_tasks.store.base import Storage
from tounum_tasks.tables import read_table

log = logging.getLogger(__name__)

FORMAT = 2  # of the files in the local folder
READERS = 16
AT_ONCE = 1 << 14
DECIMALS = 4
KEPT_SECONDS = 3_600  # of an earlier state: another process may be about to map it
MEANS, CHECKSUM, CHECKED = "means.json", "sha256", "checked"
BOOT = Path("/proc/sys/kernel/random/boot_id")  # another after each start of the machine
_ARRAYS = ("image_ids", "vectors", "lengths", "extractors")
_FILES = (MEANS, *(f"{array}.npy" for array in _ARRAYS))


@dataclass(frozen=True)
class Likeness:
    """The vectors of a lake, one per image, in order of the image's id.

    Vectors are compared by their angle as seen from the mean of all: what all photographs have in common, which is
    much, says nothing.

    Attributes:
        image_ids: bytes N.
        vectors: float32 N x 128: NumPy computes 20 times as fast with these as with float16.
        lengths: float32 N, of each vector's distance from the mean of its extractor's.
        extractors: uint8 N, the place of its extractor in ``means``.
        means: by digest of an extractor, the mean of its vectors, float32 128.
    """

    image_ids: NDArray[np.bytes_]
    vectors: NDArray[np.float32]
    lengths: NDArray[np.float32]
    extractors: NDArray[np.uint8]
    means: dict[str, NDArray[np.float32]]

    def __len__(self) -> int:
        return len(self.image_ids)

    def like(self, image_id: str, count: int) -> list[tuple[str, float]]:
        """Return the images that look most like one of them, without it: at most ``count``, see :meth:`nearest`.

        Raises:
            ConfigurationError: there is no vector of this image: it is no photograph, or not published.
        """
        place = self._place(image_id)
        extractor = list(self.means)[self.extractors[place]]
        found = self.nearest(self.vectors[place], extractor, count + 1)
        return [entry for entry in found if entry[0] != image_id][:count]

    def nearest(self, vector: NDArray[np.floating], extractor: str, count: int) -> list[tuple[str, float]]:
        """Return the images that look most like a vector of an extractor.

        Returns:
            Image ids with their similarity, -1 to 1 with four decimals, the most similar first, and of those that are
            equally similar the lower id.
        """
        digest = extractor[:DIGEST_DIGITS]
        if digest not in self.means or count < 1:
            return []
        mean = self.means[digest]
        ask = np.asarray(vector, np.float32) - mean
        similarities = self._similarities(ask / max(float(np.linalg.norm(ask)), 1e-9), mean)
        if len(self.means) > 1:
            similarities[self.extractors != list(self.means).index(digest)] = -np.inf
        places = _first(similarities, count)
        return [
            (self.image_ids[place].decode(), round(float(similarities[place]), DECIMALS))
            for place in places
            if np.isfinite(similarities[place])
        ]

    def _similarities(self, ask: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float32]:
        found = self.vectors @ ask
        found -= mean @ ask
        found /= self.lengths
        return found

    def _place(self, image_id: str) -> int:
        wanted = image_id.encode("ascii", "replace")
        place = int(np.searchsorted(self.image_ids, wanted))
        if place == len(self) or self.image_ids[place] != wanted:
            raise ConfigurationError(
                f"There is nothing to compare {image_id} with: it is no photograph, or was not published yet."
            )
        return place


def like(lake: Storage, image_id: str, count: int, folder: Path) -> list[tuple[str, float]]:
    """Return the images of a lake that look most like one of them, see :meth:`Likeness.like`.

    Args:
        folder: on a local disk, as :func:`open_likeness` takes it.
    """
    return open_likeness(lake, folder).like(image_id, count)


def open_likeness(lake: Storage, folder: Path) -> Likeness:
    """Return the vectors of a lake as they are now; they are copied to ``folder`` if they changed since the last time.

    Args:
        folder: on a local disk (the setting ``index_cache``).

    Raises:
        EnvironmentFault: the folder cannot be written.
    """
    files = vector_files(lake)
    state = json.dumps([FORMAT, lake.root, [[batch.batch_date, batch.batch_id, told] for batch, told in files]])
    home = folder / f"likeness-{hashlib.sha256(lake.root.encode()).hexdigest()[:16]}"
    current = home / hashlib.sha256(state.encode()).hexdigest()[:32]
    try:
        found = _kept(current)
        if found is None:
            _make(lake, [batch for batch, _ in files], current)
            found = _load(current)
        return found
    except OSError as error:
        raise EnvironmentFault(f"The vectors cannot be kept in {folder}: {error.strerror or error}.") from error


@dataclass(frozen=True)
class _Part:
    """What one batch brings: as many image ids and extractors as vectors."""

    image_ids: NDArray[np.bytes_]
    vectors: NDArray[np.float16]
    extractors: list[str]


_NOTHING = _Part(np.empty(0, "S64"), np.empty((0, DIMENSIONS), np.float16), [])


def _gather(lake: Storage, batches: Sequence[BatchRef], folder: Path) -> None:
    """Write all vectors of a lake into a folder. Of an image that is in several batches, the last one counts."""
    with ThreadPoolExecutor(READERS) as pool:
        parts = [_NOTHING, *pool.map(lambda batch: _read(lake, batch), batches)]
    image_ids = np.concatenate([part.image_ids for part in parts])
    last = len(image_ids) - 1 - np.unique(image_ids[::-1], return_index=True)[1]
    place = {name: number for number, name in enumerate(sorted({name for part in parts for name in part.extractors}))}
    extractors = np.array([place[name] for part in parts for name in part.extractors], np.uint8)[last]
    vectors = _write_vectors(np.concatenate([part.vectors for part in parts]), last, folder)
    means = {name: _mean(vectors, extractors == number) for name, number in place.items()}
    lengths = np.ones(len(last), np.float32)
    for part in _blocks(len(last)):
        of_row = np.stack(list(means.values()))[extractors[part]]
        lengths[part] = np.maximum(np.linalg.norm(vectors[part] - of_row, axis=1), 1e-9)
    arrays = {"image_ids": image_ids[last], "lengths": lengths, "extractors": extractors}
    for array, values in arrays.items():
        np.save(folder / f"{array}.npy", values, allow_pickle=False)
    (folder / MEANS).write_text(json.dumps({name: mean.tolist() for name, mean in means.items()}))


def _read(lake: Storage, batch: BatchRef) -> _Part:
    try:
        table = read_table(lake, vectors_path(batch.batch_date, batch.batch_id), ["image_id", "extractor", "vector"])
    except (DamagedFile, FileNotFoundError) as fault:
        log.warning("Photographs of %s cannot be found by likeness: %s", batch.batch_id, fault)
        return _NOTHING
    vectors = np.frombuffer(b"".join(table["vector"].to_pylist()), "<f2").reshape(-1, DIMENSIONS)
    return _Part(np.array(table["image_id"].to_pylist(), np.bytes_), vectors, table["extractor"].to_pylist())


def _write_vectors(
    vectors: NDArray[np.float16], chosen: NDArray[np.intp], folder: Path
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Write the rows ``chosen`` as float32, some at a time; return what was written, mapped into memory."""
    path = folder / "vectors.npy"
    if len(chosen) == 0:  # nothing cannot be mapped
        np.save(path, vectors.astype(np.float32), allow_pickle=False)
        return vectors.astype(np.float32)
    written = np.lib.format.open_memmap(path, "w+", np.float32, (len(chosen), DIMENSIONS))
    for part in _blocks(len(chosen)):
        written[part] = vectors[chosen[part]]
    written.flush()
    return written


def _mean(vectors: NDArray[np.float32], chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
    total = np.zeros(DIMENSIONS)
    for part in _blocks(len(vectors)):
        total += vectors[part][chosen[part]].sum(axis=0, dtype=np.float64)
    return (total / chosen.sum()).astype(np.float32)


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(start, start + AT_ONCE) for start in range(0, rows, AT_ONCE))


def _make(lake: Storage, batches: Sequence[BatchRef], folder: Path) -> None:
    """Gather the vectors in ``folder``, which appears whole, and remove what lies beside it of earlier states."""
    staged = folder.with_name(f"{uuid.uuid4().hex}.part")
    staged.mkdir(parents=True)
    try:
        _gather(lake, batches, staged)
        (staged / CHECKSUM).write_bytes(_checksum(staged))
        try:
            staged.rename(folder)
        except OSError:
            if not folder.exists():  # another process was as fast, with the same content
                raise
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    for other in folder.parent.iterdir():
        if other != folder and time.time() - other.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(other, ignore_errors=True)  # who has mapped it keeps it


def _kept(folder: Path) -> Likeness | None:
    """The vectors that were kept in a folder; None if there are none, or they are damaged: then the folder goes."""
    if not folder.exists():
        return None
    try:
        if _is_whole(folder):
            return _load(folder)
        log.warning("%s is damaged; it is made again.", folder)
    except OSError as damage:
        log.warning("%s is damaged (%s); it is made again.", folder, damage.strerror)
    shutil.rmtree(folder)
    return None


def _is_whole(folder: Path) -> bool:
    """Whether the files of a folder hold what was written; they are read if they changed since somebody read them all.

    After a start of the machine they are read again: a power failure may have kept their sizes and times alone.
    """
    checksum, state = (folder / CHECKSUM).read_bytes(), _state(folder)
    checked = folder / CHECKED
    if state and checked.exists() and checked.read_bytes() == state:
        return True
    if checksum != _checksum(folder):
        return False
    with contextlib.suppress(OSError):  # the next one reads them again
        checked.write_bytes(state)
    return True


def _state(folder: Path) -> bytes:
    """What changes when a file of a folder is written to or replaced; nothing where starts cannot be told apart."""
    if not BOOT.exists():
        return b""
    found = [(folder / name).stat() for name in (CHECKSUM, *_FILES)]
    files = [[file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns] for file in found]
    return json.dumps([BOOT.read_text(), files]).encode()


def _checksum(folder: Path) -> bytes:
    """The sha256 of all files of a folder, hex."""
    digest = hashlib.sha256()
    for name in _FILES:
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest().encode()


def _load(folder: Path) -> Likeness:
    means = json.loads((folder / MEANS).read_text())
    return Likeness(
        **{name: _mapped(folder / f"{name}.npy") for name in _ARRAYS},
        means={name: np.array(mean, np.float32) for name, mean in means.items()},
    )


def _mapped(path: Path) -> Any:
    found = np.load(path, mmap_mode="r", allow_pickle=False)
    return np.asarray(found)  # a plain view: every operation on a memmap costs more


def _first(similarities: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Return the places of the ``count`` highest, rounded; of equal ones the first come first."""
    count = min(count, len(similarities))
    if count == 0:
        return np.empty(0, np.intp)
    lowest = np.partition(similarities, -count)[-count]
    candidates = np.flatnonzero(similarities >= lowest - 10.0**-DECIMALS)
    order = np.argsort(-similarities[candidates].round(DECIMALS), kind="stable")
    return candidates[order[:count]]
