"""Paintings and pencil drawings rendered from photographs: further sources of classes that have too few.

Real collections of paintings and of shaded drawings are few, and a classifier that has seen one of them takes the next
for photographs or for something else. A photograph rendered as a painting or a drawing keeps what it shows and changes
its hand, which is the difference that the classifier has to learn.

All functions take uint8 RGB (height x width x 3) or float tones (height x width, 0 black .. 1 bare paper), and draw
from the given generator only.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from tounum_tasks.sample.paintings import paint

Pixels = NDArray[np.uint8]
Tones = NDArray[np.float32]
Rng = np.random.Generator


def painted(rgb: Pixels, rng: Rng) -> Pixels:
    """Return the picture as a painting: in strokes, in smooth patches, as a watercolour or print, in flat colours."""
    rgb = _palette(rgb, rng)
    kind = rng.random()
    if kind < 0.35:
        brush = int(rng.integers(8, 16))
        brushes = (brush, max(brush // 2, 3), 3)
        return paint(rgb, int(rng.integers(1 << 30)), brushes=brushes, looseness=rng.uniform(0.7, 1.6))
    if kind < 0.65:
        for _ in range(int(rng.integers(1, 3))):
            rgb = _patches(rgb, int(rng.integers(2, 6)))
        return _bristles(rgb, rng)
    if kind < 0.75:
        return _watercolour(rgb, rng)
    if kind < 0.9:
        return _block_print(rgb, rng)
    return flat_colours(rgb, rng)


def sketched(rgb: Pixels, rng: Rng) -> Pixels:
    """Return the picture as a drawing on paper: shaded, in graphite, in outlines or hatched.

    Most of them fade out towards the edges.
    """
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    kind = rng.random()
    if kind < 0.2:
        tones = _pencil(grey, rng)
    elif kind < 0.4:
        tones = _graphite(grey, rng)
    elif kind < 0.6:
        tones = _shading(grey, rng) * np.sqrt(_pencil(grey, rng))
    elif kind < 0.8:
        tones = outlines(grey, rng)
    else:
        tones = _hatching(grey, rng) * outlines(grey, rng)
    if rng.random() < 0.25:
        tones = np.minimum(tones, outlines(grey, rng))
    if rng.random() < 0.7:
        height, width = grey.shape
        tones = np.maximum(tones, _fading(height, width, rng))
    return on_paper(tones, rng)


def on_paper(tones: Tones, rng: Rng, ink: NDArray[np.float64] | None = None) -> Pixels:
    """Lay tones on paper, in a dark grey unless ``ink`` (3 values of 0..255) is given."""
    height, width = tones.shape
    colour = np.full(3, rng.uniform(10, 70)) if ink is None else ink
    sheet = paper(height, width, rng)
    return np.clip(sheet * tones[..., None] + colour * (1 - tones[..., None]), 0, 255).astype(np.uint8)


def paper(height: int, width: int, rng: Rng) -> NDArray[np.float64]:
    """Return a sheet of white, grey or yellowish paper with some grain: height x width x 3, about 0..255."""
    is_tinted = rng.random() < 0.5
    colour = np.array([250, 247, 240]) * rng.uniform(0.82, 1.0) if is_tinted else np.full(3, rng.uniform(225, 255))
    grain = rng.normal(0, rng.uniform(1, 8), (height, width))
    return colour + cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.5, 1.2))[..., None]


def _fading(height: int, width: int, rng: Rng) -> Tones:
    """Return 1 outside a wavering ellipse and 0 inside: what a draughtsman leaves out."""
    rows, columns = np.mgrid[0:height, 0:width]
    down = (rows - rng.uniform(0.4, 0.6) * height) / (rng.uniform(0.35, 0.55) * height)
    across = (columns - rng.uniform(0.4, 0.6) * width) / (rng.uniform(0.35, 0.55) * width)
    waver = cv2.resize(rng.normal(0, 0.12, (8, 8)), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip((np.hypot(down, across) + waver - 0.9) * rng.uniform(2, 8), 0, 1).astype(np.float32)


def _pencil(grey: Pixels, rng: Rng) -> Tones:
    """Divide by the blurred picture (colour dodge), which leaves edges and soft shadows."""
    around = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), rng.uniform(2, 14))
    return np.clip(grey / np.maximum(around, 1), 0, 1).astype(np.float32) ** np.float32(rng.uniform(1, 4))


def _shading(grey: Pixels, rng: Rng) -> Tones:
    """Keep the dark tones, broken up by the grain of the paper."""
    tones = cv2.bilateralFilter(grey, 7, 40, 7).astype(np.float32) / 255
    dark, light = np.percentile(tones, [3, rng.uniform(50, 85)])
    tones = np.clip((tones - dark) / (light - dark + 1e-3), 0, 1)
    grain = cv2.GaussianBlur(rng.normal(0, 1, grey.shape), (0, 0), 0.7)
    return np.clip(tones + (1 - tones) * grain * rng.uniform(0.1, 0.5), 0, 1).astype(np.float32)


def _graphite(grey: Pixels, rng: Rng) -> Tones:
    """Draw all tones, as realistic pencil drawings do: rubbed smooth, never black, in strokes of one direction."""
    height, width = grey.shape
    smooth = cv2.bilateralFilter(grey, 9, 35, 9).astype(np.float32) / 255
    dark, light = np.percentile(smooth, [2, rng.uniform(70, 95)])
    tones = np.clip((smooth - dark) / (light - dark + 1e-3), 0, 1)
    tones = rng.uniform(0.1, 0.35) + (1 - rng.uniform(0.1, 0.35)) * tones
    length = int(rng.integers(5, 12))
    turn = cv2.getRotationMatrix2D((length / 2, length / 2), rng.uniform(0, 180), 1)
    stroke = np.asarray(cv2.warpAffine(np.eye(length, dtype=np.float32), turn, (length, length)), np.float32)
    grain = rng.normal(0, 1, (height, width)).astype(np.float32)
    noise = np.asarray(cv2.filter2D(grain, -1, stroke / np.float32(length)), np.float32)
    tones = tones + (1 - tones) * noise * rng.uniform(0.2, 0.8)
    return np.clip(np.minimum(tones, 1) * np.sqrt(_pencil(grey, rng)), 0, 1).astype(np.float32)


def outlines(grey: Pixels, rng: Rng) -> Tones:
    """Draw outlines: an extended difference of Gaussians (Winnemoeller 2011, "XDoG")."""
    values, spread = grey.astype(np.float32) / 255, rng.uniform(0.6, 1.6)
    fine, coarse = (cv2.GaussianBlur(values, (0, 0), spread * factor) for factor in (1.0, 1.6))
    difference = fine - 0.98 * coarse - rng.uniform(-0.005, 0.01)
    return np.clip(1 + np.tanh(rng.uniform(30, 120) * np.minimum(difference, 0)), 0, 1).astype(np.float32)


def _hatching(grey: Pixels, rng: Rng) -> Tones:
    """Shade by layers of parallel lines, more layers where it is darker."""
    height, width = grey.shape
    rows, columns = np.mgrid[0:height, 0:width]
    waver = cv2.resize(rng.normal(0, 1.5, (10, 10)), (width, height), interpolation=cv2.INTER_CUBIC)
    tones, first = np.ones((height, width)), rng.uniform(0, np.pi)
    for layer, level in enumerate((0.7, 0.5, 0.32, 0.18)):
        angle = first + layer * np.pi / 4 * rng.uniform(0.7, 1.2)
        along = (columns * np.cos(angle) + rows * np.sin(angle) + waver) / rng.uniform(2.5, 5)
        is_line = np.sin(2 * np.pi * along) > rng.uniform(-0.2, 0.4)
        tones *= np.where((grey < level * 255) & is_line, 1 - rng.uniform(0.5, 0.95), 1)
    return np.asarray(cv2.GaussianBlur(tones, (0, 0), 0.5), np.float32)


def _palette(rgb: Pixels, rng: Rng) -> Pixels:
    """Change hue and saturation far more than a camera does; some are browned by old varnish."""
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(-25, 25)) % 180
    hsv[..., 1] = np.clip(hsv[..., 1] * rng.uniform(0.6, 2.2), 0, 255)
    rgb = np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB), np.uint8)
    if rng.random() < 0.4:
        varnish = np.array([1, rng.uniform(0.8, 1), rng.uniform(0.5, 0.95)]) * rng.uniform(0.6, 1)
        rgb = np.clip(rgb * varnish, 0, 255).astype(np.uint8)
    return rgb


def _patches(rgb: Pixels, radius: int) -> Pixels:
    """Smooth into patches with sharp edges (Kuwahara's filter): each pixel takes the most even of four squares."""
    colours, size = rgb.astype(np.float32), (radius + 1, radius + 1)
    grey = colours.mean(axis=2)
    result, lowest = colours, np.full(grey.shape, np.inf)
    for anchor in ((0, 0), (0, radius), (radius, 0), (radius, radius)):
        mean = cv2.boxFilter(colours, -1, size, anchor=anchor)
        variance = (
            cv2.boxFilter(grey * grey, -1, size, anchor=anchor) - cv2.boxFilter(grey, -1, size, anchor=anchor) ** 2
        )
        is_lower = variance < lowest
        result = np.where(is_lower[..., None], mean, result)
        lowest = np.where(is_lower, variance, lowest)
    return result.astype(np.uint8)


def _bristles(rgb: Pixels, rng: Rng) -> Pixels:
    """Add the relief of bristles: noise smeared along the outlines of the picture."""
    height, width = rgb.shape[:2]
    grey = cv2.GaussianBlur(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 4)
    slope_x, slope_y = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    steepness = np.hypot(slope_x, slope_y) + 1e-3
    noise = rng.normal(0, rng.uniform(2, 9), (height, width)).astype(np.float32)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    relief = np.zeros((height, width), np.float32)
    for step in range(-4, 5):
        x, y = columns + step * slope_y / steepness, rows - step * slope_x / steepness
        relief += cv2.remap(noise, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.clip(rgb + relief[..., None] * rng.uniform(0.2, 0.7), 0, 255).astype(np.uint8)


def _watercolour(rgb: Pixels, rng: Rng) -> Pixels:
    """Even out surfaces and keep edges; every other one leaves the sheet bare around its subject."""
    spread, contrast = float(rng.uniform(20, 80)), float(rng.uniform(0.2, 0.6))
    result = np.asarray(cv2.stylization(rgb, sigma_s=spread, sigma_r=contrast), np.uint8)
    if rng.random() < 0.5:
        height, width = rgb.shape[:2]
        bare = _fading(height, width, rng)[..., None]
        result = np.clip(result * (1 - bare) + paper(height, width, rng) * bare, 0, 255).astype(np.uint8)
    return result


def _block_print(rgb: Pixels, rng: Rng) -> Pixels:
    """Print a few flat colours and dark outlines on paper, as woodblock and lithograph prints are made."""
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    height, width = grey.shape
    sheet = paper(height, width, rng) / 255 * np.array([1, rng.uniform(0.92, 1), rng.uniform(0.75, 0.95)])
    inks = flat_colours(rgb, rng) * rng.uniform(0.7, 1) + 255 * rng.uniform(0, 0.3)
    return np.clip(np.clip(inks, 0, 255) * sheet * outlines(grey, rng)[..., None], 0, 255).astype(np.uint8)


def flat_colours(rgb: Pixels, rng: Rng) -> Pixels:
    """Reduce to between 5 and 13 colours in large areas, as posters and prints have them."""
    spread, contrast = float(rng.uniform(20, 60)), float(rng.uniform(0.2, 0.5))
    smooth = cv2.edgePreservingFilter(rgb, flags=1, sigma_s=spread, sigma_r=contrast)
    pixels = smooth.reshape(-1, 3).astype(np.float32)
    colours = pixels[rng.choice(len(pixels), int(rng.integers(5, 14)), replace=False)]
    for _ in range(4):  # k-means
        nearest = ((pixels[:, None] - colours) ** 2).sum(axis=2).argmin(axis=1)
        for index in set(nearest.tolist()):
            colours[index] = pixels[nearest == index].mean(axis=0)
    result = np.asarray(cv2.medianBlur(colours[nearest].reshape(rgb.shape).astype(np.uint8), 5), np.uint8)
    return _bristles(result, rng) if rng.random() < 0.5 else result


def realistic_pencil(rgb: Pixels, rng: Rng) -> Pixels:
    """Return the picture as a drawing that has all tones of a photograph: in graphite, charcoal or chalk.

    What gives such a drawing away is its ground: bare paper, the tooth of it in every tone, and no true black.
    """
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    height, width = grey.shape
    smooth = cv2.bilateralFilter(grey, 7, rng.uniform(15, 45), 7).astype(np.float32) / 255
    around = cv2.GaussianBlur(smooth, (0, 0), 0.12 * min(height, width))
    tones = smooth - np.float32(rng.uniform(0, 0.6)) * (around - np.float32(0.5))
    dark, light = np.percentile(tones, [0.5, rng.uniform(70, 98)])
    tones = np.clip((tones - dark) / (light - dark + 1e-3), 0, 1) ** np.float32(rng.uniform(0.7, 1.3))
    tooth = cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), rng.uniform(0.4, 1.1))
    tooth = tooth / tooth.std() * rng.uniform(0.01, 0.09)
    strokes = _strokes(height, width, rng) * rng.uniform(0, 0.09)
    tones = tones + (tooth + strokes) * np.sqrt(np.clip(tones * (1 - tones), 0, 1)) * 2
    tones = np.minimum(tones, 1 - (1 - outlines(np.asarray(smooth * 255, np.uint8), rng)) * rng.uniform(0, 0.4))
    if rng.random() < 0.65:
        tones = np.maximum(tones, _fading(height, width, rng))
    is_charcoal = rng.random() < 0.25
    ink = np.full(3, rng.uniform(15, 45) if is_charcoal else rng.uniform(45, 105))
    if rng.random() < 0.15:
        ink = np.array([rng.uniform(90, 150), rng.uniform(40, 70), rng.uniform(20, 50)])
    return on_paper(np.clip(tones, 0, 1).astype(np.float32), rng, ink)


def engraved(rgb: Pixels, rng: Rng) -> Pixels:
    """Return the picture as a print in black lines: an engraving, whose lines swell in the shade, or a woodcut."""
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    height, width = grey.shape
    tones = cv2.createCLAHE(rng.uniform(1, 4), (4, 4)).apply(grey).astype(np.float32) / 255
    tones = np.clip(tones * rng.uniform(0.7, 1.0) + rng.uniform(0.15, 0.4), 0, 1)
    if rng.random() < 0.3:
        level = cv2.GaussianBlur(tones, (0, 0), rng.uniform(6, 20)) * rng.uniform(0.85, 1.05)
        soft = cv2.GaussianBlur(tones, (0, 0), rng.uniform(0.8, 1.6))
        lines = 1 / (1 + np.exp(-rng.uniform(25, 60) * (soft - level)))
        return on_paper(np.minimum(lines, _hatching(grey, rng)).astype(np.float32), rng, np.full(3, rng.uniform(5, 40)))
    rows, columns = np.mgrid[0:height, 0:width]
    relief = cv2.GaussianBlur(tones, (0, 0), rng.uniform(3, 8)) * rng.uniform(0, 14)
    pitch, first = rng.uniform(2.2, 3.6), rng.uniform(0, np.pi)
    result = outlines(cv2.bilateralFilter(grey, 7, 50, 7).astype(np.uint8), rng).astype(np.float64)
    for layer, share in enumerate((1.0, rng.uniform(0.4, 0.8), rng.uniform(0, 0.5))):
        angle = first + layer * rng.uniform(0.6, 1.2)
        phase = (columns * np.cos(angle) + rows * np.sin(angle) + relief) / pitch
        swell = 0.75 * np.clip(1 - tones / share, 0, 1) if share > 0.05 else np.zeros_like(tones)
        result *= 1 - 1 / (1 + np.exp(-rng.uniform(5, 12) * (np.cos(2 * np.pi * phase) - 1 + 2 * swell)))
    ink = np.array([rng.uniform(5, 50), rng.uniform(5, 35), rng.uniform(5, 30)])
    return on_paper(np.clip(result, 0, 1).astype(np.float32), rng, ink)


def woodblock(rgb: Pixels, rng: Rng) -> Pixels:
    """Return the picture as a colour print from wooden blocks: flat inks of few hues, black contours, fibrous paper."""
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    height, width = grey.shape
    flat = flat_colours(rgb, rng)
    hsv = cv2.cvtColor(flat, cv2.COLOR_RGB2HSV).astype(np.float32)
    inks = np.array([rng.choice([8, 14, 20, 24]), rng.choice([105, 110, 100]), rng.choice([35, 80, 3, 20])])
    nearest = inks[np.abs(hsv[..., :1] - inks).argmin(axis=2)]
    hsv[..., 0] = rng.uniform(0, 0.3) * hsv[..., 0] + rng.uniform(0.7, 1) * nearest
    hsv[..., 1] = np.clip(hsv[..., 1] * rng.uniform(0.4, 1.3), 0, 200)
    hsv[..., 2] = np.clip(hsv[..., 2] * rng.uniform(0.5, 0.9) + rng.uniform(80, 130), 0, 255)
    flat = np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB), np.uint8)
    fibres = _strokes(height, width, rng)[..., None] * rng.uniform(0, 0.05)
    sheet = paper(height, width, rng) / 255 * np.array([1, rng.uniform(0.9, 0.98), rng.uniform(0.72, 0.92)])
    even = cv2.bilateralFilter(cv2.medianBlur(grey, 5), 9, 60, 9).astype(np.uint8)
    lines = outlines(even, rng)[..., None] ** rng.uniform(0.4, 1.2)
    shading = np.ones((height, 1, 1))
    if rng.random() < 0.4:  # a band of ink wiped towards the edge, as in skies
        shading = (
            1 - rng.uniform(0.1, 0.5) * np.exp(-np.arange(height) / (rng.uniform(0.05, 0.25) * height))[:, None, None]
        )
    printed = np.clip(flat * sheet * (1 + fibres) * shading * lines, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        sides = [int(side * rng.uniform(0.01, 0.06)) for side in (height, height, width, width)]
        colour = (np.array([245, 232, 205]) * rng.uniform(0.8, 1)).tolist()
        top, bottom, left, right = sides
        framed = cv2.copyMakeBorder(printed, top, bottom, left, right, cv2.BORDER_CONSTANT, value=colour)
        printed = np.asarray(framed, np.uint8)
    return printed


def _strokes(height: int, width: int, rng: Rng) -> NDArray[np.float32]:
    """Noise drawn out in one direction, of spread 1."""
    length = int(rng.integers(5, 14))
    turn = cv2.getRotationMatrix2D((length / 2, length / 2), rng.uniform(0, 180), 1)
    stroke = np.asarray(cv2.warpAffine(np.eye(length, dtype=np.float32), turn, (length, length)), np.float32)
    noise = cv2.filter2D(rng.normal(0, 1, (height, width)).astype(np.float32), -1, stroke)
    return np.asarray(noise / (noise.std() + 1e-6), np.float32)
