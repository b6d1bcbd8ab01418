"""Pictures as prints, weaves, dithering and film show them, as scanned without any noise.

What looks like noise in them is theirs: enhancement has to leave it.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Scan = NDArray[np.uint8]
"""HxWx3."""

_FINE = 4
"""Pixels of the print to a pixel of the scan, each way."""


def printed(rgb: Scan, pitch: float, angles: Sequence[float] = (15, 75, 0)) -> Scan:
    """Return a scan of a colour print, uint8 HxWx3: its dots lie ``pitch`` pixels apart, at an angle for each ink."""
    large = _enlarged(rgb)
    y, x = np.mgrid[: large.shape[0], : large.shape[1]] * (2 * np.pi / (pitch * _FINE))
    inks = []
    for channel, angle in enumerate(np.deg2rad(angles)):
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        inks.append((np.cos(u) + np.cos(v)) / 4 + 0.5 < large[..., channel] / 255)
    return _scanned(np.dstack(inks))


def stochastic(rgb: Scan, dot: float = 1.5) -> Scan:
    """Return a scan of a print whose dots, ``dot`` pixels wide, lie at random but evenly."""
    size = tuple(int(side / dot) for side in rgb.shape[1::-1])
    dots = dithered(np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8), jitter=40)
    return _scanned(cv2.resize(dots, (rgb.shape[1] * _FINE, rgb.shape[0] * _FINE), interpolation=cv2.INTER_NEAREST) > 0)


def dithered(rgb: Scan, *, ordered: bool = False, jitter: float = 0) -> Scan:
    """Return a picture of 0 and 255 alone, after Floyd and Steinberg or by Bayer's matrix, softened by a scan."""
    if ordered:
        matrix = np.array([[0]])
        for _ in range(3):
            matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
        tiled = np.tile(matrix, (rgb.shape[0] // 8 + 1, rgb.shape[1] // 8 + 1))[: rgb.shape[0], : rgb.shape[1]]
        return _soft(np.where(rgb > (tiled[..., None] + 0.5) * 4, 255, 0))
    rest = np.pad(rgb.astype(np.float32), ((0, 1), (1, 1), (0, 0)))
    thresholds = 127.5 + np.random.default_rng(1).uniform(-jitter, jitter, rgb.shape)
    dots = np.zeros(rgb.shape, np.uint8)
    for row in range(rgb.shape[0]):
        for column in range(1, rgb.shape[1] + 1):
            dot = rest[row, column] > thresholds[row, column - 1]
            dots[row, column - 1] = dot * 255
            error = rest[row, column] - dot * 255
            rest[row, column + 1] += error * (7 / 16)
            rest[row + 1, column - 1 : column + 2] += error * np.array([[3], [5], [1]]) / 16
    return dots if jitter else _soft(dots)


def woven(rgb: Scan, pitch: float = 5.0) -> Scan:
    """Return a picture on a weave of coloured threads."""
    y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]] * (2 * np.pi / pitch)
    threads = np.dstack([np.sin(x + shift) * np.sin(y - shift) for shift in (0, 1, 2)])
    return np.clip(np.rint(rgb * 0.8 + 25 + 25 * threads), 0, 255).astype(np.uint8)


def engraved(rgb: Scan, pitch: float = 5.0) -> Scan:
    """Return a picture as lines of changing width, in grey."""
    large = cv2.cvtColor(_enlarged(rgb), cv2.COLOR_RGB2GRAY)
    y, x = np.mgrid[: large.shape[0], : large.shape[1]] * (2 * np.pi / (pitch * _FINE))
    lines = np.cos(x * 0.6 + y * 0.8) / 2 + 0.5 < large / 255
    return _scanned(np.dstack([lines] * 3))


def _enlarged(rgb: Scan) -> Scan:
    return np.asarray(cv2.resize(rgb, (rgb.shape[1] * _FINE, rgb.shape[0] * _FINE)), np.uint8)


def _scanned(inks: NDArray[np.bool_]) -> Scan:
    soft = cv2.GaussianBlur(inks.astype(np.float32) * 255, (0, 0), _FINE / 2)
    size = (inks.shape[1] // _FINE, inks.shape[0] // _FINE)
    return np.clip(np.rint(cv2.resize(soft, size, interpolation=cv2.INTER_AREA) * 0.8 + 35), 0, 255).astype(np.uint8)


def _soft(dots: NDArray[np.integer]) -> Scan:
    return np.rint(cv2.GaussianBlur(dots.astype(np.float32), (0, 0), 0.6) * 0.8 + 35).astype(np.uint8)


def filmed(rgb: Scan, radius: float = 0.1, spread: float = 0.8, *, colour: bool = True, seed: int = 5) -> Scan:
    """Return a scan of a photograph on film, uint8 HxWx3: its grains have ``radius`` pixels and lie at random.

    A Boolean model: where the film is half as bright, fewer discs cover it, and a Gaussian of ``spread`` pixels scans
    it (Newson, Delon, Galerne: A Stochastic Film Grain Model for Resolution-Independent Rendering, Computer Graphics
    Forum 36, 2017). A colour film has three layers; one of black and white looks alike in all channels.
    """
    random = np.random.default_rng(seed)
    fine = int(np.ceil(1 / radius))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * int(radius * fine) + 1,) * 2)
    size = (rgb.shape[1] * fine, rgb.shape[0] * fine)
    scanned = []
    for layer in cv2.split(rgb) if colour else [cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)]:
        covered = np.clip(layer / np.float32(256), 0, 0.99)
        grains = -np.log(1 - covered) / (fine**2 * np.float32(np.pi) * radius**2)
        centres = random.random(size[::-1], np.float32) < cv2.resize(grains, size)
        film = cv2.dilate(centres.astype(np.uint8) * 255, disc)
        twice = cv2.resize(film, (2 * rgb.shape[1], 2 * rgb.shape[0]), interpolation=cv2.INTER_AREA)
        light = cv2.GaussianBlur(twice.astype(np.float32), (0, 0), 2 * spread)
        scanned.append(cv2.resize(light, rgb.shape[1::-1], interpolation=cv2.INTER_AREA))
    return np.clip(np.rint(np.dstack(scanned if colour else 3 * scanned)), 0, 255).astype(np.uint8)
