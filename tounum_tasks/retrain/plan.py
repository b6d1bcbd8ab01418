"""What a retraining was asked to do, and what was fixed at its start: plain JSON, small enough for XCom."""

import datetime as dt
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from tounum_tasks.plan import ModelPin

Trainable = Literal["captioner", "classifier", "restorer"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RetrainRequest(_Frozen):
    """The parameters of a retraining, as a person gave them.

    Attributes:
        run_id: identity of the retraining: the same id goes on where an earlier attempt stopped.
        data: path of the data set below the setting ``datasets_root``; ``corrections`` is what people corrected alone.
        corrections: learn from what people corrected and confirmed, too.
        epochs: passes over the training images; None: as many as the model usually takes.
        extractor_epochs: passes in which the extractor above `mixed8` learns too (captioner only).
        reward_epochs: passes in which whole captions are rewarded, after the others (captioner only).
        windows: parts of each image, at random places, that are learnt from too (captioner only).
        auto_approve: promote a better model without asking a person.
        notes: for the model's card.
    """

    run_id: Annotated[str, Field(min_length=1, max_length=250)]
    model: Trainable
    data: str
    corrections: bool = False
    epochs: float | None = None
    extractor_epochs: int = 0
    reward_epochs: int = 0
    windows: int = 0
    seed: int = 0
    auto_approve: bool = False
    notes: str | None = None
    started_at: dt.datetime = Field(default_factory=lambda: dt.datetime.now(dt.UTC))


class RetrainPlan(_Frozen):
    """Everything that the steps of one retraining agree on, fixed by ``prepare``.

    Attributes:
        version: of the candidate, made of the start of the retraining.
        work: name of the work folder.
        corrections: an export of what people corrected and confirmed lies in the work folder, and is learnt from.
        initial: the model that the training begins with: the classifier in production, or the extractor of the
            captioner in production.
        data_fingerprint: of what is trained on; if that changes underneath a retraining, it is refused.
        images: number of images by split.
        test: where the test images come from, for people.
    """

    run_id: str
    model: Trainable
    version: str
    work: str
    data: str
    corrections: bool = False  # plans of runs that began before there were corrections do not name them
    epochs: float
    extractor_epochs: int
    reward_epochs: int
    windows: int = 0  # plans of runs that began before there were windows do not name them
    seed: int
    auto_approve: bool
    notes: str
    initial: ModelPin
    data_fingerprint: str
    images: dict[str, int]
    test: str

    @classmethod
    def from_json(cls, value: dict) -> Self:
        return cls.model_validate(value)

    def to_json(self) -> dict:
        return self.model_dump(mode="json")
