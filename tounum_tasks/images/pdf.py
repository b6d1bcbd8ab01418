"""PDF files: counting and rendering pages with PDFium."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pypdfium2
import pypdfium2.raw
from numpy.typing import NDArray

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.limits import ImageLimits

_POINTS_PER_INCH = 72.0
_TAIL = 2048  # the end marker belongs into the last kilobyte; be generous to what mail programs append
_LOCK = threading.Lock()  # PDFium must not be called from two threads at once


@dataclass(frozen=True)
class RenderedPage:
    """A page as HxWx3 uint8 sRGB, and the resolution that it was rendered at."""

    rgb: NDArray[np.uint8]
    dpi: float


def page_count(data: bytes) -> int:
    """Return the number of pages.

    Raises:
        ItemError: ENCRYPTED, TRUNCATED or CORRUPT.
    """
    with _open(data) as document:
        return len(document)


def render(data: bytes, page: int, limits: ImageLimits) -> RenderedPage:
    """Render page ``page`` (from 1) on white at ``limits.pdf_dpi``, or at what the pixel limit leaves of it.

    Raises:
        ItemError: ENCRYPTED, TRUNCATED or CORRUPT.
    """
    with _open(data) as document:
        if not 1 <= page <= len(document):
            raise ItemError(ErrorCode.CORRUPT, f"the file has no page {page}")
        sheet = document[page - 1]
        width, height = sheet.get_size()
        if not (0 < width < float("inf") and 0 < height < float("inf")):
            raise ItemError(ErrorCode.CORRUPT, "the page has no size")
        # A page of 40 pixels is 9.600001 points high in many files; PDFium would make 41 rows of it and blur them.
        scale = limits.pdf_dpi / _POINTS_PER_INCH * (1 - 1e-6)
        # Both sides are rounded up, so leave room for one more row and one more column.
        while (width * scale + 1) * (height * scale + 1) > limits.max_pixels:
            scale *= 0.999 * min(1.0, (limits.max_pixels / ((width * scale + 1) * (height * scale + 1))) ** 0.5)
        bitmap = sheet.render(scale=scale, rev_byteorder=True, may_draw_forms=False, maybe_alpha=False)
        try:
            rgb = np.array(bitmap.to_numpy()[..., :3], dtype=np.uint8, order="C")
        finally:
            bitmap.close()
            sheet.close()
    return RenderedPage(rgb, scale * _POINTS_PER_INCH)


@contextmanager
def _open(data: bytes) -> Iterator[pypdfium2.PdfDocument]:
    """Open a document while no other thread uses PDFium."""
    if b"%%EOF" not in data.rstrip(b"\0\r\n\t ")[-_TAIL:]:
        # PDFium would mend such a file and silently lose the pages whose description is missing.
        raise ItemError(ErrorCode.TRUNCATED, "the PDF file ends before its end marker")
    with _LOCK:
        try:
            document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
                raise ItemError(ErrorCode.ENCRYPTED, "the PDF file is protected by a password") from error
            if error.err_code == pypdfium2.raw.FPDF_ERR_SECURITY:
                raise ItemError(ErrorCode.ENCRYPTED, "the PDF file is encrypted in an unknown way") from error
            raise ItemError(ErrorCode.CORRUPT, "the PDF file is damaged") from error
        try:
            yield document
        finally:
            document.close()
