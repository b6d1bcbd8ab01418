"""What the files of a batch are, once they lie in the lake: images with their pages, and what stands beside them."""

import hashlib
import math
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Lock

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.fixity.statements import Statement, Statements
from tounum_tasks.images.pages import inspect
from tounum_tasks.intake.journal import Journal, validated
from tounum_tasks.intake.readiness import FileState
from tounum_tasks.intake.side_by_side import side_by_side
from tounum_tasks.intake.sidecars import describes, is_sidecar
from tounum_tasks.items import Item, Sidecar
from tounum_tasks.settings import Settings
from tounum_tasks.store.base import Storage
from tounum_tasks.visible import display_name

READ_ALONE_BYTES = 8 * 2**20  # larger files are in memory one at a time


@dataclass(frozen=True)
class Copy:
    """What was copied of a file: its ``sha256``, what the delivery said of it, and how it differs from that."""

    sha256: str
    stated: Statement | None = None
    differs: ItemError | None = None


@dataclass(frozen=True)
class _File:
    """A file that there is or should be, as all its items have it; ``sha256`` is empty for one that is missing."""

    path: str
    bytes: int
    sha256: str
    stated: Statement | None
    format: str | None
    pages: int
    error: ItemError | None


def sidecars_of(
    lake: Storage, journal: Journal, copies: Mapping[str, Copy], settings: Settings, lists: Collection[str] = ()
) -> list[Sidecar]:
    """Return what stands beside the images of a batch, in order of path.

    Args:
        copies: every file of the batch, by path.
        lists: paths of files that are sidecars whatever they are called: checksum lists.
    """
    files = journal.listing.files

    def is_beside(file: FileState) -> bool:
        if copies[file.path].differs:  # it has a row that says so
            return False
        return file.path in lists or is_sidecar(file.path, lake, journal.original(file.path))

    beside = [
        file for file, found in zip(files, side_by_side(is_beside, files, settings.files_at_once), strict=True) if found
    ]
    paths = {file.path for file in beside}
    found = describes(paths, [file.path for file in files if file.path not in paths])
    return [
        Sidecar(
            source_path=display_name(file.path),
            describes=[display_name(image) for image in found[file.path]],
            bytes=file.size,
            sha256=copies[file.path].sha256,
            original=journal.original(file.path),
            **_checksum(copies[file.path].stated),
        )
        for file in beside
    ]


def items_of(
    lake: Storage,
    journal: Journal,
    copies: Mapping[str, Copy],
    sidecars: Sequence[Sidecar],
    stated: Statements,
    settings: Settings,
) -> list[Item]:
    """Make one item per page of every file that is no sidecar, and mark what stands twice; one per missing file.

    They are in order of path. Without any file that is there and no sidecar, there are none.
    """
    beside = {sidecar.original for sidecar in sidecars}
    images = [file for file in journal.listing.files if journal.original(file.path) not in beside]
    if not images:
        return []
    large = Lock()

    def inspected(file: FileState) -> _File:
        with large if file.size > READ_ALONE_BYTES else nullcontext():
            return _inspected(lake, journal, file, copies[file.path], settings)

    files = side_by_side(inspected, images, settings.files_at_once)
    files = sorted([*files, *_missing_files(journal, stated)], key=lambda file: os.fsencode(file.path))
    # Airflow's scheduler slows with each shard, and maps a limited number: a large batch gets larger ones.
    most = min(settings.batch_shards, settings.max_shards)
    shard_size = max(settings.shard_size, math.ceil(sum(file.pages for file in files) / most))
    items: list[Item] = []
    first_with: dict[str, str] = {}
    for file in files:
        digest, source_path = file.sha256, display_name(file.path)
        duplicate_of = first_with.get(digest) if digest else None
        first_with.setdefault(digest, source_path)
        for page in range(1, file.pages + 1):
            items.append(
                Item(
                    batch_id=journal.batch_id,
                    batch_date=journal.batch_date,
                    batch_name=journal.listing.name,
                    source_path=source_path,
                    page=page,
                    pages=file.pages,
                    image_id=_image_id(journal, file, page),
                    sha256=digest,
                    bytes=file.bytes,
                    format=file.format,
                    original=journal.original(file.path),
                    shard=len(items) // shard_size,
                    duplicate_of=duplicate_of,
                    error_code=file.error.code if file.error else None,
                    error_message=str(file.error) if file.error else None,
                    **_checksum(file.stated),
                )
            )
    return items


def _image_id(journal: Journal, file: _File, page: int) -> str:
    """What an image is known by; one that is missing, of which there are no bytes, by its batch and name."""
    if not file.sha256:
        return hashlib.sha256(os.fsencode(f"missing\0{journal.batch_id}\0{file.path}")).hexdigest()
    return file.sha256 if file.pages == 1 else f"{file.sha256}-p{page:04d}"


def _checksum(stated: Statement | None) -> dict[str, str]:
    return {"checksum": stated.text, "checksum_source": display_name(stated.source)} if stated else {}


def _missing_files(journal: Journal, stated: Statements) -> list[_File]:
    """What the delivery lists and does not have, but for names that in print are those of files that are there."""
    there = {display_name(file.path) for file in journal.listing.files}
    found: dict[str, _File] = {}
    for path, said in stated.missing.items():
        error = ItemError(
            ErrorCode.MISSING, f"'{display_name(said.source)}' lists the file, and it was not delivered; deliver it"
        )
        if display_name(path) not in there:
            found.setdefault(display_name(path), _File(path, 0, "", said, None, 1, error))
    return list(found.values())


def _inspected(lake: Storage, journal: Journal, file: FileState, copy: Copy, settings: Settings) -> _File:
    image_format, pages, error = None, 1, copy.differs
    if error is None:
        image_format, pages, error = _inspect(lake, journal, file, settings)
    return _File(file.path, file.size, copy.sha256, copy.stated, image_format, pages, error)


def _inspect(
    lake: Storage, journal: Journal, file: FileState, settings: Settings
) -> tuple[str | None, int, ItemError | None]:
    """Return format, number of pages, and what is wrong with the file as a whole."""
    try:
        validated(journal.listing, file.path)
        if file.size > settings.max_file_bytes:
            raise ItemError(
                ErrorCode.FILE_TOO_LARGE, f"the file has {file.size} bytes; the limit is {settings.max_file_bytes}"
            )
        info = inspect(lake.read_bytes(journal.original(file.path)), file.path, limits=settings.image_limits())
    except ItemError as error:
        return None, 1, error
    return info.format, info.pages, None
