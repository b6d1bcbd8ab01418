"""The numbers of a run: counts, failure rates, spreads of the quality metrics, durations."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tounum_tasks.classify.labels import CLASSES
from tounum_tasks.errors import DamagedFile
from tounum_tasks.manifest.published import read_columns
from tounum_tasks.manifest.schema import SCHEMA, STATUS_FAILED, STATUS_OK, STATUS_QUARANTINED
from tounum_tasks.metadata.fields import FIELDS
from tounum_tasks.page_flags.flags import names_of
from tounum_tasks.pages.wording import count, percent
from tounum_tasks.plan import BatchPlan, RunPlan
from tounum_tasks.publish.verdict import JudgedBatch, JudgedRun, judge
from tounum_tasks.settings import Settings
from tounum_tasks.steps.places import NON_PHOTOS
from tounum_tasks.steps.table import STEPS
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage

STATUSES = (STATUS_OK, STATUS_QUARANTINED, STATUS_FAILED)
METRICS = ("blur_laplacian_var", "noise_sigma")

COLUMNS = (
    "batch_name",
    "duplicate_of",
    "near_duplicate_of",
    *(f"{metric}_{when}" for metric in METRICS for when in ("before", "after")),
    "quality_flags_before",
    "quality_flags_after",
    "page_flags",
    *FIELDS,
    "enhancement_accepted",
    "enhancement_operations",
    "label",
    "confidence",
    "is_photo",
    "needs_review",
    "review_reasons",
    "caption_confidence",
    "destination_uri",
    "caption",
    "attention_uri",
    "status",
    "error_code",
    *(f"seconds_{step.name}" for step in STEPS),
    "reused_stages",
    "run_id",
    "manifest_version",
)

Outcome = Literal["published", "unchanged", "superseded", "missing"]


@dataclass(frozen=True)
class Spread:
    """Minimum, maximum, median and mean of one metric over the images that have it."""

    minimum: float
    maximum: float
    median: float
    mean: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> "Spread | None":
        """Return the spread of ``values``, or None if there are none."""
        if not len(values):
            return None
        return cls(float(values.min()), float(values.max()), float(np.median(values)), float(values.mean()))


@dataclass(frozen=True)
class BatchFigures:
    """One batch of the run.

    ``table`` holds :data:`COLUMNS` of its manifest. ``outcome`` is ``published`` (this run made the current version),
    ``unchanged`` (the run came to the rows that were there already), ``superseded`` (another run published after
    this one had begun) or ``missing`` (there is no manifest, and ``table`` is empty).
    """

    judged: JudgedBatch
    table: pa.Table

    @property
    def plan(self) -> BatchPlan:
        return self.judged.plan

    @property
    def outcome(self) -> Outcome:
        if not self.table.num_rows:
            return "missing"
        if self.judged.others:
            return "superseded"
        return "published" if self.judged.version > self.plan.base_version else "unchanged"

    @property
    def name(self) -> str:
        return self.table["batch_name"][0].as_py() if self.table.num_rows else self.plan.batch_id

    @property
    def version(self) -> int:
        return self.table["manifest_version"][0].as_py() if self.table.num_rows else 0

    @cached_property
    def statuses(self) -> Counter[str]:
        return counts(self.table["status"])

    @property
    def failure_rate(self) -> float:
        return self.judged.failure_rate

    def spread(self, metric: str, when: str) -> Spread | None:
        return Spread.of(numbers(self.table[f"{metric}_{when}"]))


@dataclass(frozen=True)
class StageTime:
    """What one stage did in this run: images computed and reused, and the time of the computed ones."""

    stage: str
    computed: int
    reused: int
    seconds: float

    @property
    def seconds_per_image(self) -> float | None:
        return self.seconds / self.computed if self.computed else None


@dataclass(frozen=True)
class Verdict:
    """What a tired operator must know: one word for the colour, one headline, and sentences that explain it."""

    level: Literal["good", "attention", "bad"]
    word: str
    headline: str
    sentences: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RunFigures:
    """All batches of a run, and ``table``: their rows one after the other."""

    judged: JudgedRun
    batches: list[BatchFigures]

    @property
    def plan(self) -> RunPlan:
        return self.judged.plan

    @cached_property
    def table(self) -> pa.Table:
        return pa.concat_tables([_no_rows(), *(batch.table for batch in self.batches)])

    @property
    def items(self) -> int:
        return sum(batch.plan.items for batch in self.batches)

    @cached_property
    def statuses(self) -> Counter[str]:
        return sum((batch.statuses for batch in self.batches), Counter())

    @cached_property
    def classes(self) -> dict[str, int]:
        """Images per class, in the fixed order of the classes."""
        found = counts(self.table["label"])
        return {label: found[label] for label in CLASSES}

    def class_needing_review(self, label: str) -> int:
        chosen = pc.and_kleene(pc.equal(self.table["label"], label), self.table["needs_review"])
        return pc.sum(chosen).as_py() or 0

    @property
    def needing_review(self) -> int:
        return pc.sum(self.table["needs_review"]).as_py() or 0

    @property
    def captioned(self) -> int:
        return self.table.num_rows - self.table["caption"].null_count

    @property
    def duplicates(self) -> int:
        return self.table.num_rows - self.table["duplicate_of"].null_count

    @property
    def near_duplicates(self) -> int:
        return self.table.num_rows - self.table["near_duplicate_of"].null_count

    @property
    def enhanced(self) -> int:
        return pc.sum(self.table["enhancement_accepted"]).as_py() or 0

    @cached_property
    def operations(self) -> list[tuple[str, int]]:
        """The chains of operations that were accepted, the most frequent first."""
        accepted = self.table["enhancement_operations"].filter(self.table["enhancement_accepted"])
        return Counter(", then ".join(chain) for chain in accepted.to_pylist() if chain).most_common()

    @cached_property
    def errors(self) -> list[tuple[str, int]]:
        """Error codes of the items without a result, the most frequent first."""
        bad = pc.not_equal(self.table["status"], STATUS_OK)
        return counts(self.table["error_code"].filter(bad)).most_common()

    def flags(self, when: str) -> Counter[str]:
        return counts(pc.list_flatten(self.table[f"quality_flags_{when}"]))

    @cached_property
    def page_flags(self) -> list[tuple[str, int]]:
        """Flags of the pages as a person sees them, with the number of images, the most frequent first."""
        return Counter(name for flags in self.table["page_flags"].to_pylist() for name in names_of(flags)).most_common()

    @cached_property
    def described(self) -> list[tuple[str, int]]:
        """What files and what lies beside them say, with the number of images of which it is said; no empty ones."""
        told = {name: self.table[name] for name in FIELDS}
        told["keywords"] = told["keywords"].filter(pc.greater(pc.list_value_length(told["keywords"]), 0))
        numbers = {name.replace("_", " "): len(column) - column.null_count for name, column in told.items()}
        return [(name, number) for name, number in numbers.items() if number]

    def routes(self, settings: Settings) -> dict[str, int]:
        """Images per place that they were put to, without the empty ones."""
        places = {f"{settings.lake_root}/photos/": "photos"}
        for bucket in NON_PHOTOS:
            places[f"{settings.non_photos_root}/{bucket.lower()}/"] = f"non_photos/{bucket.lower()}"
        places[f"{settings.quarantine_root}/"] = "quarantine"
        uris = self.table["destination_uri"]
        found = {place: pc.sum(pc.starts_with(uris, prefix)).as_py() or 0 for prefix, place in places.items()}
        found["elsewhere"] = len(uris) - uris.null_count - sum(found.values())
        found["nowhere (no result)"] = uris.null_count
        return {place: number for place, number in found.items() if number}

    @cached_property
    def stage_times(self) -> list[StageTime]:
        mine = self.table.filter(pc.equal(self.table["run_id"], self.plan.run_id))
        lists = mine["reused_stages"].to_pylist()
        times = []
        for step in STEPS:
            seconds = mine[f"seconds_{step.name}"]
            reused = pa.array([step.name in (names or ()) for names in lists], pa.bool_())
            computed = numbers(seconds.filter(pc.invert(reused)))
            times.append(StageTime(step.name, len(computed), pc.sum(reused).as_py() or 0, float(computed.sum())))
        return times

    @cached_property
    def verdict(self) -> Verdict:
        """The verdict, by the rule by which the run itself ends red or green: per batch, above the limit."""
        waiting = count(len(self.plan.waiting), "batch", "batches")
        if not self.batches:
            told = [f"{waiting} must wait in ingest; the reasons are below."] if self.plan.waiting else []
            return Verdict("good", "Nothing arrived", "Nothing arrived: no batch was ready.", told)
        headline = f"{count(self.items, 'image')}: {self.statuses[STATUS_OK]:,} done"
        for status in (STATUS_QUARANTINED, STATUS_FAILED):
            if self.statuses[status]:
                headline += f", {self.statuses[status]:,} {status}"
        if self.judged.is_red:
            return Verdict("bad", self._red_word, headline, self._red_sentences)
        without = sum(batch.judged.without_result for batch in self.batches)
        if not without:
            return Verdict("good", "All done", headline, ["Every image has a result."])
        limit, share = percent(self.plan.max_failure_rate), percent(without / self.items)
        sentence = f"{share} of the images have no result, within the limit of {limit} for each batch."
        return Verdict("attention", "Done, with exceptions", headline, [sentence])

    @property
    def _red_word(self) -> str:
        if self.judged.over_limit:
            return "Failure limit exceeded"
        if self.judged.unpublished:
            return "Not published"
        return "A batch was kept out" if self.judged.faults else "Overtaken by another run"

    @property
    def _red_sentences(self) -> list[str]:
        limit = percent(self.plan.max_failure_rate)
        return [
            *self.judged.faults,
            *(f"{complaint}." for complaint in self.judged.complaints),
            *(
                f"Batch {batch.plan.batch_id} has no manifest: it was not published, see the log of publish."
                for batch in self.judged.unpublished
            ),
            *(
                f"{batch.without_result:,} of {count(batch.plan.items, 'image')} of batch {batch.plan.batch_id} have "
                f"no result ({percent(batch.failure_rate)}); the limit is {limit}. All rows are published."
                for batch in self.judged.over_limit
            ),
        ]


def read_figures(plan: RunPlan, settings: Settings) -> RunFigures:
    """Read the installed manifests of the batches of ``plan``."""
    lake = open_storage(settings.lake_root)
    batches = [_read_batch(lake, batch) for batch in judge(plan, settings).batches]
    return RunFigures(JudgedRun(plan, [batch.judged for batch in batches]), batches)


def _read_batch(lake: Storage, batch: JudgedBatch) -> BatchFigures:
    try:
        return BatchFigures(batch, _read_table(lake, batch.plan))
    except DamagedFile as fault:
        return BatchFigures(replace(batch, damage=str(fault)), _no_rows())


def _read_table(lake: Storage, batch: BatchPlan) -> pa.Table:
    table = read_columns(lake, batch.batch_date, batch.batch_id, COLUMNS)
    if table is None:
        return _no_rows()
    return table.replace_schema_metadata()


def _no_rows() -> pa.Table:
    return pa.schema([SCHEMA.field(name) for name in COLUMNS]).empty_table()


def counts(column: pa.ChunkedArray) -> Counter[str]:
    """Return how often each value of a column occurs, without null."""
    return Counter({entry["values"]: entry["counts"] for entry in pc.value_counts(column.drop_null()).to_pylist()})


def numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Return the values of a numeric column, without null and not-a-number."""
    values = column.drop_null().to_numpy().astype(np.float64)
    return values[np.isfinite(values)]


def evenly(indices: Sequence[int], wanted: int) -> list[int]:
    """Return at most ``wanted`` of ``indices``, spread evenly from the first to the last."""
    if len(indices) <= wanted:
        return list(indices)
    return [indices[number * (len(indices) - 1) // max(wanted - 1, 1)] for number in range(wanted)]
