"""Where the items of a batch can lie, and what belongs there.

Every item has few possible places: one per class of non-photos, one among empty pages, one or two among the
photographs, one in quarantine.
The paths follow from the item alone, so that a copy which no manifest names can be told from other people's files.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count

from tounum_tasks.classify.labels import CLASSES, PHOTO
from tounum_tasks.images.decode import decode
from tounum_tasks.images.encode import encode, extension
from tounum_tasks.images.formats import ImageFormat
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.items import Item, originals_of
from tounum_tasks.names import MAX_NAME_BYTES, safe_key
from tounum_tasks.page_flags.flags import BLANK
from tounum_tasks.settings import Settings
from tounum_tasks.steps.originals import Originals, read_original
from tounum_tasks.steps.sidecars import XMP_SUFFIX
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage

NON_PHOTOS = (*(label for label in CLASSES if label != PHOTO), BLANK)
"""What the folders of the bucket of non-photos are named after."""

# What is appended to the name of a file in the buckets, after the number of a page.
_EXTENSIONS = sorted({extension(format) for format in ImageFormat})
DERIVED_SUFFIXES = (*_EXTENSIONS, ".reason.json", XMP_SUFFIX, *(f"{written}{XMP_SUFFIX}" for written in _EXTENSIONS))
PAGE = re.compile(r"\.p\d{4,}$")

# Names that tell the same format, by the extension that is written.
SAME_FORMAT = {
    ".jpg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    ".tif": (".tif", ".tiff"),
    ".jp2": (".jp2", ".j2k", ".jpx"),
}


@dataclass(frozen=True)
class Place:
    """A path in one of the buckets."""

    storage: Storage
    path: str

    @property
    def uri(self) -> str:
        return self.storage.url(self.path)


@dataclass(frozen=True)
class Places:
    """The places of the items of one batch.

    Args:
        settings: name the buckets.
        originals: where the bytes of all files of the batch lie below the lake, also of those in other shards: names
            that are derived from one file's must not be those of another file or folder.
    """

    settings: Settings
    originals: frozenset[str]

    @classmethod
    def of_batch(cls, settings: Settings, batch_date: str, batch_id: str) -> "Places":
        """Return the places in a batch that was registered."""
        return cls(settings, frozenset(originals_of(open_storage(settings.lake_root), batch_date, batch_id)))

    @property
    def lake(self) -> Storage:
        return open_storage(self.settings.lake_root)

    def among_non_photos(self, item: Item, bucket: str) -> Place:
        """Where an item goes that is no photograph; ``bucket`` is one of :data:`NON_PHOTOS`."""
        return Place(open_storage(self.settings.non_photos_root), f"{bucket.lower()}/{_below(item)}")

    def in_quarantine(self, item: Item) -> Place:
        return Place(open_storage(self.settings.quarantine_root), _below(item))

    def of_reason(self, item: Item) -> Place:
        """The note beside a quarantined file that says what is wrong with it, or with one of its pages."""
        suffix = f".p{item.page:04d}.reason.json" if item.pages > 1 else ".reason.json"
        return Place(open_storage(self.settings.quarantine_root), self._derived(item, suffix))

    def of_photo(self, item: Item, *, enhanced: bool) -> Place:
        """Where a photograph goes; its name tells the format of what lies there."""
        suffix = _photo_suffix(item, enhanced=enhanced)
        return Place(self.lake, f"photos/{self._derived(item, suffix) if suffix else _below(item)}")

    def of_sidecar(self, item: Item, *, enhanced: bool) -> Place:
        """Where the XMP sidecar of a photograph goes: beside it, its name and ``.xmp``, as digiKam looks for it."""
        return Place(self.lake, f"photos/{self._derived(item, _photo_suffix(item, enhanced=enhanced) + XMP_SUFFIX)}")

    def all_of(self, item: Item) -> Iterator[Place]:
        """Every place at which any run could have put an item."""
        yield from (self.among_non_photos(item, bucket) for bucket in NON_PHOTOS)
        yield from {self.of_photo(item, enhanced=enhanced) for enhanced in (False, True)}
        yield from {self.of_sidecar(item, enhanced=enhanced) for enhanced in (False, True)}
        yield self.in_quarantine(item)
        yield self.of_reason(item)

    def _derived(self, item: Item, suffix: str) -> str:
        """Append ``suffix`` to the path of a file: ``a/plan.tif`` gives ``a/plan.tif.p0003.png``.

        A name that would be too long for a file system gets a hash instead; one that another file or folder of the
        batch has, or could have for what is derived from it, gets a hash beside it.
        """
        folder, _, name = _below(item).rpartition("/")
        for attempt in count():
            mark = f".{safe_key(name if attempt == 1 else f'{name}/{attempt}')[:8]}" if attempt else ""
            stem = name if len((name + mark + suffix).encode()) <= MAX_NAME_BYTES else safe_key(name)
            path = f"{folder}/{stem}{mark}{suffix}"
            if not self._is_taken(f"originals/{path}", item):
                return path
        raise AssertionError("a batch has fewer files than there are attempts")

    def _is_taken(self, path: str, item: Item) -> bool:
        """Whether a path is that of an original or of a folder, or is derived from another original than the item's."""
        if path in self.originals or path in self._folders:
            return True
        derived_from = {path.removesuffix(suffix) for suffix in DERIVED_SUFFIXES if path.endswith(suffix)}
        derived_from |= {PAGE.sub("", stem) for stem in derived_from}
        return not self.originals.isdisjoint(derived_from - {item.original})

    @cached_property
    def _folders(self) -> frozenset[str]:
        """All folders in which originals of the batch lie."""
        parents = {original.rpartition("/")[0] for original in self.originals}
        return frozenset(
            f"{parent}/"[: slash.start()] for parent in parents for slash in re.finditer("/", f"{parent}/")
        )


def _photo_suffix(item: Item, *, enhanced: bool) -> str:
    """What a photograph's name has more than its original's; nothing, if that tells the format of what lies there."""
    if item.pages > 1:
        return f".p{item.page:04d}.png"
    written = extension(item.format or "")
    is_told = not enhanced or _below(item).lower().endswith(SAME_FORMAT.get(written, (written,)))
    return "" if is_told else written


def _below(item: Item) -> str:
    """The path of an item's file below each bucket: ``D/B/path``."""
    return item.original.removeprefix("originals/")


def photo_content(
    originals: Originals, item: Item, enhanced: bytes | None, dpi: float | None, limits: ImageLimits
) -> bytes:
    """Return what lies in ``photos`` for a photograph: the enhanced file or the original; of several pages one as PNG.

    Args:
        enhanced: the file with the enhanced pixels, or None if nothing was changed.
        dpi: resolution that a PNG of one page states.

    Raises:
        EnvironmentFault: the original is gone.
        ItemError: the original is not what was taken in.
    """
    if item.pages == 1:
        return enhanced if enhanced is not None else read_original(originals.lake, item)
    page, metadata = originals.decode_with_metadata(item, limits)
    rgb = page.rgb if enhanced is None else decode(enhanced, limits=limits).rgb
    return encode(rgb, format=ImageFormat.PNG, dpi=dpi, metadata=metadata)


def reason_content(item: Item, error_code: str | None, error_message: str | None) -> bytes:
    """Return the note that lies beside a quarantined file."""
    reason = {
        "source_path": item.source_path,
        "page": item.page,
        "error_code": error_code,
        "error_message": error_message,
    }
    return json.dumps(reason, ensure_ascii=False, indent=2).encode()
