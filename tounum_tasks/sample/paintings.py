"""Paintings: landscapes and portraits laid down in brush strokes.

After A. Hertzmann, "Painterly rendering with curved brush strokes of multiple sizes", SIGGRAPH 1998: from coarse to
fine brushes, strokes follow the outlines of the picture and are only added where the canvas differs from it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def paint(picture: Pixels, seed: int, *, brushes: tuple[int, ...] = (18, 9, 5), looseness: float = 1.0) -> Pixels:
    """Return uint8 HxWx3 ``picture`` in brush strokes on canvas; a larger ``looseness`` leaves out more detail."""
    rng = np.random.default_rng(seed)
    height, width = picture.shape[:2]
    canvas = np.full((height, width, 3), (205, 186, 150), np.uint8)
    relief = np.zeros((height, width), np.float32)
    for brush in brushes:
        guide = np.asarray(cv2.GaussianBlur(picture, (0, 0), brush * 0.7), np.uint8)
        grey = cv2.cvtColor(guide, cv2.COLOR_RGB2GRAY).astype(np.float32)
        slopes = tuple(
            np.asarray(cv2.GaussianBlur(cv2.Sobel(grey, cv2.CV_32F, dx, dy), (0, 0), brush * 0.8), np.float32)
            for dx, dy in ((1, 0), (0, 1))
        )
        places = [(y, x) for y in range(0, height, brush) for x in range(0, width, brush)]
        for index in rng.permutation(len(places)):
            y, x = (int(v + rng.integers(-brush // 2, brush // 2 + 1)) for v in places[index])
            if not (0 <= y < height and 0 <= x < width):
                continue
            difference = np.abs(canvas[y, x].astype(int) - guide[y, x]).sum()
            if brush != brushes[0] and difference < 40 * looseness:
                continue
            _stroke(canvas, relief, guide, slopes, (x, y), brush, rng)
    light = cv2.GaussianBlur(relief, (0, 0), 0.8)
    shade = cv2.Sobel(light, cv2.CV_32F, 1, 1, ksize=3) * 26
    weave = (
        rng.normal(0, 3, (height, width))
        + 3 * np.sin(np.arange(width) * 1.6) * np.sin(np.arange(height) * 1.6)[:, None]
    )
    return np.clip(canvas + (shade + weave)[..., None], 0, 255).astype(np.uint8)


def _stroke(
    canvas: Pixels,
    relief: NDArray[np.float32],
    guide: Pixels,
    slopes: tuple[NDArray[np.float32], ...],
    start: tuple[int, int],
    brush: int,
    rng: np.random.Generator,
) -> None:
    """Draw one curved stroke across the slope of the picture, in the colour of its first point."""
    height, width = guide.shape[:2]
    colour = guide[start[1], start[0]].astype(int) + rng.integers(-14, 15) + rng.integers(-7, 8, 3)
    points, (x, y) = [start], start
    last = (0.0, 0.0)
    for _ in range(int(rng.integers(3, 7))):
        across = (-float(slopes[1][y, x]), float(slopes[0][y, x]))
        length = float(np.hypot(*across))
        if length < 1e-3:
            angle = rng.uniform(-0.5, 0.5)
            across, length = (np.cos(angle), np.sin(angle)), 1.0
        if across[0] * last[0] + across[1] * last[1] < 0:
            across = (-across[0], -across[1])
        last = (across[0] / length, across[1] / length)
        x, y = round(x + brush * last[0]), round(y + brush * last[1])
        if not (0 <= x < width and 0 <= y < height):
            break
        points.append((x, y))
    line = np.array(points, np.int32)
    shade = tuple(int(v) for v in np.clip(colour, 0, 255))
    cv2.polylines(canvas, [line], False, shade, brush, cv2.LINE_AA)
    cv2.polylines(relief, [line], False, float(rng.uniform(0, 1)), max(1, brush - 2), cv2.LINE_AA)


def _sky(height: int, width: int, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Pixels:
    share = np.linspace(0, 1, height)[:, None, None]
    return np.broadcast_to((1 - share) * np.array(top) + share * np.array(bottom), (height, width, 3)).astype(np.uint8)


def _ridge(width: int, base: float, roughness: float, seed: int) -> NDArray[np.float64]:
    """Return the height of a mountain range at each column: a sum of waves with random phases."""
    rng = np.random.default_rng(seed)
    x = np.arange(width) / width
    line = np.full(width, base)
    for wave in (1.3, 2.7, 5.1, 11.0, 23.0):
        line = line + roughness / wave * np.sin(2 * np.pi * (wave * x + rng.random()))
    return line


def _fill_below(picture: Pixels, line: NDArray[np.float64], colour: tuple[int, int, int]) -> None:
    rows = np.arange(picture.shape[0])[:, None]
    picture[rows > line[None]] = colour


def sunset_at_sea(height: int = 420, width: int = 600) -> Pixels:
    """Return a scene to be painted: the sun above water, and a boat."""
    picture = _sky(height, width, (60, 50, 110), (250, 150, 70)).copy()
    horizon = int(height * 0.6)
    cv2.circle(picture, (int(width * 0.62), horizon - 40), 44, (255, 226, 130), -1)
    picture[horizon:] = _sky(height - horizon, width, (200, 110, 80), (30, 40, 85))
    rng = np.random.default_rng(3)
    for _ in range(260):
        y = int(rng.integers(horizon + 3, height))
        x = int(width * 0.62 + rng.normal(0, 20 + (y - horizon) * 0.7))
        cv2.line(picture, (x, y), (x + int(rng.integers(8, 40)), y), (255, int(rng.integers(150, 215)), 100), 2)
    hull = np.array([[120, horizon + 50], [240, horizon + 50], [220, horizon + 78], [145, horizon + 78]])
    cv2.fillPoly(picture, [hull], (50, 28, 25))
    cv2.fillPoly(picture, [np.array([[176, horizon - 80], [176, horizon + 44], [240, horizon + 40]])], (238, 225, 200))
    cv2.fillPoly(picture, [np.array([[170, horizon - 60], [170, horizon + 44], [128, horizon + 40]])], (215, 195, 175))
    return picture


def mountain_lake(height: int = 420, width: int = 600) -> Pixels:
    """Return a scene to be painted: snowy ridges mirrored in a lake, with firs."""
    half = int(height * 0.62)
    upper = _sky(half, width, (90, 140, 205), (235, 225, 205)).copy()
    for depth, (colour, base) in enumerate([((150, 165, 190), 120), ((95, 115, 140), 165), ((60, 90, 75), 215)]):
        line = _ridge(width, base, 70 - 12 * depth, depth)
        if depth < 2:
            _fill_below(upper, line, (240, 240, 245))
            _fill_below(upper, line + 22 + 14 * np.sin(np.arange(width) / 7), colour)
        else:
            _fill_below(upper, line, colour)
    lower = np.clip(cv2.flip(upper, 0)[: height - half] * 0.72 + (4, 16, 28), 0, 255).astype(np.uint8)
    picture = np.ascontiguousarray(np.vstack([upper, lower]))
    rng = np.random.default_rng(8)
    for x in sorted(rng.integers(0, 220, 14)):
        tall = int(rng.integers(70, 150))
        fir = np.array([[x - tall // 5, height - 20], [x, height - 20 - tall], [x + tall // 5, height - 20]])
        cv2.fillPoly(picture, [fir.astype(np.int32)], (22, int(rng.integers(50, 80)), 42))
    return picture


def fruit_bowl(height: int = 420, width: int = 520) -> Pixels:
    """Return a scene to be painted: a still life with fruit on a table."""
    picture = np.full((height, width, 3), (88, 62, 52), np.uint8)
    picture[int(height * 0.62) :] = (165, 120, 80)
    centre = (width // 2, int(height * 0.68))
    cv2.ellipse(picture, (centre[0] + 20, centre[1] + 78), (200, 26), 0, 0, 360, (95, 66, 45), -1)
    fruit = [((-95, -50), 55, (190, 40, 35)), ((20, -72), 62, (225, 160, 40)), ((105, -45), 50, (110, 150, 50)),
             ((-40, -112), 48, (205, 90, 40)), ((70, -120), 42, (160, 30, 60))]  # fmt: skip
    for (dx, dy), radius, colour in fruit:
        place = (centre[0] + dx, centre[1] + dy)
        for step in range(radius, 4, -3):
            lit = 0.5 + 0.75 * (1 - step / radius)
            shade = tuple(int(min(255, v * lit + 55 * (1 - step / radius) ** 2)) for v in colour)
            shift = (radius - step) // 3
            cv2.circle(picture, (place[0] - shift, place[1] - shift), step, shade, -1)
    cv2.ellipse(picture, (centre[0], centre[1] - 10), (190, 90), 0, 0, 180, (70, 95, 140), -1)
    cv2.ellipse(picture, (centre[0], centre[1] - 10), (190, 22), 0, 0, 180, (110, 135, 175), -1)
    return picture
