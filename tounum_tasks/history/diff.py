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
    "class": ("label", "confidence", *CLASS_COLUMNS.values(), "is_photo", "needs_review"),
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
        captions_changed, captions_new, captions_gone: photographs with another caption, with one for the first time,
            and without one now.
        words: words of the captions before; ``words_added`` and ``words_removed`` count what changed of them.
        gained, lost: the words that are more and less frequent than before, with the difference.
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
    gained: list[tuple[str, int]] = field(default_factory=list)
    lost: list[tuple[str, int]] = field(default_factory=list)

    def to_json(self) -> dict:
        return {
            **{name: value for name, value in vars(self).items() if name not in ("classes", "models")},
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
    changes, frequency = [], Counter[str]()
    for row in after.to_pylist():
        key = (row["source_path"], row["page"])
        old = earlier[key]
        change = _item_change(key, old, row)
        if change:
            changes.append(change)
            _add_to(summary, change, old, row)
        _count_words(summary, frequency, old, row)
    moved = sorted(frequency.items(), key=lambda entry: (-abs(entry[1]), entry[0]))
    summary.gained = [(word, number) for word, number in moved if number > 0][:MOST_WORDS]
    summary.lost = [(word, number) for word, number in moved if number < 0][:MOST_WORDS]
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
    if old["caption"] != new["caption"]:
        summary.captions_new += old["caption"] is None
        summary.captions_gone += new["caption"] is None
        summary.captions_changed += old["caption"] is not None and new["caption"] is not None


def _count_words(summary: Summary, frequency: Counter[str], old: dict, new: dict) -> None:
    was, now = _words(old), _words(new)
    summary.words += was.total()
    summary.words_added += (now - was).total()
    summary.words_removed += (was - now).total()
    frequency.update(now)
    frequency.subtract(was)


def _words(row: dict) -> Counter[str]:
    words: Iterable[str] = (row["caption"] or "").split()
    return Counter(words)
