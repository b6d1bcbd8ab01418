"""Mutated image files: the same count and seed always give the same files.

``python -m tests.fuzz FOLDER`` decodes every page of every file in FOLDER and prints one line before and one line
after each, so that the file which brings the process down is known.
"""

import itertools
import json
import os
import random
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

from tests.image_files import every_kind, pdf, png_chunk

Mutation = Callable[[bytes, random.Random], bytes]

# Names as they come from all over the world, and as nobody should write them. None is refused by a file system.
ODD_NAMES = (
    "图像", "写真 コピー", "사진", "фото №5", "φωτογραφία", "صورة", "תמונה", "चित्र", "ภาพถ่าย", "Ħ́ȩ̃ľļõ", "🖼️🔥", "ﬁle",
    "<img src=x onerror=alert(1)>", "<script>alert('x')<", "&lt;b&gt; & 'quotes' \"double\"", "a;rm -rf ~",
    "$(touch x)", "%2e%2e%2f", "..hidden..", "-rf", "--help", "con", "NUL", "name.tar", "scan (1)", "a" * 200,
    "é" * 100, "e\u0301",
    "new\nline", "tab\there", "bell\x07", "right\u202eto-left", "back\\slash", "=cmd|' /C calc'!A0", "null", "~",
    "trailing ", "trailing.", "#hash?query=1", "{{ jinja }}", "{% raw %}", "%s%n", "C:", "*?|", "zero\u200bwidth",
)  # fmt: skip


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _flip_bits(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 24)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _change_header(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        changed[rng.randrange(min(len(changed), 256))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(changed)


def _change_end(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        changed[-rng.randint(1, min(len(changed), 256))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(changed)


def _fill_end_with_zeros(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))].ljust(len(data), b"\0")


def _overwrite(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    block = rng.randbytes(rng.randint(1, 200)) if rng.random() < 0.5 else bytes(rng.randint(1, 200))
    return data[:at] + block + data[at + len(block) :]


def _remove(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randint(1, 100) :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.randint(1, 100)) + data[at:]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    at, size = rng.randrange(len(data)), rng.randint(1, 64)
    return data[:at] + data[at : at + size] * rng.randint(2, 50) + data[at + size :]


def _extreme_number(data: bytes, rng: random.Random) -> bytes:
    """Put a number that programs stumble over somewhere, in either byte order."""
    number = rng.choice((0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 65_500, 100_000))
    at = rng.randrange(len(data))
    size = 4 if number > 0xFFFF else rng.choice((2, 4))
    return data[:at] + number.to_bytes(size, rng.choice(("big", "little"))) + data[at + size :]


def _swap_blocks(data: bytes, rng: random.Random) -> bytes:
    first, second, end = sorted(rng.randrange(len(data) + 1) for _ in range(3))
    return data[:first] + data[second:end] + data[first:second] + data[end:]


def _swap_chunks(data: bytes, rng: random.Random) -> bytes:
    """Change the order of whole parts, as far as the format has any: their lengths and checksums stay right."""
    cuts = _chunk_bounds(data)
    if len(cuts) < 4:
        return _swap_blocks(data, rng)
    parts = [data[start:end] for start, end in itertools.pairwise(cuts)]
    one, other = rng.sample(range(len(parts)), 2)
    parts[one], parts[other] = parts[other], parts[one]
    return data[: cuts[0]] + b"".join(parts) + data[cuts[-1] :]


def _chunk_bounds(data: bytes) -> list[int]:
    """Where the parts of a PNG, JPEG, RIFF or boxed file begin, and where the last one ends."""
    at, bounds = _FIRST_CHUNK.get(data[:2], 0), []
    while at + 8 <= len(data):
        bounds.append(at)
        if data[:2] == b"\xff\xd8":
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big") if data[at] == 0xFF else len(data)
        elif data[:2] == b"\x89P":
            at += 12 + int.from_bytes(data[at : at + 4], "big")
        elif data[:2] == b"RI":
            at += 8 + (int.from_bytes(data[at + 4 : at + 8], "little") + 1) // 2 * 2
        else:
            at += int.from_bytes(data[at : at + 4], "big") or len(data)
    return bounds


_FIRST_CHUNK = {b"\x89P": 8, b"\xff\xd8": 2, b"RI": 12}


def _splice(data: bytes, rng: random.Random) -> bytes:
    """Put the beginning of another file, often of another format, before the rest of this one."""
    other = rng.choice(_donors())
    size = rng.choice((8, 16, 32, 64, 256, len(other) // 2))
    return other[:size] + data[size:]


@lru_cache
def _donors() -> list[bytes]:
    return list(every_kind().values())


def _declare_huge(data: bytes, rng: random.Random) -> bytes:
    """Put a large number where a small one stands that may be a side, a count or a length."""
    order: Literal["big", "little"] = rng.choice(("big", "little"))
    size = rng.choice((2, 4))
    places = [
        at for at in range(min(len(data), 4096) - size + 1) if 0 < int.from_bytes(data[at : at + size], order) < 200
    ]
    if not places:
        return _extreme_number(data, rng)
    at = rng.choice(places)
    number = rng.choice((5_000, 30_000, 65_535) if size == 2 else (5_000, 30_000, 100_000, 2**28, 2**31 - 1, 2**32 - 1))
    return data[:at] + number.to_bytes(size, order) + data[at + size :]


def _seal_png(data: bytes, rng: random.Random) -> bytes:
    """Mend the checksums of a PNG after a mutation, so that the damage gets as far as the decoder."""
    data = rng.choice((_flip_bits, _change_header, _overwrite, _extreme_number))(data, rng)
    out, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            break
        out += png_chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + length])
        at += 12 + length
    return bytes(out) + png_chunk(b"IEND", b"")


MUTATIONS: tuple[Mutation, ...] = (
    _truncate, _truncate, _flip_bits, _flip_bits, _change_header, _change_header, _change_end, _fill_end_with_zeros,
    _overwrite, _remove, _insert, _repeat, _extreme_number, _extreme_number, _swap_blocks, _swap_chunks, _splice,
    _declare_huge, _declare_huge,
)  # fmt: skip


def bombs() -> dict[str, bytes]:
    """Return small files that promise, or really unpack to, far more than they should."""
    kinds = every_kind()
    wide_png = bytearray(kinds["rgb.png"])
    struct.pack_into(">II", wide_png, 16, 2**31 - 1, 2**31 - 1)
    wide_png[29:33] = struct.pack(">I", zlib.crc32(wide_png[12:29]))
    row = bytes(3 * 30_000 + 1)
    flat = zlib.compressobj(9)
    real_png = (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
        + png_chunk(b"IDAT", b"".join(flat.compress(row) for _ in range(2_000)) + flat.flush())
        + png_chunk(b"IEND", b"")
    )
    jpeg = bytearray(kinds["baseline.jpg"])
    struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, 65_500, 65_500)
    gif = bytearray(kinds["palette.gif"])
    struct.pack_into("<HH", gif, 6, 65_535, 65_535)
    gif_frame = bytearray(kinds["palette.gif"])
    struct.pack_into("<HH", gif_frame, gif_frame.rindex(b",\0\0\0\0") + 5, 65_535, 65_535)
    bmp = bytearray(kinds["rgb.bmp"])
    struct.pack_into("<ii", bmp, 18, 2**31 - 1, -(2**31))
    j2k = bytearray(kinds["grey.j2k"])
    struct.pack_into(">II", j2k, 8, 2**32 - 1, 2**32 - 1)
    tif = bytearray(kinds["raw.tif"])
    (directory,) = struct.unpack_from("<I", tif, 4)
    for tag in range(struct.unpack_from("<H", tif, directory)[0]):
        at = directory + 2 + 12 * tag
        if struct.unpack_from("<H", tif, at)[0] in (256, 257):
            struct.pack_into("<HII", tif, at + 2, 4, 1, 2**31)
    scan = kinds["progressive.jpg"]
    first_scan = scan.index(b"\xff\xda")
    webp = b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + (2**24 - 1).to_bytes(3, "little") * 2 + bytes(40)
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9))
    return {
        "huge.png": bytes(wide_png),
        "unpacks-to-gigabytes.png": real_png,
        "huge-comment.png": kinds["rgb.png"][:33] + text + kinds["rgb.png"][33:],
        "huge.jpg": bytes(jpeg),
        "huge.gif": bytes(gif),
        "huge-frame.gif": bytes(gif_frame),
        "huge.bmp": bytes(bmp),
        "huge.j2k": bytes(j2k),
        "huge.tif": bytes(tif),
        "huge.webp": webp,
        "huge.pdf": pdf([(1e9, 1e9)]),
        "endless.pdf": pdf([(100, 100)], drawn="q " * 100_000 + "0 0 99 99 re f"),
        "scans.jpg": scan[:-2] + scan[first_scan:-2] * 1_500 + scan[-2:],
        "pages.tif": struct.pack("<2sHI", b"II", 42, 8)
        + b"".join(struct.pack("<HHHIII", 1, 254, 4, 1, 0, 8 + 18 * (n + 1)) for n in range(20_000))
        + bytes(18),
    }


NO_IMAGES = {
    "empty.jpg": b"",
    "zeros.tif": bytes(4096),
    "letter.png": b"Sehr geehrte Damen und Herren,\n" * 40,
    "page.gif": b"<!DOCTYPE html><html><body>404 not found</body></html>",
    "archive.jpeg": b"PK\x03\x04" + bytes(200),
    "one-byte.bmp": b"B",
    "program.webp": b"\x7fELF" + bytes(500),
}


def mutations(kinds: Mapping[str, bytes], rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents without end: each of ``kinds`` in turn, mutated, and now and then whole but misnamed."""
    for number, kind in enumerate(itertools.cycle(sorted(kinds))):
        stem, _, ending = kind.rpartition(".")
        data = kinds[kind]
        choice = rng.random()
        if choice < 0.04:
            ending = rng.choice(("jpg", "png", "tif", "gif", "pdf", "txt", "JPG", ""))
        elif ending == "png" and choice < 0.6:
            data = _seal_png(data, rng)
        else:
            for _ in range(rng.choice((1, 1, 2, 3))):
                data = rng.choice(MUTATIONS)(data, rng) or data[:1]
        yield f"{stem}-{number:04d}{'.' if ending else ''}{ending}", data


def write_mutated_batch(folder: Path, count: int, seed: int) -> list[Path]:
    """Write ``count`` files (at least 60) into ``folder`` and below, and return their paths in a fixed order.

    Among them are bombs, files that are no images, whole images under wrong endings, and odd names in several
    scripts; all others are mutations of small images of every kind. Some names must be refused by an intake that is
    careful (line breaks, backslashes, text direction overrides).
    """
    rng = random.Random(seed)
    contents: list[tuple[str, bytes]] = [*bombs().items(), *NO_IMAGES.items()]
    contents += itertools.islice(mutations(every_kind(), rng), max(0, count - len(contents)))
    paths = []
    for number, (name, data) in enumerate(contents):
        if number % 10 == 9:
            odd = ODD_NAMES[number // 10 % len(ODD_NAMES)]
            name = f"{odd} {number:04d}{Path(name).suffix}"
        path = folder / (("", "box 1", "box 1/Ordner ü", "<b>")[number % 4]) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        paths.append(path)
    return paths


def decode_all(folder: Path) -> None:
    """Decode every page of every file below ``folder``; print a JSON line before and after each file."""
    from tounum_tasks.errors import ItemError
    from tounum_tasks.images.decode import decode
    from tounum_tasks.images.limits import ImageLimits
    from tounum_tasks.images.pages import inspect

    limits = ImageLimits(max_pixels=4_000_000, max_pages=50, pdf_dpi=100)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = os.fsencode(path).decode("utf-8", "backslashreplace")
        print(json.dumps({"begins": name}), flush=True)
        data, outcomes = path.read_bytes(), []
        try:
            pages = inspect(data, path.name, limits=limits).pages
        except ItemError as error:
            outcomes.append(error.code)
            pages = 1  # decode must cope with what inspect refuses, too
        for page in range(1, pages + 1):
            try:
                decoded = decode(data, page=page, limits=limits)
                assert decoded.rgb.dtype == "uint8" and decoded.rgb.ndim == 3 and decoded.rgb.shape[2] == 3
                assert decoded.rgb.flags.c_contiguous and 0 < decoded.rgb.size <= 3 * limits.max_pixels
                outcomes.append("decoded")
            except ItemError as error:
                assert str(error).isprintable()
                outcomes.append(error.code)
        print(json.dumps({"ends": name, "outcomes": outcomes}), flush=True)


if __name__ == "__main__":
    decode_all(Path(sys.argv[1]))
