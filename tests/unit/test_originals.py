"""Originals are read once for all their pages, and what is wrong with a file is told of each of its pages."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from PIL import Image

from tounum_tasks.errors import EnvironmentFault, ErrorCode, ItemError
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.items import Item
from tounum_tasks.steps.originals import Originals
from tounum_tasks.store.folder import FolderStorage

PAGES = 12


class CountingStorage(FolderStorage):
    """A folder that counts how often each of its files is opened."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.opened: list[str] = []

    def open(self, path: str, version: str = "") -> IO[bytes]:
        self.opened.append(path)
        return super().open(path, version)


@pytest.fixture
def lake(tmp_path: Path) -> CountingStorage:
    return CountingStorage(f"file://{tmp_path}")


def items_of(lake: CountingStorage, name: str, levels: list[int]) -> list[Item]:
    """The items of a TIFF file whose pages are each of one grey level."""
    first, *others = (Image.fromarray(np.full((40, 30), level, np.uint8)) for level in levels)
    file = BytesIO()
    first.save(file, "TIFF", save_all=True, append_images=others)
    lake.write_bytes(f"originals/{name}", file.getvalue())
    item = Item(
        "box-1", "2026-03-01", "Box", name, 1, len(levels), "id", lake.sha256(f"originals/{name}"), 9, "tiff",
        f"originals/{name}", 0,
    )  # fmt: skip
    lake.opened.clear()
    return [replace(item, page=page) for page in range(1, len(levels) + 1)]


def test_a_file_is_read_once_for_all_its_pages(lake: CountingStorage) -> None:
    one, other = (items_of(lake, name, list(range(start, start + PAGES))) for start, name in ((10, "a"), (90, "b")))
    with Originals(lake) as originals, ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda item: originals.decode(item, ImageLimits(max_pages=PAGES)), [*one, *other]))
    assert [int(image.rgb.max()) for image in found] == [*range(10, 10 + PAGES), *range(90, 90 + PAGES)]
    assert sorted(lake.opened) == ["originals/a", "originals/b"]


def test_damage_is_told_of_every_page_and_looked_for_once(lake: CountingStorage) -> None:
    items = items_of(lake, "a", [1, 2, 3])
    lake.write_bytes("originals/a", lake.read_bytes("originals/a")[:-9])
    lake.opened.clear()
    with Originals(lake) as originals:
        for item in items:
            with pytest.raises(ItemError) as caught:
                originals.decode(item, ImageLimits(max_pages=3))
            assert caught.value.code is ErrorCode.ORIGINAL_DAMAGED
    assert lake.opened == ["originals/a"]


def test_an_original_that_is_gone_is_a_fault_of_the_environment(lake: CountingStorage) -> None:
    (item,) = items_of(lake, "a", [1])
    lake.remove("originals/a")
    with Originals(lake) as originals, pytest.raises(EnvironmentFault, match=r"originals/a is gone: restore it"):
        originals.decode(item, ImageLimits())


def test_files_are_closed_behind_the_last_one(lake: CountingStorage) -> None:
    """However many files a shard has, two at most are open after an item is done."""
    files = [items_of(lake, f"{number}", [number])[0] for number in range(20)]
    descriptors = Path("/proc/self/fd")
    with Originals(lake) as originals:
        originals.decode(files[0], ImageLimits())
        before = len(list(descriptors.iterdir()))
        for item in files[1:]:
            originals.decode(item, ImageLimits())
        assert len(list(descriptors.iterdir())) <= before + 1
