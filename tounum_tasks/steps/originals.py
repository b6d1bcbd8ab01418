"""The original files of items: each is read, compared with the register and handed to its decoders once."""

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from tounum_tasks.errors import EnvironmentFault, ErrorCode, ItemError
from tounum_tasks.images.decode import DecodedImage, ImagePages, open_image
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.items import Item, Sidecar
from tounum_tasks.metadata.embedded import Metadata
from tounum_tasks.plan import RunPlan
from tounum_tasks.settings import Settings
from tounum_tasks.store.base import Storage


@dataclass
class _OpenFile:
    """A file, or what is wrong with it; ``users`` are the threads that decode pages of it at this moment."""

    pages: ImagePages | None = None
    error: ItemError | None = None
    users: int = 0
    closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Originals:
    """Originals of one batch. Who goes through its items in order reads each file once, whatever its number of pages.

    Safe to be used by several threads: a file stays open while one of them needs it, and the last one in any case.
    """

    def __init__(self, lake: Storage) -> None:
        self.lake = lake
        self._lock = threading.Lock()
        self._files: dict[tuple[str, ImageLimits], _OpenFile] = {}

    def decode(self, item: Item, limits: ImageLimits) -> DecodedImage:
        """Return the page of an item.

        Raises:
            EnvironmentFault: the original is gone.
            ItemError: it is not what was taken in, or cannot be decoded.
        """
        with self._used(item, limits) as pages:
            return pages.decode(item.page)

    def decode_with_metadata(self, item: Item, limits: ImageLimits) -> tuple[DecodedImage, Metadata]:
        """Return the page of an item, and what the file says of it.

        Raises:
            EnvironmentFault, ItemError: as for ``decode``; metadata are never the reason.
        """
        with self._used(item, limits) as pages:
            image = pages.decode(item.page)
            return image, pages.metadata(image)

    @contextlib.contextmanager
    def _used(self, item: Item, limits: ImageLimits) -> Iterator[ImagePages]:
        """Context in which the file of an item stays open."""
        key = item.original, limits
        with self._lock:
            file = self._files.pop(key, None) or _OpenFile()
            self._files[key] = file  # the last one is the newest
            file.users += 1
        try:
            yield self._pages(file, item, limits)
        finally:
            with self._lock:
                file.users -= 1
                self._close_unused(but_last=True)

    def _pages(self, file: _OpenFile, item: Item, limits: ImageLimits) -> ImagePages:
        with file.lock:
            if file.error:
                raise file.error
            if file.pages is None:
                try:
                    file.pages = file.closing.enter_context(open_image(read_original(self.lake, item), limits))
                except ItemError as error:
                    file.error = error
                    raise
            return file.pages

    def _close_unused(self, *, but_last: bool) -> None:
        for key in list(self._files)[: -1 if but_last else None]:
            if not self._files[key].users:
                self._files.pop(key).closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._close_unused(but_last=False)


def read_original(lake: Storage, item: Item) -> bytes:
    """Return the bytes of an original.

    Raises:
        EnvironmentFault: it is gone.
        ItemError: ORIGINAL_DAMAGED, if it is not what was taken in; MISSING, if it was never delivered.
    """
    if item.error_code == ErrorCode.MISSING:
        raise ItemError(ErrorCode.MISSING, item.error_message or "the file was not delivered")
    try:
        data = lake.read_bytes(item.original)
    except FileNotFoundError as error:
        raise EnvironmentFault(f"{lake.url(item.original)} is gone: restore it, then run again.") from error
    if hashlib.sha256(data).hexdigest() != item.sha256:
        raise ItemError(
            ErrorCode.ORIGINAL_DAMAGED, "the original in the lake is not what was taken in: restore it from a backup"
        )
    return data


def copy_original(lake: Storage, item: Item, bucket: Storage, path: str, *, as_it_is: bool = False) -> str:
    """Copy an original to ``path`` of a bucket, and return the sha256 of the copy.

    Args:
        as_it_is: also if it is not what was taken in, for people to look at.

    Raises:
        EnvironmentFault: it is gone.
        DamagedFile: it is not what was taken in; nothing was written.
    """
    try:
        return bucket.copy_from(lake, item.original, path, sha256=None if as_it_is else item.sha256)[0]
    except FileNotFoundError as error:
        raise EnvironmentFault(f"{lake.url(item.original)} is gone: restore it, then run again.") from error


def read_sidecar(lake: Storage, sidecar: Sidecar) -> bytes:
    """Return the bytes of a file that was delivered beside images.

    Raises:
        EnvironmentFault: it is gone, or not what was taken in.
    """
    try:
        data = lake.read_bytes(sidecar.original)
    except FileNotFoundError as error:
        raise EnvironmentFault(f"{lake.url(sidecar.original)} is gone: restore it, then run again.") from error
    if hashlib.sha256(data).hexdigest() != sidecar.sha256:
        raise EnvironmentFault(f"{lake.url(sidecar.original)} is not what was taken in: restore it, then run again.")
    return data


def limits_of(plan: RunPlan, item: Item, settings: Settings) -> ImageLimits:
    """Return the limits of a run; how many pages a file may have was decided when it was registered."""
    limits = settings.image_limits()
    return replace(limits, max_pixels=plan.max_pixels, max_pages=item.pages, pdf_dpi=plan.pdf_dpi)
