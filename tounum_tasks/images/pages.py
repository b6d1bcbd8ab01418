"""What a file is and how many pages it has, from its header alone."""

from dataclasses import dataclass

from tounum_tasks.images import tiff_pages
from tounum_tasks.images.decode import open_image
from tounum_tasks.images.formats import ImageFormat, detect_format
from tounum_tasks.images.headers import header_size
from tounum_tasks.images.limits import ImageLimits, hostile_input

__all__ = ["FileInfo", "ImageFormat", "detect_format", "inspect"]


@dataclass(frozen=True)
class FileInfo:
    """The header of a file.

    Attributes:
        format: by content; the extension of the name plays no part.
        pages: 1 but for TIFF and PDF files; pages are numbered from 1.
    """

    format: ImageFormat
    pages: int


def inspect(data: bytes, name: str = "", *, limits: ImageLimits) -> FileInfo:
    """Read the header of a file: its format and its number of pages. Nothing is decoded.

    Animated GIF, PNG, WebP and AVIF files count as one page, their first frame. Thumbnails and masks inside a TIFF
    are no pages. The size of a page of a TIFF or PDF is checked when that page is decoded, so that one page
    which is too large does not cost the others.

    Raises:
        ItemError: EMPTY_FILE, NOT_AN_IMAGE, UNSUPPORTED, ENCRYPTED, TRUNCATED, CORRUPT, TOO_MANY_PAGES,
            TOO_MANY_PIXELS or TOO_COSTLY.
    """
    found = detect_format(data, name)
    pages = 1
    with hostile_input(found):
        if found in (ImageFormat.PDF, ImageFormat.RAW):
            with open_image(data, limits) as file:
                pages = file.count()
        elif found is ImageFormat.TIFF:
            pages = len(tiff_pages.page_offsets(data, limits))
        else:
            limits.check_size(*header_size(data, found))
    limits.check_pages(pages)
    return FileInfo(found, pages)
