"""Photographs and pages that are degraded on purpose, to measure what restores them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from skimage.restoration import denoise_wavelet

from tounum_tasks.errors import ConfigurationError
from tounum_tasks.quality.metrics import measure
from tounum_tasks.restore.engine import Engine
from tounum_tasks.restore.enhance import AUTO_ENGINE, Enhancement, enhance
from tounum_tasks.settings import EnhancementMode

DEGRADED = ("noise 10", "noise 25", "blur 1", "blur 1.6", "blur1.2+n5", "jpeg 30")
"""Degradations of which the mean is judged."""

DEGRADATIONS = ("clean", *DEGRADED, "grey noise 10", "camera")

SMALLEST_SIDE = 7
"""Pixels of a picture of which structural similarity can be told."""

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
    pixels: np.ndarray = rgb.astype(np.float32)
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
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


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


METHODS = ("untouched", "classic", "non-local means", "wavelets", "auto")
"""``non-local means`` and ``wavelets`` are those of OpenCV and scikit-image, at the estimated strength of the noise."""


@dataclass(frozen=True)
class Treated:
    """What a method made of one degraded picture.

    Attributes:
        image: name of the picture, unlike that of any other.
        degradation: one of ``DEGRADATIONS``.
        method: one of ``METHODS``.
        psnr: dB against the clean picture; infinite where nothing differs.
        ssim: structural similarity with it.
        touched: the picture was changed.
        reverted: a change was proposed and refused by the no-harm gate.
        reason: why it was changed, reverted or left alone.
        megapixels: size.
        seconds: processor time, measurements included.
    """

    image: str
    degradation: str
    method: str
    psnr: float
    ssim: float
    touched: bool
    reverted: bool
    reason: str
    megapixels: float
    seconds: float


def treat(rgb: NDArray[np.uint8], method: str, engine: Engine = AUTO_ENGINE) -> tuple[Enhancement, float]:
    """Return what a method makes of a picture, measurements included, and the seconds of processor time it took."""
    started = time.process_time()
    before = measure(rgb)
    if method == "non-local means":
        strength = before.noise_sigma
        restored = cv2.fastNlMeansDenoisingColored(rgb, None, strength, strength, 7, 21)
        result = Enhancement(np.asarray(restored, np.uint8), "auto", ("denoise",), True, "always", before)
    elif method == "wavelets":
        restored = denoise_wavelet(
            rgb / 255.0, channel_axis=-1, convert2ycbcr=True, method="BayesShrink", rescale_sigma=True
        )
        pixels = np.clip(np.rint(255 * restored), 0, 255).astype(np.uint8)
        result = Enhancement(pixels, "auto", ("denoise",), True, "always", before)
    else:
        mode: EnhancementMode = "off" if method == "untouched" else "classic" if method == "classic" else "auto"
        result = enhance(rgb, mode=mode, before=before, engine=engine)
    return result, time.process_time() - started


def treat_all(
    name: str,
    clean: NDArray[np.uint8],
    number: int,
    *,
    kinds: Sequence[str] = DEGRADATIONS,
    methods: Sequence[str] = METHODS,
    engine: Engine = AUTO_ENGINE,
) -> list[Treated]:
    """Degrade a clean picture in every way and let every method restore it; ``number`` seeds the noise.

    Raises:
        ConfigurationError: the picture is too small to be measured on.
    """
    if min(clean.shape[:2]) < SMALLEST_SIDE:
        raise ConfigurationError(
            f"{name} is {clean.shape[1]} x {clean.shape[0]} pixels: take it out, for what a picture of less than "
            f"{SMALLEST_SIDE} pixels a side looks like cannot be measured."
        )
    rows = []
    for kind in kinds:
        given = degraded(clean, kind, number)
        for method in methods:
            result, seconds = treat(given, method, engine)
            rows.append(
                Treated(
                    image=name,
                    degradation=kind,
                    method=method,
                    psnr=psnr(clean, result.rgb),
                    ssim=similarity(clean, result.rgb),
                    touched=result.accepted,
                    reverted=bool(result.operations) and not result.accepted,
                    reason=result.reason,
                    megapixels=clean.shape[0] * clean.shape[1] / 1e6,
                    seconds=seconds,
                )
            )
    return rows


def summary(rows: Sequence[Treated]) -> dict[str, Any]:
    """Means over the pictures, ready for JSON: by method and degradation, and over ``DEGRADED`` where all are there.

    PSNR is that of the mean over the pictures that differ from the clean one; null where none does: such a degradation
    is left out of the mean over all, which is null if nothing is left. Of method ``auto`` also how many pictures it
    touched, made worse than untouched, and reverted. ``megapixels_per_second`` is per core.
    """
    methods: dict[str, Any] = {}
    untouched = {(row.image, row.degradation): row for row in rows if row.method == "untouched"}
    for method in dict.fromkeys(row.method for row in rows):
        by_kind: dict[str, Any] = {}
        for kind in dict.fromkeys(row.degradation for row in rows):
            found = [row for row in rows if (row.method, row.degradation) == (method, kind)]
            finite = [row.psnr for row in found if np.isfinite(row.psnr)]
            by_kind[kind] = {
                "pictures": len(found),
                "psnr": round(float(np.mean(finite)), 2) if finite else None,
                "ssim": round(float(np.mean([row.ssim for row in found])), 4),
                "touched": sum(row.touched for row in found),
                "reverted": sum(row.reverted for row in found),
                "megapixels_per_second": round(
                    sum(row.megapixels for row in found) / max(sum(row.seconds for row in found), 1e-9), 1
                ),
            }
            if untouched:
                pairs = [(row, untouched[row.image, kind]) for row in found]
                by_kind[kind]["worse"] = sum(row.psnr < other.psnr for row, other in pairs)
                by_kind[kind]["better"] = sum(row.psnr > other.psnr for row, other in pairs)
        if set(DEGRADED) <= set(by_kind):
            parts = [by_kind[kind] for kind in DEGRADED]
            known = [part["psnr"] for part in parts if part["psnr"] is not None]  # blur changes no blank picture
            by_kind["mean of the six"] = {
                "psnr": round(float(np.mean(known)), 2) if known else None,
                "ssim": round(float(np.mean([part["ssim"] for part in parts])), 4),
            }
        methods[method] = by_kind
    return methods
