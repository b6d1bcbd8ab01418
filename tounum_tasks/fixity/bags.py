"""BagIt bags (RFC 8493): what their manifests say, read by the library ``bagit`` from copies of the tag files."""

import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import bagit

DECLARATION = "bagit.txt"
_TAG_FILES = ("bagit.txt", "bag-info.txt", "package-info.txt", "manifest-*.txt", "tagmanifest-*.txt")
FETCH = "fetch.txt"


class BrokenBag(Exception):
    """A bag does not say what it should; the message is the end of a sentence about it."""


def is_tag_file(name: str) -> bool:
    """Whether a file directly in a bag is one that the library must see."""
    return any(PurePosixPath(name).match(pattern) for pattern in _TAG_FILES)


def read_bag(tag_files: Mapping[str, bytes]) -> dict[str, dict[str, str]]:
    """Return the checksums of a bag: for each path below it, the hexadecimal digest by algorithm.

    Args:
        tag_files: what lies directly in the bag and :func:`is_tag_file` names, by name.

    Raises:
        BrokenBag: there is no payload manifest, one cannot be read, or a path in it leads out of the bag.
    """
    if not any(name.startswith("manifest-") for name in tag_files):
        raise BrokenBag("it has no manifest of its payload")
    with tempfile.TemporaryDirectory() as folder:
        for name, content in tag_files.items():
            Path(folder, name).write_bytes(content)
        try:
            entries = bagit.Bag(folder).entries
        except (bagit.BagError, ValueError, LookupError) as error:
            raise BrokenBag(str(error).replace(f"{folder}/", "")) from error
    return {
        path: {algorithm.lower().replace("-", ""): digest.lower() for algorithm, digest in digests.items()}
        for path, digests in entries.items()
    }
