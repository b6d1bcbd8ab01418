"""A root folder: content goes to a temporary name, reaches the disk, and is then renamed."""

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

from tounum_tasks.errors import DamagedFile, EnvironmentFault, UnreadableFile
from tounum_tasks.store.base import STALE_AFTER_NS, TEMPORARY_FOLDER, Entry, Storage
from tounum_tasks.store.removal import remove_if_same

DAY_NS = 24 * 3600 * 10**9
# What is wrong with one file alone: something else lies in its place, or the disk cannot give its bytes.
_OF_ONE_FILE = (errno.EISDIR, errno.ELOOP, errno.EIO, errno.EUCLEAN, errno.EBADMSG)


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
            fault = DamagedFile if error.errno in _OF_ONE_FILE else EnvironmentFault
            raise fault(_sentence(self.url(path), error)) from error

    def check(self) -> None:
        try:
            with os.scandir(self._folder):
                pass
        except OSError as error:
            raise EnvironmentFault(_sentence(self.root, error)) from error

    def exists(self, path: str) -> bool:
        with self._faults(path), contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return not stat.S_ISDIR(os.lstat(self.local_path(path)).st_mode)
        return False

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
            try:
                descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
            except PermissionError as error:  # backups that were restored by another user
                raise UnreadableFile(_sentence(self.url(path), error)) from error
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise DamagedFile(f"{self.url(path)} cannot be used: not a regular file.")
            return os.fdopen(descriptor, "rb")

    @contextlib.contextmanager
    def writing(self, path: str) -> Iterator[IO[bytes]]:
        with self._faults(path), self._staged(path) as (staged, file):
            yield file
            _to_disk(file)
            with self._no_absence(path):
                target = self._place(path)
                staged.replace(target)
                _folder_to_disk(target.parent)

    def write_cached(self, path: str, data: bytes) -> None:
        with self._faults(path), self._no_absence(path), self._staged(path) as (staged, file):
            file.write(data)
            file.close()
            staged.replace(self._place(path))

    def create_exclusively(self, path: str, data: bytes) -> bool:
        with self._faults(path), self._no_absence(path), self._staged(path) as (staged, file):
            file.write(data)
            _to_disk(file)
            target = self._place(path)
            try:
                target.hardlink_to(staged)
            except FileExistsError:
                return False
            _folder_to_disk(target.parent)
            return True

    def _place(self, path: str) -> Path:
        """Make the folder in which a file is to lie; return its place."""
        target = self.local_path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    @contextlib.contextmanager
    def _no_absence(self, path: str) -> Iterator[None]:
        """Context for writing: who reads takes FileNotFoundError for the absence of what it reads."""
        try:
            yield
        except FileNotFoundError as error:
            raise EnvironmentFault(
                f"{self.url(path)} cannot be written, as a folder on its way is gone: create or mount it, "
                "then run again."
            ) from error

    @contextlib.contextmanager
    def _staged(self, path: str) -> Iterator[tuple[Path, IO[bytes]]]:
        folder = Path(self._folder, TEMPORARY_FOLDER)
        staged = folder / uuid.uuid4().hex
        with self._no_absence(path):
            folder.mkdir(parents=True, exist_ok=True)
            file = staged.open("xb")
        try:
            with file:
                yield staged, file
        finally:
            staged.unlink(missing_ok=True)

    def remove_stale_temporaries(self) -> None:
        for entry in self.list_folder(TEMPORARY_FOLDER):
            if time.time_ns() - entry.mtime_ns > STALE_AFTER_NS:
                self.remove(f"{TEMPORARY_FOLDER}/{entry.name}")

    def replace_version(self, path: str, data: bytes, version: str) -> bool:
        self.write_bytes(path, data)
        return True

    def remove(self, path: str) -> None:
        with self._faults(path), contextlib.suppress(FileNotFoundError), self._in_folder_of(path) as (folder, name):
            os.unlink(name, dir_fd=folder)

    def remove_unchanged(self, path: str, *, sha256: str, version: str) -> bool:
        with self._faults(path), contextlib.suppress(FileNotFoundError), self._in_folder_of(path) as (folder, name):
            return remove_if_same(name, folder, sha256)
        return True

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
        with self._faults(path), self._no_absence(path):
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
    identity = f"{status.st_ino}-{status.st_ctime_ns}"
    return Entry(name, kind, status.st_size, status.st_mtime_ns, identity=identity, changed_ns=_changed_ns(status))


def _changed_ns(status: os.stat_result) -> int:
    now = time.time_ns()
    if status.st_mtime_ns <= now:
        return status.st_mtime_ns
    return status.st_ctime_ns if status.st_ctime_ns <= now + DAY_NS else 0


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
