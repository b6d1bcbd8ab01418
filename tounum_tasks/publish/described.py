"""What files beside the images say of them: XMP sidecars and tables, laid over what the images say themselves."""

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tounum_tasks.items import Sidecar
from tounum_tasks.metadata import table
from tounum_tasks.metadata.fields import FIELDS, Fields, plain
from tounum_tasks.metadata.xmp import MAX_SIDECAR_BYTES, Xmp, xmp_fields
from tounum_tasks.steps.originals import read_sidecar
from tounum_tasks.steps.sidecars import xmp_sidecars
from tounum_tasks.store.base import Storage

log = logging.getLogger(__name__)

READERS = 8


@dataclass
class Described:
    """What is said of the images of one batch, by source_path; ``everywhere`` are faults that concern all of them."""

    fields: dict[str, Fields] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    everywhere: list[str] = field(default_factory=list)

    def laid_over(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return a row of a manifest with what is said of its image, before what the image says itself."""
        image = row["source_path"]
        own: dict[str, Any] = {name: row.get(name) for name in FIELDS}
        own["keywords"] = tuple(own["keywords"] or ())
        said = self.fields.get(image, Fields()).completed_by(Fields(**own))
        left_out = [*(row.get("metadata_left_out") or ()), *self.faults.get(image, ()), *self.everywhere]
        return {**row, **vars(said), "keywords": list(said.keywords), "metadata_left_out": left_out}


def described(
    lake: Storage,
    sidecars: list[Sidecar],
    images: list[str],
    worked_on: Collection[str],
    columns: Mapping[str, str],
    batch_name: str,
) -> Described:
    """Return what the sidecars of a batch say of its images; tables come before XMP.

    Args:
        images: source_paths of all of them.
        worked_on: those of which it is wanted.
        columns: of tables, by what they mean; none: tables are not read.

    Raises:
        EnvironmentFault: a sidecar is gone from the lake, or damaged there.
    """
    found = Described()
    if columns:
        for sidecar in sidecars:
            if sidecar.source_path.casefold().endswith(table.SUFFIXES):
                _read_table(lake, sidecar, images, columns, batch_name, found)
    chosen = {image: sidecar for image, sidecar in xmp_sidecars(sidecars).items() if image in worked_on}
    with ThreadPoolExecutor(READERS) as pool:
        contents = pool.map(lambda sidecar: read_sidecar(lake, sidecar), chosen.values())
        for (image, sidecar), content in zip(chosen.items(), contents, strict=True):
            try:
                said = xmp_fields(Xmp.parse(content, MAX_SIDECAR_BYTES))
            except ValueError as error:
                found.faults[image].append(f"{sidecar.source_path}: {error}")
            else:
                found.fields[image] = found.fields.get(image, Fields()).completed_by(said)
    return found


def _read_table(
    lake: Storage, sidecar: Sidecar, images: list[str], columns: Mapping[str, str], batch_name: str, found: Described
) -> None:
    try:
        read = table.read_table(read_sidecar(lake, sidecar), columns)
    except ValueError as error:
        found.everywhere.append(f"{sidecar.source_path} {error}")
        log.warning("%s %s.", sidecar.source_path, error)
        return
    if read is None:
        log.info(
            "%s has none of the columns of TOUNUM_METADATA_COLUMNS: it says nothing of images.", sidecar.source_path
        )
        return
    if read.assumed:
        log.warning("%s is not UTF-8: it was read as %s. Save it as UTF-8.", sidecar.source_path, read.assumed)
    by_name: dict[str, list[str]] = defaultdict(list)
    for image in images:
        for spelling in table.spellings(image):
            by_name[spelling].append(image)
    folder = table.same_name(sidecar.source_path).rpartition("/")[0]
    named = 0
    for name, fields in read.rows.items():
        meant = table.files_of(name, by_name, f"{folder}/" if folder else "", table.same_name(batch_name))
        if not meant and len(by_name.get(name, ())) > 1:
            read.notes.append(f"names {name}, which lies in several folders: write its path")
        named += len(meant)
        for image in meant:
            found.fields[image] = found.fields.get(image, Fields()).completed_by(fields)
    if read.rows and not named and not read.notes:
        first = plain(next(iter(read.rows)))
        read.notes.append(f"names none of the images; its first file is {first}: write names as delivered")
    found.everywhere += [f"{sidecar.source_path} {note}" for note in read.notes]
    for note in read.notes:
        log.warning("%s %s.", sidecar.source_path, note)
