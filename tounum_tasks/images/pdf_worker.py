"""The process in which PDF files are opened: what one of them can do to it, it does to this process alone.

A file of a kilobyte can ask for hours and for all memory there is (forms that draw forms that draw forms), and PDFium
cannot be interrupted. So every order has a limit of its own on processor time and on memory; who exceeds it is ended by
the system, and the parent makes an error of the file of it.

Orders come on standard input: a line of JSON, then the bytes of the file. Answers go to standard output likewise. The
script imports nothing of TouNum, so that it starts fast and knows no setting and no secret.
"""

import json
import resource
import sys
import time
from typing import Any

import pypdfium2
import pypdfium2.raw

POINTS_PER_INCH = 72.0
BASE_BYTES = 2 << 30
BYTES_PER_PIXEL = 12  # the bitmap, and its copy on the way out
CODES = {
    pypdfium2.raw.FPDF_ERR_PASSWORD: ("encrypted", "the PDF file is protected by a password"),
    pypdfium2.raw.FPDF_ERR_SECURITY: ("encrypted", "the PDF file is encrypted in an unknown way"),
}


def main() -> None:
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while line := source.readline():
        order = json.loads(line)
        _limit(order)
        try:
            head, content = _obey(order, source.read(order["bytes"]))
        except MemoryError:
            return  # as if the system had ended us
        except Exception as error:  # noqa: BLE001 - whatever it is, the parent says it of the file
            head, content = {"exception": f"{type(error).__name__}: {error}"}, b""
        sink.write(json.dumps(head).encode() + b"\n")
        sink.write(content)
        sink.flush()


def _limit(order: dict[str, Any]) -> None:
    memory = BASE_BYTES + 3 * order["bytes"] + BYTES_PER_PIXEL * order["max_pixels"]
    seconds = int(time.process_time()) + 1 + order["seconds"]
    for kind, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _obey(order: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        code, message = CODES.get(error.err_code or 0, ("corrupt", "the PDF file is damaged"))
        return {"code": code, "message": message}, b""
    try:
        if not order["page"]:
            return {"pages": len(document)}, b""
        return _render(document, order["page"], order["max_pixels"], order["dpi"])
    finally:
        document.close()


def _render(document: Any, page: int, max_pixels: int, dpi: float) -> tuple[dict[str, Any], bytes]:
    if not 1 <= page <= len(document):
        return {"code": "corrupt", "message": f"the file has no page {page}"}, b""
    sheet = document[page - 1]
    width, height = sheet.get_size()
    if not (0 < width < float("inf") and 0 < height < float("inf")):
        return {"code": "corrupt", "message": "the page has no size"}, b""
    # A page of 40 pixels is 9.600001 points high in many files; PDFium would make 41 rows of it and blur them.
    scale = dpi / POINTS_PER_INCH * (1 - 1e-6)
    # Both sides are rounded up, so leave room for one more row and one more column.
    while (width * scale + 1) * (height * scale + 1) > max_pixels:
        scale *= 0.999 * min(1.0, (max_pixels / ((width * scale + 1) * (height * scale + 1))) ** 0.5)
    bitmap = sheet.render(scale=scale, rev_byteorder=True, may_draw_forms=False, maybe_alpha=False)
    try:
        shape = [bitmap.height, bitmap.width, bitmap.stride, bitmap.n_channels]
        return {"shape": shape, "dpi": scale * POINTS_PER_INCH}, bytes(bitmap.buffer)
    finally:
        bitmap.close()
        sheet.close()


if __name__ == "__main__":
    main()
