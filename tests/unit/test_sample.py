"""The sample batch holds what its users are promised, and can be read by the rooms that come next."""

import subprocess
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tounum_tasks.errors import EnvironmentFault, ErrorCode, ItemError
from tounum_tasks.images.decode import decode
from tounum_tasks.images.limits import ImageLimits
from tounum_tasks.images.pages import ImageFormat, inspect
from tounum_tasks.sample.batch import write_sample_batch

FOLDERS = {"photographs": 18, "paintings": 5, "sketches": 5, "drawings": 6, "texts": 6}


def read(path: Path) -> list[np.ndarray | ErrorCode]:
    """Return the pixels of each page of a file, or why there are none."""
    data = path.read_bytes()
    try:
        pages = inspect(data, path.name, limits=ImageLimits()).pages
        return [decode(data, page=page).rgb for page in range(1, pages + 1)]
    except ItemError as error:
        return [error.code]


def test_about_40_items_of_every_class_and_two_that_cannot_be_read(sample):
    files = sorted(path for path in sample.rglob("*") if path.is_file())
    assert (sample / "_READY") in files
    items = [item for path in files if path.name != "_READY" for item in read(path)]
    unreadable = [item for item in items if isinstance(item, ErrorCode)]
    assert 40 <= len(items) <= 50
    assert Counter(unreadable) == {ErrorCode.TRUNCATED: 1, ErrorCode.NOT_AN_IMAGE: 1}
    for folder, least in FOLDERS.items():
        assert sum(path.is_relative_to(sample / folder) for path in files) >= least


def test_every_format_is_there(sample):
    found = set()
    for path in sample.rglob("*.*"):
        try:
            found.add(inspect(path.read_bytes(), path.name, limits=ImageLimits()).format)
        except ItemError:
            continue
    seldom = set(map(ImageFormat, ("avif", "pnm", "pcx", "raw", "heic")))  # raw and HEIC are in the delivery
    assert found == set(ImageFormat) - seldom


def test_the_special_cases_are_there(sample):
    photographs = sample / "photographs"
    turned = decode((photographs / "spoon, camera turned.jpg").read_bytes())
    assert turned.exif_orientation == 6
    assert turned.width_px > turned.height_px
    assert decode((photographs / "engine for print.jpg").read_bytes()).colour_mode == "cmyk"
    assert decode((photographs / "cameraman, 16 bit.tif").read_bytes()).bit_depth == 16
    assert len(read(sample / "texts" / "inventory.tif")) == 3
    assert len(read(sample / "texts" / "report.pdf")) == 2
    digests = Counter(sha256(path.read_bytes()).hexdigest() for path in sample.rglob("*.*"))
    assert sorted(digests.values())[-2:] == [1, 2]


def test_the_batch_is_the_same_every_time(sample, tmp_path):
    write_sample_batch(tmp_path)
    first, second = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (sample, tmp_path)
    )
    assert first == second


def test_the_batch_is_small(sample):
    assert sum(path.stat().st_size for path in sample.rglob("*") if path.is_file()) < 12_000_000


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFault, match="cannot be written"):
        write_sample_batch(tmp_path / "file")


def test_nothing_is_downloaded(tmp_path):
    """Without a network, and without the cache in which scikit-image keeps what it has downloaded."""
    code = (
        "import socket, sys\n"
        "def refuse(*_): raise OSError('no network')\n"
        "socket.socket.connect = refuse\n"
        "from tounum_tasks.sample.photos import photographs\n"
        "assert len(photographs()) == 18\n"
    )
    environment = {"PATH": "", "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=environment, cwd=tmp_path)
