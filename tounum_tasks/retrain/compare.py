"""Decides whether a candidate is better than production, and shows the figures side by side.

*Better* is one figure on the test images: CIDEr of beam search for captioners, macro F1 for classifiers, PSNR of six
degradations for restorers. It must be higher, by however little; the same is not better.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.files import write_text
from tounum_tasks.retrain.data_set import CORRECTIONS
from tounum_tasks.retrain.plan import RetrainPlan
from tounum_tasks.retrain.table import TRAININGS
from tounum_tasks.retrain.training import Row
from tounum_tasks.retrain.work_folder import COMPARISON_FILE, EVALUATION_FILE, QUESTION_FILE, read_json, work_folder
from tounum_tasks.settings import Settings
from tounum_tasks.visible import display_name

FEW_IMAGES = 200


@dataclass(frozen=True)
class Comparison:
    """The first row decides.

    Attributes:
        images: on which both were measured.
        left_out: test images that one of them was trained on.
        production_may_know: whether nobody knows what production was trained on.
        examples: what both models say about a few images: name, production's, candidate's.
    """

    model: str
    candidate: str
    production: str
    images: int
    rows: tuple[Row, ...]
    examples: tuple[tuple[str, str, str], ...] = ()
    left_out: int = 0
    production_may_know: bool = False

    @property
    def is_better(self) -> bool:
        """Whether the candidate is better than production."""
        return self.rows[0].candidate > self.rows[0].production

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``no better``."""
        difference = self.rows[0].candidate - self.rows[0].production
        return "better" if difference > 0 else "worse" if difference < 0 else "no better"

    @property
    def subject(self) -> str:
        """One line for the list of what waits for a person."""
        first = self.rows[0]
        return (
            f"{self.model.capitalize()} {self.candidate} is {self.verdict} than {self.production}: "
            f"{first.label} {first.candidate:.3f} against {first.production:.3f}. Promote it?"
        )


def compare(plan: RetrainPlan, settings: Settings) -> tuple[Comparison, str]:
    """Return the comparison, and its page in Markdown, which also goes into the work folder.

    Raises:
        ConfigurationError: a person was asked about other figures before, see :func:`remember_question`.
    """
    folder = work_folder(plan, settings)
    comparison = comparison_of(read_json(folder / EVALUATION_FILE))
    page = markdown(comparison, plan, str(folder))
    write_text(folder / COMPARISON_FILE, page)
    asked = folder / QUESTION_FILE
    if asked.exists() and asked.read_text(encoding="utf-8") != page:
        raise ConfigurationError(
            "This run has asked about other figures before, and its page cannot be changed any more: start a new run, "
            f"or decide by hand; the new figures are in {folder / COMPARISON_FILE}."
        )
    return comparison, page


def remember_question(plan: RetrainPlan, settings: Settings, page: str) -> None:
    """Note what a person is asked, so that nobody is asked again with figures that are out of date.

    Airflow (3.3) keeps the text of a question when its task is cleared, even if other figures were measured since.
    """
    write_text(work_folder(plan, settings) / QUESTION_FILE, page)


def comparison_of(evaluation: Mapping[str, Any]) -> Comparison:
    """Return the comparison of two models from what ``evaluate`` wrote."""
    return Comparison(
        model=evaluation["model"],
        candidate=evaluation["candidate"]["version"],
        production=evaluation["production"]["version"],
        images=evaluation["images"],
        rows=tuple(TRAININGS[evaluation["model"]].rows(evaluation)),
        left_out=evaluation.get("left_out", 0),
        production_may_know=not evaluation.get("production_says_what_it_learnt", True),
        examples=tuple(
            (example["image"], example["production"], example["candidate"])
            for example in evaluation.get("examples", [])
        ),
    )


def markdown(comparison: Comparison, plan: RetrainPlan, folder: str) -> str:
    """Return the page on which a person decides; names and notes of others cannot become markup."""
    first = comparison.rows[0]
    production = escaped(comparison.production)
    change = f"{first.candidate - first.production:+.3f}"
    lines = [
        f"**The candidate is {comparison.verdict.upper()} than production: {first.label} {change}.**",
        "",
        f"Both were measured anew on the same {comparison.images:,} test images of `{_code(plan.data)}` "
        f"({plan.test}), on which the candidate was not trained.",
    ]
    if comparison.left_out:
        lines[-1] += f" {comparison.left_out:,} more are left out: one of the two was trained on them."
    if comparison.production_may_know:
        lines[-1] += f" What {production} was trained on is not known, for it was made by an earlier release."
    if comparison.images < FEW_IMAGES:
        lines += ["", "These are few images: a small difference may be chance."]
    lines += [
        "",
        f"| measure | production {production} | candidate {escaped(comparison.candidate)} | change |",
        "|---|---:|---:|---:|",
        *_table(comparison),
    ]
    if comparison.examples:
        lines += ["", "| image | production says | candidate says |", "|---|---|---|"]
        lines += [f"| {' | '.join(map(escaped, example))} |" for example in comparison.examples]
    counts = ", ".join(f"{count:,} {split}" for split, count in plan.images.items())
    passes = f"{plan.epochs:g} passes" if plan.epochs else "its head alone"
    passes += f", {plan.extractor_epochs} of the extractor" if plan.extractor_epochs else ""
    passes += f", {plan.reward_epochs} with rewards" if plan.reward_epochs else ""
    passes += f", {plan.windows} windows of each image" if plan.windows else ""
    lines += [
        "",
        f"Trained on `{_code(plan.data)}`{_corrections(plan)} ({counts} images) with {passes} and seed {plan.seed}. "
        f"Curves and all figures lie in `{_code(folder)}`.",
    ]
    if plan.notes.strip():
        lines += ["", f"Notes: {escaped(plan.notes)}"]
    lines += [
        "",
        f"**Approve** registers the candidate and puts it into production. **Reject** leaves {production} in "
        "production and the registry as it is.",
    ]
    return "\n".join(lines) + "\n"


def _table(comparison: Comparison) -> Iterator[str]:
    for index, row in enumerate(comparison.rows):
        cells = [
            f"{row.label} (decides)" if index == 0 else row.label,
            f"{row.production:,.{row.digits}f}",
            f"{row.candidate:,.{row.digits}f}",
            f"{row.candidate - row.production:+,.{row.digits}f}",
        ]
        yield f"| {' | '.join(f'**{cell}**' if index == 0 else cell for cell in cells)} |"


def _corrections(plan: RetrainPlan) -> str:
    return " and what people corrected" if plan.corrections and plan.data != CORRECTIONS else ""


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, in one line."""
    shown = " ".join(display_name(line) for line in text.split("\n"))
    return re.sub(r"([\\`*_{}\[\]()#+!|<>~&$:@])", r"\\\1", shown)


def _code(text: str) -> str:
    """Return a text for a code span in a line or a table."""
    return display_name(text).replace("`", "'").replace("|", "¦")
