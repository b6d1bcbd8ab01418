"""The network that restores pages: tiles without seams, the same result every time, loaded only when it is needed."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
import skimage.data

from tests.unit.degraded import blurred, psnr, with_noise
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.compute import Precision, best_precision
from tounum_tasks.models.registry import STARTERS
from tounum_tasks.models.runtime import OpenVinoNetwork
from tounum_tasks.models.weights import read_safetensors
from tounum_tasks.restore import restorer as restorer_module
from tounum_tasks.restore.graph import restored_page
from tounum_tasks.restore.network import REACH, build_network, get_weights, set_weights, weight_shapes
from tounum_tasks.restore.restorer import Restorer, even_tiles, starter
from tounum_tasks.threads import processors

WEIGHTS = STARTERS / "restorer" / "starter-2" / "weights.safetensors"


@pytest.mark.parametrize("largest", [64, 200, 304])
@pytest.mark.parametrize("blur", [0.0, 1.3])
def test_tiles_leave_no_seams(monkeypatch, largest, blur):
    page = with_noise(blurred(skimage.data.coffee(), 1.2), 5)
    whole = starter().restore(page, blur=blur)
    monkeypatch.setattr(restorer_module, "LARGEST_TILE", largest)
    tiled = starter().restore(page, blur=blur)
    assert np.abs(tiled.astype(int) - whole).max() <= 1


@pytest.mark.parametrize(("height", "width"), [(1, 1), (64, 64), (401, 1300), (960, 961), (3508, 2480)])
def test_tiles_cover_a_page_once(height, width):
    covered = np.zeros((height, width), np.uint8)
    for tile in even_tiles(height, width, largest=960):
        assert max(tile.bottom - tile.top, tile.right - tile.left) <= 960
        assert tile.top % 8 == tile.left % 8 == 0
        tile.of(covered)[:] += 1
    assert (covered == 1).all()


def test_a_page_does_not_depend_on_the_pages_before_it():
    pages = [with_noise(skimage.data.chelsea()[:side, : side + 37], 15) for side in (64, 177, 300)]
    forwards = [starter().restore(page, blur=0) for page in pages]
    fresh = Restorer(read_safetensors(WEIGHTS), digest="d")
    backwards = [fresh.restore(page, blur=0) for page in reversed(pages)][::-1]
    assert all((one == other).all() for one, other in zip(forwards, backwards, strict=True))


def test_pages_without_colours_stay_without_colours():
    grey = np.repeat(skimage.data.camera()[..., None], 3, axis=2)
    restored = starter().restore(with_noise(grey, 20, grey=True), blur=0)
    assert (restored == restored[..., :1]).all()
    assert psnr(grey, restored) > psnr(grey, with_noise(grey, 20, grey=True)) + 4


def test_blur_is_undone_only_if_the_network_is_told_of_it():
    clean = skimage.data.coffee()
    soft = blurred(clean, 1.3)
    left, sharpened = (starter().restore(soft, blur=blur) for blur in (0.0, 1.3))
    assert psnr(clean, sharpened) > psnr(clean, soft) + 1
    assert psnr(soft, left) > psnr(soft, sharpened) + 5


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (64, 1), (65, 67), (3, 1000)])
def test_pages_of_any_size(shape):
    page = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    given = page.copy()
    assert starter().restore(page, blur=1.0).shape == page.shape
    assert (page == given).all()


@pytest.mark.parametrize("blur", [0.0, 0.7, 1.3])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_graph_computes_what_the_network_computes(precision: Precision, blur: float) -> None:
    if precision == "bfloat16" and best_precision() == "float32":
        pytest.skip("this processor has no bfloat16")
    page = with_noise(blurred(skimage.data.coffee()[:200, :304], blur or 0.1), 12)
    weights = read_safetensors(WEIGHTS)
    network = build_network("float32")
    assert {name: array.shape for name, array in get_weights(network).items()} == weight_shapes()
    set_weights(network, weights)
    levels = np.asarray(network([page[None].astype(np.float32), np.array([[blur]], np.float32)]))[0]
    expected = np.clip(np.rint(levels), 0, 255)
    graph = OpenVinoNetwork(lambda: restored_page(weights), precision)
    (found,) = graph(page, np.array(blur, np.float32))
    assert found.dtype == np.uint8
    assert np.abs(expected - page).max() > 10
    # Beyond the page one takes it to be as blurred as within, the other to be sharp.
    inner = (slice(REACH, -REACH), slice(REACH, -REACH)) if blur else ...
    assert np.abs(found - expected)[inner].max() <= (1 if precision == "float32" else 3)


@pytest.mark.parametrize("damage", ["lacks entry/kernel", "entry/kernel has shape"])
def test_damaged_weights_are_refused(damage):
    weights = read_safetensors(WEIGHTS)
    if damage.startswith("lacks"):
        del weights["entry/kernel"]
    else:
        weights["entry/kernel"] = weights["entry/kernel"][1:]
    with pytest.raises(ConfigurationError, match=damage.replace("lacks", "lack")):
        Restorer(weights, digest="d")


def test_clean_pages_need_no_network(tmp_path):
    for name, rgb in (("cup", skimage.data.coffee()), ("cat", skimage.data.chelsea())):
        cv2.imwrite(str(tmp_path / f"{name}.png"), rgb[..., ::-1])
    program = (
        "import sys; from tounum_tasks.cli.main import main\n"
        f"code = main(['enhance', {str(tmp_path)!r}, {str(tmp_path.with_name('out'))!r}])\n"
        "sys.exit(code or 3 * ('openvino' in sys.modules or 'tensorflow' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "2 copied" in done.stdout


def test_a_large_page_takes_little_memory_and_gives_it_back():
    # Measured before, as in a night: memory is then taken from what the measures left behind.
    program = (
        "import resource, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from tounum_tasks.quality.metrics import measure\n"
        "from tounum_tasks.restore.restorer import starter\n"
        "page = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)\n"
        "starter().restore(page, blur=0)\n"
        "large = np.tile(page, (9, 12, 1))\n"
        "measure(large)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "resident = lambda: int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize()\n"
        "at_first = resident()\n"
        "restored = starter().restore(large, blur=0)\n"
        "kept = resident() - at_first - restored.nbytes\n"
        "grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "little = grown < 200_000 + 60_000 * (processors - 1) and kept < 20e6\n"
        "sys.exit(0 if little else f'{grown} KiB, of which {kept / 1024:.0f} KiB are kept')"
    ).replace("processors", str(processors()))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Restores pictures of 150 sizes, and prints by how many MiB the last 90 made the process grow.
MANY_SIZES = """
from pathlib import Path
import numpy as np
from tounum_tasks.restore.restorer import starter

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

sizes = sorted(((120 + 8 * row, 120 + 8 * column) for row in range(10) for column in range(15)), reverse=True)
for number, size in enumerate(sizes):
    if number == 60:
        begun = resident()
    starter().restore(np.full((*size, 3), 120, np.uint8), blur=0.0)
print(resident() - begun)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read as Linux tells it")
def test_memory_does_not_grow_with_the_number_of_sizes() -> None:
    """Code that was kept for each size made a task of 1,500 images grow by 200 MiB."""
    done = subprocess.run([sys.executable, "-c", MANY_SIZES], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 45
