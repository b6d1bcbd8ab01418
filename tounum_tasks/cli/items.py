"""What the commands on files share: finding the files, decoding page by page, and writing one JSON line per item."""

from __future__ import annotations

import argparse
import json
import os
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.errors import ConfigurationError, EnvironmentFault, ErrorCode, FailureRateExceeded, ItemError
from tounum_tasks.files import finite
from tounum_tasks.images.decode import decode
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.images.pages import inspect
from tounum_tasks.names import has_sidecar_suffix, is_ignored, is_ready_marker
from tounum_tasks.settings import Settings
from tounum_tasks.visible import display_name

PROGRESS_SECONDS = 5.0
WIDEST_BEAM = 20


@dataclass(frozen=True)
class FileItem:
    """One page of one file: its pixels (uint8 H x W x 3, upright sRGB), or what was wrong with it.

    An error that concerns the whole file comes as one item, page 1.
    """

    path: Path
    page: int
    rgb: NDArray[np.uint8] | None
    error: ItemError | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds PATH and ``--json``."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="image or folder (searched to any depth)")
    parser.add_argument(
        "--json", metavar="FILE", help="write JSON Lines, one object per item; - is standard output, and nothing else"
    )


def beam_width(text: str) -> int:
    """Return the width of a beam, as argparse wants it.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 2 and 1 <= int(text) <= WIDEST_BEAM):
        raise argparse.ArgumentTypeError(f"a beam is 1 to {WIDEST_BEAM} wide, not {text!r}")
    return int(text)


def limits_of(settings: Settings) -> ImageLimits:
    """The limits on pixels, pages, time and memory that the settings give."""
    return settings.image_limits()


def find_files(paths: Sequence[str]) -> list[Path]:
    """Files that were named, and those in folders that were named (in order of name; hidden files are left out).

    Symbolic links inside folders are not followed.

    Raises:
        ConfigurationError: a path does not exist, or no file was found at all.
    """
    found: list[Path] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            found += _files_below(path)
        elif path.exists():
            found.append(path)
        else:
            raise ConfigurationError(f"{display_name(name)} does not exist.")
    if not found:
        raise ConfigurationError(f"There are no files in {display_name(', '.join(paths))}.")
    return found


def _files_below(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_ignored(name))
        for name in sorted(files):
            path = Path(root, name)
            if not (is_ignored(name) or is_ready_marker(name) or has_sidecar_suffix(name) or path.is_symlink()):
                yield path


def read_file(path: Path, max_file_bytes: int) -> bytes:
    """The bytes of a regular file; a pipe or device is not opened for waiting on.

    Raises:
        ItemError: it is no regular file, too large, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ItemError(ErrorCode.UNSUPPORTED, "it is no regular file")
            if status.st_size > max_file_bytes:
                message = f"the file has {status.st_size} bytes; the limit is {max_file_bytes}"
                raise ItemError(ErrorCode.FILE_TOO_LARGE, message)
            return file.read()
    except OSError as error:
        raise ItemError(ErrorCode.INTERNAL, f"the file cannot be read ({error.strerror})") from error


def read_items(paths: Iterable[Path], limits: ImageLimits, max_file_bytes: int) -> Iterator[FileItem]:
    """Every page of every file, one at a time, so that memory does not grow with their number."""
    for path in paths:
        try:
            data = read_file(path, max_file_bytes)
            pages = inspect(data, path.name, limits=limits).pages
        except ItemError as error:
            yield FileItem(path, 1, None, error)
            continue
        for page in range(1, pages + 1):
            try:
                yield FileItem(path, page, decode(data, page=page, limits=limits).rgb)
            except ItemError as error:
                yield FileItem(path, page, None, error)


def row(path: Path, page: int, error: ItemError | None = None, **found: Any) -> dict[str, Any]:
    """One JSON object with the columns of every command on files; what does not apply is null."""
    return {
        "path": str(path),
        "page": page,
        "label": None,
        "confidence": None,
        "probabilities": None,
        "needs_review": None,
        "review_reasons": None,
        "caption": None,
        "caption_confidence": None,
        "words": None,
        "error_code": error.code.value if error else None,
        "error_message": str(error) if error else None,
        **found,
    }


def write_json(destination: str, content: dict[str, Any]) -> None:
    """Write one JSON object to a file, or to standard output for ``-``; what is no number becomes null.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    text = json.dumps(finite(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if destination == "-":
        sys.stdout.write(text)
        return
    try:
        Path(destination).parent.mkdir(parents=True, exist_ok=True)
        Path(destination).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{destination} cannot be written: {error.strerror}.") from error


class ItemWriter:
    """Writes the rows of a command as they come, counts failures and shows progress on standard error.

    With ``--json`` rows go there as JSON Lines; without it each is one readable line on standard output.
    """

    def __init__(self, json_file: str | None) -> None:
        """Raises ConfigurationError if the file cannot be written."""
        self._as_json = json_file is not None
        self._closing = ExitStack()
        self._stream: TextIO = sys.stdout
        if json_file not in (None, "-"):
            try:
                self._stream = Path(str(json_file)).open("w", encoding="utf-8")  # noqa: SIM115 - closed by __exit__
                self._closing.callback(self._stream.close)
            except OSError as error:
                raise ConfigurationError(f"{json_file} cannot be written: {error.strerror}.") from error
        self._started = self._shown = time.monotonic()
        self.items = 0
        self.failures = 0

    def __enter__(self) -> ItemWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._closing.close()
        except OSError:  # what could not be written was told when it was written
            if error is None:
                raise

    def write(self, found: dict[str, Any]) -> None:
        """Writes one row (see :func:`row`)."""
        self.items += 1
        self.failures += found["error_code"] is not None
        # Escaped to ASCII: names may hold anything, line separators and bytes that are not UTF-8 included.
        line = json.dumps(found) if self._as_json else _readable(found)
        try:
            print(line, file=self._stream, flush=True)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise EnvironmentFault(f"The results cannot be written: {error.strerror}.") from error
        if time.monotonic() - self._shown > PROGRESS_SECONDS:
            self._shown = time.monotonic()
            rate = self.items / (self._shown - self._started)
            print(f"{self.items} items, {self.failures} failed, {rate:.1f} a second", file=sys.stderr)

    def check(self, max_failure_rate: float) -> None:
        """Raises FailureRateExceeded if more than this share of the items failed."""
        if self.items and self.failures / self.items > max_failure_rate:
            raise FailureRateExceeded(
                f"{self.failures} of {self.items} items failed, more than the limit of {max_failure_rate:.0%}."
            )


def _readable(found: dict[str, Any]) -> str:
    name = display_name(found["path"]) + (f" (page {found['page']})" if found["page"] > 1 else "")
    if found["error_code"]:
        return f"{name}: {found['error_code']}: {found['error_message']}"
    review = f"review: {', '.join(found['review_reasons'])}" if found["needs_review"] else None
    parts = [f"{found['label']} {found['confidence']:.2f}", found["caption"], review]
    return f"{name}: " + "  ".join(part for part in parts if part)
