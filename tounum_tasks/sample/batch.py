"""Writes the sample batch: what a day's delivery to an archive looks like, with everything that goes wrong in one."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tounum_tasks.errors import EnvironmentFault
from tounum_tasks.images.encode import encode
from tounum_tasks.names import READY_MARKER
from tounum_tasks.sample import cmyk, paintings, photos, schematics, sketches, texts

Pixels = NDArray[np.uint8]
_EPOCH = time.gmtime(0)  # a date of writing would make the files differ from one day to the next


def write_sample_batch(folder: Path) -> list[Path]:
    """Write the sample batch into ``folder``, which is made if it is not there, and mark it as ready.

    The same files with the same bytes every time (as long as the libraries that write them stay the same).

    Returns:
        The paths of the files, without the marker, in the order in which they were written.

    Raises:
        EnvironmentFault: the folder cannot be written.
    """
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)  # what cannot be written is said before the seconds of drawing
    files = {**_photographs(), **_paintings(), **_sketches(), **_schematics(), **_texts()}
    files["photographs/again/cat on a sofa.png"] = files["photographs/cat.png"]
    files["photographs/copy broke off.jpg"] = files["photographs/astronaut.jpg"][:30_000]
    files["texts/list of boxes.jpg"] = b"Box 17: photographs of the harbour, 1921 to 1934\n"
    paths = []
    with _writing(folder):
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            paths.append(path)
        (folder / READY_MARKER).touch()
    return paths


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EnvironmentFault(f"The sample batch cannot be written to {folder}: {error.strerror}.") from error


def _saved(image: Image.Image, format: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def jpeg(pixels: Pixels, quality: int = 88, **options: object) -> bytes:
    """Return pixels, uint8 HxWx3, as a JPEG file."""
    return _saved(Image.fromarray(pixels), "JPEG", quality=quality, **options)


def _photographs() -> dict[str, bytes]:
    shown = photos.photographs()
    sideways = Image.Exif()
    sideways[274] = 6  # the camera was turned: programs must turn the picture clockwise
    deep = shown["cameraman"][..., 0].astype(np.uint16) * 257
    separation = Image.fromarray(cmyk.separate(shown["engine"]), "CMYK")
    files = {
        "astronaut.jpg": jpeg(shown["astronaut"], dpi=(300, 300)),
        "portrait in poor light.jpg": jpeg(photos.noisy(shown["portrait"], 22, seed=1), quality=92),
        "shuttle.jpg": jpeg(shown["shuttle"]),
        "cat.png": encode(shown["cat"], format="png"),
        "whiskers, out of focus.jpg": jpeg(photos.out_of_focus(shown["whiskers"], 5)),
        "coffee.tif": encode(shown["coffee"], format="tiff", dpi=300),
        "spoon, camera turned.jpg": jpeg(np.rot90(shown["spoon"]), exif=sideways),
        "motorcycle.webp": _saved(Image.fromarray(shown["motorcycle"]), "WEBP", quality=88),
        "engine for print.jpg": _saved(separation, "JPEG", quality=90, icc_profile=cmyk.profile(), dpi=(300, 300)),
        "workshop, underexposed.jpg": jpeg(photos.underexposed(shown["workshop"])),
        "rocket.jpg": jpeg(shown["rocket"], quality=35),
        "launch pad.gif": _saved(Image.fromarray(shown["launch pad"]).quantize(256), "GIF"),
        "cameraman, 16 bit.tif": _saved(Image.fromarray(deep), "TIFF", compression="tiff_lzw", dpi=(600, 600)),
        "bricks.bmp": encode(shown["bricks"], format="bmp"),
        "lawn.jp2": _saved(Image.fromarray(shown["lawn"]), "JPEG2000", quality_mode="rates", quality_layers=[8]),
        "gravel.jpg": jpeg(photos.noisy(shown["gravel"], 12, seed=2)),
        "coins.png": _saved(Image.fromarray(shown["coins"][..., 0]), "PNG", dpi=(200, 200)),
        "galaxies.jpg": jpeg(shown["galaxies"]),
    }
    return {f"photographs/{name}": content for name, content in files.items()}


def _paintings() -> dict[str, bytes]:
    shown = photos.photographs()
    return {
        "paintings/sunset at sea.jpg": jpeg(paintings.paint(paintings.sunset_at_sea(), 1)),
        "paintings/mountain lake.png": encode(paintings.paint(paintings.mountain_lake(), 2), format="png"),
        "paintings/fruit bowl.jpg": jpeg(paintings.paint(paintings.fruit_bowl(), 3)),
        "paintings/portrait in oil.jpg": jpeg(paintings.paint(shown["astronaut"], 4, brushes=(14, 7, 4))),
        "paintings/cat in oil.webp": encode(paintings.paint(shown["cat"], 5, brushes=(14, 7)), format="webp"),
    }


def _sketches() -> dict[str, bytes]:
    shown = photos.photographs()
    drawings: dict[str, Callable[[], Pixels]] = {
        "sketches/house.png": sketches.house,
        "sketches/sailing boat.png": sketches.sailing_boat,
        "sketches/bicycle.png": sketches.bicycle,
    }
    return {
        **{name: encode(draw(), format="png") for name, draw in drawings.items()},
        "sketches/portrait in pencil.jpg": jpeg(sketches.pencil(shown["portrait"], 1)),
        "sketches/motorcycle in pencil.jpg": jpeg(sketches.pencil(shown["motorcycle"], 2)),
    }


def _schematics() -> dict[str, bytes]:
    transparent = Image.fromarray(schematics.flow_diagram()).convert("RGBA")
    pixels = np.array(transparent)
    pixels[(pixels[..., :3] == 255).all(axis=-1)] = 0
    return {
        "drawings/filter.png": encode(schematics.filter_circuit(), format="png", dpi=100),
        "drawings/power supply.tif": _saved(
            Image.fromarray(schematics.supply_circuit()).convert("1", dither=Image.Dither.NONE),
            "TIFF", compression="group4", dpi=(100, 100),
        ),
        "drawings/workflow, transparent.png": _saved(Image.fromarray(pixels), "PNG"),
        "drawings/temperature.png": encode(schematics.line_chart(), format="png"),
        "drawings/contents.jpg": jpeg(schematics.bar_chart()),
        "drawings/flat.png": encode(schematics.floor_plan(), format="png"),
    }  # fmt: skip


def _texts() -> dict[str, bytes]:
    pages = [Image.fromarray(texts.inventory(number)).convert("1", dither=Image.Dither.NONE) for number in (1, 2, 3)]
    report = [Image.fromarray(texts.article(number)) for number in (1, 2)]
    return {
        "texts/letter.jpg": jpeg(texts.scanned(texts.letter(), 1, skew_degrees=0.8), quality=80, dpi=(150, 150)),
        "texts/Übersicht № 18.png": _saved(Image.fromarray(texts.inventory(2)), "PNG", dpi=(150, 150)),
        "texts/article, yellowed.jpg": jpeg(texts.scanned(texts.article(), 2, skew_degrees=-0.5), dpi=(150, 150)),
        "texts/inventory.tif": _saved(
            pages[0], "TIFF", save_all=True, append_images=pages[1:], compression="group4", dpi=(150, 150)
        ),
        "texts/report.pdf": _saved(
            report[0],
            "PDF",
            save_all=True,
            append_images=report[1:],
            resolution=150,
            creationDate=_EPOCH,
            modDate=_EPOCH,
        ),
    }
