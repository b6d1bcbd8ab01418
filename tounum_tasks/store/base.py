"""One root folder or bucket and the few operations that the pipeline needs of it.

What is written appears whole or not at all. Every path is relative to the root, with ``/`` between folders.
:func:`tounum_tasks.store.open.open_storage` gives the storage of a root.
"""

import contextlib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import IO, Literal, Protocol

from tounum_tasks.errors import DamagedFile, EnvironmentFault

CHUNK_BYTES = 1 << 20
TEMPORARY_FOLDER = ".tmp"
STALE_AFTER_NS = 24 * 3600 * 10**9


@dataclass(frozen=True)
class Entry:
    """One directory entry. Times are nanoseconds since 1970; folders of object stores have none (0).

    Attributes:
        mtime_ns: time of the last modification as it is stored, whatever clock made it.
        version: what an object store calls this content; folders have none.
        identity: what tells a file of a folder from every other that is put in its place, whatever its size and time:
            inode and time of the last change of content or attributes. Object stores have none.
        changed_ns: when it changed last, as far as clocks can be believed: a modification time in the future (a
            camera's wrong clock) says nothing, and the time at which the file system last saw a change takes its place;
            0, if that is more than a day away, too.
    """

    name: str
    kind: Literal["file", "folder", "link", "other"]
    size: int
    mtime_ns: int
    version: str = ""
    identity: str = ""
    changed_ns: int = 0


class Hasher(Protocol):
    """What is fed with the bytes of a file, as the objects of :mod:`hashlib` are."""

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class ChangedWhileRead(EnvironmentFault):
    """A file was replaced while it was read, or is not the version that was asked for."""


class Storage:
    """Operations on the files below one root; see :func:`tounum_tasks.store.open.open_storage`.

    All methods raise :class:`EnvironmentFault` with one sentence when the storage does not do what it should
    (full, away, not permitted), and FileNotFoundError when a path that is read does not exist.
    """

    has_locks = True

    def __init__(self, root: str) -> None:
        self.root = root

    def url(self, path: str) -> str:
        """Return the full URL of ``path``."""
        return f"{self.root}/{path}"

    def relative(self, url: str) -> str:
        """Return the path below this root of a URL that :meth:`url` made."""
        return url.removeprefix(self.root + "/")

    def read_bytes(self, path: str) -> bytes:
        with self._faults(path), self.open(path) as file:
            return file.read()

    def write_bytes(self, path: str, data: bytes) -> None:
        """Write or replace ``path``; readers see the old content or the new one, never a mixture."""
        with self.writing(path) as file:
            file.write(data)

    def write_cached(self, path: str, data: bytes) -> None:
        """Write like :meth:`write_bytes` what is easily made again, without waiting for the disk.

        After a power failure it may be there, and empty or damaged: who reads it has to tell.
        """
        self.write_bytes(path, data)

    def copy_from(
        self,
        source: "Storage",
        source_path: str,
        path: str,
        *,
        size: int | None = None,
        sha256: str | None = None,
        version: str = "",
        hashers: Iterable[Hasher] = (),
    ) -> tuple[str, int]:
        """Copy a file between roots; return the sha256 (hex) and size of the bytes that were read.

        Args:
            size: how many bytes there should be.
            sha256: of the bytes that there should be.
            version: of which version.
            hashers: are fed with the bytes, too.

        Raises:
            ChangedWhileRead: it is another version, or has another size; nothing was written.
            DamagedFile: it has another sha256; nothing was written.
        """
        digest, count = hashlib.sha256(), 0
        fed: list[Hasher] = [digest, *hashers]
        with source.open(source_path, version) as reader, self.writing(path) as writer:
            while chunk := source._read_chunk(source_path, reader):
                for hasher in fed:
                    hasher.update(chunk)
                count += len(chunk)
                if size is not None and count > size:  # somebody may write to it faster than we read
                    break
                writer.write(chunk)
            if size is not None and count != size:
                raise ChangedWhileRead(f"{source.url(source_path)} has not {size} bytes any more.")
            if sha256 is not None and digest.hexdigest() != sha256:
                raise DamagedFile(
                    f"{source.url(source_path)} is not what was taken in: restore it from a backup, then run again."
                )
        return digest.hexdigest(), count

    def sha256(self, path: str) -> str:
        """Return the hex sha256 of what is stored at ``path``, read back from the storage."""
        digest = hashlib.sha256()
        with self.open(path) as reader:
            while chunk := self._read_chunk(path, reader):
                digest.update(chunk)
        return digest.hexdigest()

    def _read_chunk(self, path: str, reader: IO[bytes]) -> bytes:
        with self._faults(path):
            return reader.read(CHUNK_BYTES)

    # What differs between folders and object stores

    def _faults(self, path: str) -> contextlib.AbstractContextManager[None]:
        """Context that turns the storage's own errors into EnvironmentFault; FileNotFoundError passes."""
        raise NotImplementedError

    def remove_stale_temporaries(self) -> None:
        """Remove what killed writers left behind more than a day ago."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise EnvironmentFault if the root does not exist or cannot be listed."""
        raise NotImplementedError

    def require_exclusive_creation(self) -> None:
        """Raise ConfigurationError if :meth:`create_exclusively` would not keep its promise here."""

    def exists(self, path: str) -> bool:
        """Whether there is a file of this name."""
        raise NotImplementedError

    def list_folder(self, path: str = "") -> list[Entry]:
        """Return the entries of a folder in order of name; an absent folder has none."""
        raise NotImplementedError

    def list_tree(self, path: str) -> list[Entry]:
        """Return what lies below a folder at any depth, except folders; names are paths below it. No link is followed.

        Object stores answer with one listing for all of it, a request for each thousand.
        """
        found = []
        for entry in self.list_folder(path):
            if entry.kind == "folder":
                below = self.list_tree(f"{path}/{entry.name}")
                found += [replace(inner, name=f"{entry.name}/{inner.name}") for inner in below]
            else:
                found.append(entry)
        return found

    def entry(self, path: str) -> Entry:
        """Return the entry of one path, without following links."""
        raise NotImplementedError

    def open(self, path: str, version: str = "") -> IO[bytes]:
        """Open a regular file for reading; a symbolic link is refused.

        Raises:
            ChangedWhileRead: it is not the ``version`` that was asked for; reading may raise it, too.
        """
        raise NotImplementedError

    def writing(self, path: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Context of a writable file that becomes ``path`` when the block ends, and vanishes if it raises."""
        raise NotImplementedError

    def create_exclusively(self, path: str, data: bytes) -> bool:
        """Create ``path`` with ``data`` in one step; return False, changing nothing, if it exists already."""
        raise NotImplementedError

    def replace_version(self, path: str, data: bytes, version: str) -> bool:
        """Write ``path`` if it is of this ``version`` still; return False, changing nothing, if it is not.

        Folders have no versions: there, a :meth:`lock` keeps others out.

        Args:
            version: as :meth:`entry` gave it; empty if there was no such file.
        """
        raise NotImplementedError

    def remove(self, path: str) -> None:
        """Remove a file; it is no error if it is gone already."""
        raise NotImplementedError

    def remove_unchanged(self, path: str, *, sha256: str, version: str) -> bool:
        """Remove a file that others may replace at any moment, if it holds what was read from it.

        Args:
            sha256: of what was read, hex; folders compare it.
            version: that was read; object stores compare it, in the step that deletes if they can do so (``If-Match``).

        Returns:
            Whether the file is gone. One that holds anything else stays.
        """
        raise NotImplementedError

    def remove_empty_folder(self, path: str) -> None:
        """Remove a folder if nothing is left in it."""
        raise NotImplementedError

    def free_bytes(self) -> int | None:
        """Return the free space, or None where there is no such number."""
        raise NotImplementedError

    def lock(self, path: str, wait_seconds: float) -> contextlib.AbstractContextManager[None]:
        """Context that one process at a time may be in; it opens again when its holder dies.

        Object stores have no such locks: there, Airflow's limit of one active task keeps the others out.
        """
        raise NotImplementedError
