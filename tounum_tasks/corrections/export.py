"""Writing corrections as data sets, as every training reads them::

OUT/captions/captions_train.json, captions_val.json, captions_test.json     MS-COCO
OUT/captions/images/hard|sample/IMAGE.png
OUT/classes/CLASS/hard|sample/IMAGE.png                                      for training
OUT/classes/test/CLASS/hard|sample/IMAGE.png                                 for tests
OUT/corrections.json                                                         what it was made from
"""

import logging
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path

from tounum_tasks.batches import in_order
from tounum_tasks.corrections.truth import SPLITS, Truth, split_of, true_captions, true_classes
from tounum_tasks.errors import ConfigurationError, ItemError
from tounum_tasks.files import write_json
from tounum_tasks.images.decode import decode
from tounum_tasks.images.encode import encode
from tounum_tasks.images.formats import ImageFormat
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.items import Item, read_items
from tounum_tasks.reviews.effective import Effective
from tounum_tasks.reviews.review import ItemRef
from tounum_tasks.reviews.store import ReviewStore
from tounum_tasks.settings import Settings
from tounum_tasks.steps.originals import Originals, read_original
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage
from tounum_tasks.threads import processors

log = logging.getLogger(__name__)

MADE_FROM = "corrections.json"
# What is copied as it came: files of one page that every training reads, by their extension.
COPIED = {
    ImageFormat.JPEG: ".jpg",
    ImageFormat.PNG: ".png",
    ImageFormat.TIFF: ".tif",
    ImageFormat.WEBP: ".webp",
    ImageFormat.BMP: ".bmp",
    ImageFormat.GIF: ".gif",
    ImageFormat.JPEG2000: ".jp2",
}


@dataclass
class Exported:
    """What was written.

    Attributes:
        classes, captions: images by origin and split, as ``hard train``.
        left_out: a sentence for each image that could not be.
    """

    classes: Counter[str] = field(default_factory=Counter)
    captions: Counter[str] = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)


def export(settings: Settings, out: Path) -> Exported:
    """Write what people corrected and confirmed; an earlier export at that place is replaced when the new one is whole.

    Raises:
        ConfigurationError: something else lies at ``out``, or nobody has corrected or confirmed anything.
        DamagedFile: a review or a register does not hold what was written.
        EnvironmentFault: an original is gone.
    """
    out = out.absolute()
    _require_ours(out)
    lake = open_storage(settings.lake_root)
    store = ReviewStore(lake)
    reviews = store.all()
    effective = Effective(reviews)
    classes, captions = true_classes(effective), true_captions(effective)
    if not classes and not captions:
        raise ConfigurationError(
            f"Nobody has corrected or confirmed a class or a caption in {lake.root} yet: there is nothing to export."
        )
    staged = out.with_name(f"{out.name}.part")
    shutil.rmtree(staged, ignore_errors=True)
    writing = _Writing(lake, settings.image_limits(), staged)
    writing.write(classes, captions)
    made_from = {"lake": lake.root, "last_review": reviews[-1].review_id, "left_out": writing.done.left_out}
    counts = {"classes": dict(writing.done.classes), "captions": dict(writing.done.captions)}
    write_json(staged / MADE_FROM, {**made_from, **counts})
    if out.exists():
        shutil.rmtree(out)
    staged.rename(out)
    return writing.done


def _require_ours(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ConfigurationError(f"{out} is a file: give a folder that does not exist yet.")
    if out.is_dir() and any(out.iterdir()) and not (out / MADE_FROM).exists():
        raise ConfigurationError(f"{out} holds something else than an export: give a folder that does not exist yet.")


@dataclass
class _Writing:
    """One export into a folder that nobody sees yet."""

    lake: Storage
    limits: ImageLimits
    folder: Path
    done: Exported = field(default_factory=Exported)

    def write(self, classes: list[Truth], captions: list[Truth]) -> None:
        by_class = {truth.image_id: truth for truth in classes}
        captioned = {truth.image_id: truth for truth in captions}
        coco: dict[str, list[tuple[str, Truth]]] = {split: [] for split in SPLITS}
        for image_id, content, suffix in self._pictures({**captioned, **by_class}.values()):
            name = f"{image_id}{suffix}"
            if truth := by_class.get(image_id):
                self._put(self._class_folder(truth) / name, content)
                self.done.classes[f"{truth.origin} {_part_of(truth)}"] += 1
            if truth := captioned.get(image_id):
                below = f"images/{truth.origin}/{name}"
                self._put(self.folder / "captions" / below, content)
                coco[split_of(image_id)].append((below, truth))
                self.done.captions[f"{truth.origin} {split_of(image_id)}"] += 1
        if any(coco.values()):
            for split, entries in coco.items():
                write_json(self.folder / "captions" / f"captions_{split}.json", _coco(entries))

    def _class_folder(self, truth: Truth) -> Path:
        classes = self.folder / "classes"
        return (classes / "test" if _part_of(truth) == "test" else classes) / truth.value / truth.origin

    def _put(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def _pictures(self, truths: Iterable[Truth]) -> Iterator[tuple[str, bytes, str]]:
        """Yield each image's id, file and extension, batch by batch; what cannot be read is noted.

        As many as there are processors are read and decoded at once, and at most as many wait to be written.
        """
        at_once = processors()
        with ThreadPoolExecutor(at_once) as pool, Originals(self.lake) as originals:
            read = partial(self._read, originals)
            for truth, found in in_order(pool, read, self._with_items(truths), ahead=at_once):
                if isinstance(found, Exception):
                    sentence = f"{truth.place.source_path} of {truth.place.batch_id} is left out: {found}."
                    log.warning("%s", sentence)
                    self.done.left_out.append(sentence)
                else:
                    yield truth.image_id, *found

    def _with_items(self, truths: Iterable[Truth]) -> Iterator[tuple[Truth, Item | None]]:
        """Yield each truth, batch by batch, with the item of its place, if there is one."""
        by_batch = sorted(truths, key=lambda truth: (truth.place, truth.image_id))
        for (batch_date, batch_id), found in groupby(by_batch, key=lambda truth: truth.place[:2]):
            items = {item.key: item for item in self._items(batch_date, batch_id)}
            for truth in found:
                yield truth, items.get((truth.place.source_path, truth.place.page))

    def _read(
        self, originals: Originals, wanted: tuple[Truth, Item | None]
    ) -> tuple[Truth, tuple[bytes, str] | Exception]:
        """Return what is known of an image with its file and extension, or with why it is left out."""
        truth, item = wanted
        try:
            if item is None or item.image_id != truth.image_id:
                raise _Unknown(truth.place)
            return truth, self._content(originals, item)
        except (ItemError, _Unknown) as error:
            return truth, error

    def _items(self, batch_date: str, batch_id: str) -> list[Item]:
        try:
            return read_items(self.lake, batch_date, batch_id)
        except FileNotFoundError:
            return []  # each of its images is noted

    def _content(self, originals: Originals, item: Item) -> tuple[bytes, str]:
        """The file of an item as it came, or its page as PNG.

        Raises:
            ItemError: trainings could not read it, which stop at such a picture.
        """
        if item.pages == 1 and item.format in COPIED:
            content = read_original(self.lake, item)
            decode(content)  # a class may be given to many images at once, of which some were quarantined
            return content, COPIED[ImageFormat(item.format)]
        # How many pages a file may have was decided when it was registered.
        page = originals.decode(item, replace(self.limits, max_pages=item.pages))
        ImageLimits().check_size(page.width_px, page.height_px)  # those of trainings
        return encode(page.rgb, format=ImageFormat.PNG, dpi=page.dpi), ".png"


class _Unknown(Exception):
    """The register of a batch does not have the item that a review names."""

    def __init__(self, place: ItemRef) -> None:
        super().__init__(f"no register of {place.batch_date} has it with these bytes")


def _part_of(truth: Truth) -> str:
    """What an image is for in a training of classes, which chooses itself on what it validates."""
    return "test" if split_of(truth.image_id) == "test" else "train"


def _coco(entries: list[tuple[str, Truth]]) -> dict:
    numbered = list(enumerate(entries, start=1))
    return {
        "info": {"description": "Corrected and confirmed captions"},
        "images": [{"id": number, "file_name": name, "origin": truth.origin} for number, (name, truth) in numbered],
        "annotations": [{"id": number, "image_id": number, "caption": truth.value} for number, (_, truth) in numbered],
    }
