"""PDF files that ask for more than a page may: refused, within bounds, and the next file is read all the same."""

import resource
import threading
from dataclasses import replace

import pytest

from tests.image_files import pdf as pdf_file
from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.decode import decode, open_image
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.images.pages import inspect

SMALL = ImageLimits(max_pixels=1_000_000, pdf_dpi=72, page_seconds=1)


def page_count(data: bytes) -> int:
    return inspect(data, limits=ImageLimits()).pages


def form_bomb(levels: int, fan: int) -> bytes:
    """Forms that draw ``fan`` forms each: ``fan ** levels`` drawings in a kilobyte."""

    def stream(content: bytes, head: bytes = b"") -> bytes:
        return b"<<%s/Length %d>>stream\n%s\nendstream" % (head, len(content), content)

    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 100 100]/Contents 4 0 R/Resources<</XObject<</F 5 0 R>>>>>>",
        stream(b"/F Do "),
    ]
    for level in range(levels):
        is_last = level == levels - 1
        below = b"" if is_last else b"/Resources<</XObject<</F %d 0 R>>>>" % (6 + level)
        head = b"/Type/XObject/Subtype/Form/BBox[0 0 100 100]" + below
        objects.append(stream(b"0 0 1 1 re f" if is_last else b"/F Do " * fan, head))
    return assembled(objects)


def assembled(objects: list[bytes]) -> bytes:
    out, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    end = b"trailer<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF\n" % (size, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n" % size + table + end


def test_a_file_that_takes_for_ever_is_ended() -> None:
    with pytest.raises(ItemError) as refused:
        decode(form_bomb(9, 30), limits=SMALL)
    assert refused.value.code == ErrorCode.TOO_COSTLY and "more than 1 s of processor time" in str(refused.value)
    assert page_count(pdf_file([(20.0, 20.0)])) == 1


def test_the_pages_of_a_file_share_a_budget() -> None:
    with open_image(form_bomb(9, 30), replace(SMALL, file_seconds=1)) as pages:
        for sentence in ("more than 1 s of processor time", "together"):
            with pytest.raises(ItemError) as refused:
                pages.decode(1)
            assert refused.value.code == ErrorCode.TOO_COSTLY and sentence in str(refused.value)


def test_a_file_that_takes_all_memory_is_ended() -> None:
    """Far more than the limit, if it were let: a picture of 60,000 x 60,000 pixels in one drawing."""
    picture = (
        b"<</Type/XObject/Subtype/Image/Width 60000/Height 60000/BitsPerComponent 8/ColorSpace/DeviceRGB"
        b"/Filter/RunLengthDecode/Length 2>>stream\n\x81\x00\nendstream"
    )
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 100 100]/Contents 4 0 R/Resources<</XObject<</F 5 0 R>>>>>>",
        b"<</Length 22>>stream\n100 0 0 100 0 0 cm /F Do\nendstream",
        picture,
    ]
    before = _peak_kib()
    try:
        decode(assembled(objects), limits=replace(SMALL, page_seconds=5))  # an empty page, or
    except ItemError as error:
        assert error.code in (ErrorCode.CORRUPT, ErrorCode.TOO_COSTLY)
    assert _peak_kib() - before < 200_000
    assert page_count(pdf_file([(20.0, 20.0)])) == 1


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_what_mail_programs_append_is_left_out() -> None:
    data = pdf_file([(20.0, 20.0)] * 3)
    assert page_count(data + b"\r\n--boundary--\r\nSent from my scanner, as every day.\r\n" * 200) == 3
    with pytest.raises(ItemError) as refused:
        page_count(data + b"\n7 0 obj\n<</Type/Page>>\nendobj\nxr")
    assert refused.value.code == ErrorCode.TRUNCATED


def test_many_threads_get_their_own_answers() -> None:
    counts: list[int] = []
    files = [assembled_pages(number) for number in (1, 2, 3, 4)]
    threads = [threading.Thread(target=lambda data=data: counts.append(page_count(data))) for data in files * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts) == sorted([1, 2, 3, 4] * 5)


def assembled_pages(number: int) -> bytes:
    kids = b" ".join(b"%d 0 R" % (3 + page) for page in range(number))
    pages = [b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 10 10]>>"] * number
    tree = b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, number)
    return assembled([b"<</Type/Catalog/Pages 2 0 R>>", tree, *pages])
