"""Which images a report shows, and the pictures of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tounum_tasks.classify.labels import CLASSES, PHOTO
from tounum_tasks.manifest.published import read_columns
from tounum_tasks.manifest.schema import CLASS_COLUMNS, STATUS_OK
from tounum_tasks.pages.pictures import (
    Picture,
    PictureMissing,
    Pictures,
    Pixels,
    attention_overlay,
    detail_window,
    shrink,
)
from tounum_tasks.report.figures import RunFigures, evenly
from tounum_tasks.settings import Settings
from tounum_tasks.steps.caption import ATTENTION_SCHEMA
from tounum_tasks.steps.shard import Cache
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage

PHOTOS = 12
REVIEWS = 12
PER_CLASS = 4
ATTENTION = 3
WORDS = 14
SMALL_SIDE = 200
WORD_SIDE = 132
# Leaves room for text and tables in a page of three megabytes.
PICTURE_BYTES = 2_200_000

COLUMNS = (
    "batch_id",
    "source_path",
    "page",
    "pages",
    "original_uri",
    "destination_uri",
    "quality_flags_before",
    *(f"{metric}_{when}" for metric in ("blur_laplacian_var", "noise_sigma") for when in ("before", "after")),
    "enhancement_operations",
    "enhancement_accepted",
    "enhancement_reason",
    "label",
    "label_source",
    "confidence",
    *CLASS_COLUMNS.values(),
    "review_reasons",
    "caption",
    "caption_source",
    "caption_words",
    "caption_alternatives",
    "attention_uri",
    "fingerprint_caption",
)


@dataclass(frozen=True)
class Example:
    """One image of the report: its row, and what could be made of its pictures."""

    row: dict
    before: Picture
    after: Picture | None = None
    detail_before: Picture | None = None
    detail_after: Picture | None = None

    @property
    def probabilities(self) -> list[tuple[str, float]]:
        """Probability of every class, the largest first."""
        known = [(label, self.row[column] or 0.0) for label, column in CLASS_COLUMNS.items()]
        return sorted(known, key=lambda entry: -entry[1])


@dataclass(frozen=True)
class AttentionRow:
    """Where the captioner looked for each word of one caption."""

    row: dict
    words: list[tuple[str, Picture]]


@dataclass(frozen=True)
class Examples:
    """All pictures of a report."""

    photos: list[Example] = field(default_factory=list)
    attention: list[AttentionRow] = field(default_factory=list)
    classes: dict[str, list[Example]] = field(default_factory=dict)
    reviews: list[Example] = field(default_factory=list)


def choose(figures: RunFigures, settings: Settings) -> Examples:
    """Choose examples evenly over the run and make their pictures; those that cannot be shown say why."""
    table = figures.table
    chosen = {
        "photos": _photos(table),
        "reviews": _reviews(table),
        **{label: _of_class(table, label) for label in CLASSES if label != PHOTO},
    }
    rows = _details(figures, sorted({index for indices in chosen.values() for index in indices}), settings)
    roots = [open_storage(root) for root in (settings.lake_root, settings.non_photos_root, settings.quarantine_root)]
    pictures = Pictures(roots, PICTURE_BYTES)

    def small(key: str) -> list[Example]:
        return [_small(rows[index], pictures) for index in chosen[key]]

    photos = [_before_and_after(rows[index], pictures) for index in chosen["photos"]]
    classes = {label: small(label) for label in CLASSES if label != PHOTO and chosen[label]}
    reviews = small("reviews")
    attention = list(_attention([example.row for example in photos], pictures, open_storage(settings.lake_root)))
    return Examples(photos, attention, classes, reviews)


def _indices(condition: pa.ChunkedArray) -> list[int]:
    return np.flatnonzero(condition.fill_null(False).to_numpy()).tolist()


def _ok(table: pa.Table) -> pa.ChunkedArray:
    first_of_its_bytes = pc.is_null(table["duplicate_of"])
    return pc.and_(pc.equal(table["status"], STATUS_OK), first_of_its_bytes)


def _photos(table: pa.Table) -> list[int]:
    """Half of them images that were changed, if there are so many; in the order of the run."""
    photos = pc.and_kleene(_ok(table), table["is_photo"])
    changed = _indices(pc.and_kleene(photos, table["enhancement_accepted"]))
    changed_set = set(changed)
    others = [index for index in _indices(photos) if index not in changed_set]
    wanted = max(PHOTOS // 2, PHOTOS - len(others))
    some = evenly(changed, wanted)
    return sorted(some + evenly(others, PHOTOS - len(some)))


def _of_class(table: pa.Table, label: str) -> list[int]:
    return evenly(_indices(pc.and_kleene(_ok(table), pc.equal(table["label"], label))), PER_CLASS)


def _reviews(table: pa.Table) -> list[int]:
    """The most doubtful images: copies that broke off, then by what is least certain of class and caption."""
    candidates = _indices(pc.and_kleene(_ok(table), table["needs_review"]))
    taken = (
        table.select(["review_reasons", "confidence", "caption_confidence"])
        .take(pa.array(candidates, pa.int64()))
        .to_pylist()
    )
    certainty = [_certainty(row) for row in taken]
    return [index for _, index in sorted(zip(certainty, candidates, strict=True))][:REVIEWS]


def _certainty(row: dict) -> float:
    """The least of what is known of an image to be reviewed, 0 to 1; -1 where its file has no end."""
    reasons = row["review_reasons"] or ["class"]  # manifests of earlier releases knew that one alone
    if "end" in reasons:
        return -1.0
    known = {"class": row["confidence"], "caption": row["caption_confidence"]}
    return min((float(known[reason]) for reason in reasons if known.get(reason) is not None), default=0.0)


def _details(figures: RunFigures, indices: Sequence[int], settings: Settings) -> dict[int, dict]:
    """Return the rows at ``indices`` of the run's table, with the columns that examples need."""
    lake = open_storage(settings.lake_root)
    rows: dict[int, dict] = {}
    start = 0
    for batch in figures.batches:
        end = start + batch.table.num_rows
        wanted = [index for index in indices if start <= index < end]
        table = read_columns(lake, batch.plan.batch_date, batch.plan.batch_id, COLUMNS) if wanted else None
        if table is not None and table.num_rows == batch.table.num_rows:
            taken = table.take([index - start for index in wanted]).to_pylist()
            rows.update(zip(wanted, taken, strict=True))
        start = end
    return rows


def _small(row: dict, pictures: Pictures) -> Example:
    return Example(row, pictures.thumbnail(row["original_uri"], row["page"], SMALL_SIDE))


def _before_and_after(row: dict, pictures: Pictures) -> Example:
    try:
        before = pictures.read(row["original_uri"], row["page"])
    except PictureMissing as missing:
        return Example(row, Picture(missing=str(missing)))
    if not row["enhancement_accepted"]:
        return Example(row, pictures.picture(shrink(before)))
    try:
        after = pictures.read(row["destination_uri"] or "")
    except PictureMissing as missing:
        return Example(row, pictures.picture(shrink(before)), Picture(missing=str(missing)))
    return Example(
        row,
        pictures.picture(shrink(before)),
        pictures.picture(shrink(after)),
        *_details_at_full_size(before, after, pictures),
    )


def _details_at_full_size(before: Pixels, after: Pixels, pictures: Pictures) -> tuple[Picture | None, Picture | None]:
    """Return the same window of both, if both have the same size (PDF pages are drawn smaller here)."""
    if before.shape != after.shape:
        return None, None
    window = detail_window(before)
    return pictures.picture(before[window]), pictures.picture(after[window])


def _attention(rows: list[dict], pictures: Pictures, lake: Storage) -> Iterator[AttentionRow]:
    """Yield the first photographs whose attention maps and pixels can be read."""
    shown = 0
    for row in rows:
        maps = _maps(row, lake)
        if maps is None or shown == ATTENTION:
            continue
        try:
            pixels = shrink(pictures.read(row["original_uri"], row["page"]), WORD_SIDE)
        except PictureMissing:
            continue
        words = [
            (word, pictures.picture(attention_overlay(pixels, weights)))
            for word, weights in list(zip(row["caption_words"], maps, strict=True))[:WORDS]
        ]
        shown += 1
        yield AttentionRow(row, words)


def _maps(row: dict, lake: Storage) -> np.ndarray | None:
    """Return the attention maps of a caption, float16 words x 64, or None if they are gone or do not fit."""
    if not row["attention_uri"] or not row["caption_words"] or not row["attention_uri"].startswith(lake.root + "/"):
        return None
    fingerprint = row["fingerprint_caption"]
    try:
        found = Cache(lake, lake.relative(row["attention_uri"]), ATTENTION_SCHEMA).rows([fingerprint])
    except pa.ArrowInvalid:
        return None
    if fingerprint not in found:
        return None
    maps = np.frombuffer(found[fingerprint]["attention"], "<f2")
    return maps.reshape(-1, 64) if maps.size == 64 * len(row["caption_words"]) else None
