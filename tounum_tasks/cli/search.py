"""``search``: finds images of a lake by words, or by what they look like."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tounum_tasks.cli.json_lines import write_json
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.names import IMAGE_ID
from tounum_tasks.visible import display_name

if TYPE_CHECKING:
    from tounum_tasks.search.index import Reader
    from tounum_tasks.search.likeness import Likeness
    from tounum_tasks.settings import Settings

COLUMNS = ("batch_date", "batch_id", "source_path", "page", "pages", "image_id", "label", "caption")
MOST = 10_000


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "search",
        help="find images by words, or photographs that look like a picture",
        description="TEXT finds images by caption, name, class and batch: all words, in any order; words in quotation "
        "marks follow each other, and the last word may be the beginning of one. --like finds photographs.",
    )
    parser.add_argument("text", metavar="TEXT", nargs="*", help="words")
    parser.add_argument("--like", metavar="PICTURE", help="a picture file; or an image id, or a path, of the lake")
    parser.add_argument("--page", type=int, default=1, metavar="N", help="page of the picture file (default: 1)")
    parser.add_argument("--lake", metavar="DIR", help="folder or URL of the lake (default: the setting lake_root)")
    parser.add_argument("--count", type=_count, default=20, metavar="N", help="how many at most (default: 20)")
    parser.add_argument("--json", metavar="FILE", help="write JSON Lines to FILE instead, '-' for standard output")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what was found, the newest first, or the most similar.

    Raises:
        ConfigurationError: nothing, or both, was asked for; the picture is not known.
        ItemError: the picture cannot be read.
        EnvironmentFault: the lake cannot be read, or the index not written.
    """
    from tounum_tasks.cli.batches import settings_for
    from tounum_tasks.search.index import index_file, reading
    from tounum_tasks.search.refresh import refresh
    from tounum_tasks.store.open import open_storage

    text = " ".join(arguments.text)
    if bool(text.strip()) == bool(arguments.like):
        raise ConfigurationError("Give either words to search for, or --like with a picture.")
    settings = settings_for(arguments.lake)
    open_storage(settings.lake_root).check()
    if refresh(settings) is None:
        print("The index is being brought up to date by another process; this is what it has now.", file=sys.stderr)
    with reading(index_file(settings.index_cache, settings.lake_root)) as index:
        if arguments.like:
            found = _like(settings, index, arguments.like, arguments.page, arguments.count)
        else:
            found = _with_words(index, text, arguments.count)
    if arguments.json:
        write_json(found, arguments.json)
    else:
        _print(found)
    return 0


def _with_words(index: Reader, text: str, count: int) -> list[dict[str, Any]]:
    from tounum_tasks.search.query import Filter, page
    from tounum_tasks.search.text import fts_query

    if not fts_query(text):
        raise ConfigurationError(f"'{display_name(text)[:100]}' holds no letter and no digit to search for.")
    return [_told(row) for row in page(index, Filter(text=text), count)]


def _like(settings: Settings, index: sqlite3.Connection, asked: str, page: int, count: int) -> list[dict[str, Any]]:
    """Return the photographs that look like a file, or like an image of the lake, which is left out."""
    from tounum_tasks.search.likeness import open_likeness
    from tounum_tasks.search.query import of_image
    from tounum_tasks.search.vectors import write_missing_vectors
    from tounum_tasks.store.open import open_storage

    lake = open_storage(settings.lake_root)
    write_missing_vectors(lake)
    likeness = open_likeness(lake, Path(settings.index_cache))
    if Path(asked).is_file():
        pairs = _like_file(settings, likeness, Path(asked), page, count)
    else:
        pairs = likeness.like(_image_id(index, asked, page), count)
    found = []
    for image_id, similarity in pairs:
        rows = of_image(index, image_id)
        if rows:
            found.append(_told(rows[0]) | {"similarity": similarity, "copies": len(rows)})
    return found


def _image_id(index: sqlite3.Connection, asked: str, page: int) -> str:
    if IMAGE_ID.fullmatch(asked):
        return asked
    row = index.execute(
        "SELECT image_id FROM items WHERE source_path = ? AND page = ? ORDER BY id LIMIT 1", (asked, page)
    ).fetchone()
    if row is None:
        raise ConfigurationError(
            f"'{display_name(asked)[:200]}' is no picture file here, and no image id and no path of the lake."
        )
    return str(row["image_id"])


def _like_file(settings: Settings, likeness: Likeness, path: Path, page: int, count: int) -> list[tuple[str, float]]:
    from tounum_tasks.cli.items import limits_of, read_file
    from tounum_tasks.images.decode import decode
    from tounum_tasks.images.model_input import to_model_input
    from tounum_tasks.plan import RunRequest
    from tounum_tasks.quality.metrics import measure
    from tounum_tasks.restore.enhance import enhance
    from tounum_tasks.search.vectors import vector_of
    from tounum_tasks.steps.pins import auto_engine, load_model, pin_models

    rgb = decode(read_file(path, settings.max_file_bytes), page=page, limits=limits_of(settings)).rgb
    enhanced = enhance(rgb, mode=settings.enhancement, before=measure(rgb), engine=auto_engine(settings)[1])
    pins = pin_models(RunRequest(run_id="search"), settings)
    features = load_model("extractor", pins, settings).extract(to_model_input(enhanced.rgb)[None])[0]
    digest = pins["extractor"].digest
    return likeness.nearest(vector_of(features, digest), digest, count)


def _told(row: sqlite3.Row) -> dict[str, Any]:
    found = {name: row[name] for name in COLUMNS}
    return {"path": found.pop("source_path"), **found}


def _print(found: list[dict[str, Any]]) -> None:
    from tounum_tasks.pages.terminal import print_table

    if not found:
        print("Nothing was found.")
        return
    is_like = "similarity" in found[0]
    headings = [*(["Like"] if is_like else []), "Image", "Date", "Batch", "Class", "Caption"]
    rows = []
    for one in found:
        name = one["path"] if one["pages"] == 1 else f"{one['path']} (page {one['page']} of {one['pages']})"
        cells = [name, one["batch_date"], one["batch_id"], one["label"] or "", one["caption"] or ""]
        rows.append([*([f"{one['similarity']:.2f}"] if is_like else []), *cells])
    print_table(headings, rows, sys.stdout, numeric=("Like",))


def _count(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= MOST:
        return int(text)
    raise argparse.ArgumentTypeError(f"give a number from 1 to {MOST:,}")
