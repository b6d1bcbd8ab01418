"""PDF files: counting and rendering pages with PDFium, inside a decoder's process."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pypdfium2
import pypdfium2.raw
from numpy.typing import NDArray

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.limits import ImageLimits

_POINTS_PER_INCH = 72.0
_CODES = {
    pypdfium2.raw.FPDF_ERR_PASSWORD: (ErrorCode.ENCRYPTED, "the PDF file is protected by a password"),
    pypdfium2.raw.FPDF_ERR_SECURITY: (ErrorCode.ENCRYPTED, "the PDF file is encrypted in an unknown way"),
}
_END = b"%%EOF"
_CONTENT = re.compile(rb"\d+\s+\d+\s+obj\b|endobj|endstream|startxref|\bstream\r?\n|\btrailer\b|\bxref\b")
_MOST_BEHIND_END = 1 << 20


@dataclass(frozen=True)
class RenderedPage:
    """A page as HxWx3 uint8 sRGB, and the resolution that it was rendered at."""

    rgb: NDArray[np.uint8]
    dpi: float


class PdfFile:
    """A PDF file; opened once, for all its pages.

    Raises:
        ItemError: ENCRYPTED, TRUNCATED or CORRUPT.
    """

    def __init__(self, data: Any) -> None:
        try:
            self._document = pypdfium2.PdfDocument(bytes(data[: _end_of(data)]))
        except pypdfium2.PdfiumError as error:
            code, message = _CODES.get(error.err_code or 0, (ErrorCode.CORRUPT, "the PDF file is damaged"))
            raise ItemError(code, message) from error

    def count_pages(self) -> int:
        """Return the number of pages."""
        return len(self._document)

    def information(self) -> dict[str, str]:
        """Return what the file says of itself: Title, Subject, Keywords, CreationDate, ..."""
        return dict(self._document.get_metadata_dict(skip_empty=True))

    def render(self, page: int, limits: ImageLimits) -> RenderedPage:
        """Render page ``page`` (from 1) on white at ``limits.pdf_dpi``, or at what the pixel limit leaves of it.

        Raises:
            ItemError: CORRUPT.
        """
        if not 1 <= page <= len(self._document):
            raise ItemError(ErrorCode.CORRUPT, f"the file has no page {page}")
        sheet = self._document[page - 1]
        width, height = sheet.get_size()
        if not (0 < width < float("inf") and 0 < height < float("inf")):
            raise ItemError(ErrorCode.CORRUPT, "the page has no size")
        scale = _scale(width, height, limits)
        bitmap = sheet.render(scale=scale, rev_byteorder=True, may_draw_forms=False, maybe_alpha=False)
        try:
            rows = np.frombuffer(bitmap.buffer, np.uint8).reshape(bitmap.height, bitmap.stride)
            pixels = rows[:, : bitmap.width * bitmap.n_channels].reshape(bitmap.height, bitmap.width, bitmap.n_channels)
            return RenderedPage(np.array(pixels[..., :3], order="C"), scale * _POINTS_PER_INCH)
        finally:
            bitmap.close()
            sheet.close()


def _scale(width: float, height: float, limits: ImageLimits) -> float:
    """Return pixels per point for a page of ``width`` x ``height`` points."""
    # A page of 40 pixels is 9.600001 points high in many files; PDFium would make 41 rows of it and blur them.
    scale = limits.pdf_dpi / _POINTS_PER_INCH * (1 - 1e-6)
    # Both sides are rounded up, so leave room for one more row and one more column.
    while (width * scale + 1) * (height * scale + 1) > limits.max_pixels:
        scale *= 0.999 * min(1.0, (limits.max_pixels / ((width * scale + 1) * (height * scale + 1))) ** 0.5)
    return scale


def _end_of(data: Any) -> int:
    """Return where a PDF file ends; what mail programs and web servers append is left out.

    PDFium would mend a file that ends early and silently lose the pages whose description is missing.

    Raises:
        ItemError: TRUNCATED.
    """
    end = data.rfind(_END)
    behind = bytes(data[end + len(_END) : end + len(_END) + _MOST_BEHIND_END + 1]).rstrip(b"\0")
    if end < 0 or len(behind) > _MOST_BEHIND_END or _CONTENT.search(behind):
        raise ItemError(ErrorCode.TRUNCATED, "the PDF file ends before its end marker")
    return int(end + len(_END))
