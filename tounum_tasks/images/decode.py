"""From the bytes of a file to the upright sRGB pixels of its pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images import decoder_pool
from tounum_tasks.images.decoded_image import DecodedImage
from tounum_tasks.images.formats import ImageFormat, detect_format
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.metadata.embedded import Metadata
from tounum_tasks.metadata.fields import Fields

__all__ = ["DecodedImage", "ImagePages", "decode", "open_image"]


class ImagePages:
    """The pages of a file that :func:`open_image` has opened; safe to be used by several threads."""

    def __init__(self, file: decoder_pool.SharedFile, size: int, limits: ImageLimits) -> None:
        self._file = file
        self._limits = limits
        self._memory = limits.memory_for(size)
        self._seconds_left: float = limits.file_seconds

    def decode(self, page: int = 1) -> DecodedImage:
        """Decode page ``page`` (from 1).

        Raises:
            ItemError: UNSUPPORTED, ENCRYPTED, TRUNCATED, CORRUPT, TOO_MANY_PIXELS, TOO_MANY_PAGES or TOO_COSTLY.
        """
        if page < 1:
            raise ItemError(ErrorCode.CORRUPT, f"the file has no page {page}")
        answer, pixels = self._ask(page)
        assert pixels is not None
        facts = answer["facts"]
        return DecodedImage(rgb=pixels.reshape(answer["shape"]), **{**facts, "format": ImageFormat(facts["format"])})

    def count(self) -> int:
        """Return the number of pages.

        Raises:
            ItemError: as for ``decode``.
        """
        return int(self._ask(0)[0]["pages"])

    def metadata(self, image: DecodedImage) -> Metadata:
        """Return what the file says of a page that was decoded; a file that cannot be read for it says nothing."""
        size = [image.width_px, image.height_px]
        turned = image.exif_orientation not in (None, 1)
        try:
            answer, content = self._ask(image.page, size=size, dpi=image.dpi, turned=turned)
        except ItemError as error:
            return Metadata(left_out=(f"all of it: {error}",))
        rest = b"" if content is None else content.tobytes()
        exif, xmp, iptc = (
            rest[end - length : end] for end, length in zip(accumulate(answer["blocks"]), answer["blocks"], strict=True)
        )
        fields = Fields(**{**answer["fields"], "keywords": tuple(answer["fields"]["keywords"])})
        said = answer["said"]
        return Metadata(exif, xmp, iptc, said["has_profile"], fields, tuple(said["left_out"]))

    def _ask(self, page: int, **more: Any) -> tuple[dict[str, Any], NDArray[np.uint8] | None]:
        if self._seconds_left < 1:
            raise ItemError(
                ErrorCode.TOO_COSTLY,
                f"the pages of this file take more than {self._limits.file_seconds} s of processor time together; "
                "split the file",
            )
        order = {
            "page": page,
            "limits": asdict(self._limits),
            "memory": self._memory,
            "seconds": int(min(self._limits.page_seconds, self._seconds_left)),
            **more,
        }
        answer, pixels = decoder_pool.ask(self._file, order)
        self._seconds_left -= answer["seconds"]
        if "code" in answer:
            raise ItemError(ErrorCode(answer["code"]), answer["message"])
        return answer, pixels


@contextmanager
def open_image(data: bytes, limits: ImageLimits | None = None) -> Iterator[ImagePages]:
    """Open a file once to decode several of its pages: it is handed to its decoder once.

    Args:
        data: the whole file.
        limits: default limits if None.

    Raises:
        ItemError: EMPTY_FILE, NOT_AN_IMAGE or UNSUPPORTED.
    """
    detect_format(data)
    file, size = decoder_pool.SharedFile(data), len(data)
    del data  # the caller may have let go of it
    try:
        yield ImagePages(file, size, limits or ImageLimits())
    finally:
        file.close()


def decode(data: bytes, *, page: int = 1, limits: ImageLimits | None = None) -> DecodedImage:
    """Decode page ``page`` (from 1) of a file; who wants several of its pages calls :func:`open_image`.

    Safe to be called from several threads.

    Raises:
        ItemError: EMPTY_FILE, NOT_AN_IMAGE, UNSUPPORTED, ENCRYPTED, TRUNCATED, CORRUPT, TOO_MANY_PIXELS,
            TOO_MANY_PAGES or TOO_COSTLY.
    """
    with open_image(data, limits) as pages:
        return pages.decode(page)
