"""Degrades clean pictures in the ways in which scans and photographs are degraded, for the restorer to learn from.

Every draw gives what the network takes (a degraded picture and how much blur it is to undo) and what it should make of
it. Where it is told of no blur it must leave softness alone, so the wanted picture is then as blurred as the given one:
a picture that is soft by nature, or by a camera that wrote its noise after it, is not sharpened. Screens, weaves and
the grain of film are to stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.restore.colours import OPPONENT
from tounum_tasks.training.prints import dithered, engraved, filmed, printed, stochastic, woven

Pixels = np.ndarray
"""float32 HxWx3, 0 to 255."""

MARGIN = 16
"""Pixels around a picture that blur, correlated noise and JPEG need; they are cut off afterwards."""

LEAST_BLUR, MOST_BLUR = 0.5, 2.1
BLUR_ERROR = 0.12
"""Standard deviation of the logarithm of the blur that the network is told, as the evidence estimates it."""


@dataclass(frozen=True)
class Pair:
    """One draw.

    Attributes:
        given: uint8 HxWx3, what the network takes.
        wanted: float32 HxWx3, 0 to 255, what it should make of it.
        blur: what it is told of the blur, in pixels; 0: leave softness alone.
    """

    given: NDArray[np.uint8]
    wanted: Pixels
    blur: float


def gaussian_noise(picture: Pixels, rng: np.random.Generator, most: float = 35.0) -> Pixels:
    """Add white noise of a strength between 2 and ``most``, now and then equal in all channels."""
    planes = 1 if rng.random() < 0.2 else 3
    sigma = rng.uniform(2, most)
    return picture + np.float32(sigma) * rng.standard_normal((*picture.shape[:2], planes), np.float32)


def camera_noise(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """Add noise as cameras leave it: stronger in the light by the law of photons, smeared by demosaicking, blotched.

    The noise is drawn in one brightness and two colour planes, each smoothed on its own: colours are smoothed more.
    """
    height, width = picture.shape[:2]
    strength = np.exp(rng.uniform(np.log(1.5), np.log(20)))
    of_light = rng.uniform(0, 1)
    level = np.sqrt(of_light * picture / 128 + (1 - of_light))
    noise = np.empty_like(picture)
    smear, colour_smear = rng.uniform(0, 0.9), rng.uniform(0, 2.0)
    colourful = rng.uniform(0.3, 1.6)
    for plane in range(3):
        drawn: Pixels = rng.standard_normal((height, width), np.float32)
        sigma = smear if plane == 0 else max(smear, colour_smear)
        if sigma > 0.3:
            drawn = cv2.GaussianBlur(drawn, (0, 0), sigma)
            drawn = drawn / np.float32(drawn.std() + 1e-6)
        noise[..., plane] = drawn * (strength if plane == 0 else strength * colourful)
    return picture + level * cv2.transform(noise, OPPONENT.T.copy())


def blur(picture: Pixels, rng: np.random.Generator) -> tuple[Pixels, float]:
    """Blur by a Gaussian, or now and then by slight motion or defocus; return the standard deviation as well."""
    sigma = rng.uniform(LEAST_BLUR, MOST_BLUR)
    kind = rng.random()
    if kind < 0.8:
        return cv2.GaussianBlur(picture, (0, 0), sigma), sigma
    kernel = _disc(2 * sigma) if kind < 0.9 else _streak(sigma * 12**0.5 * 0.8, rng.uniform(0, np.pi))
    return cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REFLECT_101), sigma


def _disc(radius: float) -> NDArray[np.float32]:
    """The kernel of defocus; a disc's standard deviation along an axis is half its radius."""
    reach = int(np.ceil(radius)) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return kernel / kernel.sum()


def _streak(length: float, angle: float) -> NDArray[np.float32]:
    """The kernel of even motion in one direction."""
    reach = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for step in np.linspace(-length / 2, length / 2, 33):
        x, y = reach + step * np.cos(angle), reach + step * np.sin(angle)
        left, top = int(x), int(y)
        for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            kernel[row, column] += (1 - abs(y - row)) * (1 - abs(x - column))
    return kernel / kernel.sum()


def jpeg(picture: Pixels, rng: np.random.Generator, least: int = 12, most: int = 75) -> Pixels:
    """Compress; most encoders halve the resolution of the colours, some do not."""
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420 if rng.random() < 0.8 else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    quality = int(rng.integers(least, most + 1))
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    _, data = cv2.imencode(".jpg", rounded(picture)[..., ::-1], options)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1].astype(np.float32)


def rounded(picture: Pixels) -> NDArray[np.uint8]:
    """As a file of 8 bits holds it."""
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _noisy(clean: Pixels, rng: np.random.Generator) -> tuple[Pixels, float]:
    return gaussian_noise(clean, rng), 0.0


def _blurred(clean: Pixels, rng: np.random.Generator) -> tuple[Pixels, float]:
    return blur(clean, rng)


def _blurred_and_noisy(clean: Pixels, rng: np.random.Generator) -> tuple[Pixels, float]:
    soft, sigma = blur(clean, rng)
    return gaussian_noise(soft, rng, most=12), sigma


def _compressed(clean: Pixels, rng: np.random.Generator) -> tuple[Pixels, float]:
    return jpeg(clean, rng), 0.0


def _compressed_little(clean: Pixels, rng: np.random.Generator) -> tuple[Pixels, float]:
    return jpeg(clean, rng, least=70, most=97), 0.0


def _of_camera(clean: Pixels, rng: np.random.Generator) -> tuple[Pixels, float]:
    noisy = camera_noise(clean, rng)
    return (jpeg(noisy, rng, least=70, most=97) if rng.random() < 0.6 else noisy), 0.0


def _mixed(clean: Pixels, rng: np.random.Generator) -> tuple[Pixels, float]:
    soft, sigma = blur(clean, rng) if rng.random() < 0.5 else (clean, 0.0)
    noisy = gaussian_noise(soft, rng, most=20) if rng.random() < 0.5 else camera_noise(soft, rng)
    return jpeg(noisy, rng, least=40, most=95), sigma


def _clean(clean: Pixels, rng: np.random.Generator) -> tuple[Pixels, float]:
    return clean, 0.0


KINDS: tuple[tuple[float, Callable[[Pixels, np.random.Generator], tuple[Pixels, float]]], ...] = (
    (0.34, _noisy),
    (0.17, _blurred),
    (0.11, _blurred_and_noisy),
    (0.20, _compressed),
    (0.09, _of_camera),
    (0.04, _mixed),
    (0.05, _clean),
)
"""How often each is drawn."""

PRINTED = 0.06
"""How often a picture is printed, woven or filmed before, which is to stay; then it is clean or compressed."""

LEFT_SOFT = 0.15
"""How often the network is not told of a blur, and must leave it."""


def _in_print(clean: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture as a print, a weave, lines of an engraving or film show it."""
    kind = rng.choice(["screen", "screen of one ink", "dots at random", "weave", "engraving", "dithering", "film"])
    if kind == "weave":
        return woven(clean, float(rng.uniform(3, 8)))
    if kind == "engraving":
        return engraved(clean, float(rng.uniform(3, 8)))
    if kind == "dithering":
        return dithered(clean, ordered=True)
    if kind == "dots at random":
        return stochastic(clean, float(rng.uniform(1.4, 2.5)))
    if kind == "film":
        radius, spread, colour = float(rng.uniform(0.1, 0.2)), float(rng.uniform(0.5, 1.0)), bool(rng.random() < 0.5)
        return filmed(clean, radius, spread, colour=colour, seed=int(rng.integers(1 << 31)))
    first = float(rng.uniform(0, 90))
    inks = (first, first + 60, first - 15) if kind == "screen" else (first,) * 3
    if kind != "screen":
        clean = np.repeat(cv2.cvtColor(clean, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    return printed(clean, float(rng.uniform(2.2, 9)), inks)


def degrade(clean: NDArray[np.uint8], rng: np.random.Generator) -> Pair:
    """Degrade a clean picture (uint8, with ``MARGIN`` pixels around what is returned) in a way drawn at random."""
    kind = KINDS[rng.choice(len(KINDS), p=[share for share, _ in KINDS])][1]
    if rng.random() < PRINTED:
        clean, kind = _in_print(clean, rng), _clean if rng.random() < 0.6 else _compressed_little
    picture: Pixels = clean.astype(np.float32)
    if kind in (_of_camera, _compressed, _noisy) and rng.random() < (0.5 if kind is _of_camera else 0.12):
        # Soft by nature: the wanted picture is soft, too.
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.2))
    given, sigma = kind(picture, rng)
    wanted = picture
    told = sigma * float(np.exp(rng.normal(0, BLUR_ERROR))) if sigma else 0.0
    if sigma and rng.random() < LEFT_SOFT and kind is _blurred:
        given, wanted, told = given, given, 0.0
    inside = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    return Pair(rounded(given[inside]), wanted[inside], told)
