"""``enhance``: improves image files, or copies them byte for byte; names, folders and formats are kept."""

from __future__ import annotations

import argparse
import os
import sys
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image
from PIL.TiffImagePlugin import AppendingTiffWriter

from tounum_tasks.batches import in_order
from tounum_tasks.cli.items import PROGRESS_SECONDS, find_files, limits_of, read_file
from tounum_tasks.errors import ConfigurationError, EnvironmentFault, FailureRateExceeded, ItemError
from tounum_tasks.images.decode import DecodedImage, decode, open_image
from tounum_tasks.images.encode import encode, stored_as
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.images.pages import ImageFormat, inspect
from tounum_tasks.quality.metrics import measure
from tounum_tasks.restore.engine import Engine
from tounum_tasks.restore.enhance import Enhancement, enhance
from tounum_tasks.settings import load_settings
from tounum_tasks.steps.pins import auto_engine
from tounum_tasks.visible import display_name

Method = Literal["auto", "classic"]
Fate = Literal["improved", "copied", "reverted", "failed"]
COLOUR_MODES_KEPT = ("bilevel", "grey", "palette", "rgb")


@dataclass(frozen=True)
class Outcome:
    """What became of one file, and a line to read. ``reverted`` files are copies, too."""

    fate: Fate
    line: str


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "enhance",
        help="improve image files",
        description="Improves images. Formats are kept; what needs nothing is copied byte for byte.",
    )
    parser.add_argument("input", metavar="IN", help="image or folder (searched to any depth)")
    parser.add_argument("output", metavar="OUT", help="file for a file, folder for a folder; never IN itself")
    parser.add_argument(
        "--method",
        choices=["auto", "classic"],
        default="auto",
        help="auto accepts improvements only; classic decides by fixed thresholds; default: auto",
    )
    parser.add_argument("--restorer", metavar="VERSION", help="of method auto; default: production")
    parser.add_argument("--lake", metavar="DIR", help="lake with the registry (TOUNUM_LAKE_ROOT)")
    parser.add_argument("--resume", action="store_true", help="leave out files whose result is there already")
    parser.add_argument("--max-failure-rate", type=float, metavar="RATE", help="default: 0.2")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Writes one file per file that can be read.

    Raises:
        ConfigurationError: IN is missing, or OUT is not where results can go.
        EnvironmentFault: a result cannot be written.
        FailureRateExceeded: too many files could not be read; all others were written.
    """
    settings = load_settings(
        max_failure_rate=arguments.max_failure_rate, restorer=arguments.restorer, lake_root=arguments.lake
    )
    _, engine = auto_engine(settings)
    jobs = find_jobs(Path(arguments.input), Path(arguments.output), as_folder=arguments.output.endswith(os.sep))
    waiting = [(source, target) for source, target in jobs if not (arguments.resume and target.exists())]
    fates: Counter[str] = Counter()
    shown = time.monotonic()
    limit = settings.max_file_bytes
    work = partial(
        enhance_file, method=arguments.method, engine=engine, limits=limits_of(settings), max_file_bytes=limit
    )
    with ThreadPoolExecutor(settings.decode_threads) as pool:
        for outcome in in_order(pool, lambda job: work(*job), waiting, ahead=4 * settings.decode_threads):
            fates[outcome.fate] += 1
            if outcome.fate != "copied":
                print(outcome.line, file=sys.stderr)
            if time.monotonic() - shown > PROGRESS_SECONDS:
                shown = time.monotonic()
                print(f"{fates.total()} of {len(waiting)} files", file=sys.stderr)
    there = f", {len(jobs) - len(waiting)} were there already" if len(jobs) > len(waiting) else ""
    copied = f"{fates['copied'] + fates['reverted']} copied as they are ({fates['reverted']} of them reverted)"
    print(f"{fates['improved']} improved, {copied}, {fates['failed']} not read{there}.")
    if fates["failed"] / len(jobs) > settings.max_failure_rate:
        raise FailureRateExceeded(
            f"{fates['failed']} of {len(jobs)} files failed, more than the limit of {settings.max_failure_rate:.0%}."
        )
    return 0


def find_jobs(source: Path, target: Path, *, as_folder: bool) -> list[tuple[Path, Path]]:
    """Return (file to read, file to write) for a file or for all files below a folder.

    A single file goes to the file ``target``, or into the folder ``target`` if that exists or ``as_folder`` is set.

    Raises:
        ConfigurationError: the source is missing, a result would fall on or among the sources, or the names say
            that another format is wanted.
    """
    files = find_files([str(source)])
    if source.is_dir():
        inside, outside = source.resolve(), target.resolve()
        if inside == outside or inside in outside.parents or outside in inside.parents:
            raise ConfigurationError(
                f"{display_name(str(target))}: choose a folder that neither holds IN nor lies in it."
            )
        if target.exists() and not target.is_dir():
            raise ConfigurationError(f"{display_name(str(target))} is no folder.")
        return [(file, target / file.relative_to(source)) for file in files]
    if target.is_dir() or as_folder:
        target = target / source.name
    elif target.suffix.lower() != source.suffix.lower():
        raise ConfigurationError(f"The format is kept: OUT must end in '{source.suffix}' as {source.name} does.")
    if target.resolve() == source.resolve() or (target.exists() and target.samefile(source)):
        raise ConfigurationError("OUT is IN: the original is never overwritten.")
    return [(source, target)]


def enhance_file(
    source: Path, target: Path, *, method: Method, engine: Engine, limits: ImageLimits, max_file_bytes: int
) -> Outcome:
    """Writes the improved file, or a copy; a file that cannot be read is reported and not written.

    Raises:
        EnvironmentFault: the result cannot be written.
    """
    name = display_name(str(source))
    try:
        fate, improved, story = _improve(read_file(source, max_file_bytes), method, engine, limits)
    except ItemError as error:
        return Outcome("failed", f"{name}: {error.code}: {error}")
    _write(target, improved)
    return Outcome(fate, f"{name}: {story}")


def _improve(data: bytes, method: Method, engine: Engine, limits: ImageLimits) -> tuple[Fate, bytes, str]:
    """Return what becomes of a file, the bytes to write, and what was done or why not."""
    info = inspect(data, limits=limits)
    if stored_as(info.format) is not info.format:
        if info.format in (ImageFormat.GIF, ImageFormat.RAW, ImageFormat.HEIC):
            decode(data, limits=limits)  # an unreadable file is an error, not a copy
        return "copied", data, f"{info.format} files cannot hold the result"
    if info.pages > 1:
        return _improve_pages(data, info.pages, method, engine, limits)
    with open_image(data, limits) as file:
        image = file.decode()
        metadata = file.metadata(image)
    if not _can_be_rewritten(image):
        return "copied", data, f"the result would lose what {image.colour_mode} of {image.bit_depth} bits holds"
    enhancement = _enhance(image, method, engine)
    if not enhancement.accepted:
        return "reverted" if enhancement.operations else "copied", data, enhancement.reason
    improved = encode(enhancement.rgb, format=image.format, dpi=image.dpi, metadata=metadata)
    return "improved", improved, ", ".join(enhancement.operations)


def _improve_pages(
    data: bytes, pages: int, method: Method, engine: Engine, limits: ImageLimits
) -> tuple[Fate, bytes, str]:
    """Improve a TIFF file page by page: all pages are written again if one was improved."""
    out, improved, reverted = BytesIO(), [], []
    with AppendingTiffWriter(out, new=True) as writer:
        for page in range(1, pages + 1):
            image = decode(data, page=page, limits=limits)
            if not _can_be_rewritten(image):
                return (
                    "copied",
                    data,
                    f"page {page} would lose what {image.colour_mode} of {image.bit_depth} bits holds",
                )
            enhancement = _enhance(image, method, engine)
            if enhancement.accepted:
                improved.append(f"page {page}: {', '.join(enhancement.operations)}")
            elif enhancement.operations:
                reverted.append(f"page {page}: {enhancement.reason}")
            resolution = {"dpi": (image.dpi, image.dpi)} if image.dpi else {}
            Image.fromarray(enhancement.rgb).save(writer, "TIFF", compression="tiff_lzw", **resolution)
            writer.newFrame()
    if improved:
        return "improved", out.getvalue(), "; ".join(improved + reverted)
    return "reverted" if reverted else "copied", data, "; ".join(reverted) or "nothing to do"


def _enhance(image: DecodedImage, method: Method, engine: Engine) -> Enhancement:
    return enhance(image.rgb, mode=method, before=measure(image.rgb), engine=engine)


def _can_be_rewritten(image: DecodedImage) -> bool:
    """Results have 8 bits and no transparency; what has more of either is better left as it is."""
    return image.bit_depth <= 8 and image.colour_mode in COLOUR_MODES_KEPT


def _write(target: Path, data: bytes) -> None:
    """Write a file so that it appears whole or not at all.

    Raises:
        EnvironmentFault: it cannot be written.
    """
    staged = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with staged.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            staged.replace(target)
        finally:
            staged.unlink(missing_ok=True)
    except OSError as error:
        raise EnvironmentFault(f"{display_name(str(target))} cannot be written: {error.strerror}.") from error
