"""What commands load before they work: what they do not need costs every task of a night."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.image_files import picture, saved


def test_a_run_loads_neither_pandas_nor_what_only_evaluations_need(tmp_path: Path) -> None:
    batch = tmp_path / "ingest" / "Box 1"
    batch.mkdir(parents=True)
    (batch / "a.png").write_bytes(saved(picture(120, 160), "PNG"))
    (batch / "_READY").touch()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "tounum_tasks", "run"],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "TOUNUM_INGEST_ROOT": str(tmp_path / "ingest"),
            "TOUNUM_LAKE_ROOT": str(tmp_path / "lake"),
            "TOUNUM_NON_PHOTOS_ROOT": str(tmp_path / "non_photos"),
            "TOUNUM_QUARANTINE_ROOT": str(tmp_path / "quarantine"),
        },
    )
    assert done.returncode == 0 and "1 image" in done.stdout, done.stderr[-2000:]
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "pyarrow" in loaded
    assert not {"pandas.core", "skimage", "matplotlib", "airflow"} & loaded


def test_where_pandas_is_loaded_already_it_stays() -> None:
    code = (
        "import pandas; from tounum_tasks.pandas_left_out import leave_pandas_out; leave_pandas_out();"
        "import pyarrow as pa; print(pa.table({'a': [1]}).to_pandas()['a'].tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.stdout == "[1]\n", done.stderr
