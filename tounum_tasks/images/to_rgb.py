"""From what a decoder gives, pictures of Pillow or samples of any kind, to uint8 HxWx3 sRGB on white."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tounum_tasks.errors import ErrorCode, ItemError
from tounum_tasks.images.colour import DeepToSrgb, To8Bit, ToSrgb, bands, on_white

_ALPHA_MODES = ("LA", "La", "RGBA", "RGBa", "PA")


def picture_to_rgb(image: Image.Image, profile: bytes | None) -> NDArray[np.uint8]:
    """Convert a loaded image to uint8 HxWx3 sRGB on white."""
    mode = _banded_mode(image)
    to_srgb = ToSrgb(mode, profile)
    rgb = np.empty((image.height, image.width, 3), np.uint8)
    for top, bottom in bands(image.height):
        band = image.crop((0, top, image.width, bottom))
        rgb[top:bottom] = to_srgb(band if band.mode == mode else band.convert(mode))
    return rgb


def _banded_mode(image: Image.Image) -> str:
    """Return the mode to which bands of ``image`` are converted first: one that ToSrgb knows."""
    if image.mode in ("CMYK", "LAB"):
        return image.mode
    if image.mode.startswith(("I", "F")):
        raise ItemError(ErrorCode.UNSUPPORTED, f"pixels of the kind {image.mode} are not read in this layout")
    if image.has_transparency_data:
        if image.mode in _ALPHA_MODES and is_unfilled(cast(Any, image.getextrema()), image.format):
            return "L" if image.mode in ("LA", "La") else "RGB"
        return "LA" if image.mode in ("LA", "La") else "RGBA"
    return "L" if image.mode in ("1", "L") else "RGB"


def is_unfilled(extremes: Sequence[tuple[float, float]], format: str | None) -> bool:
    """Whether a program wrote an alpha channel and never filled it: nothing would be seen of colours that are there.

    A picture of one colour may as well be empty on purpose, but in a BMP file, whose alpha channel nobody uses.
    """
    *colours, alpha = extremes
    return alpha == (0, 0) and (format == "BMP" or any(low != high for low, high in colours))


def samples_to_rgb(
    samples: NDArray[np.generic], profile: bytes | None, *, premultiplied: bool = False
) -> NDArray[np.uint8]:
    """Convert HxW, HxWx3 or HxWx4 (RGBA) samples to uint8 HxWx3 sRGB on white."""
    if samples.ndim == 3 and samples.shape[2] == 4 and is_unfilled(extremes(samples), None):
        samples = np.ascontiguousarray(samples[..., :3])
    alpha = samples[..., 3] if samples.ndim == 3 and samples.shape[2] == 4 else None
    colours = samples if alpha is None else samples[..., :3]
    to_srgb = DeepToSrgb(colours, "L" if samples.ndim == 2 else "RGB", profile)
    return colours_to_rgb(to_srgb, colours, alpha, premultiplied=premultiplied)


def colours_to_rgb(
    to_srgb: DeepToSrgb,
    colours: NDArray[np.generic],
    alpha: NDArray[np.generic] | None,
    *,
    premultiplied: bool = False,
) -> NDArray[np.uint8]:
    """Convert HxW or HxWxC ``colours`` with HxW ``alpha`` to uint8 HxWx3 sRGB on white."""
    alpha_to_8bit = None if alpha is None else To8Bit(alpha)
    rgb = np.empty((*colours.shape[:2], 3), np.uint8)
    for top, bottom in bands(len(colours)):
        rgb[top:bottom] = to_srgb(colours[top:bottom])
        if alpha is not None and alpha_to_8bit:
            cover = alpha_to_8bit(alpha[top:bottom])
            rgb[top:bottom] = on_white(rgb[top:bottom], cover, premultiplied=premultiplied)
    return rgb


def extremes(samples: NDArray[np.generic]) -> list[tuple[float, float]]:
    return [(float(samples[..., band].min()), float(samples[..., band].max())) for band in range(samples.shape[2])]
