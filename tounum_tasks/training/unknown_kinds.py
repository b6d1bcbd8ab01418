"""Drawings of what archives hold and what is none of the five classes: maps, stamps, blank pages, screenshots, ...

A classifier that knows five classes gives every image one of them, and is often sure of it. It is shown these
drawings as images of none, so that it doubts other things of such kinds, too (outlier exposure, Hendrycks et al. 2019,
"Deep Anomaly Detection with Outlier Exposure").

Each function takes a picture, uint8 RGB (height x width x 3), for kinds that contain one, draws from the given
generator only, and returns uint8 RGB of a size of its own.
"""

from collections.abc import Callable
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tounum_tasks.training.archive_looks import FONTS, font, framed, words
from tounum_tasks.training.renderings import flat_colours, outlines, paper

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]
Rng = np.random.Generator

MONEY = ("c", "d", "F", "Pf", "")


def geographic_map(picture: Pixels, rng: Rng) -> Pixels:
    """A map: tinted land and sea or contour lines on paper, rivers, roads, names, often a frame and a grid."""
    height, width = _size(rng)
    ground = _terrain(height, width, rng)
    sheet = paper(height, width, rng)
    if rng.random() < 0.6:
        levels = np.sort(rng.uniform(0.2, 0.9, int(rng.integers(1, 6))))
        tints = np.clip(rng.uniform(120, 255, (len(levels) + 1, 3)), 0, 255)
        sheet *= tints[np.digitize(ground, levels)] / 255
    ink = rng.uniform(10, 120, 3)
    lines = int(rng.integers(3, 16)) if rng.random() < 0.8 else 1
    steps = np.floor(ground * lines)
    is_edge = (np.abs(cv2.Laplacian(steps.astype(np.float32), cv2.CV_32F)) > 0)[..., None]
    sheet = np.where(is_edge, sheet * (1 - rng.uniform(0.3, 1)) + ink * 0.3, sheet)
    result = np.clip(sheet, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(2, 14))):
        _wander(result, rng.uniform(0, 220, 3), int(rng.integers(1, 4)), rng)
    if rng.random() < 0.35:
        _streets(result, ink, rng)
    if rng.random() < 0.5:
        for share in np.linspace(0, 1, int(rng.integers(3, 8))):
            across, down = int(share * width), int(share * height)
            cv2.line(result, (across, 0), (across, height), ink.tolist(), 1, cv2.LINE_AA)
            cv2.line(result, (0, down), (width, down), ink.tolist(), 1, cv2.LINE_AA)
    for _ in range(int(rng.integers(3, 40))):
        place = (int(rng.uniform(0, width * 0.9)), int(rng.uniform(0, height * 0.95)))
        cv2.circle(result, place, int(rng.integers(1, 4)), ink.tolist(), -1, cv2.LINE_AA)
        result = _lettered(result, words(int(rng.integers(3, 12)), rng), place, int(rng.integers(7, 18)), ink, rng)
    if rng.random() < 0.6:
        edge = int(rng.integers(2, 20))
        result = framed(framed(result, [2] * 4, ink), [edge] * 4, rng.uniform(180, 255, 3))
    return result


def postage_stamp(picture: Pixels, rng: Rng) -> Pixels:
    """A stamp, or a block of them: a motif in one or a few inks, a value, perforated edges, sometimes a postmark."""
    height, width = (int(rng.integers(150, 330)) for _ in range(2))
    motif = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    if rng.random() < 0.7:
        tones = cv2.cvtColor(motif, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None] / 255
        if rng.random() < 0.5:
            tones = np.minimum(tones + 0.3, outlines(np.asarray(tones[..., 0] * 255, np.uint8), rng)[..., None])
        ink = rng.uniform(0, 170, 3)
        motif = (ink + tones * (np.array([250, 245, 230]) - ink)).astype(np.uint8)
    else:
        motif = flat_colours(motif, rng)
    ink = motif.reshape(-1, 3).min(axis=0).astype(float)
    motif = framed(motif, [int(rng.integers(1, 4))] * 4, ink)
    bands = [int(rng.choice([0, int(rng.integers(14, 40))])) for _ in range(2)]
    motif = framed(motif, [*bands, 0, 0], ink if rng.random() < 0.5 else np.full(3, 245.0))
    size = int(rng.integers(16, 44))
    colour = ink if rng.random() < 0.5 else np.full(3, 250.0)
    motif = _lettered(motif, f"{rng.integers(1, 90)}{rng.choice(MONEY)}", (6, 4), size, colour, rng)
    foot = motif.shape[0] - size
    motif = _lettered(motif, words(int(rng.integers(6, 16)), rng).upper(), (8, foot), size // 2, colour, rng)
    stamp = framed(motif, [int(rng.integers(6, 18))] * 4, rng.uniform(225, 255) * np.array([1, 1, 0.95]))
    ground = rng.uniform(0, 60, 3) if rng.random() < 0.5 else rng.uniform(120, 255, 3)
    stamp = _perforated(stamp, ground)
    if rng.random() < 0.3:
        stamp = np.tile(stamp, (int(rng.integers(1, 3)), int(rng.integers(1, 4)), 1))
    if rng.random() < 0.6:
        middle = (int(rng.uniform(0, stamp.shape[1])), int(rng.uniform(0, stamp.shape[0])))
        for radius in (50, 70):
            cv2.circle(stamp, middle, radius, [30, 30, 40], 2, cv2.LINE_AA)
    return framed(stamp, [int(rng.uniform(0, 80)) for _ in range(4)], ground)


def blank_page(picture: Pixels, rng: Rng) -> Pixels:
    """An empty sheet: white, aged or black, with stains, folds, shadows, what shines through, or empty rules."""
    height, width = _size(rng)
    page = paper(height, width, rng) * rng.uniform(0.6, 1, 3) ** rng.uniform(0, 1)
    if rng.random() < 0.12:
        page *= rng.uniform(0.03, 0.25)
    page *= (1 - rng.uniform(0, 0.35) * _terrain(height, width, rng))[..., None]
    if rng.random() < 0.5:
        page *= 1 - rng.uniform(0.1, 0.5) * np.exp(-np.arange(width) / rng.uniform(5, 40))[:, None]
    if rng.random() < 0.3:
        back = cv2.resize(picture[:, ::-1], (width, height)).mean(axis=2, keepdims=True).astype(np.float32)
        back = cv2.GaussianBlur(back, (0, 0), rng.uniform(1, 4))[..., None]
        page += (back - np.median(back)) * rng.uniform(0.02, 0.08)
    result = np.clip(page, 0, 255).astype(np.uint8)
    ink = result.mean(axis=(0, 1)) * rng.uniform(0.5, 0.95)
    for _ in range(int(rng.choice([0, 0, 1, 2]))):
        at = rng.uniform(0.2, 0.8)
        if rng.random() < 0.5:
            cv2.line(result, (0, int(at * height)), (width, int(at * height)), ink.tolist(), 1, cv2.LINE_AA)
        else:
            cv2.line(result, (int(at * width), 0), (int(at * width), height), ink.tolist(), 1, cv2.LINE_AA)
    if rng.random() < 0.2:
        pitch = int(rng.integers(8, 30))
        result[pitch::pitch] = ink
        if rng.random() < 0.4:
            result[:, pitch::pitch] = ink
    for _ in range(int(rng.integers(0, 40))):
        speck = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        cv2.circle(result, speck, 1 if rng.random() < 0.9 else 5, ink.tolist(), -1, cv2.LINE_AA)
    return result


def screenshot(picture: Pixels, rng: Rng) -> Pixels:
    """A screen: bars, menus, buttons, text, icons, a terminal, or a window with a picture, light or dark."""
    height, width = int(rng.integers(300, 520)), int(rng.integers(300, 700))
    is_dark = rng.random() < 0.35
    ground, ink = (rng.uniform(10, 60, 3), rng.uniform(170, 255, 3))[:: 1 if is_dark else -1]
    if not is_dark:
        ground, ink = rng.uniform(225, 256, 3), rng.uniform(0, 90, 3)
    accent = rng.uniform(0, 255, 3)
    screen = np.full((height, width, 3), ground, np.uint8)
    if rng.random() < 0.25:
        screen[:] = cv2.resize(picture, (width, height))
        left, top = int(rng.uniform(0.02, 0.3) * width), int(rng.uniform(0.02, 0.2) * height)
        screen[top : int(rng.uniform(0.7, 0.98) * height), left : int(rng.uniform(0.7, 0.98) * width)] = ground
    bar = int(rng.integers(14, 50))
    screen[:bar] = accent if rng.random() < 0.6 else np.clip(ground * 0.9, 0, 255)
    side = int(rng.uniform(0.15, 0.35) * width) if rng.random() < 0.6 else 0
    screen[bar:, :side] = np.clip(ground * rng.uniform(0.8, 1.2) + 6, 0, 255)
    size = int(rng.integers(8, 14))
    for column in range(6, width - 60, 70):
        screen = _lettered(screen, words(7, rng), (column, bar // 2 - size // 2), size, ink, rng)
    for row in range(bar + 8, height - 12, int(size * rng.uniform(1.3, 3.5))):
        if side:
            cv2.circle(screen, (10, row + 6), 4, accent.tolist(), -1, cv2.LINE_AA)
            screen = _lettered(screen, words(int(side / size), rng), (20, row), size, ink, rng)
        room = (width - side) / size / 0.6
        screen = _lettered(screen, words(int(rng.uniform(0.2, 1) * room), rng), (side + 10, row), size, ink, rng)
    for _ in range(int(rng.integers(0, 6))):
        left, top = int(rng.uniform(side, width * 0.8)), int(rng.uniform(bar, height * 0.9))
        right, bottom = left + int(rng.integers(20, 140)), top + int(rng.integers(12, 60))
        cv2.rectangle(screen, (left, top), (right, bottom), accent.tolist(), -1 if rng.random() < 0.6 else 1)
        screen = _lettered(screen, words(5, rng), (left + 3, top + 3), size, ink, rng)
    if rng.random() < 0.4:
        part = cv2.resize(picture, (int(width * rng.uniform(0.2, 0.5)), int(height * rng.uniform(0.2, 0.5))))
        left = int(rng.uniform(side, width - part.shape[1]))
        top = int(rng.uniform(min(bar, height - part.shape[0]), height - part.shape[0]))
        screen[top : top + part.shape[0], left : left + part.shape[1]] = part[:, : width - left]
    return screen


def music_score(picture: Pixels, rng: Rng) -> Pixels:
    """A page of music: staves of five lines, heads, stems, beams and bars, sometimes words below."""
    height, width = _size(rng)
    tones = np.full((height, width), 255, np.uint8)
    gap, margin = rng.uniform(3, 9), rng.uniform(8, 50)
    top = margin + (30 if rng.random() < 0.4 else 0)
    while top + 6 * gap < height - 8:
        for line in range(5):
            cv2.line(tones, (int(margin), int(top + line * gap)), (int(width - margin), int(top + line * gap)), 40, 1)
        for bar in np.linspace(margin, width - margin, int(rng.integers(3, 7))):
            cv2.line(tones, (int(bar), int(top)), (int(bar), int(top + 4 * gap)), 20, 1)
        across, before = margin + 4 * gap, None
        while across < width - margin - gap:
            down = top + rng.integers(-2, 11) * gap / 2
            head = (max(int(gap * 0.6), 1), max(int(gap * 0.45), 1))
            cv2.ellipse(tones, (int(across), int(down)), head, -20, 0, 360, 10, -1 if rng.random() < 0.8 else 1)
            stem = down - 3.3 * gap if down > top + 2 * gap else down + 3.3 * gap
            cv2.line(tones, (int(across + gap * 0.5), int(down)), (int(across + gap * 0.5), int(stem)), 10, 1)
            if before is not None and rng.random() < 0.45:
                cv2.line(tones, before, (int(across + gap * 0.5), int(stem)), 10, max(int(gap * 0.5), 1))
            before = (int(across + gap * 0.5), int(stem))
            across += gap * rng.uniform(1.6, 5)
        top += gap * rng.uniform(7, 14)
    sheet = paper(height, width, rng) * (tones[..., None] / 255)
    result = np.clip(sheet, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        result = _lettered(
            result, words(14, rng), (int(width * 0.3), 6), int(rng.integers(14, 26)), np.full(3, 20.0), rng
        )
    return result


def target(picture: Pixels, rng: Rng) -> Pixels:
    """A scanner's or photographer's target: patches of colours or greys, and a ruler, or a ruler alone."""
    height, width = int(rng.integers(120, 420)), int(rng.integers(240, 560))
    result = np.full((height, width, 3), rng.choice([rng.uniform(0, 60), rng.uniform(90, 256)]), np.uint8)
    rows, columns = int(rng.integers(1, 7)), int(rng.integers(3, 13))
    ruler = int(rng.integers(24, 60)) if rng.random() < 0.7 else 0
    if rng.random() < 0.8:
        is_grey, gap = rng.random() < 0.3, int(rng.integers(0, 10))
        for row in range(rows):
            for column in range(columns):
                shade = (
                    np.full(3, 255.0 * (row * columns + column) / (rows * columns))
                    if is_grey
                    else rng.uniform(0, 255, 3)
                )
                top, left = int((height - ruler) * row / rows), width * column // columns
                bottom, right = int((height - ruler) * (row + 1) / rows) - gap, width * (column + 1) // columns - gap
                result[top + gap : max(bottom, top + gap + 1), left + gap : max(right, left + gap + 1)] = shade
    if ruler:
        _ruled(result[height - ruler :], rng)
        result = _lettered(result, words(10, rng), (width // 2, height - 14), 10, np.full(3, 30.0), rng)
    return result


def book_cover(picture: Pixels, rng: Rng) -> Pixels:
    """A cover or a spine: cloth, leather or paper of one colour, a title, borders, an ornament, worn edges."""
    height = int(rng.integers(320, 520))
    width = int(height * (rng.uniform(0.55, 0.85) if rng.random() < 0.8 else rng.uniform(0.2, 0.4)))
    colour = rng.uniform(20, 230, 3)
    cloth = rng.normal(0, rng.uniform(1, 12), (height, width)).astype(np.float32)
    cover = colour + cv2.GaussianBlur(cloth, (0, 0), rng.uniform(0.4, 1.5))[..., None]
    cover *= (1 - rng.uniform(0, 0.3) * _terrain(height, width, rng))[..., None]
    result = np.clip(cover, 0, 255).astype(np.uint8)
    foil = rng.uniform(150, 255, 3) if colour.mean() < 130 else rng.uniform(0, 90, 3)
    for _ in range(int(rng.integers(0, 4))):
        inset = int(rng.integers(6, 30))
        cv2.rectangle(result, (inset, inset), (width - inset, height - inset), foil.tolist(), int(rng.integers(1, 4)))
    if rng.random() < 0.4:
        label = (int(width * 0.15), int(height * 0.12)), (int(width * 0.85), int(height * 0.4))
        cv2.rectangle(result, *label, rng.uniform(200, 255, 3).tolist(), -1)
        foil = rng.uniform(0, 80, 3)
    row = height * rng.uniform(0.08, 0.3)
    for _ in range(int(rng.integers(1, 4))):
        size = int(rng.uniform(0.05, 0.12) * height)
        title = words(max(int(width * 0.75 / size / 0.6), 2), rng)
        result = _lettered(
            result, title.upper() if rng.random() < 0.5 else title, (int(width * 0.18), int(row)), size, foil, rng
        )
        row += size * 1.5
    if rng.random() < 0.4:
        middle = (width // 2, int(height * rng.uniform(0.5, 0.8)))
        for radius in range(6, int(width * 0.25), int(rng.integers(5, 14))):
            cv2.ellipse(
                result, middle, (radius, int(radius * rng.uniform(0.5, 1.2))), 0, 0, 360, foil.tolist(), 1, cv2.LINE_AA
            )
    return framed(result, [int(rng.uniform(0, 40)) for _ in range(4)], rng.choice([5.0, 128.0, 250.0]) * np.ones(3))


def empty_table(picture: Pixels, rng: Rng) -> Pixels:
    """A printed form or ledger before anybody has written in it: rules, headings, a few figures."""
    height, width = _size(rng)
    result = np.clip(paper(height, width, rng), 0, 255).astype(np.uint8)
    ink = rng.uniform(10, 160, 3)
    stops = [0, *np.sort(rng.integers(0, width, int(rng.integers(3, 12)))).tolist()]
    pitch, first = int(rng.integers(9, 34)), int(rng.integers(10, 70))
    for row in range(first, height, pitch):
        cv2.line(result, (0, row), (width, row), ink.tolist(), 1)
    for stop in stops:
        cv2.line(result, (stop, first), (stop, height), ink.tolist(), int(rng.integers(1, 3)))
        result = _lettered(result, words(int(rng.integers(3, 8)), rng), (stop + 3, first - 10), 8, ink, rng)
    share = rng.choice([0, 0.05, 0.3])
    for row in range(first, height, pitch):
        for stop in stops:
            if rng.random() < share:
                result = _lettered(
                    result, str(rng.integers(1, 9999)), (stop + 3, row + 1), min(pitch - 2, 14), ink, rng
                )
    return result


def texture(picture: Pixels, rng: Rng) -> Pixels:
    """Cloth, wallpaper, plaster, leather or wood: one pattern from edge to edge."""
    height, width = _size(rng)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    base, other = rng.uniform(20, 255, (2, 3))
    kind = int(rng.integers(5))
    if kind == 0:  # woven
        pitch = rng.uniform(2.5, 12)
        tones = 0.5 + 0.25 * (np.sin(2 * np.pi * rows / pitch) + np.sin(2 * np.pi * columns / pitch))
    elif kind == 1:  # stripes or a plaid
        pitch = rng.uniform(10, 90)
        tones = (np.sin(2 * np.pi * rows / pitch) > rng.uniform(-0.5, 0.5)) * rng.choice([0, 0.5])
        tones = tones + 0.5 * (np.sin(2 * np.pi * columns / pitch) > rng.uniform(-0.5, 0.5))
    elif kind == 2:  # plaster or leather
        tones = sum(_terrain(height, width, rng, cells=cells) / 3 for cells in (8, 30, 90))
    elif kind == 3:  # wood
        waves = _terrain(height, width, rng, cells=4)
        tones = 0.5 + 0.5 * np.sin(columns / rng.uniform(3, 12) + waves * rng.uniform(5, 40))
    else:  # a motif again and again
        side = int(rng.integers(20, 90))
        motif = np.zeros((side, side), np.float32)
        for _ in range(int(rng.integers(2, 6))):
            axes = (int(rng.integers(2, side // 2)), int(rng.integers(2, side // 2)))
            middle = (int(rng.uniform(0, side)), int(rng.uniform(0, side)))
            cv2.ellipse(
                motif,
                middle,
                axes,
                int(rng.integers(180)),
                0,
                360,
                float(rng.uniform(0.2, 1)),
                int(rng.choice([-1, 1])),
            )
        tones = np.tile(motif, (height // side + 1, width // side + 1))[:height, :width]
    result = base + np.clip(tones, 0, 1)[..., None] * (other - base)
    result = result + rng.normal(0, rng.uniform(0, 14), (height, width, 1))
    return np.clip(result * (1 - 0.3 * _terrain(height, width, rng)[..., None]), 0, 255).astype(np.uint8)


def plain(picture: Pixels, rng: Rng) -> Pixels:
    """One colour all over, or black, white and grey, with more or less noise."""
    height, width = _size(rng)
    colour = rng.uniform(0, 255, 3) if rng.random() < 0.6 else np.full(3, rng.choice([0, 255, rng.uniform(0, 255)]))
    noise = rng.normal(0, rng.choice([0, 1, 5, 25]), (height, width, int(rng.choice([1, 3]))))
    return np.clip(colour + noise, 0, 255).astype(np.uint8)


def gradient(picture: Pixels, rng: Rng) -> Pixels:
    """A passage from one colour to another, straight or round, in steps or smooth: a lid, a wall, an empty frame."""
    height, width = _size(rng)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    if rng.random() < 0.6:
        angle = rng.uniform(0, 2 * np.pi)
        along = rows / height * np.sin(angle) + columns / width * np.cos(angle)
    else:
        along = np.hypot(rows / height - rng.uniform(0, 1), columns / width - rng.uniform(0, 1))
    along = (along - along.min()) / (np.ptp(along) + 1e-6)
    if rng.random() < 0.25:
        along = np.floor(along * rng.integers(3, 20)) / 20
    first, last = rng.uniform(0, 255, (2, 3 if rng.random() < 0.6 else 1)) * np.ones(3)
    noise = rng.normal(0, rng.choice([0, 2, 8]), (height, width, 1))
    return np.clip(first + along[..., None] * (last - first) + noise, 0, 255).astype(np.uint8)


def machine_code(picture: Pixels, rng: Rng) -> Pixels:
    """A matrix or bar code, by itself or on a label."""
    ground, ink = rng.uniform(215, 256, 3), rng.uniform(0, 60, 3)
    if rng.random() < 0.6:
        modules = int(rng.choice([21, 25, 29, 33, 41]))
        code = rng.random((modules, modules)) < 0.5
        if rng.random() < 0.85:
            finder = np.pad(np.pad(np.ones((3, 3), bool), 1), 1, constant_values=True)
            for place in ((0, 0), (0, modules - 7), (modules - 7, 0)):
                code[place[0] : place[0] + 7, place[1] : place[1] + 7] = finder
        side = int(rng.integers(4, 14))
        code = np.kron(code, np.ones((side, side), bool))
    else:
        bars = np.repeat(rng.random(int(rng.integers(40, 120))) < 0.5, int(rng.integers(2, 6)))
        code = np.tile(bars, (int(rng.integers(50, 260)), 1))
    result = np.where(code[..., None], ink, ground).astype(np.uint8)
    result = framed(result, [int(rng.integers(4, 70)) for _ in range(4)], ground)
    if rng.random() < 0.5:
        result = _lettered(result, str(rng.integers(10**9)), (12, result.shape[0] - 18), 14, ink, rng)
    if rng.random() < 0.4:
        result = framed(result, [int(rng.integers(0, 120)) for _ in range(4)], rng.uniform(0, 255, 3))
    return result


def comic(picture: Pixels, rng: Rng) -> Pixels:
    """A page of panels: parts of a picture in outlines and flat colours or black alone, with balloons of text."""
    height, width = int(rng.integers(320, 560)), int(rng.integers(280, 460))
    page = np.full((height, width, 3), rng.uniform(225, 255), np.uint8)
    has_colour, gap = rng.random() < 0.6, int(rng.integers(3, 12))
    ends = [0, *np.sort(rng.uniform(0.25, 0.75, int(rng.integers(1, 3)))).tolist(), 1]
    for up, down in pairwise(ends):
        stops = [0, *np.sort(rng.uniform(0.25, 0.75, int(rng.integers(0, 3)))).tolist(), 1]
        for start, end in pairwise(stops):
            top, bottom, left, right = int(up * height), int(down * height), int(start * width), int(end * width)
            if min(bottom - top, right - left) < 4 * gap:
                continue
            panel = _panel(picture, bottom - top - 2 * gap, right - left - 2 * gap, rng, has_colour=has_colour)
            page[top + gap : bottom - gap, left + gap : right - gap] = panel
            cv2.rectangle(page, (left + gap, top + gap), (right - gap, bottom - gap), [15, 15, 15], 2)
    return page


def poster(picture: Pixels, rng: Rng) -> Pixels:
    """A poster, an advertisement or a title page: large letters with a picture in flat colours, or none."""
    height = int(rng.integers(340, 560))
    width = int(height * rng.uniform(0.6, 0.85))
    result = np.full((height, width, 3), rng.uniform(60, 255, 3), np.uint8)
    if rng.random() < 0.7:
        top, bottom = np.sort(rng.uniform(0, 1, 2)) * [0.4, 0.4] + [0, 0.6]
        part = np.asarray(cv2.resize(picture, (width, max(int((bottom - top) * height), 8))), np.uint8)
        result[int(top * height) : int(top * height) + len(part)] = (
            part if rng.random() < 0.4 else flat_colours(part, rng)
        )
    for _ in range(int(rng.integers(0, 4))):
        middle = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        cv2.circle(result, middle, int(rng.integers(20, width // 2)), rng.uniform(0, 255, 3).tolist(), -1, cv2.LINE_AA)
    row = rng.uniform(0, 0.4) * height
    while row < height - 14:
        size = int(rng.uniform(0.03, 0.16) * height)
        text = words(max(int(width / size / 0.65), 2), rng).upper()
        colour = rng.choice([0.0, 255.0]) * np.ones(3) if rng.random() < 0.6 else rng.uniform(0, 255, 3)
        result = _lettered(result, text, (int(rng.uniform(0, 0.15) * width), int(row)), size, colour, rng)
        row += size * rng.uniform(1.2, 4)
    return result


def album_page(picture: Pixels, rng: Rng) -> Pixels:
    """A page of an album or a sheet of contacts: several small pictures, straight or turned, with lines of writing."""
    height, width = _size(rng)
    ground = rng.uniform(5, 70, 3) if rng.random() < 0.5 else rng.uniform(150, 250) * np.array([1, 0.95, 0.85])
    page = np.clip(ground + rng.normal(0, 4, (height, width, 1)), 0, 255).astype(np.uint8)
    rows, columns = int(rng.integers(2, 5)), int(rng.integers(2, 5))
    is_turned, is_grey = rng.random() < 0.4, rng.random() < 0.6
    for row in range(rows):
        for column in range(columns):
            side_y, side_x = (int(rng.uniform(0.55, 0.85) * side) for side in (height / rows, width / columns))
            part = _part(picture, side_y, side_x, rng)
            if is_grey:
                part = _grey(part)
            part = framed(part, [int(rng.integers(0, 4))] * 4, np.full(3, 245.0))
            if is_turned:
                middle = (part.shape[1] / 2, part.shape[0] / 2)
                turn = cv2.getRotationMatrix2D(middle, rng.uniform(-8, 8), 1)
                turned = cv2.warpAffine(part, turn, part.shape[1::-1], borderValue=ground.tolist())
                part = np.asarray(turned, np.uint8)
            top, left = int((row + 0.08) * height / rows), int((column + 0.08) * width / columns)
            room = page[top : top + len(part), left : left + part.shape[1]]
            room[:] = part[: room.shape[0], : room.shape[1]]
            if rng.random() < 0.5:
                ink = np.full(3, 235.0) if ground.mean() < 100 else np.full(3, 50.0)
                page = _lettered(page, words(int(rng.integers(5, 14)), rng), (left, top + side_y + 4), 9, ink, rng)
    return page


KINDS: dict[str, Callable[[Pixels, Rng], Pixels]] = {
    "map": geographic_map,
    "stamp": postage_stamp,
    "blank": blank_page,
    "screenshot": screenshot,
    "score": music_score,
    "target": target,
    "cover": book_cover,
    "table": empty_table,
    "texture": texture,
    "plain": plain,
    "gradient": gradient,
    "code": machine_code,
    "comic": comic,
    "poster": poster,
    "album": album_page,
}
"""The kinds by name."""


def _size(rng: Rng) -> tuple[int, int]:
    """Height and width of a sheet."""
    return int(rng.integers(260, 520)), int(rng.integers(260, 520))


def _terrain(height: int, width: int, rng: Rng, *, cells: int = 6) -> Values:
    """Smooth hills between 0 and 1, about ``cells`` of them across."""
    result = np.zeros((height, width), np.float32)
    for octave in range(3):
        side = min(cells * 2**octave, height, width)
        noise = rng.normal(0, 0.5**octave, (side, side)).astype(np.float32)
        result += np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    return (result - result.min()) / np.float32(np.ptp(result) + 1e-6)


def _wander(page: Pixels, colour: NDArray[np.float64], thickness: int, rng: Rng) -> None:
    """Draw a river or a road."""
    steps = np.cumsum(rng.normal(rng.uniform(-6, 6, 2), 5, (90, 2)), axis=0)
    points = steps + rng.uniform(0, 1, 2) * page.shape[1::-1]
    cv2.polylines(page, [points.astype(np.int32)], False, colour.tolist(), thickness, cv2.LINE_AA)


def _streets(page: Pixels, ink: NDArray[np.float64], rng: Rng) -> None:
    """Draw the blocks of a town."""
    height, width = page.shape[:2]
    turn = rng.uniform(0, np.pi / 2)
    pitch = rng.uniform(15, 50)
    for across in np.arange(-width, width, pitch):
        for direction in (turn, turn + np.pi / 2):
            along = np.array([np.cos(direction), np.sin(direction)])
            middle = np.array([width / 2, height / 2]) + np.array([-along[1], along[0]]) * across
            ends = [(middle + along * reach * width).astype(int).tolist() for reach in (-1, 1)]
            cv2.line(page, ends[0], ends[1], ink.tolist(), 1, cv2.LINE_AA)


def _perforated(stamp: Pixels, ground: NDArray[np.float64]) -> Pixels:
    height, width = stamp.shape[:2]
    for at in range(0, max(height, width), 10):
        for place in ((at, 0), (at, height - 1), (0, at), (width - 1, at)):
            cv2.circle(stamp, place, 3, ground.tolist(), -1, cv2.LINE_AA)
    return stamp


def _grey(rgb: Pixels) -> Pixels:
    return np.asarray(np.repeat(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2), np.uint8)


def _ruled(strip: Pixels, rng: Rng) -> None:
    """Draw a ruler's divisions."""
    strip[:] = rng.uniform(200, 255, 3)
    pitch = int(rng.integers(4, 10))
    for number, across in enumerate(range(4, strip.shape[1], pitch)):
        length = 20 if number % 10 == 0 else 13 if number % 5 == 0 else 7
        cv2.line(strip, (across, 0), (across, min(length, len(strip) - 1)), [20, 20, 20], 1)
        if number % 10 == 0:
            cv2.putText(
                strip, str(number // 10), (across, len(strip) - 3), cv2.FONT_HERSHEY_SIMPLEX, 0.35, [20, 20, 20]
            )


def _panel(picture: Pixels, height: int, width: int, rng: Rng, *, has_colour: bool) -> Pixels:
    part = _part(picture, height, width, rng)
    lines = outlines(np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), np.uint8), rng)[..., None]
    inks = (
        flat_colours(part, rng) * 0.6 + 100
        if has_colour
        else np.where(part.mean(2, keepdims=True) < 60, 10.0, np.full(3, 250.0))
    )
    result = np.clip(inks * lines, 0, 255).astype(np.uint8)
    if rng.random() < 0.7:
        middle = (int(rng.uniform(0.3, 0.7) * width), int(rng.uniform(0.15, 0.4) * height))
        axes = (max(int(width * 0.28), 3), max(int(height * 0.13), 3))
        for colour, thickness in (([252, 252, 252], -1), ([15, 15, 15], 1)):
            cv2.ellipse(result, middle, axes, 0, 0, 360, colour, thickness, cv2.LINE_AA)
        place = (middle[0] - int(axes[0] * 0.7), middle[1] - 6)
        result = _lettered(result, words(max(int(axes[0] / 4), 2), rng), place, 9, np.full(3, 15.0), rng)
    return result


def _part(picture: Pixels, height: int, width: int, rng: Rng) -> Pixels:
    """A part of a picture, chosen at random, at another size."""
    rows, columns = (max(int(rng.uniform(0.4, 1) * side), 1) for side in picture.shape[:2])
    top, left = int(rng.integers(picture.shape[0] - rows + 1)), int(rng.integers(picture.shape[1] - columns + 1))
    part = picture[top : top + rows, left : left + columns]
    return np.asarray(cv2.resize(part, (max(width, 1), max(height, 1)), interpolation=cv2.INTER_AREA), np.uint8)


def _lettered(
    page: Pixels, text: str, place: tuple[int, int], size: int, colour: NDArray[np.float64], rng: Rng
) -> Pixels:
    """Print a text with its upper left corner at ``place``, in letters of ``size`` pixels."""
    image = Image.fromarray(page)
    face = font(str(rng.choice(FONTS)), max(size, 6))
    ImageDraw.Draw(image).text(place, text, fill=tuple(int(part) for part in colour), font=face)
    return np.array(image)
