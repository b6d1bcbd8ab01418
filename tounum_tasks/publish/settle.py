"""Bringing the buckets in line with a manifest: what it names lies there, and no other copy of its items does.

Runs of different settings and models put their items into the same buckets before any of them is published, and every
one may be killed at any moment. So nothing is taken away before a manifest is committed, and whatever is out of line
is mended by whoever publishes or restores the batch next.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import pyarrow as pa

from tounum_tasks.batches import in_batches
from tounum_tasks.classify.labels import PHOTO
from tounum_tasks.errors import ConfigurationError, DamagedFile, EnvironmentFault, ItemError, UnreadableFile
from tounum_tasks.images.decode import decode
from tounum_tasks.images.encode import encode
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.items import Item, ItemKey, Sidecar, read_sidecars, require_items
from tounum_tasks.manifest.schema import EARLIER_NAMES
from tounum_tasks.publish.rows import ROWS_AT_ONCE, rows_of
from tounum_tasks.quality.metrics import measure
from tounum_tasks.restore.engine import Engine
from tounum_tasks.restore.enhance import AUTO_ENGINE, enhance
from tounum_tasks.settings import Settings
from tounum_tasks.steps import measure_and_enhance, route
from tounum_tasks.steps.measure_and_enhance import enhanced_path
from tounum_tasks.steps.originals import Originals, copy_original, read_sidecar
from tounum_tasks.steps.pins import engine_named
from tounum_tasks.steps.places import NON_PHOTOS, Place, Places, photo_content, reason_content
from tounum_tasks.steps.shard import Cache
from tounum_tasks.steps.sidecars import SAID_IN_SIDECARS, is_ours, sidecar_content, xmp_sidecars
from tounum_tasks.store.base import Storage
from tounum_tasks.store.open import open_storage

log = logging.getLogger(__name__)

READERS = 8  # photographs that are read back at once

COLUMNS = (
    "source_path", "page", "label", "is_photo", "width_px", "height_px", "dpi", "enhancement_method",
    "enhancement_operations",
    "enhancement_accepted", "blur_laplacian_var_after", "destination_uri", "error_code", "error_message",
    "fingerprint_measure_and_enhance", "fingerprint_route", "restorer_version",
)  # fmt: skip


@dataclass(frozen=True)
class Settling:
    """What settling a batch came to: numbers of files."""

    put: int
    replaced: int
    removed: int


@dataclass(frozen=True)
class BatchFiles:
    """The files of one batch in all buckets.

    Args:
        batch_date: its date.
        batch_id: its id.
        settings: name the buckets; what lies in buckets that they do not name any more is left alone.
        certain: leave nothing to chance: photographs of which the stage cache does not know any more how they were are
            made again and compared. A run can do without: it has just computed its own, or takes them as they are.
    """

    batch_date: str
    batch_id: str
    settings: Settings
    certain: bool = False

    def put_missing(self, table: pa.Table) -> int:
        """Put everything that a manifest names and that does not lie there; return the number of files.

        Nothing is replaced. If it must be ``certain``, what would have to be is made once, so that an error is known
        before the manifest is committed rather than after.

        Raises:
            ConfigurationError: something lies in a bucket that the settings do not name, and that must be ``certain``.
            EnvironmentFault: an original is gone or damaged, or enhanced pixels cannot be made again as they were.
        """
        put, known = 0, self._sha256(table)
        with self._originals:
            for row, place in self._named(table):
                if place.uri not in self._present:
                    self._put(row, place)
                    put += 1
                elif self.certain and self._is_other(row, place, known):
                    self._made(row, place)
        return put

    def place_of(self, row: dict, bucket: str) -> tuple[str, str]:
        """Return where the image of a row lies if it belongs to this class or bucket, and that route's fingerprint."""
        item = self._items[row["source_path"], row["page"]]
        is_enhanced = bool(row["enhancement_accepted"])
        place = (
            self._places.of_photo(item, enhanced=is_enhanced)
            if bucket == PHOTO
            else self._places.among_non_photos(item, bucket)
        )
        return place.uri, route.fingerprint_for(item, bucket, measured=row["fingerprint_measure_and_enhance"])

    def settle(self, table: pa.Table) -> Settling:
        """Put what is missing, replace what is not as it should be, and remove copies that the manifest does not name.

        Args:
            table: the rows of the manifest that is current: that were committed.
        """
        kept: set[str] = set()
        missing: list[tuple[dict, Place]] = []
        others: list[tuple[dict, Place]] = []
        known = self._sha256(table)
        with self._originals:
            for named in in_batches(self._named(table), ROWS_AT_ONCE):
                kept.update(place.uri for _, place in named)
                missing += [(row, place) for row, place in named if place.uri not in self._present]
                others += self._others(named, known)
            for row, place in missing:
                self._put(row, place)
            for row, place in others:
                place.storage.write_bytes(place.path, self._made(row, place))
        put, replaced = len(missing), len(others)
        removed = self._remove_others(kept)
        if put or replaced or removed:
            log.info(
                "%d copies put where the manifest says, %d replaced, %d of earlier classes or settings removed.",
                put, replaced, removed,
            )  # fmt: skip
        return Settling(put, replaced, removed)

    # What there is

    @cached_property
    def _lake(self) -> Storage:
        return open_storage(self.settings.lake_root)

    @cached_property
    def _originals(self) -> Originals:
        return Originals(self._lake)

    @cached_property
    def _items(self) -> dict[ItemKey, Item]:
        return {item.key: item for item in require_items(self._lake, self.batch_date, self.batch_id)}

    @cached_property
    def _delivered(self) -> dict[str, Sidecar]:
        """The XMP sidecars that came with the originals."""
        return xmp_sidecars(read_sidecars(self._lake, self.batch_date, self.batch_id))

    @cached_property
    def _places(self) -> Places:
        originals = frozenset(item.original for item in self._items.values())
        return Places(self.settings, originals)

    @cached_property
    def _present(self) -> dict[str, Place]:
        """Every file of the batch in the buckets, by its URL."""
        batch = f"{self.batch_date}/{self.batch_id}"
        non_photos = open_storage(self.settings.non_photos_root)
        roots = [Place(non_photos, f"{bucket.lower()}/{batch}") for bucket in NON_PHOTOS]
        roots += [Place(self._lake, f"photos/{batch}"), Place(open_storage(self.settings.quarantine_root), batch)]
        return {place.uri: place for root in roots for place in _files_below(root)}

    def _sha256(self, table: pa.Table) -> dict[str, str]:
        """What belongs at each destination, by fingerprint of the route, as far as the stage cache still says so."""
        wanted: dict[int, list[str]] = {}
        columns = (table[name].to_pylist() for name in ("source_path", "page", "fingerprint_route"))
        for path, page, fingerprint in zip(*columns, strict=True):
            if fingerprint:
                wanted.setdefault(self._items[path, page].shard, []).append(fingerprint)
        found = {}
        for shard, fingerprints in wanted.items():
            folder = f"stages/route/{self.batch_date}/{self.batch_id}/shard-{shard:04d}"
            rows = Cache(self._lake, folder, route.SCHEMA).rows(fingerprints, ["fingerprint", "sha256"])
            found.update({fingerprint: row["sha256"] for fingerprint, row in rows.items()})
        return found

    # What there should be

    def _named(self, table: pa.Table) -> Iterator[tuple[dict, Place]]:
        """Yield the rows of a manifest with the place that each names, if it is one of today's buckets."""
        columns = [name for name in (*COLUMNS, *SAID_IN_SIDECARS) if name in table.column_names]
        for row in rows_of(table.select(list(dict.fromkeys(columns)))):
            item = self._items[row["source_path"], row["page"]]
            place = next((place for place in self._places.all_of(item) if place.uri == row["destination_uri"]), None)
            if place is not None:
                yield row, place
                if row["label"] is None:
                    yield row, self._places.of_reason(item)
                elif row["is_photo"] and self.settings.write_captions == "sidecar":
                    yield row, self._sidecar_place(row)
            elif row["destination_uri"] and self.certain:
                raise ConfigurationError(
                    f"{row['destination_uri']} lies in none of the configured buckets: set TOUNUM_LAKE_ROOT, "
                    "TOUNUM_NON_PHOTOS_ROOT and TOUNUM_QUARANTINE_ROOT as they were when it was put there."
                )

    def _others(self, named: list[tuple[dict, Place]], known: dict[str, str]) -> list[tuple[dict, Place]]:
        """Return the photographs that lie there and are not those that the manifest describes; reads all of them."""

        def is_other(entry: tuple[dict, Place]) -> bool:
            return entry[1].uri in self._present and self._is_other(*entry, known)

        with ThreadPoolExecutor(READERS) as pool:
            return [entry for entry, other in zip(named, pool.map(is_other, named), strict=True) if other]

    def _is_other(self, row: dict, place: Place, known: dict[str, str]) -> bool:
        """Whether a photograph is not the one that the manifest describes; everywhere else lies the original."""
        if not row["is_photo"]:
            return False
        if place == self._sidecar_place(row):
            try:
                there = place.storage.read_bytes(place.path)
            except UnreadableFile as fault:
                log.warning("%s It may be of another program, so it stays as it is.", fault)
                return False
            except DamagedFile:  # it cannot be read
                return True
            return is_ours(there) and there != self._made(row, place)
        item = self._items[row["source_path"], row["page"]]
        wanted = known.get(row["fingerprint_route"])
        if wanted is None and item.pages == 1 and not row["enhancement_accepted"]:
            wanted = item.sha256
        if wanted is None and self.certain:
            wanted = hashlib.sha256(self._photo(row)).hexdigest()
        try:
            return wanted is not None and place.storage.sha256(place.path) != wanted
        except DamagedFile:  # it cannot be read
            return True

    def _put(self, row: dict, place: Place) -> None:
        item = self._items[row["source_path"], row["page"]]
        if row["is_photo"]:
            place.storage.write_bytes(place.path, self._made(row, place))
        elif place == self._places.of_reason(item):
            place.storage.write_bytes(place.path, reason_content(item, row["error_code"], row["error_message"]))
        else:
            copy_original(self._lake, item, place.storage, place.path, as_it_is=row["label"] is None)
        self._present[place.uri] = place

    def _remove_others(self, kept: set[str]) -> int:
        """Remove every copy of the batch's items that is not in ``kept``; files of other people stay."""
        removed = 0
        for item in self._items.values():
            for place in self._places.all_of(item):
                if place.uri in self._present and place.uri not in kept and not self._is_foreign(item, place):
                    place.storage.remove(place.path)
                    del self._present[place.uri]
                    removed += 1
        return removed

    def _is_foreign(self, item: Item, place: Place) -> bool:
        """Whether a sidecar lies there that a person's program wrote beside a photograph."""
        sidecars = [self._places.of_sidecar(item, enhanced=enhanced) for enhanced in (False, True)]
        try:
            return place in sidecars and not is_ours(place.storage.read_bytes(place.path))
        except DamagedFile as fault:
            log.warning("%s It may be of another program, so it stays as it is.", fault)
            return True

    def _gone(self, item: Item) -> EnvironmentFault:
        return EnvironmentFault(f"{self._lake.url(item.original)} is gone: restore it, then run again.")

    # Photographs

    def _sidecar_place(self, row: dict) -> Place:
        item = self._items[row["source_path"], row["page"]]
        return self._places.of_sidecar(item, enhanced=bool(row["enhancement_accepted"]))

    def _made(self, row: dict, place: Place) -> bytes:
        """What lies at one of the places of a photograph: its pixels, or its sidecar."""
        if place != self._sidecar_place(row):
            return self._photo(row)
        delivered = self._delivered.get(row["source_path"])
        return sidecar_content(row, read_sidecar(self._lake, delivered) if delivered else None)

    def _photo(self, row: dict) -> bytes:
        item = self._items[row["source_path"], row["page"]]
        try:
            enhanced = self._enhanced(row, item) if row["enhancement_accepted"] else None
            return photo_content(self._originals, item, enhanced, row["dpi"], self._limits(row, item))
        except FileNotFoundError as error:
            raise self._gone(item) from error
        except ItemError as error:
            raise EnvironmentFault(f"{item.source_path} page {item.page}: {error}.") from error

    def _enhanced(self, row: dict, item: Item) -> bytes:
        """The file with the enhanced pixels, from the stage cache or made again from the original."""
        kept = self._kept_enhanced(row, item)
        if kept is not None:
            return kept
        image, metadata = self._originals.decode_with_metadata(item, self._limits(row, item))
        again = enhance(
            image.rgb, mode=row["enhancement_method"], before=measure(image.rgb), engine=self._engine(row, item)
        )
        if (
            list(again.operations) != row["enhancement_operations"]
            or round(again.after.blur_laplacian_var, 2) != row["blur_laplacian_var_after"]
        ):
            raise EnvironmentFault(
                f"{item.source_path} page {item.page} cannot be enhanced again as it was: TouNum or its settings "
                "have changed since, and the stage cache does not have it any more. Run the batch again instead."
            )
        return encode(again.rgb, format=image.format, dpi=image.dpi, metadata=metadata)

    def _kept_enhanced(self, row: dict, item: Item) -> bytes | None:
        """The file from the stage cache, if it is there and whole."""
        fingerprint, shard = row["fingerprint_measure_and_enhance"], f"shard-{item.shard:04d}"
        batch = f"{self.batch_date}/{self.batch_id}/{shard}"
        cache = Cache(self._lake, f"stages/measure_and_enhance/{batch}", measure_and_enhance.SCHEMA)
        kept = cache.rows([fingerprint]).get(fingerprint)
        if kept and kept["enhanced"]:
            return measure_and_enhance.read_enhanced(self._lake, kept)
        # Earlier releases noted no hash: there, what can be decoded to its end is whole.
        earlier = f"stages/{EARLIER_NAMES['measure_and_enhance']}/{batch}"
        try:
            content = self._lake.read_bytes(enhanced_path(earlier, fingerprint, item.format or ""))
            decode(content, limits=self._limits(row, item))
        except (FileNotFoundError, DamagedFile, ItemError):
            return None
        return content

    def _engine(self, row: dict, item: Item) -> Engine:
        """The engine with the restorer that enhanced an image; what manifests before it was named used is not known."""
        if row["enhancement_method"] != "auto" or not row["restorer_version"]:
            return AUTO_ENGINE
        try:
            return engine_named(row["restorer_version"], self.settings)
        except ConfigurationError as error:
            raise EnvironmentFault(
                f"{item.source_path} page {item.page} cannot be enhanced again as it was, and the stage cache does not "
                f"have it any more: {error}"
            ) from error

    def _limits(self, row: dict, item: Item) -> ImageLimits:
        """Limits that let through what was let through before."""
        pixels = max(self.settings.max_pixels, (row["width_px"] or 0) * (row["height_px"] or 0))
        # The resolution of a PDF's row is the one at which its page was rendered.
        dpi = row["dpi"] if item.format == "pdf" and row["dpi"] else self.settings.pdf_dpi
        return replace(self.settings.image_limits(), max_pixels=pixels, max_pages=item.pages, pdf_dpi=dpi)


def _files_below(root: Place) -> Iterable[Place]:
    for entry in root.storage.list_folder(root.path):
        place = Place(root.storage, f"{root.path}/{entry.name}")
        if entry.kind == "folder":
            yield from _files_below(place)
        elif entry.kind == "file":
            yield place
