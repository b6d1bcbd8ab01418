"""From any pixels to 8-bit sRGB on white.

Work is done in bands of rows, so that no second copy of a large scan is ever held.
"""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tounum_tasks.errors import ItemError
from tounum_tasks.images.limits import hostile_input

_BAND_ROWS = 256
_PROFILE_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


def bands(height: int) -> Iterator[tuple[int, int]]:
    """Yield (first, last + 1) of the rows of each band."""
    for top in range(0, height, _BAND_ROWS):
        yield top, min(top + _BAND_ROWS, height)


class ToSrgb:
    """Converts bands of one image to sRGB.

    Colours go through the embedded profile (relative colorimetric with black point compensation). A profile
    that is broken, or made for other colours than the image has, is ignored. Without a profile RGB and grey
    are taken as sRGB, and CMYK as inks that each let through what they do not cover. Transparency is laid on
    white.

    Args:
        mode: Pillow mode of the bands: L, LA, RGB, RGBA, CMYK or LAB, 8 bits per channel.
        profile: embedded ICC profile, or None.
    """

    def __init__(self, mode: str, profile: bytes | None) -> None:
        self._colours = mode.removesuffix("A") if mode in ("LA", "RGBA") else mode
        self._alpha = mode in ("LA", "RGBA")
        self._transform = _transform(self._colours, profile)
        self._greys = _each_grey(self._transform) if self._transform and mode in ("L", "LA") else None

    @property
    def has_profile(self) -> bool:
        """Whether colours are changed by a profile."""
        return self._transform is not None

    def __call__(self, band: Image.Image) -> NDArray[np.uint8]:
        """Return ``band`` as uint8 HxWx3."""
        colours = band.convert(self._colours) if self._alpha else band
        if self._greys is not None:
            rgb = self._greys[np.asarray(colours)]
        else:
            if self._transform:
                colours = self._transform.apply(colours)
            rgb = np.asarray(colours if colours.mode == "RGB" else colours.convert("RGB"))
        return on_white(rgb, np.asarray(band.getchannel("A"))) if self._alpha else rgb


class DeepToSrgb:
    """Converts bands of samples of any kind to sRGB: a profile sees all of their bits, then they become 8.

    Pillow's colour management takes 8 bits. So the profile is asked about the corners of the simplex of 8-bit colours
    in which a colour lies, and what lies between is interpolated, as colour management does within its own tables
    (Kasson, Nin, Plouffe, Hafner: Performing color space conversions with three-dimensional linear interpolation,
    Journal of Electronic Imaging 4(3), 1995). That is within a level of the exact colour.

    Args:
        samples: all samples of the image, HxW or HxWxC in any type, without alpha.
        mode: L, RGB or CMYK.
        profile: embedded ICC profile, or None.
        inverted: whether the largest sample is the darkest (white is zero).
    """

    def __init__(
        self, samples: NDArray[np.generic], mode: str, profile: bytes | None, *, inverted: bool = False
    ) -> None:
        self._mode, self._inverted = mode, inverted
        self._to_8bit, self._to_srgb = To8Bit(samples), ToSrgb(mode, profile)
        self._needs_levels = self._to_srgb.has_profile and samples.dtype != np.uint8

    def __call__(self, band: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Return samples of some rows as uint8 HxWx3."""
        band = band[..., None] if self._mode == "L" else band
        if not self._needs_levels:
            levels = self._to_8bit(band)
            return self._corner(255 - levels if self._inverted else levels)
        exact = self._to_8bit.levels(band).astype(np.float32)
        return self._interpolated(255 - exact if self._inverted else exact)

    def _corner(self, levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return self._to_srgb(Image.fromarray(levels[..., 0] if self._mode == "L" else levels, self._mode))

    def _interpolated(self, exact: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Convert levels 0..255 that are no whole numbers, HxWxC."""
        low = np.minimum(exact.astype(np.uint8), 254)
        beyond = exact - low
        descending = -np.sort(-beyond, axis=-1)
        weights = -np.diff(descending, prepend=1, append=0, axis=-1)
        mixed = weights[..., :1] * self._corner(low)
        for step in range(descending.shape[-1]):
            corner = low + (beyond >= descending[..., step, None])
            mixed += weights[..., step + 1, None] * self._corner(corner)
        return np.rint(mixed).astype(np.uint8)


def on_white(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8], *, premultiplied: bool = False) -> NDArray[np.uint8]:
    """Lay uint8 HxWx3 ``rgb`` with uint8 HxW ``alpha`` (0 transparent, 255 opaque) on white."""
    cover = alpha[..., None].astype(np.uint16)
    if premultiplied:
        return np.minimum(rgb + (255 - cover), 255).astype(np.uint8)
    return ((rgb * cover + 255 * (255 - cover) + 127) // 255).astype(np.uint8)


def _transform(colours: str, profile: bytes | None) -> ImageCms.ImageCmsTransform | None:
    """Return the transform to sRGB, or None if there is nothing to do or the profile is of no use."""
    if colours == "LAB":
        return _to_srgb(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), colours)
    if not profile:
        return None
    try:
        with hostile_input("ICC"):
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            if source.profile.xcolor_space.strip() != _PROFILE_SPACES[colours]:
                return None
            transform = _to_srgb(source, colours)
            if not _keeps_order(transform, colours):
                return None
            return None if colours != "CMYK" and _changes_nothing(transform, colours) else transform
    except ItemError:
        return None


def _to_srgb(source: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        source,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        # The short cut for grey is up to 10 levels wrong in the shadows of linear profiles.
        ImageCms.Flags.BLACKPOINTCOMPENSATION | (ImageCms.Flags.NOOPTIMIZE if mode == "L" else 0),
    )


def _keeps_order(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a ramp from black to white still is one: a damaged profile that opens turns a picture into stripes.

    Of 50 profiles of scanners, cameras, printers and screens none darkened a step of the ramp by more than 6 levels.
    """
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    if mode == "CMYK":
        steps = 255 - steps  # ink darkens
    ramp = Image.fromarray(steps[None] if mode == "L" else np.repeat(steps[None, :, None], len(mode), axis=2), mode)
    lightness = np.asarray(transform.apply(ramp).convert("L"))[0].astype(int)
    return bool(np.diff(lightness).min() >= -32 and lightness[-1] - lightness[0] >= 64)


def _each_grey(transform: ImageCms.ImageCmsTransform) -> NDArray[np.uint8]:
    """Return what becomes of each of 256 greys, uint8 256x3: without its short cut the transform is slow."""
    return np.asarray(transform.apply(Image.fromarray(np.arange(256, dtype=np.uint8)[None])))[0]


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether the profile is sRGB under whatever name: then the pixels are better left as they are."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)  # 18 values from 0 to 255
    if mode == "L":
        probe = np.repeat(steps[None], 2, axis=0)
    else:
        probe = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 18, 3)
    after = np.asarray(transform.apply(Image.fromarray(probe))).astype(int)
    return bool(np.abs(after - (probe if mode == "RGB" else probe[..., None])).max() <= 1)


class To8Bit:
    """Scales samples of more than 8 bits to uint8, rounding (``v / 257`` for 16 bits).

    Integers are scaled by their full range. Floating-point samples within 0..1 are scaled from 0..1. For all
    other numbers there is no agreed white: they are stretched between the darkest and the lightest sample of
    the page, and what is no number becomes darkest.
    """

    def __init__(self, samples: NDArray[np.generic]) -> None:
        self._table: NDArray[np.uint8] | None = None
        if samples.dtype == np.uint8:
            self._table = np.arange(256, dtype=np.uint8)
        elif samples.dtype == np.uint16:
            self._table = ((np.arange(65536, dtype=np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        else:
            extremes = [_finite_extremes(samples[top:bottom]) for top, bottom in bands(len(samples))]
            low, high = min(low for low, _ in extremes), max(high for _, high in extremes)
            if samples.dtype.kind == "f" and low >= 0 and high <= 1:
                low, high = 0.0, 1.0
            self._low, self._range = low, (high - low) or 1.0

    def __call__(self, band: NDArray[np.generic]) -> NDArray[np.uint8]:
        """Return ``band`` as uint8 of the same shape."""
        if self._table is not None:
            return self._table[band.astype(np.uint16, copy=False)]
        return np.clip(self.levels(band) + 0.5, 0, 255).astype(np.uint8)

    def levels(self, band: NDArray[np.generic]) -> NDArray[np.floating]:
        """Return ``band`` scaled to 0..255 and not rounded, in the same shape."""
        if self._table is not None:
            return band.astype(np.float32) / (1 if band.dtype == np.uint8 else 257)
        values = np.nan_to_num(band.astype(np.float64), nan=self._low, posinf=self._low, neginf=self._low)
        return np.clip((values - self._low) / self._range * 255, 0, 255)


def _finite_extremes(samples: NDArray[np.generic]) -> tuple[float, float]:
    values = samples.astype(np.float64)
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
