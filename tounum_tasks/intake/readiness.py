"""Which batches of the ingest folder are ready, which must wait, and why.

A batch is a direct child folder of the root with everything below it; loose files in the root form one more batch.
It is ready when it holds ``_READY``, or when neither a file nor a folder in it changed for ``quiet_seconds``. Folders
count because copying with preserved times makes new files look old, but always touches the folder that they arrive in.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from tounum_tasks.errors import EnvironmentFault
from tounum_tasks.names import READY_MARKER, is_ignored
from tounum_tasks.store.base import Entry, Storage
from tounum_tasks.visible import display_name

LOOSE_FILES = ""
LOOSE_FILES_NAME = "loose files"


@dataclass(frozen=True)
class FileState:
    """A file of a batch, as it was when it was listed; ``path`` is below the batch's folder.

    ``version`` is what an object store calls its content, ``identity`` what tells a file of a folder from others in
    its place: see :class:`tounum_tasks.store.base.Entry`.
    """

    path: str
    size: int
    mtime_ns: int
    version: str = ""
    identity: str = ""

    @classmethod
    def of(cls, path: str, entry: Entry) -> "FileState":
        return cls(path, entry.size, entry.mtime_ns, entry.version, entry.identity)


@dataclass(frozen=True)
class Listing:
    """All files of a batch; ``folder`` is its name in the ingest root, empty for loose files.

    ``folders`` are the sub-folders, deepest last; ``left_behind`` names links and special files, which are never
    followed or taken.
    """

    folder: str
    files: tuple[FileState, ...]
    folders: tuple[str, ...]
    left_behind: tuple[str, ...]
    has_marker: bool
    changed_ns: int

    @property
    def name(self) -> str:
        """The name for people and for the rows."""
        return display_name(self.folder) if self.folder else LOOSE_FILES_NAME

    @property
    def digest(self) -> str:
        """Hex sha256 over names, sizes, modification times, and versions where there are any.

        The same files that are delivered again have it, too: what identifies one copy of them is left out.
        """
        rows = [[file.path, file.size, file.mtime_ns, *([file.version] if file.version else [])] for file in self.files]
        return hashlib.sha256(json.dumps([self.folder, rows]).encode()).hexdigest()

    @cached_property
    def folder_names(self) -> frozenset[str]:
        return frozenset(self.folders)

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)

    def path_in_ingest(self, path: str) -> str:
        return f"{self.folder}/{path}" if self.folder else path


@dataclass(frozen=True)
class Scan:
    """What lies in the ingest root: batches to take, one sentence per batch that must wait, and what is left.

    ``faults`` are sentences about batches that cannot be looked into: somebody must act.
    """

    ready: tuple[Listing, ...]
    waiting: tuple[str, ...]
    left_behind: tuple[str, ...]
    faults: tuple[str, ...] = ()


def scan(ingest: Storage, *, quiet_seconds: float, now_ns: int) -> Scan:
    """Look at the ingest root once.

    Args:
        now_ns: the time of the look, in nanoseconds since 1970.

    Raises:
        EnvironmentFault: the root does not exist or cannot be read.
    """
    ingest.check()
    ready: list[Listing] = []
    waiting: list[str] = []
    left_behind: list[str] = []
    listings, faults = list_batches(ingest)
    for listing in listings:
        left_behind.extend(listing.left_behind)
        if not listing.files:
            if listing.has_marker:
                left_behind.append(_nothing_to_take(listing))
            continue
        quiet = (now_ns - listing.changed_ns) / 1e9
        if listing.has_marker or quiet >= quiet_seconds:
            ready.append(listing)
        else:
            waiting.append(
                f"Batch '{listing.name}' ({len(listing.files)} files) must wait: it changed {max(quiet, 0):.0f} s ago "
                f"and is taken when nothing changed for {quiet_seconds:g} s, or at once when it holds a file "
                f"named {READY_MARKER}."
            )
    return Scan(tuple(ready), tuple(waiting), tuple(left_behind), tuple(faults))


def list_batches(ingest: Storage) -> tuple[list[Listing], list[str]]:
    """List every batch of the root, the loose files last; also return a sentence for each that cannot be listed."""
    listings: list[Listing] = []
    faults: list[str] = []
    loose: list[Entry] = []
    for entry in ingest.list_folder():
        if entry.kind == "folder" and not is_ignored(entry.name):
            try:
                listings.append(list_batch(ingest, entry.name))
            except FileNotFoundError:
                continue  # gone since
            except EnvironmentFault as fault:
                ingest.check()  # is it the batch, or all of ingest?
                faults.append(f"Batch '{display_name(entry.name)}' stays in ingest: {fault}")
        elif entry.kind != "folder":
            loose.append(entry)
    return [*listings, _loose_files(loose)], faults


def list_batch(ingest: Storage, folder: str) -> Listing:
    """List one batch again: a folder of the root, or the loose files."""
    if folder == LOOSE_FILES:
        return _loose_files([entry for entry in ingest.list_folder() if entry.kind != "folder"])
    files, folders, left_behind = [], [], []
    has_marker = False
    changed_ns = ingest.entry(folder).changed_ns
    remaining = [""]
    while remaining:
        below = remaining.pop()
        for entry in ingest.list_folder(f"{folder}/{below}".rstrip("/")):
            path = f"{below}/{entry.name}".lstrip("/")
            if path == READY_MARKER and entry.kind == "file":
                has_marker = True
            elif is_ignored(entry.name):
                continue
            elif entry.kind == "folder":
                folders.append(path)
                remaining.append(path)
                changed_ns = max(changed_ns, entry.changed_ns)
            elif entry.kind == "file":
                files.append(FileState.of(path, entry))
                changed_ns = max(changed_ns, entry.changed_ns)
            else:
                left_behind.append(_left_behind(f"{folder}/{path}", entry.kind))
    return Listing(
        folder,
        _in_order(files),
        tuple(sorted(folders, key=lambda path: path.count("/"))),
        tuple(left_behind),
        has_marker,
        changed_ns,
    )


def _loose_files(entries: Sequence[Entry]) -> Listing:
    wanted = [entry for entry in entries if not is_ignored(entry.name)]
    taken = [entry for entry in wanted if entry.kind == "file" and entry.name != READY_MARKER]
    return Listing(
        LOOSE_FILES,
        _in_order([FileState.of(entry.name, entry) for entry in taken]),
        (),
        tuple(_left_behind(entry.name, entry.kind) for entry in wanted if entry.kind != "file"),
        any(entry.name == READY_MARKER for entry in wanted),
        max((entry.changed_ns for entry in taken), default=0),
    )


def _in_order(files: list[FileState]) -> tuple[FileState, ...]:
    return tuple(sorted(files, key=lambda file: file.path.encode("utf-8", "surrogateescape")))


def _nothing_to_take(listing: Listing) -> str:
    where = f"'{display_name(listing.folder)}'" if listing.folder else "The ingest folder"
    return (
        f"{where} was left in ingest: it holds {READY_MARKER} and no file that can be taken (hidden ones, *.part and "
        "*.tmp are not); deliver its files, or remove it."
    )


def _left_behind(path: str, kind: str) -> str:
    what = "a symbolic link, which is never followed" if kind == "link" else "no regular file"
    return f"'{display_name(path)}' was left in ingest: it is {what}."
