"""Random damage and framing for training images, so that a classifier learns the class and not the source.

Data sets differ in size, aspect ratio, margins, paper, colour depth and compression, and a network finds these
differences before it finds the subject. Every operation here erases one of them, and is applied alike to every
class: only ``bitonal`` and ``negative`` are reserved for ink on paper, where they leave the class as it was. Scans get
dust, skew, shadows and show-through, as real archives have them.

All functions take and return uint8 RGB arrays (height x width x 3, 0..255) and draw from the given generator only.
"""

from collections.abc import Callable

import cv2
import numpy as np

Operation = Callable[[np.ndarray, np.random.Generator], np.ndarray]

LONGEST_SIDE = 640
BAR_TOLERANCE = 12
SMALLEST_WHITE = 235
RINGING = 2


def without_bars(rgb: np.ndarray) -> np.ndarray:
    """Cut away bars of one colour at the edges, which a collection has added to make its pictures square.

    White edges stay: they are the paper or the sky. A bar is at most 45 % of a side.
    """
    for _ in range(2):
        top, bottom = _bar(rgb), _bar(rgb[::-1])
        left, right = _bar(rgb.swapaxes(0, 1)), _bar(rgb[:, ::-1].swapaxes(0, 1))
        inner = rgb[top : rgb.shape[0] - bottom, left : rgb.shape[1] - right]
        if min(inner.shape[:2]) < 32:
            break
        rgb = inner
    return rgb


def _bar(rgb: np.ndarray) -> int:
    """How many of the first rows are one bar, with the rows that compression has blurred into it."""
    middle = rgb[:, rgb.shape[1] // 2].astype(np.int16)
    if middle[0].min() >= SMALLEST_WHITE:
        return 0
    most = int(len(rgb) * 0.45)
    is_flat = (np.abs(rgb[:most] - middle[:most, None]).max(axis=2) <= BAR_TOLERANCE).mean(axis=1) >= 0.98
    is_alike = np.abs(middle[:most] - middle[0]).max(axis=1) <= BAR_TOLERANCE
    belongs = is_flat & is_alike
    rows = most if belongs.all() else int(belongs.argmin())
    return rows + RINGING if rows else 0


def crop(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Keep a random rectangle of 25 to 100 % of the area, each side at least 40 % of the image's."""
    height, width = rgb.shape[:2]
    area = rng.uniform(0.25, 1.0)
    stretch = np.exp(rng.uniform(-0.5, 0.5))
    part_h = max(int(np.clip(np.sqrt(area) * stretch, 0.4, 1.0) * height), 1)
    part_w = max(int(np.clip(np.sqrt(area) / stretch, 0.4, 1.0) * width), 1)
    top = rng.integers(0, height - part_h + 1)
    left = rng.integers(0, width - part_w + 1)
    return rgb[top : top + part_h, left : left + part_w]


def flip(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror left to right."""
    return np.ascontiguousarray(rgb[:, ::-1])


def quarter_turn(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn by 90 degrees, either way, as a page that was laid sideways on the glass."""
    return np.ascontiguousarray(np.rot90(rgb, int(rng.choice([1, 3]))))


def _paper(rng: np.random.Generator) -> np.ndarray:
    """Return a colour of paper, table or scanner lid (float32, 3 values of 0..255)."""
    kind = rng.random()
    if kind < 0.5:
        return np.full(3, rng.uniform(235, 255), np.float32)
    if kind < 0.75:
        return (np.array([250, 238, 210]) * rng.uniform(0.75, 1.0)).astype(np.float32)
    return np.full(3, rng.uniform(0, 235), np.float32)


def margins(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lay the image on a larger sheet of one colour, with uneven margins of up to a quarter of a side each."""
    height, width = rgb.shape[:2]
    top, bottom = (rng.uniform(0, 0.25, 2) * height).astype(int)
    left, right = (rng.uniform(0, 0.25, 2) * width).astype(int)
    colour = _paper(rng).tolist()
    return cv2.copyMakeBorder(rgb, top, bottom, left, right, cv2.BORDER_CONSTANT, value=colour)


def skew(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rotate by up to five degrees; the corners show paper or the image's own edge."""
    height, width = rgb.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-5, 5), 1.0)
    if rng.random() < 0.5:
        return cv2.warpAffine(rgb, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return cv2.warpAffine(rgb, turn, (width, height), borderValue=_paper(rng).tolist())


def resolution(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Throw away detail: reduce to between 30 and 90 % of the size and enlarge again."""
    height, width = rgb.shape[:2]
    part = rng.uniform(0.3, 0.9)
    small = (max(int(width * part), 24), max(int(height * part), 24))
    return cv2.resize(cv2.resize(rgb, small, interpolation=cv2.INTER_AREA), (width, height))


def greyscale(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take the colour away."""
    return cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def colour(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn the hue a little and change the saturation between half and one and a half."""
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(-12, 12)) % 180
    hsv[..., 1] = np.clip(hsv[..., 1] * rng.uniform(0.5, 1.5), 0, 255)
    return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)


def tone(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change gamma, contrast and brightness."""
    values = np.arange(256, dtype=np.float32) / 255
    curve = values ** np.exp(rng.uniform(-0.5, 0.5))
    curve = (curve - 0.5) * rng.uniform(0.6, 1.2) + 0.5 + rng.uniform(-0.12, 0.12)
    return cv2.LUT(rgb, np.clip(curve * 255, 0, 255).astype(np.uint8))


def aged_paper(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Print the image on tinted, slightly uneven paper: multiply by the colour of the sheet."""
    height, width = rgb.shape[:2]
    tint = np.array([1.0, rng.uniform(0.85, 1.0), rng.uniform(0.65, 1.0)], np.float32) * rng.uniform(0.8, 1.0)
    mottle = rng.normal(1.0, 0.04, (6, 6)).astype(np.float32)
    sheet = cv2.resize(mottle, (width, height), interpolation=cv2.INTER_CUBIC)[..., None] * tint
    return np.clip(rgb * sheet, 0, 255).astype(np.uint8)


def shadow(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Darken towards one side, as in the fold of a book or under a camera."""
    height, width = rgb.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.linspace(-1, 1, width)[None, :] * np.cos(angle) + np.linspace(-1, 1, height)[:, None] * np.sin(angle)
    light = 1 - rng.uniform(0.15, 0.6) / (1 + np.exp(-rng.uniform(2, 10) * (ramp - rng.uniform(0, 0.8))))
    return np.clip(rgb * light[..., None], 0, 255).astype(np.uint8)


def show_through(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Let a faint, soft, mirrored image shine through from the back of the sheet (the image itself, turned over)."""
    back = cv2.GaussianBlur(np.ascontiguousarray(rgb[::-1, ::-1] if rng.random() < 0.5 else rgb[:, ::-1]), (0, 0), 1.5)
    strength = rng.uniform(0.05, 0.25)
    return np.clip(rgb * (1 - strength * (1 - back / 255.0)), 0, 255).astype(np.uint8)


def dust(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add specks and hairs, dark or light."""
    result = rgb.copy()
    height, width = result.shape[:2]
    for _ in range(int(rng.integers(3, 40))):
        at = (int(rng.integers(width)), int(rng.integers(height)))
        shade = int(rng.choice([rng.integers(0, 90), rng.integers(190, 256)]))
        if rng.random() < 0.15:
            length = 0.15 * min(height, width)
            to = (int(at[0] + rng.uniform(-length, length)), int(at[1] + rng.uniform(-length, length)))
            cv2.line(result, at, to, (shade, shade, shade), 1, cv2.LINE_AA)
        else:
            cv2.circle(result, at, int(rng.integers(0, 3)), (shade, shade, shade), -1, cv2.LINE_AA)
    return result


def blur(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur with a Gaussian of 0.5 to 2 pixels."""
    return cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.5, 2.0))


def sharpen(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sharpen by an unsharp mask: the classifier sees enhanced images."""
    soft = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.8, 2.0))
    strength = rng.uniform(0.5, 2.5)
    return cv2.addWeighted(rgb, 1 + strength, soft, -strength, 0)


def smooth(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Remove fine texture as a denoiser does, keeping edges."""
    return cv2.medianBlur(rgb, int(rng.choice([3, 5])))


def noise(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise of up to 25 levels, coloured or grey."""
    channels = 1 if rng.random() < 0.5 else 3
    grain = rng.standard_normal((*rgb.shape[:2], channels), dtype=np.float32) * rng.uniform(3, 25)
    return np.clip(rgb + grain, 0, 255).astype(np.uint8)


def jpeg(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Compress as JPEG of quality 15 to 90 and decode again."""
    _, data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 91))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))


def bitonal(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Reduce ink on paper to black and white, at a level near Otsu's."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    level, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    _, result = cv2.threshold(grey, level * rng.uniform(0.85, 1.15), 255, cv2.THRESH_BINARY)
    return cv2.cvtColor(result, cv2.COLOR_GRAY2RGB)


def negative(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn ink on paper into light lines on dark ground: a microfilm, chalk on a board, or a blueprint."""
    ink = 1 - cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None] / 255
    ground = np.full(3, rng.uniform(0, 45))
    if rng.random() < 0.4:
        ground = np.array([rng.uniform(0, 50), rng.uniform(30, 90), rng.uniform(90, 170)])
    lines = rng.uniform(190, 255)
    return np.clip(ground + ink * (lines - ground), 0, 255).astype(np.uint8)


# In the order in which they happen to a sheet: its framing, its colours, its age, then the camera and the file.
STEPS: tuple[tuple[float, Operation], ...] = (
    (0.65, crop),
    (0.30, flip),
    (0.08, quarter_turn),
    (0.25, margins),
    (0.25, skew),
    (0.25, greyscale),
    (0.35, colour),
    (0.45, tone),
    (0.25, aged_paper),
    (0.10, show_through),
    (0.20, shadow),
    (0.15, dust),
    (0.25, resolution),
    (0.15, blur),
    (0.15, sharpen),
    (0.10, smooth),
    (0.20, noise),
    (0.35, jpeg),
)
BITONAL_PROBABILITY = 0.10
NEGATIVE_PROBABILITY = 0.10


def augment(rgb: np.ndarray, rng: np.random.Generator, *, ink_on_paper: bool = False) -> np.ndarray:
    """Return a randomly framed, coloured and damaged copy of ``rgb``; each operation happens with its own probability.

    Images larger than 640 pixels are reduced first, so that blur, dust and noise mean the same in every source.
    ``ink_on_paper`` allows reduction to black and white, which would turn a photograph into a drawing, and light lines
    on dark ground.
    """
    longest = max(rgb.shape[:2])
    if longest > LONGEST_SIDE:
        size = [max(1, round(side * LONGEST_SIDE / longest)) for side in (rgb.shape[1], rgb.shape[0])]
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    if ink_on_paper and rng.random() < NEGATIVE_PROBABILITY:
        rgb = negative(rgb, rng)
    for probability, operation in STEPS:
        if rng.random() < probability:
            rgb = operation(rgb, rng)
    if ink_on_paper and rng.random() < BITONAL_PROBABILITY:
        rgb = bitonal(rgb, rng)
    return rgb
