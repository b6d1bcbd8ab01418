"""What a person looks at of one page: the original as it came, the enhanced copy, where a caption's words looked."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ConfigurationError, EnvironmentFault, ErrorCode, ItemError
from tounum_tasks.images.decode import decode
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.images.thumbnail import make_thumbnail
from tounum_tasks.items import Item, read_items
from tounum_tasks.manifest.published import read_columns
from tounum_tasks.names import validate_batch_date, validate_batch_id, validate_relative_path
from tounum_tasks.settings import Settings
from tounum_tasks.steps.caption import ATTENTION_SCHEMA
from tounum_tasks.steps.originals import Originals
from tounum_tasks.steps.shard import Cache
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage
from tounum_tasks.thumbnails import attention_path, keep_thumbnail, read_thumbnail

Pixels = NDArray[np.uint8]

ATTENTION_SIDE = 8
_COLUMNS = ("source_path", "page", "destination_uri", "label", "enhancement_accepted", "dpi", "fingerprint_caption")


@dataclass(frozen=True)
class Views:
    """The pages of one batch, decoded through the same decoders and limits as in a run.

    All methods that return pixels give uint8 HxWx3 sRGB, upright, and raise ItemError if the page cannot be shown,
    EnvironmentFault if its file is gone.
    """

    settings: Settings
    batch_date: str
    batch_id: str

    def item(self, source_path: str, page: int) -> Item:
        """Return an item of the batch.

        Raises:
            ConfigurationError: there is none.
        """
        found = next((item for item in self.items if item.key == (source_path, page)), None)
        if found is None:
            raise ConfigurationError(
                f"{self.batch_id} has no page {page} of '{source_path}': `show` lists what it has."
            )
        return found

    @cached_property
    def items(self) -> list[Item]:
        """The items of the batch.

        Raises:
            ConfigurationError: the lake has no such batch.
        """
        date, batch = validate_batch_date(self.batch_date), validate_batch_id(self.batch_id)
        try:
            return read_items(self._lake, date, batch)
        except FileNotFoundError as error:
            raise ConfigurationError(f"{self._lake.root} has no batch {batch} of {date}: `show` lists them.") from error

    def original(self, item: Item) -> Pixels:
        """Return the page as it came."""
        with Originals(self._lake) as originals:
            return originals.decode(item, self._limits(item)).rgb

    def enhanced(self, item: Item) -> Pixels:
        """Return the page as the pipeline has enhanced it; only photographs have a copy of their own."""
        row = self._row(item)
        if row["label"] != "Photo" or not row["enhancement_accepted"]:
            raise ItemError(ErrorCode.NO_RESULT, f"{_named(item)} has no enhanced copy: look at the original")
        path = validate_relative_path(self._lake.relative(row["destination_uri"]))
        try:
            return decode(self._lake.read_bytes(path), limits=self._limits(item)).rgb
        except FileNotFoundError as error:
            raise EnvironmentFault(f"{row['destination_uri']} is gone: run the batch again.") from error

    def caption_fingerprint(self, item: Item) -> str:
        """Return what the caption of a photograph is known by.

        Raises:
            ItemError: it has none.
        """
        found: str | None = self._row(item)["fingerprint_caption"]
        if found is None:
            raise ItemError(ErrorCode.NO_RESULT, f"{_named(item)} has no caption, so no word looked anywhere")
        return found

    def attention(self, item: Item) -> NDArray[np.uint8]:
        """Return where the words of the caption looked: uint8 8 x (8 * words) grey, a square a word, side by side.

        In each square 0 is where the word looked least, 255 where most; the words are ``caption_words`` of the row.

        Raises:
            ItemError: the image has no caption.
            EnvironmentFault: its attention maps are gone.
        """
        fingerprint = self.caption_fingerprint(item)
        folder = f"attention/{self.batch_date}/{self.batch_id}/shard-{item.shard:04d}"
        row = Cache(self._lake, folder, ATTENTION_SCHEMA).rows([fingerprint]).get(fingerprint)
        if row is None:
            raise EnvironmentFault(
                f"The attention maps of {_named(item)} are gone from {self._lake.url(folder)}: run the batch again, "
                "over all items."
            )
        return attention_strip(np.frombuffer(row["attention"], "<f2"))

    def make_thumbnail(self, item: Item) -> bool:
        """Put the thumbnail of an item into its place in the lake; return False if it is there already."""
        if read_thumbnail(self._lake, item.image_id) is not None:
            return False
        keep_thumbnail(self._lake, item.image_id, make_thumbnail(self.original(item)))
        return True

    def make_missing_thumbnails(self) -> Iterator[tuple[Item, bool | ItemError]]:
        """Yield each item of the batch with whether its thumbnail was made, or why it cannot be."""

        def make(item: Item) -> tuple[Item, bool | ItemError]:
            try:
                return item, self.make_thumbnail(item)
            except ItemError as error:
                return item, error

        with ThreadPoolExecutor(self.settings.decode_threads) as pool:
            yield from pool.map(make, [item for item in self.items if item.duplicate_of is None])

    def make_attention(self, item: Item) -> bool:
        """Put the attention maps of a caption, as a PNG, into their place in the lake; return False if they are there.

        Raises:
            ItemError: the image has no caption.
            EnvironmentFault: its attention maps are gone.
        """
        path = attention_path(item.image_id, self.caption_fingerprint(item))
        if self._lake.exists(path):
            return False
        self._lake.write_bytes(path, attention_file(self.attention(item)))
        return True

    @cached_property
    def _lake(self) -> Storage:
        return open_storage(self.settings.lake_root)

    @cached_property
    def _rows(self) -> dict[tuple[str, int], dict]:
        table = read_columns(self._lake, self.batch_date, self.batch_id, _COLUMNS)
        return {(row["source_path"], row["page"]): row for row in table.to_pylist()} if table else {}

    def _row(self, item: Item) -> dict:
        if item.key not in self._rows:
            raise ItemError(ErrorCode.NO_RESULT, f"{_named(item)} is not published yet: there is the original alone")
        return self._rows[item.key]

    def _limits(self, item: Item) -> ImageLimits:
        """The limits of the settings; a page of a PDF has the resolution at which it was measured."""
        limits = replace(self.settings.image_limits(), max_pages=item.pages)
        dpi = self._rows.get(item.key, {}).get("dpi") if item.format == "pdf" else None
        return replace(limits, pdf_dpi=dpi) if dpi else limits


def attention_strip(weights: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return attention maps, words x 64 or flat, as uint8 8 x (8 * words); of each word 0 is least, 255 most."""
    maps = np.asarray(weights, np.float32).reshape(-1, ATTENTION_SIDE, ATTENTION_SIDE)
    least, most = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    grey = (255 * (maps - least) / np.maximum(most - least, 1e-9)).round().astype(np.uint8)
    return np.hstack(list(grey))


def attention_file(strip: NDArray[np.uint8]) -> bytes:
    """Return uint8 grey pixels as a PNG."""
    return cv2.imencode(".png", strip)[1].tobytes()


def cropped(rgb: Pixels, left: int, top: int, width: int, height: int) -> Pixels:
    """Return a part of a page, of its pixels as they are; what lies outside of the page is cut off.

    Raises:
        ItemError: nothing of it lies on the page.
    """
    found = rgb[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    if found.size == 0:
        raise ItemError(
            ErrorCode.NO_RESULT,
            f"{width} x {height} pixels at {left}, {top} lie outside of the page of {rgb.shape[1]} x {rgb.shape[0]}",
        )
    return found


def _named(item: Item) -> str:
    return item.source_path if item.pages == 1 else f"{item.source_path} page {item.page}"
