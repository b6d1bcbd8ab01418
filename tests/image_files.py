"""Small image files of every kind that is read, with known pixels; shared by the unit tests and the fuzz tests."""

import struct
import time
import zlib
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image

from tounum_tasks.sample import cmyk
from tounum_tasks.sample.delivery import HEIC
from tounum_tasks.sample.dng import dng

_EPOCH = time.gmtime(0)


def picture(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    """Return uint8 HxWx3: smooth colours with a dark corner at the top left, so that turning it shows."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 256, (5, 7, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    pixels[: height // 4, : width // 4] = (10, 20, 30)
    return pixels


def deep_picture(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    """Return uint16 HxWx3 that uses the low bits too."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint16)
    return picture(height, width, seed).astype(np.uint16) * 256 + noise


def saved(pixels: np.ndarray | Image.Image, format: str, **options: Any) -> bytes:
    """Return what Pillow writes."""
    out = BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(out, format, **options)
    return out.getvalue()


def tiff(samples: np.ndarray, **options: Any) -> bytes:
    """Return what tifffile writes."""
    out = BytesIO()
    tifffile.imwrite(out, samples, **options)
    return out.getvalue()


def tiff_pages(pages: list[np.ndarray], **options: Any) -> bytes:
    """Return a TIFF with several pages."""
    out = BytesIO()
    with tifffile.TiffWriter(out) as writer:
        for page in pages:
            writer.write(page, metadata=None, **options)
    return out.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png16(samples: np.ndarray, *extra_chunks: bytes) -> bytes:
    """Return a 16-bit PNG of uint16 HxW or HxWxC samples (grey, grey + alpha, RGB, RGBA)."""
    height, width = samples.shape[:2]
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[1 if samples.ndim == 2 else samples.shape[2]]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
        + b"".join(extra_chunks)
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def jp2(samples: np.ndarray) -> bytes:
    """Return a JPEG 2000 file without loss; uint16 RGB or grey go through OpenCV, which writes 16 bits."""
    if samples.dtype == np.uint8:
        return saved(samples, "JPEG2000")
    blue_first = samples[..., ::-1] if samples.ndim == 3 else samples
    written, data = cv2.imencode(".jp2", blue_first, [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])
    assert written
    return data.tobytes()


def pdf(boxes: list[tuple[float, float]], *, drawn: str = "1 0 0 rg 0 0 20 20 re f") -> bytes:
    """Return a PDF with one page per (width, height) in points, each with a red square at the bottom left."""
    numbers = [3 + index for index in range(len(boxes))]
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(boxes), b" ".join(b"%d 0 R" % n for n in numbers)),
    ]
    content = len(boxes) + 3
    for width, height in boxes:
        box = f"[0 0 {width} {height}]".encode()
        objects.append(b"<< /Type /Page /Parent 2 0 R /MediaBox %s /Contents %d 0 R >>" % (box, content))
    stream = drawn.encode()
    objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    return out + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        count, table, count, len(out),
    )  # fmt: skip


def every_kind(height: int = 40, width: int = 60, seed: int = 0) -> dict[str, bytes]:
    """Return one small valid file of every kind that must be readable, by name with a fitting extension."""
    rgb, deep = picture(height, width, seed), deep_picture(height, width, seed)
    image = Image.fromarray(rgb)
    alpha = np.dstack([rgb, np.linspace(0, 255, rgb.shape[1], dtype=np.uint8)[None].repeat(len(rgb), 0)])
    inks = Image.fromarray(cmyk.separate(rgb), "CMYK")
    bilevel, palette, grey = image.convert("1"), image.quantize(16), image.convert("L")
    return {
        "baseline.jpg": saved(rgb, "JPEG", quality=95, dpi=(300, 300)),
        "progressive.jpg": saved(rgb, "JPEG", progressive=True),
        "grey.jpeg": saved(grey, "JPEG"),
        "cmyk-profile.jpg": saved(inks, "JPEG", icc_profile=cmyk.profile()),
        "cmyk.jpg": saved(inks, "JPEG"),
        "rgb.png": saved(rgb, "PNG"),
        "bilevel.png": saved(bilevel, "PNG"),
        "palette.png": saved(palette, "PNG", transparency=0),
        "grey-alpha.png": saved(Image.fromarray(alpha).convert("LA"), "PNG"),
        "alpha.png": saved(alpha, "PNG"),
        "sixteen.png": png16(deep),
        "sixteen-alpha.png": png16(np.dstack([deep, deep[..., 0]])),
        "sixteen-grey.png": png16(deep[..., 0]),
        "raw.tif": saved(rgb, "TIFF"),
        "lzw.tif": saved(rgb, "TIFF", compression="tiff_lzw"),
        "g4.tif": saved(bilevel, "TIFF", compression="group4"),
        "g3.tif": saved(bilevel, "TIFF", compression="group3"),
        "packbits.tif": saved(grey, "TIFF", compression="packbits"),
        "jpeg.tif": saved(rgb, "TIFF", compression="jpeg"),
        "deflate-tiled.tif": tiff(rgb, photometric="rgb", tile=(16, 16), compression="zlib", predictor=True),
        "palette.tif": saved(palette, "TIFF"),
        "cmyk.tif": saved(inks, "TIFF", icc_profile=cmyk.profile()),
        "lab.tif": saved(Image.merge("LAB", image.split()), "TIFF"),
        "sixteen.tif": tiff(deep, photometric="rgb"),
        "sixteen-planar.tif": tiff(np.moveaxis(deep, -1, 0), photometric="rgb", planarconfig="separate"),
        "sixteen-cmyk.tif": tiff(np.dstack([deep, deep[..., 0]]), photometric="separated"),
        "sixteen-grey-white-zero.tif": tiff(deep[..., 0], photometric="miniswhite"),
        "half-float.tif": tiff((deep / 65535).astype(np.float16), photometric="rgb"),
        "float.tif": tiff((deep / 65535).astype(np.float32), photometric="rgb"),
        "big.tif": tiff(rgb, photometric="rgb", bigtiff=True),
        "big-endian.tif": tiff(deep, photometric="rgb", byteorder=">"),
        "pages.tif": tiff_pages([rgb, rgb[::-1].copy(), rgb[: height // 2].copy()], photometric="rgb"),
        "lossy.webp": saved(rgb, "WEBP", quality=90),
        "lossless-alpha.webp": saved(alpha, "WEBP", lossless=True),
        "rgb.bmp": saved(rgb, "BMP"),
        "bilevel.bmp": saved(bilevel, "BMP"),
        "palette.bmp": saved(palette, "BMP"),
        "palette.gif": saved(palette, "GIF"),
        "moving.gif": saved(palette, "GIF", save_all=True, append_images=[palette.rotate(90, expand=False)]),
        "rgb.ppm": saved(rgb, "PPM"),
        "sixteen-grey.pgm": b"P5 %d %d 65535\n" % (width, height) + deep[..., 0].astype(">u2").tobytes(),
        "rgb.pcx": saved(rgb, "PCX"),
        "lossy.avif": saved(rgb, "AVIF", quality=90, speed=10),
        "rgb.jp2": jp2(rgb),
        "grey.j2k": saved(grey, "JPEG2000", no_jp2=True),
        "sixteen.jp2": jp2(deep),
        "sixteen-grey.jp2": jp2(deep[..., 0]),
        "camera.dng": dng(rgb, preview=np.full((20, 30, 3), (0, 255, 0), np.uint8)),
        "house.heic": HEIC.read_bytes(),
        "two-pages.pdf": pdf([(72, 36), (50, 60)]),
        "scan.pdf": saved(rgb, "PDF", resolution=150, creationDate=_EPOCH, modDate=_EPOCH),
    }  # fmt: skip
