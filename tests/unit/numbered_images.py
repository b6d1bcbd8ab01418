"""Captioned images whose features are given: of their files only names and bytes matter."""

from collections.abc import Sequence
from pathlib import Path

from tounum_tasks.datasets.captions import CaptionedImage


def numbered_images(folder: Path, captions: Sequence[tuple[str, ...]], split: str = "train") -> list[CaptionedImage]:
    """Return images called 0, 1, ... with the given captions."""
    images = []
    for number, texts in enumerate(captions):
        path = folder / f"{number}"
        path.write_text(f"{number}")
        images.append(CaptionedImage(f"{number}", path, split, texts))
    return images
