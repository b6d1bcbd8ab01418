"""Every DAG file: accounted for, readable, documented, with retries, pools and parameters as they should be."""

import subprocess
import sys
from itertools import pairwise

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from tests.conftest import REPOSITORY
from tounum_airflow.database import MODEL_POOL

EXPECTED = {f"{name}.py": {name} for name in ("tounum_nightly", "tounum_retrain", "tounum_reprocess")}
MODEL_TASKS = {"shard.measure_and_enhance", "shard.classify", "shard.extract_features", "shard.caption"}
MOST_LINES = 150
MOST_SECONDS = 1.0
HEAVY = {"tensorflow", "keras", "cv2", "pandas", "pyarrow", "numpy", "skimage", "matplotlib"}


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(str(REPOSITORY / "dags"))


@pytest.fixture
def nightly(bag: DagBag) -> DAG:
    return bag.dags["tounum_nightly"]


def test_every_file_is_accounted_for(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert {path.name for path in (REPOSITORY / "dags").glob("*.py")} == set(EXPECTED)
    found: dict[str, set[str]] = {}
    for dag in bag.dags.values():
        found.setdefault(dag.fileloc.rpartition("/")[2], set()).add(dag.dag_id)
    assert found == EXPECTED


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_files_are_short(name: str) -> None:
    assert len((REPOSITORY / "dags" / name).read_text().splitlines()) <= MOST_LINES


def test_dags_are_documented_and_tell_people_of_failures(bag: DagBag) -> None:
    for dag in bag.dags.values():
        assert dag.doc_md and len(dag.doc_md) > 500
        assert dag.on_failure_callback
        assert not dag.catchup


def test_every_parameter_explains_itself(bag: DagBag) -> None:
    for dag in bag.dags.values():
        dag.params.validate()
        for name in dag.params:
            param = dag.params.get_param(name)
            assert param.schema.get("title") and param.schema.get("type"), name
            assert param.description, name


def test_every_task_is_retried_and_fails_fast(bag: DagBag) -> None:
    for dag in bag.dags.values():
        for task in dag.tasks:
            arguments = task.partial_kwargs if task.is_mapped else vars(task)
            assert arguments["retries"] >= 2, task.task_id
            assert arguments["retry_policy"] is not None, task.task_id


def test_tasks_that_load_tensorflow_share_a_pool(nightly: DAG) -> None:
    assert {task.task_id for task in nightly.tasks if task.pool == MODEL_POOL} == MODEL_TASKS


def test_tasks_of_the_nightly_run(nightly: DAG) -> None:
    order = ["wait", "register", "shard.measure_and_enhance", "shard.classify", "shard.route", "shard.extract_features"]
    order += ["shard.caption", "publish", "verdict"]
    for before, after in pairwise(order):
        assert after in nightly.task_dict[before].downstream_task_ids
    assert nightly.task_dict["report"].upstream_task_ids == {"publish"}
    assert nightly.task_dict["verdict"].upstream_task_ids == {"publish", "shard.caption"}
    assert {task_id for task_id in nightly.task_ids if not nightly.task_dict[task_id].downstream_task_ids} == {
        "report",
        "verdict",
    }


def test_dag_survives_serialization(nightly: DAG) -> None:
    restored = DagSerialization.from_dict(DagSerialization.to_dict(nightly))
    assert restored.task_ids == nightly.task_ids
    assert restored.timetable.partitioned


def test_parsing_is_quick_and_imports_nothing_heavy() -> None:
    """Measured as the DAG processor sees it: Airflow itself is loaded already. In processor time: others work too."""
    program = f"""
import sys, time
import airflow.dag_processing.dagbag, airflow.sdk.definitions.decorators, airflow.triggers.base
from airflow.sdk import DAG, Asset, BaseNotifier, BaseOperator, Param, RetryPolicy, dag, task, task_group
import airflow.timetables.trigger
before = set(sys.modules)
bag = airflow.dag_processing.dagbag
started = time.process_time()
found = bag.DagBag({str(REPOSITORY / "dags")!r})
seconds = time.process_time() - started
assert found.dags and not found.import_errors, found.import_errors
print(seconds, *sorted({{name.partition(".")[0] for name in set(sys.modules) - before}}))
"""
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    seconds, *imported = done.stdout.split("\n")[-2].split()
    assert HEAVY.isdisjoint(imported)
    assert float(seconds) < MOST_SECONDS
