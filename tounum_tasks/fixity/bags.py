"""BagIt bags (RFC 8493): what their manifests say, read by the library ``bagit`` from copies of the tag files."""

import re
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from unicodedata import normalize

import bagit

from tounum_tasks.fixity.lists import known_algorithm

DECLARATION = "bagit.txt"
_TAG_FILES = ("bagit.txt", "bag-info.txt", "package-info.txt", "manifest-*.txt", "tagmanifest-*.txt")
FETCH = "fetch.txt"
# Of bags before 0.97 the library does not read the manifests of tag files, which they have as well; they differ from
# that version in nothing else that matters here but a name.
_OLD_VERSION = re.compile(rb"(BagIt-Version:[ \t]*)0\.9[3-6]\b")
_OLD_NAMES = {"package-info.txt": "bag-info.txt"}


class BrokenBag(Exception):
    """A bag does not say what it should; the message is the end of a sentence about it."""


@dataclass(frozen=True)
class Entry:
    """What one manifest says of one file; ``paths`` are below the bag, in every spelling that may be meant."""

    paths: tuple[str, ...]
    algorithm: str
    digest: str
    manifest: str


@dataclass(frozen=True)
class Bag:
    """What a bag says of its files.

    Attributes:
        faults: sentences about its manifests.
        files: how many its payload has, by its Payload-Oxum; None: it does not say.
    """

    entries: list[Entry]
    faults: list[str]
    files: int | None


def is_tag_file(name: str) -> bool:
    """Whether a file directly in a bag is one that the library must see."""
    return any(PurePosixPath(name).match(pattern) for pattern in _TAG_FILES)


def read_bag(tag_files: Mapping[str, bytes]) -> Bag:
    """Return what a bag says of its files.

    Args:
        tag_files: what lies directly in the bag and :func:`is_tag_file` names, by name.

    Raises:
        BrokenBag: there is no payload manifest, one cannot be read, or a path in it leads out of the bag.
    """
    if not any(name.startswith("manifest-") for name in tag_files):
        raise BrokenBag("it has no manifest of its payload")
    names, faults = _as_the_library_knows_them(tag_files)
    with tempfile.TemporaryDirectory() as folder:
        for known, name in names.items():
            content = tag_files[name]
            Path(folder, known).write_bytes(
                _OLD_VERSION.sub(rb"\g<1>0.97", content) if name == DECLARATION else content
            )
        try:
            bag = bagit.Bag(folder)
        except (bagit.BagError, ValueError, LookupError) as error:
            raise BrokenBag(re.sub(rf"{re.escape(folder)}(/|: )", "", str(error))) from error
    size = re.fullmatch(r"\d+\.(\d+)", str(bag.info.get("Payload-Oxum")))
    is_encoded = bag.version_info >= (1, 0)
    entries = [
        Entry(_spellings(path, is_encoded), algorithm, digest.lower(), _manifest_of(path, algorithm, names))
        for path, digests in bag.entries.items()
        for algorithm, digest in sorted(digests.items())  # they come in any order
    ]
    if bag.version_info >= (1, 0):
        faults += _gaps(entries, [name for known, name in names.items() if known.startswith("manifest-")])
    return Bag(entries, faults, int(size[1]) if size else None)


def _gaps(entries: Iterable[Entry], manifests: Collection[str]) -> list[str]:
    """Payload that one manifest has and another has not: since version 1.0 each lists all of it (RFC 8493, 2.1.3)."""
    listed = {
        name: {normalize("NFC", entry.paths[0]) for entry in entries if entry.manifest == name} for name in manifests
    }
    payload = set().union(*listed.values())
    return [f"'{path}' is not in '{name}'" for name in sorted(listed) for path in sorted(payload - listed[name])]


def _as_the_library_knows_them(tag_files: Mapping[str, bytes]) -> tuple[dict[str, str], list[str]]:
    """The names of tag files by those that the library looks for, and what is wrong with manifests."""
    names: dict[str, str] = {}
    faults: list[str] = []
    for name, content in tag_files.items():
        kind, _, algorithm = name.removesuffix(".txt").partition("manifest-")
        known = f"{kind}manifest-{known_algorithm(algorithm)}.txt" if algorithm else _OLD_NAMES.get(name, name)
        if algorithm and known_algorithm(algorithm) not in bagit.CHECKSUM_ALGOS:
            faults.append(f"'{name}' has checksums of a kind that is not known")
        elif known in names:
            faults.append(f"'{name}' and '{names[known]}' are manifests of one kind")
        else:
            names[known] = name
            faults += [
                f"'{name}' is damaged: line {number} is no checksum"
                for number, line in enumerate(content.splitlines(), 1)
                if algorithm
                and b"\0" not in line
                and line.strip()
                and line[:1] != b"#"
                and len(line.split(None, 1)) < 2
            ]
    return names, faults


def _manifest_of(path: str, algorithm: str, names: Mapping[str, str]) -> str:
    """The name of the manifest that has a path."""
    payload, tags = (names.get(f"{kind}manifest-{algorithm}.txt") for kind in ("", "tag"))
    is_payload = path.replace("\\", "/").casefold().startswith("data/")
    return ((payload or tags) if is_payload else (tags or payload)) or DECLARATION


def _spellings(path: str, is_encoded: bool) -> tuple[str, ...]:
    """How a file may be called that a manifest calls ``path``, the likeliest first.

    Since version 1.0 line ends and ``%`` are percent-encoded (RFC 8493, 2.1.3); not every program does that, and some
    do so in older versions. Programs on Windows write backslashes.
    """
    slashed = path.replace("\\", "/")
    decoded = re.sub("%(0[AaDd]|25)", lambda code: chr(int(code[1], 16)), slashed)
    found = (decoded, slashed, path) if is_encoded else (slashed, decoded, path)
    return tuple(dict.fromkeys(found))
