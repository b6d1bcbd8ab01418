"""What a batch says of its own files: its checksum lists and bags together, compared with what is there."""

import hashlib
import re
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import PurePosixPath
from urllib.parse import unquote

from tounum_tasks.fixity import bags
from tounum_tasks.fixity.lists import (
    BYTE_ORDER_MARKS_16,
    FILE_NAME,
    KNOWN,
    MOST_BYTES,
    SUFFIXES,
    ChecksumList,
    read_list,
)
from tounum_tasks.names import IMAGE_SUFFIXES, MAX_PATH_BYTES, has_sidecar_suffix, is_ignored, is_ready_marker, matches
from tounum_tasks.store.base import Hasher, Storage
from tounum_tasks.visible import display_name, one_line

_HEAD_BYTES = 4096
# Files that are no lists, so that not every image of a batch is opened twice.
_NO_LISTS = IMAGE_SUFFIXES | {".pdf", ".psd", ".xmp"}
_MOST_FOLDERS = MAX_PATH_BYTES // 2  # above a file that is taken
_TIME = re.compile(r"\d\d:\d\d")
_FOREIGN = re.compile(r"(?:file:/{0,3})?(?:/|[A-Za-z]:/)|[a-z]{3,5}://")
_SIZE = re.compile(r"^\d+[ \t]+(?=\S)|(?<=\S)[ \t]+\d+$")


class Crc32:
    """The checksum of SFV lists, eight hexadecimal digits."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


@dataclass(frozen=True)
class Statement:
    """What one list or manifest, ``source``, says of one file: ``digest`` is hexadecimal, lower case.

    ``others`` are algorithms that may be meant as well, where the list does not say which it is.
    """

    algorithm: str
    digest: str
    source: str
    others: tuple[str, ...] = ()

    def fitting(self, found: Mapping[str, str]) -> str | None:
        """Return the algorithm by which it is true, if it is; ``found`` are the file's digests by algorithm."""
        return next((one for one in (self.algorithm, *self.others) if found[one] == self.digest), None)

    @property
    def text(self) -> str:
        return f"{self.algorithm}:{self.digest}"

    @property
    def strength(self) -> tuple[int, str]:
        """What several statements about a file are ranked by: the length of the checksum, then who says it."""
        return len(self.digest), self.source


@dataclass
class Statements:
    """Everything that the files of a batch say of its files; paths are below the batch's folder.

    Attributes:
        of: what is said of each file that is there.
        missing: the strongest that is said of files that are not there, by the path at which they should be.
        extra: files that are in the payload of a bag and in none of its manifests.
        unlisted: images that are in no list and in no bag, where there are lists.
        broken: sentences about lists and bags that cannot be read as a whole.
        silent: files that are called checksum lists, and in which no checksums can be read.
        refused: sentences about bags that are never taken, whatever the settings say.
        read: the sha256 of the lists and manifests as they were when they were read.
    """

    of: dict[str, list[Statement]] = field(default_factory=lambda: defaultdict(list))
    missing: dict[str, Statement] = field(default_factory=dict)
    extra: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    read: dict[str, str] = field(default_factory=dict)

    def hashers(self, path: str) -> dict[str, Hasher]:
        """Return what computes the checksums that are stated of a file, by algorithm."""
        return {
            algorithm: Crc32() if algorithm == "crc32" else hashlib.new(algorithm)
            for said in self.of.get(path, ())
            for algorithm in (said.algorithm, *said.others)
        }

    def differing(self, path: str, found: Mapping[str, str]) -> Statement | None:
        """Return a statement that a file contradicts; ``found`` are its digests by algorithm."""
        return next((said for said in self.of.get(path, ()) if not said.fitting(found)), None)

    def strongest(self, path: str, found: Mapping[str, str]) -> Statement | None:
        """Return the statement about a file with the longest checksum; ``found`` are its digests by algorithm."""
        said = max(self.of.get(path, ()), key=lambda said: said.strength, default=None)
        return replace(said, algorithm=said.fitting(found) or said.algorithm) if said else None


def read_statements(storage: Storage, folder: str, files: Mapping[str, int], ignore: Sequence[str] = ()) -> Statements:
    """Read the checksum lists and bags of a batch.

    Args:
        folder: of the batch below the storage's root, empty for the root itself.
        files: sizes in bytes of its files, by path below the folder.
        ignore: patterns of what stays in ingest: nobody misses it.

    Raises:
        FileNotFoundError: a file is gone.
        EnvironmentFault: a file cannot be read.
    """
    reader = _Reader(storage, folder, files, ignore)
    in_bags = reader.read_bags()
    for path, size in files.items():
        if path not in in_bags and size <= MOST_BYTES and PurePosixPath(path).suffix.lower() not in _NO_LISTS:
            reader.read_list(path)
    reader.state_far()
    reader.note_unlisted()
    return reader.found


class _Reader:
    def __init__(self, storage: Storage, folder: str, files: Mapping[str, int], ignore: Sequence[str]) -> None:
        self.found = Statements()
        self._storage = storage
        self._folder = folder
        self._files = dict(files)
        self._ignore = ignore
        self._bags: tuple[str, ...] = ()
        self._far: list[tuple[str, str, Statement]] = []
        self._spelt = {_spelling(path): path for path in reversed(self._files)}

    def read_bags(self) -> set[str]:
        """Read every bag; return the paths of their tag files, which are no other lists."""
        roots = [path.removesuffix(bags.DECLARATION) for path in self._files if _name(path) == bags.DECLARATION]
        self._bags = tuple(roots)
        seen: set[str] = set()
        for root in roots:
            names = [
                path.removeprefix(root) for path in self._files
                if path.startswith(root) and "/" not in path.removeprefix(root) and bags.is_tag_file(_name(path))
            ]  # fmt: skip
            seen.update(root + name for name in names)
            if self._files.get(root + bags.FETCH):
                self.found.refused.append(
                    f"the bag '{display_name(root) or '.'}' has a {bags.FETCH}: deliver all of it, for files are never "
                    "fetched from elsewhere"
                )
                continue
            large = [name for name in names if self._files[root + name] > MOST_BYTES]
            if large:
                self.found.broken.append(
                    f"'{display_name(root + large[0])}' is larger than {MOST_BYTES >> 20} MiB: deliver smaller bags"
                )
                continue
            self._read_bag(root, {name: self._content(root + name) for name in names})
        return seen

    def _read_bag(self, root: str, tag_files: Mapping[str, bytes]) -> None:
        try:
            bag = bags.read_bag(tag_files)
        except bags.BrokenBag as reason:
            self.found.broken.append(f"the bag '{display_name(root) or '.'}' cannot be read: {one_line(str(reason))}")
            return
        self.found.broken += [f"in the bag '{display_name(root) or '.'}' {one_line(fault)}" for fault in bag.faults]
        for entry in bag.entries:
            wanted = [root + path for path in entry.paths]
            self._state(self._there(wanted), wanted[0], Statement(entry.algorithm, entry.digest, root + entry.manifest))
        payload = [path for path in self._files if path.startswith(f"{root}data/")]
        extra = [path for path in payload if path not in self.found.of]
        self.found.extra.extend(extra)
        is_whole = not extra and all(self._there([root + path for path in entry.paths]) for entry in bag.entries)
        if is_whole and bag.files not in (None, len(payload)):
            self.found.broken.append(
                f"the bag '{display_name(root) or '.'}' says that its payload has {bag.files} files, and its manifests "
                f"list {len(payload)}"
            )

    def read_list(self, path: str) -> None:
        """Read a file, if it is a list of checksums by its content."""
        with self._storage.open(self._path(path)) as file:
            head = file.read(_HEAD_BYTES)
        is_text = b"\0" not in head or head.startswith(BYTE_ORDER_MARKS_16)
        if not is_text and not path.lower().endswith(SUFFIXES):
            return
        content = self._content(path)
        told = read_list(content, _name(path), lambda called: self._found(path, called) is not None)
        if told is None or not self._is_meant(path, told):
            self.found.read.pop(path)
            if path.lower().endswith(SUFFIXES):
                self.found.silent.append(path)
            return
        if told.unread:
            lines = ", ".join(map(str, told.unread[:5]))
            self.found.broken.append(f"'{display_name(path)}' is damaged: line {lines} is no checksum")
        for line in told.lines:
            wanted = next(self._candidates(path, line.path), None)
            there = self._found(path, line.path)
            if wanted is None:
                self.found.broken.append(f"'{display_name(path)}' has a checksum of '{display_name(line.path)}'")
            elif there is None and wanted.startswith("../"):
                self.found.broken.append(
                    f"'{display_name(path)}' lists '{display_name(line.path)}', outside of the batch"
                )
            elif line.algorithm not in KNOWN.values():
                fault = f"'{display_name(path)}' has checksums of a kind that is not known: {line.algorithm}"
                if fault not in self.found.broken:
                    self.found.broken.append(fault)
            elif there != path:  # a list that was made of all files in a folder has itself, half written
                statement = Statement(line.algorithm, line.digest, path, line.others)
                if there is not None and there == self._elsewhere(path, line.path):
                    self._far.append((there, wanted, statement))
                else:
                    self._state(there, wanted, statement)

    def state_far(self) -> None:
        """State what lists say of a file in another folder that is called as theirs.

        Where another list has another checksum of that file, theirs is missing.
        """
        said = {path: list(told) for path, told in self.found.of.items()}
        for there, _, statement in self._far:
            said.setdefault(there, []).append(statement)
        for there, wanted, statement in self._far:
            is_doubted = any(
                other.algorithm == statement.algorithm and other.digest != statement.digest for other in said[there]
            )
            self._state(None if is_doubted else there, wanted, statement)

    def note_unlisted(self) -> None:
        """Note the images that no list names, if there are lists."""
        if any(not said.source.startswith(self._bags or ("/",)) for told in self.found.of.values() for said in told):
            self.found.unlisted.extend(
                path for path in self._files
                if path not in self.found.of and path not in self.found.read
                and not path.startswith(self._bags or ("/",)) and not has_sidecar_suffix(path)
            )  # fmt: skip

    def _is_meant(self, path: str, told: ChecksumList) -> bool:
        """Whether a list is one of which that is not sure, so that a file must be there: of short checksums, which
        numbers look like, with a time in each line, as logs have it, or with words in place of names of files."""
        is_short = any(line.algorithm == "crc32" for line in told.lines)
        is_log = all(_TIME.search(line.path) for line in told.lines)
        are_words = 2 * sum(bool(FILE_NAME.fullmatch(line.path.strip())) for line in told.lines) <= len(told.lines)
        is_sure = path.lower().endswith(SUFFIXES) or not (is_short or is_log or are_words)
        return is_sure or any(self._there(self._candidates(path, line.path)) for line in told.lines)

    def _found(self, path: str, called: str) -> str | None:
        """The file that the list at ``path`` calls so."""
        return (
            self._there(self._candidates(path, called))
            or self._named_without_suffix(path, called)
            or self._elsewhere(path, called)
        )

    def _state(self, there: str | None, wanted: str, statement: Statement) -> None:
        if there is not None:
            self.found.of[there].append(statement)
        elif not self._stays_out(wanted):
            known = self.found.missing.get(wanted, statement)
            self.found.missing[wanted] = max(known, statement, key=lambda said: said.strength)

    def _stays_out(self, path: str) -> bool:
        """Whether a file would not be taken in if it were there."""
        parts = path.split("/")
        below = ("/".join(parts[: end + 1]) for end in range(len(parts)))
        return any(map(is_ignored, parts)) or is_ready_marker(path) or any(matches(one, self._ignore) for one in below)

    def _candidates(self, source: str, path: str) -> Iterator[str]:
        """Where a file can be that a list calls ``path``, the likeliest first: seen from the list, or from the batch.

        An absolute path is of the machine on which the list was made: what of it leads to a file here is not known.
        """
        beside = source.rpartition("/")[0]
        for spelt in dict.fromkeys(one.replace("\\", "/") for one in _spellings(path)):
            foreign = _FOREIGN.match(spelt)
            parts = [part for part in spelt[foreign.end() if foreign else 0 :].split("/") if part not in ("", ".")]
            if not foreign:
                yield _joined(beside, parts)
                yield _joined("", parts)
                if parts[:1] == [self._folder]:
                    yield _joined("", parts[1:])
            else:
                for start in range(max(len(parts) - _MOST_FOLDERS, 0), len(parts)):
                    yield _joined(beside, parts[start:])
                    yield _joined("", parts[start:])

    def _named_without_suffix(self, path: str, called: str) -> str | None:
        """The image ``a.tif`` that ``a.md5``, which holds a checksum alone, is of; of several, the only TIFF file."""
        if called != PurePosixPath(path).stem:
            return None
        images = self._without_suffix.get(_spelling(path.rpartition(".")[0]), [])
        masters = [image for image in images if image.lower().endswith((".tif", ".tiff"))]
        found = images if len(images) == 1 else masters
        return found[0] if len(found) == 1 else None

    def _elsewhere(self, path: str, called: str) -> str | None:
        """The only file of the batch with the name that a list gives it in whose own folder no image lies."""
        images = self._images_by_name.get(_spelling(called.strip()), [])
        is_among_images = path.rpartition("/")[0] in self._image_folders
        return images[0] if len(images) == 1 and not is_among_images else None

    @cached_property
    def _images_by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for path in self._files:
            if not has_sidecar_suffix(path):
                found[_spelling(_name(path))].append(path)
        return found

    @cached_property
    def _image_folders(self) -> set[str]:
        return {path.rpartition("/")[0] for path in self._files if not has_sidecar_suffix(path)}

    @cached_property
    def _without_suffix(self) -> dict[str, list[str]]:
        """The files that are no sidecars, by their spelling without suffix."""
        found: dict[str, list[str]] = defaultdict(list)
        for path in self._files:
            if not has_sidecar_suffix(path):
                found[_spelling(path.rpartition(".")[0])].append(path)
        return found

    def _there(self, candidates: Iterable[str]) -> str | None:
        """The first of some paths at which there is a file; if there is none, one that is spelt otherwise."""
        tried = list(candidates)
        exact = next((path for path in tried if path in self._files), None)
        if exact is not None:
            return exact
        return next((self._spelt[_spelling(path)] for path in tried if _spelling(path) in self._spelt), None)

    def _content(self, path: str) -> bytes:
        with self._storage.open(self._path(path)) as file:
            content = file.read(MOST_BYTES + 1)
        self.found.read[path] = hashlib.sha256(content).hexdigest()
        return content

    def _path(self, path: str) -> str:
        return f"{self._folder}/{path}" if self._folder else path


def _joined(folder: str, parts: Collection[str]) -> str:
    """A path without ``..``, as far as it does not lead out of the batch."""
    whole: list[str] = folder.split("/") if folder else []
    for part in parts:
        if part == ".." and whole and whole[-1] != "..":
            whole.pop()
        else:
            whole.append(part)
    return "/".join(whole)


def _spellings(path: str) -> Iterator[str]:
    """What a list may mean by a path, the likeliest first: with blanks before it, as a URI, in an encoding of Windows,
    DOS or old Macs, or with the size of the file beside it."""
    trimmed = path.strip()
    without_size = _SIZE.sub("", trimmed)
    if trimmed.startswith("file:"):
        yield unquote(trimmed)
    if not FILE_NAME.fullmatch(trimmed) and FILE_NAME.fullmatch(without_size):
        yield without_size
    yield trimmed
    yield path
    if not path.isascii():
        content = path.encode("utf-8", "surrogateescape")
        yield from (content.decode(encoding, "replace").strip() for encoding in ("cp1252", "cp850", "mac_roman"))
    yield without_size


def _spelling(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _name(path: str) -> str:
    return path.rpartition("/")[2]
