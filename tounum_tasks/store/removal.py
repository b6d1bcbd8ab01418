"""Removing a file of a folder that others write to: nothing is removed that was not read.

Whether a file is still what was read can only be said of a name that nobody else uses. So the file is first given one:
it is moved aside within its folder, read once more, and then removed or put back. A process that is killed meanwhile
leaves it under the other name, where the next call for the same file finds it.
"""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from itertools import count

from tounum_tasks.names import safe_key

LONG_NAME_BYTES = 240  # of 255


def remove_if_same(path: str, folder: int | None, sha256: str) -> bool:
    """Remove a file if its content has this sha256 (hex); return whether it is gone.

    Args:
        path: its name in the open ``folder``, or its path if that is None.

    Raises:
        OSError: it can be neither moved nor read.
    """
    head, slash, name = path.rpartition("/")
    aside = f"{head}{slash}.{safe_key(name)}.taken"
    if not _finish(aside, path, folder, sha256):
        return False
    try:
        os.rename(path, aside, src_dir_fd=folder, dst_dir_fd=folder)
    except FileNotFoundError:
        return True
    return _finish(aside, path, folder, sha256)


def _finish(aside: str, path: str, folder: int | None, sha256: str) -> bool:
    """Remove what lies aside, or put it back if it is something else; return whether nothing was put back."""
    try:
        is_same = _sha256(aside, folder) == sha256
    except FileNotFoundError:
        return True
    except PermissionError:
        is_same = False  # what may not be read was not read
    if is_same:
        os.unlink(aside, dir_fd=folder)
    else:
        _put_back(aside, path, folder)
    return is_same


def _sha256(path: str, folder: int | None) -> str | None:
    """The content's sha256, or None for what is no regular file."""
    if not stat.S_ISREG(os.lstat(path, dir_fd=folder).st_mode):
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _put_back(aside: str, path: str, folder: int | None) -> None:
    """Give a file its name again, or one beside it if somebody has put another file there meanwhile."""
    for name in _names_like(path):
        try:
            _link(aside, name, folder)
        except FileExistsError:
            if not os.path.samestat(os.lstat(name, dir_fd=folder), os.lstat(aside, dir_fd=folder)):
                continue
        break
    with contextlib.suppress(FileNotFoundError):
        os.unlink(aside, dir_fd=folder)


def _link(aside: str, name: str, folder: int | None) -> None:
    """Give a file a second name that nobody has; where there are no hard links, and for folders, move it there.

    Raises:
        FileExistsError: somebody has the name.
    """
    try:
        os.link(aside, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        with contextlib.suppress(FileNotFoundError):
            os.lstat(name, dir_fd=folder)
            raise FileExistsError(errno.EEXIST, "exists", name) from error
        os.rename(aside, name, src_dir_fd=folder, dst_dir_fd=folder)


def _names_like(path: str) -> Iterator[str]:
    """Yield the path itself, then ``scan.1.png``, ``scan.2.png``, ..."""
    yield path
    head, slash, name = path.rpartition("/")
    stem, ending = os.path.splitext(name)  # noqa: PTH122
    if len(os.fsencode(name)) > LONG_NAME_BYTES:
        stem, ending = safe_key(name), ""
    yield from (f"{head}{slash}{stem}.{number}{ending}" for number in count(1))
