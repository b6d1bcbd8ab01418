"""Sidecars: files that stand beside images to describe them. What they are is decided by content, then by name."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.formats import ImageFormat, detect_format
from tounum_tasks.names import has_sidecar_suffix
from tounum_tasks.store.base import Storage

HEAD_BYTES = 65_536
_Called = tuple[str, str]  # "name" or "stem", and which
# What programs put between the name of an image and the suffix, to say what is in the file.
_KIND = re.compile(r"[._-](alto|hocr|ocr|text|fulltext|page|tei|mets|mods|meta|metadata|supplemental-metadata)$")


def is_sidecar(name: str, storage: Storage, path: str) -> bool:
    """Whether a file has the suffix of a sidecar and its content is no image; no more than its head is read.

    Args:
        name: as it was delivered; ``path`` is where its bytes lie.
    """
    if not has_sidecar_suffix(name):
        return False
    with storage.open(path) as file:
        head = file.read(HEAD_BYTES)
    return not _is_image(head)


def _is_image(head: bytes) -> bool:
    """Whether a file begins as an image, in a format that is read or known; a word that some format begins with and
    that text may begin with as well is not enough."""
    from tounum_tasks.images.headers import header_size  # with NumPy, which whoever only waits for files can do without

    try:
        found = detect_format(head)
        if found is ImageFormat.PNM:
            header_size(head, found)
    except ItemError as error:
        return error.code == ErrorCode.UNSUPPORTED
    return found is not ImageFormat.PDF or head.startswith(b"%PDF-")


def describes(sidecars: Iterable[str], images: Iterable[str]) -> Mapping[str, list[str]]:
    """Return the images that each sidecar stands beside, in order, none for what belongs to the batch as a whole.

    ``a.tif.xmp``, ``a.xmp``, ``a.alto.xml`` and ``a_ocr.txt`` describe ``a.tif`` in their folder; ``alto/a.xml``
    describes the ``a.tif`` of the folders next to it, and of the folder above; ``vol1/ocr/alto/a.xml`` the one of
    ``vol1/images/tif``, if no other folder below ``vol1`` has an ``a``; where all images lie in one folder, from
    anywhere. ``a.tif`` goes before ``a.tif.jpg``. Paths have ``/``; upper and lower case are the same.
    """
    images = list(images)
    is_one_folder = len({_parts(image)[0] for image in images}) == 1
    beside: dict[tuple[str, _Called], list[str]] = defaultdict(list)
    around: dict[tuple[str, _Called], list[str]] = defaultdict(list)
    below: dict[tuple[str, _Called], list[str]] = defaultdict(list)
    folders: dict[tuple[str, _Called], set[str]] = defaultdict(set)
    for image in images:
        folder, name, stem = _parts(image)
        top = "" if is_one_folder else folder.partition("/")[0]
        for called in (("name", name), ("stem", stem)):
            beside[folder, called].append(image)
            around[folder, called].append(image)
            if folder:
                around[_parts(folder)[0], called].append(image)
            below[top, called].append(image)
            folders[top, called].add(folder)
    found = {}
    for sidecar in sidecars:
        folder, _, stem = _parts(sidecar)
        top = "" if is_one_folder else folder.partition("/")[0]
        stems = [stem, *(_KIND.sub("", stem),) * bool(_KIND.search(stem))]
        names = [(part, name) for name in stems for part in ("name", "stem")]
        near = [beside[folder, name] for name in names]
        far = [around[_parts(folder)[0], name] for name in names] if folder else []
        single = [below[top, name] for name in names if len(folders[top, name]) == 1]
        found[sidecar] = next(filter(None, [*near, *far, *single]), [])
    return found


def _parts(path: str) -> tuple[str, str, str]:
    """The folder, the name and the name without its last suffix, in one case."""
    folder, _, name = path.casefold().rpartition("/")
    return folder, name, PurePosixPath(name).stem
