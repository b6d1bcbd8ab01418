"""Finding the batch dates whose manifests were made with other models than a nightly run would use today."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from tounum_tasks.errors import DamagedFile
from tounum_tasks.fingerprint import fingerprint
from tounum_tasks.items import register_path
from tounum_tasks.manifest.models import MODEL_COLUMNS, distinct, version_of
from tounum_tasks.manifest.published import manifest_gone, published_and_gone, read_columns
from tounum_tasks.plan import RunRequest
from tounum_tasks.settings import Settings
from tounum_tasks.steps.pins import pin_models
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage

log = logging.getLogger(__name__)

Order = Literal["oldest", "newest"]
TRIED = "registers/reprocess.json"


@dataclass(frozen=True)
class Work:
    """What a run of ``tounum_reprocess`` has to do.

    Attributes:
        dates: batch dates, in the order in which they are to be processed.
        left: how many more there are.
        target: short name of the set of models that the manifests are to be made with.
    """

    dates: list[str]
    left: int
    target: str


def wanted_models(settings: Settings) -> dict[str, str]:
    """Return the model versions that a nightly run with default parameters would use now, as manifests name them.

    Raises:
        ConfigurationError: a model is missing or damaged.
    """
    return {name: version_of(pin) for name, pin in pin_models(RunRequest(run_id="reprocess"), settings).items()}


def differences(table: pa.Table, wanted: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return by name the models that made rows of a manifest and are not those wanted: found, wanted."""
    found = {name: distinct(table, column) for name, column in MODEL_COLUMNS.items()}
    return {
        name: (" and ".join(versions), wanted[name])
        for name, versions in found.items()
        if any(version != wanted[name] for version in versions)
    }


def outdated_dates(settings: Settings, wanted: Mapping[str, str]) -> list[str]:
    """Return the batch dates of which at least one manifest was made with other models, oldest first."""
    lake = open_storage(settings.lake_root)
    published, gone = published_and_gone(lake)
    found: set[str] = set()
    for batch in gone:
        log.error("%s", manifest_gone(lake, batch))
        if lake.exists(register_path(batch.batch_date, batch.batch_id)):  # else no run can install it again
            found.add(batch.batch_date)
    for batch in published:
        try:
            table = read_columns(lake, batch.batch_date, batch.batch_id, list(MODEL_COLUMNS.values()))
        except DamagedFile as fault:
            log.error("%s", fault)
            found.add(batch.batch_date)  # a run of that date makes it whole from the history
            continue
        if table is None:
            continue
        for name, (versions, version) in differences(table, wanted).items():
            log.info("%s of %s: %s %s, not %s.", batch.batch_id, batch.batch_date, name, versions, version)
            found.add(batch.batch_date)
    return sorted(found)


def choose(settings: Settings, *, order: Order, at_most: int) -> Work:
    """Return the dates that one run works on.

    Dates that an earlier run tried for the same models and that are outdated still, because something fails there every
    time, come last, so that they never keep the others out.
    """
    lake = open_storage(settings.lake_root)
    wanted = wanted_models(settings)
    target = fingerprint(**wanted)[:8]
    dates = outdated_dates(settings, wanted)
    if order == "newest":
        dates.reverse()
    tried = _tried(lake, target)
    dates.sort(key=lambda date: date in tried)  # stable: otherwise the order stays
    chosen = dates[:at_most]
    if chosen:
        content = {"target": target, "dates": sorted({*tried, *chosen})}
        lake.write_bytes(TRIED, json.dumps(content).encode())
    names = ", ".join(f"{name} {version}" for name, version in wanted.items())
    log.info("Runs use %s. Batch dates made with others: %d; now: %s.", names, len(dates), ", ".join(chosen) or "none")
    return Work(chosen, len(dates) - len(chosen), target)


def count_outdated(settings: Settings) -> int:
    """Return how many batch dates have manifests that were made with other models."""
    return len(outdated_dates(settings, wanted_models(settings)))


def _tried(lake: Storage, target: str) -> set[str]:
    try:
        content = json.loads(lake.read_bytes(TRIED))
        return set(content["dates"]) if content["target"] == target else set()
    except FileNotFoundError:
        return set()
    except (ValueError, KeyError, TypeError):
        log.warning("%s is damaged: all dates count as not tried.", lake.url(TRIED))
        return set()
