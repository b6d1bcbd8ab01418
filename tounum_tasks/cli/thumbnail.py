"""``thumbnail``: one page as a picture that a browser shows."""

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tounum_tasks.errors import ConfigurationError, ErrorCode, ItemError
from tounum_tasks.files import whole_file
from tounum_tasks.pages.wording import count
from tounum_tasks.visible import display_name

if TYPE_CHECKING:
    from tounum_tasks.images.thumbnail import PictureFormat
    from tounum_tasks.items import Item
    from tounum_tasks.views import Views

SMALLEST_PX, LARGEST_PX, FULL = 16, 16_383, sys.maxsize
FORMATS: "dict[str, PictureFormat]" = {".webp": "webp", ".png": "png"}


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "thumbnail",
        help="make the picture of a page that a browser shows: small, large, a part of it, what a caption looked at",
        description="Without OUT the thumbnail, or with --attention the strip, goes to its place in the lake, unless "
        "it is there. Without --source-path: every thumbnail that the batch lacks, as in lakes of earlier releases. "
        "Exit code 0: done; 1: this page cannot be shown, with one sentence why; 2: wrong usage or environment.",
    )
    parser.add_argument("out", metavar="OUT", nargs="?", type=Path, help="file to write, .webp or .png")
    parser.add_argument("--lake", metavar="DIR", help="folder or URL of the lake (default: the setting lake_root)")
    parser.add_argument("--batch-date", metavar="D", required=True, help="date of the batch, YYYY-MM-DD")
    parser.add_argument("--batch", metavar="B", required=True, help="id of the batch")
    parser.add_argument("--source-path", metavar="P", help="path of the file below the batch's folder")
    parser.add_argument("--page", type=int, default=1, metavar="N", help="page of the file, from 1 (default: 1)")
    parser.add_argument("--size", type=_size, metavar="PX", help="longer side at most, or full (default: 256)")
    parser.add_argument(
        "--crop", type=_crop, metavar="X,Y,W,H", help="a part of the page, in its own pixels from the upper left corner"
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--enhanced", action="store_true", help="of the enhanced copy of a photograph")
    kind.add_argument(
        "--attention",
        action="store_true",
        help="where the words of the caption looked: a PNG, 8 pixels high, with a square of 8 pixels for each word",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make one picture, or all missing thumbnails of a batch.

    Raises:
        ConfigurationError: the lake has no such page, or the options do not go together.
        EnvironmentFault: a file is gone, or the lake cannot be read.
        ItemError: the page cannot be shown.
    """
    from tounum_tasks.cli.batches import settings_for
    from tounum_tasks.views import Views

    _require_sense(arguments)
    views = Views(settings_for(arguments.lake), arguments.batch_date, arguments.batch)
    if arguments.source_path is None:
        return _make_missing(views)
    item = views.item(arguments.source_path, arguments.page)
    if arguments.out is not None:
        _write(arguments.out, _picture(views, item, arguments))
    elif arguments.attention:
        views.make_attention(item)
    else:
        views.make_thumbnail(item)
    return 0


def _require_sense(arguments: argparse.Namespace) -> None:
    """Raise ConfigurationError if the options do not go together."""
    chosen = [name for name in ("size", "crop", "enhanced") if getattr(arguments, name)]
    if arguments.out is None and chosen:
        raise ConfigurationError(f"--{chosen[0]} needs OUT, the file to write: only thumbnails lie in the lake.")
    if arguments.source_path is None and (arguments.out is not None or arguments.attention):
        raise ConfigurationError("Say with --source-path of which file; without it, missing thumbnails are made.")
    if arguments.attention and (arguments.size or arguments.crop):
        raise ConfigurationError("--attention makes a strip of one size: leave out --size and --crop.")
    if arguments.out is not None and arguments.out.suffix.lower() not in FORMATS:
        raise ConfigurationError(f"{display_name(str(arguments.out))} must end in .webp or .png, which browsers show.")


def _picture(views: "Views", item: "Item", arguments: argparse.Namespace) -> bytes:
    from tounum_tasks.images.thumbnail import THUMBNAIL_PX, encode_picture, shrink
    from tounum_tasks.views import attention_file, cropped

    if arguments.attention:
        return attention_file(views.attention(item))
    rgb = views.enhanced(item) if arguments.enhanced else views.original(item)
    if arguments.crop:
        rgb = cropped(rgb, *arguments.crop)
    size = arguments.size or (FULL if arguments.crop else THUMBNAIL_PX)
    try:
        return encode_picture(shrink(rgb, size), FORMATS[arguments.out.suffix.lower()])
    except ValueError as error:
        raise ItemError(ErrorCode.TOO_MANY_PIXELS, f"{error}: write a .png, or give --size") from error


def _make_missing(views: "Views") -> int:
    made = 0
    failed = []
    for item, found in views.make_missing_thumbnails():
        made += found is True
        if isinstance(found, ItemError):
            failed.append(f"{display_name(item.source_path)}: {found}")
    print(f"{count(made, 'thumbnail')} made; {count(len(failed), 'page')} cannot be shown.")
    for line in failed:
        print(f"  {line}", file=sys.stderr)
    return 0


def _write(path: Path, content: bytes) -> None:
    try:
        with whole_file(path) as staged:
            staged.write_bytes(content)
    except OSError as error:
        raise ConfigurationError(f"{display_name(str(path))} cannot be written: {error.strerror}.") from error


def _size(text: str) -> int:
    if text == "full":
        return FULL
    if text.isdecimal() and SMALLEST_PX <= int(text) <= LARGEST_PX:
        return int(text)
    raise argparse.ArgumentTypeError(f"give a number from {SMALLEST_PX} to {LARGEST_PX}, or full")


def _crop(text: str) -> tuple[int, ...]:
    if re.fullmatch(r"[0-9]{1,7}(,[0-9]{1,7}){3}", text, re.ASCII):
        return tuple(map(int, text.split(",")))
    raise argparse.ArgumentTypeError("give X,Y,WIDTH,HEIGHT in pixels, such as 0,0,800,600")
