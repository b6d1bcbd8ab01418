"""Where the pixels of files without checksums end in zeros, in the order of the file (see :mod:`~.zero_end`)."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.images import netpbm, zero_end
from tounum_tasks.images.tiff import WITH_END, TiffHeader

_RAW, _PACKBITS = 1, 32773  # PackBits, which may write zeros, lacks pixels where it is cut


def tiff_suspect_end(data: Any, header: TiffHeader) -> float | None:
    """Return the share of a TIFF page behind a cut, by its coded bytes where it is compressed.

    None without a cut, for pages below 8 bits that are not compressed, and for those whose streams have been found
    whole up to their ends.
    """
    if header.compression in WITH_END:
        return None
    if header.compression not in (_RAW, _PACKBITS):
        return zero_end.share_of_coded(bytes(data[start : start + length]) for start, length in _backwards(header))
    if header.compression != _RAW or header.bits not in (8, 16, 32, 64) or not header.segments:
        return None
    planes = header.samples if header.planar else 1
    per_plane = len(header.segments) // planes
    if not per_plane or len(header.segments) % planes:
        return None
    segments = [_segment(data, header, number, per_plane) for number in range(len(header.segments))]
    last = next((number for number in range(len(segments) - 1, -1, -1) if segments[number].any()), None)
    if last is None:
        return None
    plane = slice(last - last % per_plane, last - last % per_plane + per_plane)
    sizes = [segment.shape[0] * segment.shape[1] for segment in segments]
    whole = _whole_before_cut(segments[plane], header)
    return None if whole is None else round(1 - (sum(sizes[: plane.start]) + whole) / sum(sizes), 4)


def _backwards(header: TiffHeader) -> list[tuple[int, int]]:
    return sorted(set(header.segments), reverse=True)


def _whole_before_cut(segments: list[NDArray[np.generic]], header: TiffHeader) -> int | None:
    """Return how many pixels of a plane stand before a cut; None without one."""
    if header.tiled:
        found = zero_end.cut_in_tiles(segments, -(-header.width // header.segment_shape[1]))
        if found is None:
            return None
        tile, row, column = found
        before = sum(segment.shape[0] * segment.shape[1] for segment in segments[:tile])
        return before + row * segments[tile].shape[1] + column
    rows = [row for segment in segments for row in segment]
    cut = zero_end.cut_in_rows(rows.__getitem__, len(rows))
    return None if cut is None else cut[0] * header.width + cut[1]


def _segment(data: Any, header: TiffHeader, number: int, per_plane: int) -> NDArray[np.generic]:
    """Return the samples of a strip or tile as rows x columns, or rows x columns x samples."""
    rows, columns = header.segment_shape
    if not header.tiled:
        rows = max(0, min(rows, header.height - number % per_plane * rows))
    samples = 1 if header.planar else header.samples
    letter = {1: "u", 2: "i", 3: "f"}.get(header.sample_format, "u")
    kind = np.dtype(f"{'>' if header.big_endian else '<'}{letter if header.bits > 8 else 'u'}{header.bits // 8}")
    offset, size = header.segments[number]
    whole = min(rows, size // (columns * samples * kind.itemsize))
    pixels = np.frombuffer(data, kind, whole * columns * samples, offset)
    pixels = pixels.reshape((whole, columns) if samples == 1 else (whole, columns, samples))
    return _inside(pixels, header, number % per_plane) if header.tiled else pixels


def _inside(tile: NDArray[np.generic], header: TiffHeader, number: int) -> NDArray[np.generic]:
    """Return what of a tile lies within the page; the rest is padding."""
    rows, columns = header.segment_shape
    down, right = divmod(number, -(-header.width // columns))
    return tile[: max(0, header.height - down * rows), : max(0, header.width - right * columns)]


def bmp_suspect_end(data: bytes) -> float | None:
    """Return the share of an uncompressed BMP file behind a cut; its rows stand from bottom to top in most files."""
    start, size = struct.unpack_from("<I", data, 10)[0], struct.unpack_from("<I", data, 14)[0]
    if size == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    height = abs(height)
    stride = (width * bits + 31) // 32 * 4
    if bits not in (8, 24, 32) or compression not in (0, 3) or start + stride * height > len(data):
        return None
    rows = np.frombuffer(data, np.uint8, stride * height, start).reshape(height, stride)
    pixels = rows[:, : width * bits // 8].reshape(height, width, bits // 8)
    return zero_end.share_of(zero_end.cut_in_rows(pixels.__getitem__, height), height, width)


def pcx_suspect_end(rgb: NDArray[np.uint8]) -> float | None:
    """Return the share of a PCX file behind a cut, by its decoded pixels: zeros are black in its run lengths.

    A row holds its reds, then its greens, then its blues.
    """
    height, width = rgb.shape[:2]
    cut = zero_end.cut_in_rows(lambda number: rgb[number].T.reshape(-1), height)
    return zero_end.share_of(cut, height, 3 * width)


def pnm_suspect_end(data: bytes) -> float | None:
    """Return the share of a raw PNM file behind a cut."""
    header = netpbm.read_header(data)
    if header.kind not in ("P5", "P6", "P7", "Pf", "PF"):
        return None
    kind = {8: "u1", 16: ">u2", 32: "<f4" if header.maximum < 0 else ">f4"}[header.bits]
    count = header.width * header.height * header.samples
    pixels = np.frombuffer(data, kind, count, header.start).reshape(header.height, header.width, header.samples)
    cut = zero_end.cut_in_rows(pixels.__getitem__, header.height)
    return zero_end.share_of(cut, header.height, header.width)
