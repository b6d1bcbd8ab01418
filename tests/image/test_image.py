"""The image as a container of docker-compose.yaml: a user without rights, nothing writable, no network."""

import json
import re
import subprocess

import pytest
from skimage import data

from tests.conftest import REPOSITORY
from tests.image.container import USER, Container
from tests.image_files import saved

pytestmark = pytest.mark.image

LARGEST = {"lean": 1.7e9, "full": 4.2e9}  # bytes on disk
TEST_TOOLS = {"pytest", "hypothesis", "moto", "mypy", "ruff", "playwright", "uv"}
DAG_FILES = {"tounum_nightly", "tounum_reprocess", "tounum_retrain"}
PARSE = """
from airflow.dag_processing.dagbag import DagBag
bag = DagBag("/opt/tounum/dags")
assert not bag.import_errors, bag.import_errors
print(*bag.dags)
"""


def test_size(container: Container, variant: str) -> None:
    used = subprocess.check_output(["du", "--summarize", "--block-size=1", str(container.root)], text=True)
    assert int(used.split()[0]) <= LARGEST[variant]


def test_nobody_may_write(container: Container) -> None:
    assert container.output("id", "--user").strip() == str(USER)
    for folder in ("/opt/tounum", "/opt/venv", "/data/lake", "/"):
        done = container.run("touch", f"{folder}/new")
        assert done.returncode and b"Read-only file system" in done.stderr
    assert container.output("sh", "-c", "touch /tmp/new /opt/airflow/new && echo written") == "written\n"
    assert re.search(r"^CapBnd:\s+0+$", container.output("cat", "/proc/self/status"), re.MULTILINE)


def test_airflow_is_the_pinned_one(container: Container) -> None:
    pinned = re.search(r"^apache-airflow==(.+)$", (REPOSITORY / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned and container.output("airflow", "version").split()[-1] == pinned[1]


def test_dag_files_are_read(container: Container) -> None:
    assert set(container.output("python", "-c", PARSE).split("\n")[-2].split()) == DAG_FILES


def test_photograph_is_captioned(container: Container) -> None:
    program = "cat > /tmp/cat.png && python -m tounum_tasks caption --json - /tmp/cat.png"
    row = json.loads(container.output("sh", "-c", program, given=saved(data.chelsea(), "PNG")))
    assert row["label"] == "Photo" and row["caption"]


def test_only_what_is_at_work_is_installed(container: Container, variant: str) -> None:
    names = {row["name"] for row in json.loads(container.output("/opt/venv/bin/pip", "list", "--format=json"))}
    assert TEST_TOOLS.isdisjoint(names)
    assert {"openvino", "apache-airflow", "celery"} <= names
    assert ("tensorflow" in names) == (variant == "full")
