"""Photographs and pages that are degraded on purpose, to measure what restores them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

DEGRADED = ("noise 10", "noise 25", "blur 1", "blur 1.6", "blur1.2+n5", "jpeg 30")
"""Degradations of which the mean is judged."""

DEGRADATIONS = ("clean", *DEGRADED, "grey noise 10", "camera")

BLURS = {"blur 1": 1.0, "blur 1.6": 1.6, "blur1.2+n5": 1.2}
"""Standard deviation of the Gaussian blur in pixels."""


def degraded(rgb: NDArray[np.uint8], kind: str, seed: int) -> NDArray[np.uint8]:
    """Return a degraded copy of a picture, rounded to uint8 as a scanner or camera would store it.

    ``camera`` stands for photographs at a high sensitivity: noise of photons and of the sensor on a Bayer pattern,
    demosaicked, compressed as JPEG of quality 92.
    """
    random = np.random.default_rng([seed, DEGRADATIONS.index(kind)])
    if kind == "jpeg 30":
        return _jpeg(rgb, 30)
    if kind == "camera":
        return _jpeg(_through_a_camera(rgb, random), 92)
    pixels = rgb.astype(np.float32)
    if kind.startswith("noise"):
        pixels += random.normal(0, float(kind.split()[1]), pixels.shape)
    elif kind.startswith("grey noise"):
        pixels += random.normal(0, float(kind.split()[2]), (*pixels.shape[:2], 1))
    elif kind == "blur1.2+n5":
        pixels = cv2.GaussianBlur(pixels, (0, 0), 1.2) + random.normal(0, 5, pixels.shape)
    elif kind.startswith("blur"):
        pixels = cv2.GaussianBlur(pixels, (0, 0), float(kind.split()[1]))
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _jpeg(rgb: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    _, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def _through_a_camera(rgb: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """What a sensor with few photons makes of a scene; the camera balances colours and applies a tone curve."""
    light = (rgb / 255.0) ** 2.2
    balance = np.array([0.5, 1.0, 0.6])
    photons = random.uniform(150, 900)
    seen = random.poisson(light * balance * photons) / photons + random.normal(0, 2 / photons, light.shape)
    height, width = rgb.shape[:2]
    mosaic = np.zeros((height, width))
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[row::2, column::2] = seen[row::2, column::2, channel] / balance[channel]
    curve = np.clip(mosaic, 0, 1) ** (1 / 2.2)
    colours = cv2.demosaicing(np.rint(curve * 65535).astype(np.uint16), cv2.COLOR_BayerRGGB2RGB_EA)
    return np.clip(np.rint(colours / 257.0), 0, 255).astype(np.uint8)


def psnr(clean: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the peak signal-to-noise ratio in dB; infinite for equal pictures."""
    error = float(np.mean((clean.astype(np.float64) - other) ** 2))
    return 10 * float(np.log10(255**2 / error)) if error else float("inf")


def similarity(clean: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the mean structural similarity (Wang et al. 2004) of the channels."""
    return float(structural_similarity(clean, other, channel_axis=-1))
