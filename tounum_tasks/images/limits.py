"""What one file may ask of this machine, and what happens when a decoder fails on it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tounum_tasks.errors import ErrorCode, ItemError

_OUT_OF_MEMORY = re.compile("failed to allocate|insufficient memory|out of memory", re.IGNORECASE)  # OpenCV, libavif
_ENDS_EARLY = re.compile("truncated|not enough image data", re.IGNORECASE)
BYTES_PER_PIXEL = 8  # 16 bits RGBA: the most that a scanner gives


@dataclass(frozen=True)
class ImageLimits:
    """Limits on one file, checked against its header before anything is decoded.

    Attributes:
        max_pixels: most pixels of one page (width x height).
        max_pages: most pages of one TIFF or PDF file.
        pdf_dpi: resolution at which PDF pages are rendered; lowered for pages that would exceed
            ``max_pixels``.
        page_seconds: processor time that one page may take.
        file_seconds: processor time that all pages of a file may take together, as long as it is open.
        decode_memory: bytes that a decoder may use beyond what the file and ``max_pixels`` need.
    """

    max_pixels: int = 100_000_000
    max_pages: int = 2_000
    pdf_dpi: float = 300.0
    page_seconds: int = 60
    file_seconds: int = 3_600
    decode_memory: int = 2 << 30

    def check_size(self, width: int, height: int) -> None:
        """Raise ItemError if a page of ``width`` x ``height`` pixels may not be decoded."""
        if width < 1 or height < 1:
            raise ItemError(ErrorCode.CORRUPT, f"the header gives an impossible size of {width} x {height} pixels")
        if width * height > self.max_pixels:
            raise ItemError(
                ErrorCode.TOO_MANY_PIXELS,
                f"{width} x {height} pixels are more than the limit of {self.max_pixels}",
            )

    def check_samples(self, width: int, height: int, bytes_per_pixel: float) -> None:
        """Raise ItemError if the samples of a page would take more than 8 bytes (16 bits RGBA) for every pixel
        allowed.
        """
        if width * height * bytes_per_pixel > BYTES_PER_PIXEL * self.max_pixels:
            raise ItemError(
                ErrorCode.TOO_MANY_PIXELS,
                f"{width} x {height} pixels of {bytes_per_pixel:g} bytes each are more than the limit of "
                f"{BYTES_PER_PIXEL * self.max_pixels} bytes",
            )

    def memory_for(self, size: int) -> int:
        """Return how many bytes the decoder of a file of ``size`` bytes may use."""
        return self.decode_memory + 3 * size + 2 * BYTES_PER_PIXEL * self.max_pixels

    def check_pages(self, pages: int) -> None:
        """Raise ItemError if a file may not have so many pages (0 is not allowed either)."""
        if pages < 1:
            raise ItemError(ErrorCode.CORRUPT, "the file holds no page")
        if pages > self.max_pages:
            raise ItemError(ErrorCode.TOO_MANY_PAGES, f"the file has more than {self.max_pages} pages")


@contextmanager
def hostile_input(format_name: str) -> Iterator[None]:
    """Turn whatever a third-party decoder raises inside into an ItemError.

    The only place of the package that catches every exception: decoders answer damaged files with anything
    from SyntaxError and struct.error to RecursionError and MemoryError, and one bad file must never stop a
    batch.

    Raises:
        ItemError: TOO_COSTLY if memory is short, UNSUPPORTED or TRUNCATED if the decoder says that it does not read
            such files or that data is missing, else CORRUPT.
    """
    try:
        yield
    except ItemError:
        raise
    except Exception as error:
        reason = _sanitised(error)
        if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(reason):
            raise ItemError(
                ErrorCode.TOO_COSTLY,
                f"the {format_name} decoder asks for more memory than it may use; convert the file",
            ) from error
        if "unsupported" in reason.lower():
            raise ItemError(
                ErrorCode.UNSUPPORTED,
                f"{format_name} files of this kind are not read ({reason}); convert it to TIFF or PNG",
            ) from error
        code = ErrorCode.TRUNCATED if _ENDS_EARLY.search(reason) else ErrorCode.CORRUPT
        raise ItemError(code, f"the {format_name} data cannot be decoded ({reason})") from error


def _sanitised(error: Exception) -> str:
    """Return one short line of printable ASCII: no addresses (they differ from run to run), no file contents."""
    words = re.sub(r"0x[0-9a-fA-F]+|<[^>]*>|b'[^']*'|b\"[^\"]*\"", "", str(error).split("\n")[0])
    text = re.sub(r"[^ -~]+", "?", words)
    text = re.sub(r"[^\w ,.:;()'+/=-]+", "", text)
    return re.sub(r"\s+", " ", f"{type(error).__name__}: {text}").strip(" :")[:160]
