"""A small CMYK printing condition: its ICC profile, and the separation of sRGB pictures for it.

Profiles of real presses may not be passed on freely, so the sample batch and the tests bring their own. The colours
of the inks and of their overprints are typical of offset printing; mixtures follow the Neugebauer equations with the
Demichel weights (J. A. C. Yule, "Principles of Color Reproduction", 1967, chapter 10).
"""

import itertools
import struct

import numpy as np
from numpy.typing import NDArray

_GRID = 9
# sRGB of paper, inks and overprints, by which of C, M and Y are printed; black ink leaves a twentieth of each.
_OVERPRINTS = {
    (0, 0, 0): (255, 255, 255), (1, 0, 0): (0, 158, 224), (0, 1, 0): (230, 0, 126), (0, 0, 1): (255, 237, 0),
    (1, 1, 0): (49, 39, 131), (0, 1, 1): (227, 6, 19), (1, 0, 1): (0, 150, 64), (1, 1, 1): (40, 38, 36),
}  # fmt: skip
_BLACK_LEAVES = 0.05
_RGB_TO_XYZ_D50 = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
_D50 = np.array([0.9642, 1.0, 0.8249])


def _to_linear(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _from_linear(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055)


def _printed(inks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the linear RGB (0..1) of ink coverages ``inks`` (..., 4) in 0..1."""
    total = np.zeros((*inks.shape[:-1], 3))
    for overprint, colour in _OVERPRINTS.items():
        weight = np.ones(inks.shape[:-1])
        for channel, printed in enumerate(overprint):
            weight = weight * (inks[..., channel] if printed else 1 - inks[..., channel])
        total += weight[..., None] * _to_linear(np.array(colour) / 255)
    return total * (1 - (1 - _BLACK_LEAVES) * inks[..., 3:])


def separate(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the inks (uint8 HxWx4, 255 = full) that print uint8 HxWx3 sRGB ``rgb`` as well as they can."""
    target = rgb / 255.0
    black = 0.6 * np.maximum(0, 1 - target.max(axis=-1, keepdims=True)) ** 2
    inks = np.concatenate([1 - target, black], axis=-1)
    for _ in range(12):  # each ink is corrected by the error of the colour that it mainly absorbs
        error = _from_linear(_printed(inks)) - target
        inks[..., :3] = np.clip(inks[..., :3] + 0.5 * error, 0, 1)
    return np.round(inks * 255).astype(np.uint8)


def profile() -> bytes:
    """Return the ICC profile (version 2.4, output class, CMYK to Lab by a table of 9 x 9 x 9 x 9 colours)."""
    steps = np.linspace(0, 1, _GRID)
    inks = np.array(list(itertools.product(steps, repeat=4)))
    ratios = (_printed(inks) @ _RGB_TO_XYZ_D50.T) / _D50
    roots = np.where(ratios > 0.008856, np.cbrt(ratios), 7.787 * ratios + 16 / 116)
    lightness = 116 * roots[:, 1] - 16
    lab = np.stack(
        [lightness * 2.55, 500 * (roots[:, 0] - roots[:, 1]) + 128, 200 * (roots[:, 1] - roots[:, 2]) + 128], axis=-1
    )
    table = np.clip(np.round(lab), 0, 255).astype(np.uint8).tobytes()
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(0x10000 if i % 4 == 0 else 0 for i in range(9)))
    lut = b"mft1" + bytes(4) + bytes([4, 3, _GRID, 0]) + identity + ramp * 4 + table + ramp * 3
    name = b"TouNum sample press"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + bytes(1 + 4 + 4 + 2 + 1 + 67),
        b"cprt": b"text" + bytes(4) + b"No copyright, use freely\0",
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in _D50)),
        b"A2B0": lut,
    }
    return _with_header(tags)


def _with_header(tags: dict[bytes, bytes]) -> bytes:
    """Put the tags behind a header (ICC.1:2001-04, sections 6.1 and 6.2)."""
    directory, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for signature, content in tags.items():
        directory += struct.pack(">4sII", signature, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    size = start + len(body)
    header = struct.pack(
        ">I4sI4s4s4s6H4s", size, bytes(4), 0x02400000, b"prtr", b"CMYK", b"Lab ", 2026, 1, 1, 0, 0, 0, b"acsp"
    )
    header += bytes(28) + struct.pack(">3i", *(round(v * 65536) for v in _D50))
    return header.ljust(128, b"\0") + directory + body
