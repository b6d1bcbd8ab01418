"""One root folder or bucket and the few operations that the pipeline needs of it.

What is written appears whole or not at all: content goes to a temporary name, reaches the disk, and is then renamed.
Object stores have a module of their own, :mod:`tounum_tasks.object_storage`. Every path is relative to the root, with
``/`` between folders.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Literal

from tounum_tasks.errors import ConfigurationError, EnvironmentFault
from tounum_tasks.settings import root_url

CHUNK_BYTES = 1 << 20
TEMPORARY_FOLDER = ".tmp"
STALE_AFTER_NS = 24 * 3600 * 10**9


@dataclass(frozen=True)
class Entry:
    """One directory entry. ``mtime_ns`` is nanoseconds since 1970; folders of object stores have none (0).

    A modification time in the future (a camera's wrong clock) says nothing; the time at which the file system last
    saw a change takes its place. ``version`` is what an object store calls this content; folders have none.
    """

    name: str
    kind: Literal["file", "folder", "link", "other"]
    size: int
    mtime_ns: int
    version: str = ""


class ChangedWhileRead(EnvironmentFault):
    """A file was replaced while it was read, or is not the version that was asked for."""


class Storage:
    """Operations on the files below one root; see :func:`open_storage`.

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

    def copy_from(
        self, source: "Storage", source_path: str, path: str, *, size: int | None = None, version: str = ""
    ) -> tuple[str, int]:
        """Copy a file between roots; return the sha256 (hex) and size of the bytes that were read.

        Args:
            size: how many bytes there should be.
            version: of which version.

        Raises:
            ChangedWhileRead: it is another version, or has another size; nothing was written.
        """
        digest, count = hashlib.sha256(), 0
        with source.open(source_path, version) as reader, self.writing(path) as writer:
            while chunk := source._read_chunk(source_path, reader):
                digest.update(chunk)
                count += len(chunk)
                if size is not None and count > size:  # somebody may write to it faster than we read
                    break
                writer.write(chunk)
            if size is not None and count != size:
                raise ChangedWhileRead(f"{source.url(source_path)} has not {size} bytes any more.")
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

    def remove(self, path: str, version: str = "") -> None:
        """Remove a file, if it is of this ``version``; it is no error if it is gone already."""
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


@lru_cache(maxsize=32)
def open_storage(path_or_url: str, *, untrusted: bool = False) -> Storage:
    """Return the storage below a folder, ``file://`` or ``s3://`` root.

    Args:
        untrusted: others write there, and may put a link in the place of a folder at any moment: none below the root
            is followed.

    Raises:
        ConfigurationError: another kind of URL, or one that no store takes.
    """
    try:
        root = root_url(path_or_url)
    except ValueError as error:
        raise ConfigurationError(f"{error}.") from error
    if root.startswith("file://"):
        return FolderStorage(root, untrusted=untrusted)
    from tounum_tasks.object_storage import ObjectStorage

    return ObjectStorage(root)


class FolderStorage(Storage):
    """A root on a file system that has hard links and atomic renames (every usual Linux file system)."""

    def __init__(self, root: str, *, untrusted: bool = False) -> None:
        super().__init__(root)
        self._folder = root.removeprefix("file://")
        self._untrusted = untrusted

    def local_path(self, path: str) -> Path:
        return Path(self._folder, path)

    @contextlib.contextmanager
    def _in_folder_of(self, path: str) -> Iterator[tuple[int | None, str]]:
        """Context with an open folder and a name in it, to be used as ``dir_fd`` and path of system calls.

        Below an untrusted root each folder on the way is opened by itself, so that what is read or removed lies below
        the root whatever is renamed meanwhile; a link on the way is as good as nothing.
        """
        *folders, name = path.split("/")
        if not self._untrusted:
            yield None, str(self.local_path(path))
            return
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for folder in folders:
                below = _open_folder(folder, descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor, name or "."
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _faults(self, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise EnvironmentFault(_sentence(self.url(path), error)) from error

    def check(self) -> None:
        try:
            with os.scandir(self._folder):
                pass
        except OSError as error:
            raise EnvironmentFault(_sentence(self.root, error)) from error

    def exists(self, path: str) -> bool:
        with self._faults(path):
            return os.path.lexists(self.local_path(path))

    def list_folder(self, path: str = "") -> list[Entry]:
        with self._faults(path):
            try:
                with self._in_folder_of(path) as (folder, name):
                    found = _entries(name if folder is None else _open_folder(name, folder))
            except FileNotFoundError:
                return []
        return sorted(found, key=lambda entry: os.fsencode(entry.name))

    def entry(self, path: str) -> Entry:
        with self._faults(path), self._in_folder_of(path) as (folder, name):
            return _entry(path.rpartition("/")[2], os.lstat(name, dir_fd=folder))

    def open(self, path: str, version: str = "") -> IO[bytes]:
        with self._faults(path), self._in_folder_of(path) as (folder, name):
            # O_NONBLOCK: opening a FIFO that somebody left in ingest must not wait for a writer.
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise OSError(errno.EINVAL, "not a regular file")
            return os.fdopen(descriptor, "rb")

    @contextlib.contextmanager
    def writing(self, path: str) -> Iterator[IO[bytes]]:
        with self._faults(path), self._staged() as (staged, file):
            yield file
            _to_disk(file)
            target = self.local_path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(target)
            _folder_to_disk(target.parent)

    def create_exclusively(self, path: str, data: bytes) -> bool:
        with self._faults(path), self._staged() as (staged, file):
            file.write(data)
            _to_disk(file)
            target = self.local_path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                target.hardlink_to(staged)
            except FileExistsError:
                return False
            _folder_to_disk(target.parent)
            return True

    @contextlib.contextmanager
    def _staged(self) -> Iterator[tuple[Path, IO[bytes]]]:
        folder = Path(self._folder, TEMPORARY_FOLDER)
        folder.mkdir(parents=True, exist_ok=True)
        staged = folder / uuid.uuid4().hex
        try:
            with staged.open("xb") as file:
                yield staged, file
        finally:
            staged.unlink(missing_ok=True)

    def remove_stale_temporaries(self) -> None:
        for entry in self.list_folder(TEMPORARY_FOLDER):
            if time.time_ns() - entry.mtime_ns > STALE_AFTER_NS:
                self.remove(f"{TEMPORARY_FOLDER}/{entry.name}")

    def remove(self, path: str, version: str = "") -> None:
        with self._faults(path), contextlib.suppress(FileNotFoundError), self._in_folder_of(path) as (folder, name):
            os.unlink(name, dir_fd=folder)

    def remove_empty_folder(self, path: str) -> None:
        with self._faults(path):
            try:
                with self._in_folder_of(path) as (folder, name):
                    os.rmdir(name, dir_fd=folder)
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise

    @contextlib.contextmanager
    def lock(self, path: str, wait_seconds: float) -> Iterator[None]:
        target = self.local_path(path)
        with self._faults(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(target, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            deadline = time.monotonic() + wait_seconds
            while not _try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise EnvironmentFault(f"Another process holds {self.url(path)}: try again when it has ended.")
                time.sleep(0.2)
            yield
        finally:
            os.close(descriptor)

    def free_bytes(self) -> int | None:
        folder = Path(self._folder)
        while not folder.exists():
            folder = folder.parent
        with self._faults(""):
            return shutil.disk_usage(folder).free


def _open_folder(name: str, parent: int) -> int:
    """Open a folder in an open folder. Raises FileNotFoundError also if it is a link, or no folder any more."""
    try:
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        raise FileNotFoundError(errno.ENOENT, "no folder any more", name) from error


def _entries(folder: str | int) -> list[Entry]:
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                # An entry may be gone between listing and looking: then it is not there.
                with contextlib.suppress(FileNotFoundError):
                    found.append(_entry(entry.name, entry.stat(follow_symlinks=False)))
    finally:
        if isinstance(folder, int):
            os.close(folder)
    return found


def _entry(name: str, status: os.stat_result) -> Entry:
    mode = status.st_mode
    kind: Literal["file", "folder", "link", "other"] = (
        "link" if stat.S_ISLNK(mode) else "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"
    )
    changed_ns = status.st_mtime_ns if status.st_mtime_ns <= time.time_ns() else status.st_ctime_ns
    return Entry(name, kind, status.st_size, changed_ns)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _folder_to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def forbid_world_writing() -> None:
    """Let no file that this process makes be writable by everybody, whatever umask it was started with."""
    os.umask(os.umask(0o077) | 0o002)


def _sentence(url: str, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"No space is left for {url}: free some, then run again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{url} may not be read or written by this user: mend the permissions, then run again."
    if error.errno == errno.ENOENT:
        return f"{url} does not exist: create the folder, mount it, or correct the setting."
    if error.errno == errno.ENOTDIR:
        return f"{url} is not a folder: correct the setting."
    return f"{url} cannot be used: {error.strerror or error}."
