"""Which batches of the ingest folder are ready, which must wait, and why.

A batch is a direct child folder of the root with everything below it; loose files in the root form one more batch.
It is ready when it holds ``_READY``, or when neither a file nor a folder in it changed for ``quiet_seconds``. Folders
count because copying with preserved times makes new files look old, but always touches the folder that they arrive in.
A file that is called as programs call what they still write holds its batch back while it changes, marker or not.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tounum_tasks.errors import EnvironmentFault
from tounum_tasks.intake.sidecars import is_sidecar
from tounum_tasks.names import (
    READY_MARKER,
    has_sidecar_suffix,
    is_ignored,
    is_ready_marker,
    is_unfinished,
    matches,
    may_be_lost,
)
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

    ``folders`` are the sub-folders, deepest last; ``left_behind`` has sentences about links and special files, which
    are never followed or taken, and about unfinished uploads. ``markers`` are the files that say that the batch is
    complete. Times are nanoseconds since 1970, 0 if there is nothing: ``changed_ns`` of the last change,
    ``unfinished_ns`` of the last change to an unfinished upload.
    """

    folder: str
    files: tuple[FileState, ...]
    folders: tuple[str, ...]
    left_behind: tuple[str, ...]
    markers: tuple[str, ...]
    changed_ns: int
    unfinished_ns: int = 0

    @property
    def has_marker(self) -> bool:
        return bool(self.markers)

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


def scan(ingest: Storage, *, quiet_seconds: float, now_ns: int, ignore: Sequence[str] = ()) -> Scan:
    """Look at the ingest root once.

    Args:
        now_ns: the time of the look, in nanoseconds since 1970.
        ignore: patterns of what stays in ingest: see :func:`tounum_tasks.names.matches`.

    Raises:
        EnvironmentFault: the root does not exist or cannot be read.
    """
    ingest.check()
    ready: list[Listing] = []
    waiting: list[str] = []
    left_behind: list[str] = []
    listings, faults = list_batches(ingest, ignore)
    for listing in listings:
        left_behind.extend(listing.left_behind)
        if not listing.files:
            if listing.has_marker:
                left_behind.append(_nothing_to_take(listing))
            continue
        reason = _reason_to_wait(listing, quiet_seconds, now_ns)
        if reason:
            waiting.append(f"Batch '{listing.name}' ({len(listing.files)} files) must wait: {reason}.")
        elif _has_no_image(ingest, listing):
            left_behind.append(
                f"Batch '{listing.name}' was left in ingest: its {len(listing.files)} files describe images, and there "
                "is no image among them; put them beside their images, or remove them."
            )
        else:
            ready.append(listing)
    return Scan(tuple(ready), tuple(waiting), tuple(left_behind), tuple(faults))


def _has_no_image(ingest: Storage, listing: Listing) -> bool:
    """Whether a batch consists of sidecars alone, by name and content."""
    if not all(has_sidecar_suffix(file.path) for file in listing.files):
        return False
    try:
        return all(is_sidecar(file.path, ingest, listing.path_in_ingest(file.path)) for file in listing.files)
    except (FileNotFoundError, EnvironmentFault):
        return False  # who takes it in will say what is wrong


def _reason_to_wait(listing: Listing, quiet_seconds: float, now_ns: int) -> str | None:
    """Return why a batch is not ready yet, as the end of a sentence."""
    uploading = (now_ns - listing.unfinished_ns) / 1e9
    if listing.unfinished_ns and uploading < quiet_seconds:
        return (
            f"an upload into it is not finished, by its name, and changed {max(uploading, 0):.0f} s ago; the batch is "
            f"taken when that is done, or when it does not change for {quiet_seconds:g} s"
        )
    quiet = (now_ns - listing.changed_ns) / 1e9
    if listing.has_marker or quiet >= quiet_seconds:
        return None
    return (
        f"it changed {max(quiet, 0):.0f} s ago and is taken when nothing changed for {quiet_seconds:g} s, or at once "
        f"when it holds a file named {READY_MARKER}"
    )


def list_batches(ingest: Storage, ignore: Sequence[str] = ()) -> tuple[list[Listing], list[str]]:
    """List every batch of the root, the loose files last; also return a sentence for each that cannot be listed."""
    listings: list[Listing] = []
    faults: list[str] = []
    loose: list[Entry] = []
    for entry in ingest.list_folder():
        if entry.kind == "folder" and not is_ignored(entry.name) and not matches(entry.name, ignore):
            try:
                listings.append(list_batch(ingest, entry.name, ignore))
            except FileNotFoundError:
                continue  # gone since
            except EnvironmentFault as fault:
                ingest.check()  # is it the batch, or all of ingest?
                faults.append(f"Batch '{display_name(entry.name)}' stays in ingest: {fault}")
        elif _is_loose(entry):
            loose.append(entry)
    return [*listings, _loose_files(loose, ignore)], faults


def list_batch(ingest: Storage, folder: str, ignore: Sequence[str] = ()) -> Listing:
    """List one batch again: a folder of the root, or the loose files."""
    if folder == LOOSE_FILES:
        return _loose_files([entry for entry in ingest.list_folder() if _is_loose(entry)], ignore)
    listing = _Collector(folder, ignore)
    listing.changed_ns = ingest.entry(folder).changed_ns
    remaining = [""]
    while remaining:
        below = remaining.pop()
        for entry in ingest.list_folder(f"{folder}/{below}".rstrip("/")):
            path = f"{below}/{entry.name}".lstrip("/")
            if listing.add(path, entry) and entry.kind == "folder":
                remaining.append(path)
    for path in listing.uploads:
        listing.unfinished_ns = max(listing.unfinished_ns, _last_change(ingest, f"{folder}/{path}"))
    return listing.finished()


def _last_change(ingest: Storage, folder: str) -> int:
    """When something last changed below a folder: writing to a file does not change the folder. 0: it is gone."""
    changes = [0]
    try:
        entries = list(ingest.list_folder(folder))
    except FileNotFoundError:  # finished meanwhile
        return 0
    for entry in entries:
        changes.append(entry.changed_ns)
        if entry.kind == "folder":
            changes.append(_last_change(ingest, f"{folder}/{entry.name}"))
    return max(changes)


def _is_loose(entry: Entry) -> bool:
    """Whether an entry of the root is no batch of its own: a file, or a folder that is not finished by its name."""
    return entry.kind != "folder" or is_unfinished(entry.name)


def _loose_files(entries: Sequence[Entry], ignore: Sequence[str]) -> Listing:
    listing = _Collector(LOOSE_FILES, ignore)
    for entry in entries:
        listing.add(entry.name, entry)
    return listing.finished()


@dataclass
class _Collector:
    """Sorts the entries of a batch into what is taken, what decides when, and what is left behind.

    ``uploads`` are folders that are not finished, by their names; ``unfinished`` has sentences.
    """

    folder: str
    ignore: Sequence[str]
    files: list[FileState] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)
    markers: list[str] = field(default_factory=list)
    changed_ns: int = 0
    unfinished_ns: int = 0

    def add(self, path: str, entry: Entry) -> bool:
        """Add what lies at ``path`` below the batch's folder; return whether it belongs to the batch."""
        if path == entry.name and entry.kind == "file" and is_ready_marker(path):
            self.markers.append(path)
            return False
        if matches(path, self.ignore):
            return False
        if is_unfinished(entry.name) and entry.kind in ("file", "folder"):
            self.unfinished_ns = max(self.unfinished_ns, entry.changed_ns)
            if entry.kind == "folder":
                self.uploads.append(path)
            if may_be_lost(entry.name):
                self.unfinished.append(self._left_behind(path, "an upload that is not finished, by its name"))
            return False
        if is_ignored(entry.name):
            return False
        if entry.kind == "file":
            self.files.append(FileState.of(path, entry))
        elif entry.kind == "folder":
            self.folders.append(path)
        else:
            is_link = entry.kind == "link"
            what = "a symbolic link, which is never followed" if is_link else "no regular file"
            self.left_behind.append(self._left_behind(path, what))
            return False
        self.changed_ns = max(self.changed_ns, entry.changed_ns)
        return True

    def finished(self) -> Listing:
        return Listing(
            self.folder,
            _in_order(self.files),
            tuple(sorted(self.folders, key=lambda path: path.count("/"))),
            (*self.left_behind, *(self.unfinished if self.files or not self.markers else ())),
            tuple(self.markers),
            self.changed_ns,
            self.unfinished_ns,
        )

    def _left_behind(self, path: str, what: str) -> str:
        where = f"{self.folder}/{path}".lstrip("/")
        return f"'{display_name(where)}' was left in ingest: it is {what}."


def _in_order(files: list[FileState]) -> tuple[FileState, ...]:
    return tuple(sorted(files, key=lambda file: file.path.encode("utf-8", "surrogateescape")))


def _nothing_to_take(listing: Listing) -> str:
    where = f"'{display_name(listing.folder)}'" if listing.folder else "The ingest folder"
    return (
        f"{where} was left in ingest: it holds {READY_MARKER} and no file that can be taken (hidden and unfinished "
        "ones, as *.part and *.tmp, are not); deliver its files, or remove it."
    )
