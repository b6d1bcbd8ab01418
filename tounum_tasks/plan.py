"""What a run was asked to do, and the plan that it pins at its start: plain JSON, small enough for XCom."""

import datetime as dt
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tounum_tasks.names import validate_batch_date, validate_batch_id
from tounum_tasks.settings import EnhancementMode, Settings

Selection = Literal["missing", "failed", "all"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunRequest(_Frozen):
    """The parameters of a run, as a person or a schedule gave them.

    ``models`` are versions by name of the model; where it is silent, the settings say which.
    """

    run_id: Annotated[str, Field(min_length=1, max_length=250)]
    batch_date: str | None = None
    batch_id: str | None = None
    items: Selection = "missing"
    enhancement: EnhancementMode = "auto"
    models: dict[str, str] = {}
    max_failure_rate: Annotated[float, Field(ge=0, le=1)] = 0.2
    take_in: bool = True
    started_at: dt.datetime = Field(default_factory=lambda: dt.datetime.now(dt.UTC))

    @field_validator("batch_date")
    @classmethod
    def _date(cls, value: str | None) -> str | None:
        return validate_batch_date(value) if value else None

    @field_validator("batch_id")
    @classmethod
    def _batch(cls, value: str | None) -> str | None:
        return validate_batch_id(value) if value else None

    def resolved_date(self, settings: Settings) -> str:
        """The batch date: the one asked for, or the day on which the run started in the configured zone."""
        return self.batch_date or self.started_at.astimezone(ZoneInfo(settings.timezone)).date().isoformat()


class ModelPin(_Frozen):
    """One model version that a run resolved at its start."""

    name: str
    version: str
    digest: str


class BatchPlan(_Frozen):
    """One batch of the run.

    ``base_version`` is the manifest version that was current at the start (0: none); ``reviews`` names the file
    with what people had said of the batch until then (empty: nothing).
    """

    batch_id: str
    batch_date: str
    items: int
    shards: int
    base_version: int
    reviews: str = ""


class ShardRef(_Frozen):
    """One shard of one batch: the unit of task mapping."""

    batch_id: str
    batch_date: str
    shard: int

    @property
    def name(self) -> str:
        return f"shard-{self.shard:04d}"


class RunPlan(_Frozen):
    """Everything that the tasks of one run agree on, fixed by register.

    ``models`` are the pinned versions by name; ``in_production`` names those for which the run asked for whatever is in
    production, rather than for a version.
    ``last_review`` is the last review that register saw; what was said after it waits for the next run.
    ``waiting``, ``left_behind`` and ``faults`` are sentences for people; faults turn the run red at its end.
    """

    run_id: str
    batch_date: str
    started_at: dt.datetime
    items: Selection
    enhancement: EnhancementMode
    max_failure_rate: float
    max_pixels: int
    pdf_dpi: float
    beam: int
    review_confidence: float
    caption_review_confidence: float = 0.0
    doubtful_captions: Literal["keep", "short", "none"] = "keep"
    models: dict[str, ModelPin]
    in_production: list[str] = []
    code_version: str
    batches: list[BatchPlan]
    last_review: str | None = None
    waiting: list[str] = []
    left_behind: list[str] = []
    faults: list[str] = []

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_releases(cls, value: Any) -> Any:
        """Plans of version 0.1 have a field for each model; a run that began before an upgrade goes on after it."""
        if not isinstance(value, dict) or "models" in value:
            return value
        pins = {name: value[name] for name in ("classifier", "extractor", "captioner", "restorer") if name in value}
        return {**{name: entry for name, entry in value.items() if name not in pins}, "models": pins}

    def shards(self) -> list[ShardRef]:
        """Every shard of every batch, in order."""
        return [
            ShardRef(batch_id=batch.batch_id, batch_date=batch.batch_date, shard=number)
            for batch in self.batches
            for number in range(batch.shards)
        ]

    @classmethod
    def from_json(cls, value: dict) -> Self:
        return cls.model_validate(value)

    def to_json(self) -> dict:
        return self.model_dump(mode="json")
