"""A picture of what the models in production say about photographs that none of them has learnt from.

    python benchmarks/example_captions.py PICTURE [FOLDER] [--lake DIR]

Without FOLDER these are some of the photographs that scikit-image installs with its code. Each is drawn with its
caption, as a nightly run would make it, the confidence of the caption, its class and the reasons to look at it.
Captions in grey a nightly run would not make, because the classifier takes the image for something else.
"""

import argparse
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

if TYPE_CHECKING:
    from tounum_tasks.cli.items import FileItem
    from tounum_tasks.settings import Settings

COLUMNS = 4
TITLE_WIDTH = 32
SHOWN = ("astronaut", "cat", "coffee", "motorcycle", "rocket", "shuttle", "cameraman", "workshop")
KEPT, IN_REVIEW, NOT_CAPTIONED = "#1b7837", "#b35806", "#888888"


def main() -> int:
    """Caption the photographs and draw them with what the models say."""
    from tounum_tasks.cli.caption import Models
    from tounum_tasks.settings import load_settings

    parser = argparse.ArgumentParser(description="Draw what the models say about photographs.")
    parser.add_argument("picture", type=Path, metavar="PICTURE", help="PNG or JPEG to write")
    parser.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="with the photographs, at any depth")
    parser.add_argument("--lake", metavar="DIR", help="lake with the registry (TOUNUM_LAKE_ROOT)")
    arguments = parser.parse_args()
    settings = load_settings(lake_root=arguments.lake)
    items = _of_folder(arguments.folder, settings) if arguments.folder else _of_scikit_image()
    if not items:
        parser.error(f"{arguments.folder} holds no image that can be read.")
    models = Models(settings)
    rows = list(models.describe([models.prepare(item) for item in items], caption_all=True))
    _draw([item.rgb for item in items], rows, arguments.picture)
    return 0


def _of_folder(folder: Path, settings: "Settings") -> "list[FileItem]":
    """The pages below a folder that can be read, in the order of their names."""
    from tounum_tasks.cli.items import find_files, limits_of, read_items

    found = read_items(find_files([str(folder)]), limits_of(settings), settings.max_file_bytes)
    return [item for item in found if item.rgb is not None]


def _of_scikit_image() -> "list[FileItem]":
    from tounum_tasks.cli.items import FileItem
    from tounum_tasks.sample.photos import photographs

    return [FileItem(Path(name), 1, pixels) for name, pixels in photographs().items() if name in SHOWN]


def _draw(pictures: list[Any], rows: list[dict[str, Any]], path: Path) -> None:
    """Draw the pictures, the surest caption first."""
    from matplotlib.figure import Figure

    from tounum_tasks.classify.labels import PHOTO

    order = sorted(range(len(rows)), key=lambda number: -(rows[number]["caption_confidence"] or 0))
    lines = -(-len(rows) // COLUMNS)
    figure = Figure(figsize=(3 * COLUMNS, 3.5 * lines), layout="constrained")
    tiles = figure.subplots(lines, COLUMNS, squeeze=False).flat
    for axes in tiles:
        axes.set_axis_off()
    for axes, number in zip(figure.axes, order, strict=False):
        row = rows[number]
        axes.imshow(pictures[number])
        title = textwrap.fill(row["caption"] or "", TITLE_WIDTH)
        axes.set_title(title, fontsize=11, color="black" if row["label"] == PHOTO else NOT_CAPTIONED)
        sure = "?" if row["caption_confidence"] is None else f"{row['caption_confidence']:.2f}"
        verdict = f"caption {sure}, {row['label']} {row['confidence']:.2f}"
        # What is no photograph has no caption in a night, and nobody is asked to read it.
        reasons = [reason for reason in row["review_reasons"] if reason != "caption" or row["label"] == PHOTO]
        if reasons:
            verdict += f"\nin review: {', '.join(reasons)}"
        colour = IN_REVIEW if reasons else KEPT
        axes.text(0.5, -0.03, verdict, transform=axes.transAxes, ha="center", va="top", fontsize=10, color=colour)
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    sys.exit(main())
