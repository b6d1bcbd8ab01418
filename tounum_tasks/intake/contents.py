"""What the files of a batch are, once they lie in the lake: images with their pages, and what stands beside them."""

from collections.abc import Mapping, Sequence

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.pages import inspect
from tounum_tasks.intake.journal import Journal, validated
from tounum_tasks.intake.readiness import FileState
from tounum_tasks.intake.sidecars import describes, is_sidecar
from tounum_tasks.items import Item, Sidecar
from tounum_tasks.settings import Settings
from tounum_tasks.store.base import Storage
from tounum_tasks.visible import display_name


def sidecars_of(lake: Storage, journal: Journal, digests: Mapping[str, str]) -> list[Sidecar]:
    """Return what stands beside the images of a batch, in order of path; ``digests`` are the sha256 of its files."""
    beside = [file for file in journal.listing.files if is_sidecar(file.path, lake, journal.original(file.path))]
    paths = {file.path for file in beside}
    found = describes(paths, [file.path for file in journal.listing.files if file.path not in paths])
    return [
        Sidecar(
            source_path=display_name(file.path),
            describes=[display_name(image) for image in found[file.path]],
            bytes=file.size,
            sha256=digests[file.path],
            original=journal.original(file.path),
        )
        for file in beside
    ]


def items_of(
    lake: Storage, journal: Journal, digests: Mapping[str, str], sidecars: Sequence[Sidecar], settings: Settings
) -> list[Item]:
    """Make one item per page of every file that is no sidecar, in order of path, and mark what stands twice."""
    beside = {sidecar.original for sidecar in sidecars}
    images = [file for file in journal.listing.files if journal.original(file.path) not in beside]
    files = [(file, *_inspect(lake, journal, file, settings)) for file in images]
    # Airflow maps a limited number of shards: a very large batch gets larger ones.
    shard_size = max(settings.shard_size, -(-sum(pages for _, _, pages, _ in files) // settings.max_shards))
    items: list[Item] = []
    first_with: dict[str, str] = {}
    for file, image_format, pages, error in files:
        digest, source_path = digests[file.path], display_name(file.path)
        duplicate_of = first_with.get(digest)
        first_with.setdefault(digest, source_path)
        for page in range(1, pages + 1):
            items.append(
                Item(
                    batch_id=journal.batch_id,
                    batch_date=journal.batch_date,
                    batch_name=journal.listing.name,
                    source_path=source_path,
                    page=page,
                    pages=pages,
                    image_id=digest if pages == 1 else f"{digest}-p{page:04d}",
                    sha256=digest,
                    bytes=file.size,
                    format=image_format,
                    original=journal.original(file.path),
                    shard=len(items) // shard_size,
                    duplicate_of=duplicate_of,
                    error_code=error.code if error else None,
                    error_message=str(error) if error else None,
                )
            )
    return items


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
