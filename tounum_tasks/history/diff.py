"""What changed between two versions of a manifest: item by item, and in sum."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import pyarrow as pa

from tounum_tasks.history.versions import models_of
from tounum_tasks.items import ItemKey
from tounum_tasks.manifest.schema import CLASS_COLUMNS, SCHEMA

# What people ask about, and the columns that answer. Fingerprints and versions of models change with every retrain,
# also where nothing came out differently: they are no change of an item.
GROUPS = {
    "class": ("label", "confidence", *CLASS_COLUMNS.values(), "is_photo"),
    "review": ("needs_review", "review_reasons"),
    "route": ("destination_uri",),
    "caption": ("caption", "caption_words", "caption_log_probability", "caption_confidence", "caption_alternatives"),
    "metrics": (
        "width_px",
        "height_px",
        *(name for name in SCHEMA.names if name.endswith(("_before", "_after"))),
        "enhancement_method",
        "enhancement_operations",
        "enhancement_accepted",
        "enhancement_reason",
    ),
    "status": ("status", "error_code", "error_message"),
}
MOST_WORDS = 10


@dataclass(frozen=True)
class ItemChange:
    """What changed of one item: ``groups`` names the kinds, ``before`` and ``after`` hold the columns that differ."""

    key: ItemKey
    groups: list[str]
    before: dict
    after: dict

    def to_json(self) -> dict:
        path, page = self.key
        return {"path": path, "page": page, "changed": self.groups, "before": self.before, "after": self.after}


@dataclass
class Summary:
    """What changed in sum.

    Attributes:
        items: how many items the batch has.
        changed: how many of them differ at all.
        groups: how many differ in each kind.
        models: by name, the versions before and after, where they differ.
        classes: how many items went from one class to another; None is an item without a class.
        statuses: how many items went from one status to another.
        captions_changed, captions_new, captions_gone: photographs with another caption, with one for the first time,
            and without one now.
        words: words of the captions before; ``words_added`` and ``words_removed`` count what changed of them.
        frequency: by word of the captions, how much more often (or less, below 0) it is there than before.
        enhanced: how many items are enhanced now and were not, and the other way round.
        review: how many items need a look now and did not, and the other way round.
    """

    items: int
    changed: int = 0
    groups: dict[str, int] = field(default_factory=lambda: dict.fromkeys(GROUPS, 0))
    models: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)
    classes: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    captions_changed: int = 0
    captions_new: int = 0
    captions_gone: int = 0
    words: int = 0
    words_added: int = 0
    words_removed: int = 0
    frequency: Counter[str] = field(default_factory=Counter)
    enhanced: tuple[int, int] = (0, 0)
    review: tuple[int, int] = (0, 0)
    statuses: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def gained(self) -> list[tuple[str, int]]:
        """The words that are more frequent than before, with the difference; those that differ most."""
        return [(word, number) for word, number in self._moved() if number > 0][:MOST_WORDS]

    @property
    def lost(self) -> list[tuple[str, int]]:
        """The words that are less frequent than before, with the difference; those that differ most."""
        return [(word, number) for word, number in self._moved() if number < 0][:MOST_WORDS]

    def _moved(self) -> list[tuple[str, int]]:
        return sorted(self.frequency.items(), key=lambda entry: (-abs(entry[1]), entry[0]))

    def add(self, other: "Summary") -> None:
        """Add what changed in another batch."""
        for name, (old, new) in other.models.items():
            earlier, later = self.models.get(name, ([], []))
            self.models[name] = sorted({*earlier, *old}), sorted({*later, *new})
        for group, number in other.groups.items():
            self.groups[group] += number
        for name in ("items", "changed", "captions_changed", "captions_new", "captions_gone"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("words", "words_added", "words_removed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.classes.update(other.classes)
        self.statuses.update(other.statuses)
        self.frequency.update(other.frequency)
        self.enhanced = _sum(self.enhanced, other.enhanced)
        self.review = _sum(self.review, other.review)

    def to_json(self) -> dict:
        apart = ("classes", "models", "frequency", "enhanced", "review", "statuses")
        return {
            **{name: value for name, value in vars(self).items() if name not in apart},
            "gained": self.gained,
            "lost": self.lost,
            "enhanced": {"now": self.enhanced[0], "no_more": self.enhanced[1]},
            "review": {"now": self.review[0], "no_more": self.review[1]},
            "statuses": [
                {"before": old, "after": new, "items": number} for (old, new), number in sorted(self.statuses.items())
            ],
            "models": {name: {"before": old, "after": new} for name, (old, new) in self.models.items()},
            "classes": [
                {"before": old, "after": new, "items": number} for (old, new), number in sorted_moves(self.classes)
            ],
        }


def sorted_moves(
    classes: Counter[tuple[str | None, str | None]],
) -> list[tuple[tuple[str | None, str | None], int]]:
    """Return the moves between classes, the most frequent first."""
    return sorted(classes.items(), key=lambda move: (-move[1], str(move[0])))


def compare(before: pa.Table, after: pa.Table) -> tuple[list[ItemChange], Summary]:
    """Return the items that differ between two versions of one batch, in its order, and the summary.

    A column that one of the versions does not have yet counts as empty there.
    """
    earlier = {(row["source_path"], row["page"]): row for row in before.to_pylist()}
    summary = Summary(items=after.num_rows)
    old_models, new_models = models_of(before), models_of(after)
    summary.models = {
        name: (old_models[name], new_models[name]) for name in new_models if old_models[name] != new_models[name]
    }
    changes = []
    for row in after.to_pylist():
        key = (row["source_path"], row["page"])
        old = earlier[key]
        change = _item_change(key, old, row)
        if change:
            changes.append(change)
            _add_to(summary, change, old, row)
        _count_words(summary, old, row)
    return changes, summary


def _item_change(key: ItemKey, old: dict, new: dict) -> ItemChange | None:
    differing = {
        group: [name for name in columns if old.get(name) != new.get(name)] for group, columns in GROUPS.items()
    }
    groups = [group for group, columns in differing.items() if columns]
    if not groups:
        return None
    columns = [name for group in groups for name in differing[group]]
    return ItemChange(key, groups, {name: old.get(name) for name in columns}, {name: new.get(name) for name in columns})


def _add_to(summary: Summary, change: ItemChange, old: dict, new: dict) -> None:
    summary.changed += 1
    for group in change.groups:
        summary.groups[group] += 1
    if old["label"] != new["label"]:
        summary.classes[old["label"], new["label"]] += 1
    if old["status"] != new["status"]:
        summary.statuses[old["status"], new["status"]] += 1
    summary.enhanced = _sum(summary.enhanced, _turned(old, new, "enhancement_accepted"))
    summary.review = _sum(summary.review, _turned(old, new, "needs_review"))
    if old["caption"] != new["caption"]:
        summary.captions_new += old["caption"] is None
        summary.captions_gone += new["caption"] is None
        summary.captions_changed += old["caption"] is not None and new["caption"] is not None


def _count_words(summary: Summary, old: dict, new: dict) -> None:
    was, now = _words(old), _words(new)
    summary.words += was.total()
    summary.words_added += (now - was).total()
    summary.words_removed += (was - now).total()
    summary.frequency.update(now - was)
    summary.frequency.subtract(was - now)


def _turned(old: dict, new: dict, name: str) -> tuple[int, int]:
    """Whether a flag is raised now and was not, and the other way round, as numbers; what is empty is not raised."""
    was, now = bool(old.get(name)), bool(new.get(name))
    return int(now and not was), int(was and not now)


def _sum(first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int]:
    return first[0] + second[0], first[1] + second[1]


def _words(row: dict) -> Counter[str]:
    words: Iterable[str] = (row["caption"] or "").split()
    return Counter(words)
