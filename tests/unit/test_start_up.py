"""What commands load before they work: what they do not need costs every task of a night."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.image_files import picture, saved

# Python runs this at its start: it notes what threads other than the first import. What imports openvino and
# safetensors holds a lock.
NOTE = """
import sys, threading

class Notes:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is not threading.main_thread():
            callers = {name.partition(".")[0]}
            frame = sys._getframe()
            while frame := frame.f_back:
                callers.add(frame.f_globals.get("__name__", "").partition(".")[0])
            if not callers & {"openvino", "safetensors"}:
                print("imported by a thread:", name, file=sys.stderr)

sys.meta_path.insert(0, Notes())
"""


@pytest.fixture(scope="module")
def loading(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a run of a noisy photograph and small pictures writes to the log about its imports."""
    folder = tmp_path_factory.mktemp("loading")
    batch = folder / "ingest" / "Box 1"
    batch.mkdir(parents=True)
    noisy = picture(480, 640) + np.random.default_rng(0).normal(0, 20, (480, 640, 3))
    (batch / "noisy.png").write_bytes(saved(np.clip(noisy, 0, 255).astype(np.uint8), "PNG"))
    for number in range(4):
        (batch / f"{number}.png").write_bytes(saved(picture(120 + number, 160), "PNG"))
    (batch / "_READY").touch()
    (folder / "site").mkdir()
    (folder / "site" / "sitecustomize.py").write_text(NOTE)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "tounum_tasks", "run"],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": f"{folder / 'site'}{os.pathsep}{REPOSITORY}",
            "TOUNUM_INGEST_ROOT": str(folder / "ingest"),
            "TOUNUM_LAKE_ROOT": str(folder / "lake"),
            "TOUNUM_NON_PHOTOS_ROOT": str(folder / "non_photos"),
            "TOUNUM_QUARANTINE_ROOT": str(folder / "quarantine"),
        },
    )
    assert done.returncode == 0 and "5 images" in done.stdout, done.stderr[-2000:]
    return done.stderr


def test_a_run_loads_neither_pandas_nor_what_only_evaluations_need(loading: str) -> None:
    loaded = {line.rpartition("|")[2].strip() for line in loading.splitlines() if line.startswith("import time:")}
    assert {"pyarrow", "scipy.fft"} <= loaded
    assert not {"pandas.core", "skimage", "matplotlib", "airflow"} & loaded


def test_threads_find_everything_loaded(loading: str) -> None:
    """Two threads that import parts of a package which need each other can each find half of the other's."""
    noted = {line.split()[-1] for line in loading.splitlines() if line.startswith("imported by a thread:")}
    assert {name for name in noted if not name.startswith("PIL.")} <= {"encodings.ascii"}


def test_where_pandas_is_loaded_already_it_stays() -> None:
    code = (
        "import pandas; from tounum_tasks.pandas_left_out import leave_pandas_out; leave_pandas_out();"
        "import pyarrow as pa; print(pa.table({'a': [1]}).to_pandas()['a'].tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.stdout == "[1]\n", done.stderr
