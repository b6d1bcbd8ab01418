"""docker-compose.yaml and what goes with it, without starting anything."""

import json
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.cluster.compose import ComposeError, interpolate, read_documents, read_env_file, read_services, seconds
from tests.conftest import REPOSITORY
from tounum_airflow.cluster import env_file
from tounum_tasks.settings import Settings

COMPOSE = REPOSITORY / "docker-compose.yaml"
SCHEMA = Path(__file__).parent / "data" / "compose-spec.json"
OTHERS_IMAGES = {"postgres", "redis", "store"}
# What a container has no say in: where things lie is decided by mounts, and workers of their own serve the queue.
SET_BY_THE_FILE = {"model_cache", "index_cache", "datasets_root", "training_root", "model_queue"}


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("env") / ".env"
    assert env_file.main(["--file", str(path)]) == 0
    return read_env_file(path)


@pytest.fixture(scope="module")
def document(variables: dict[str, str]) -> dict[str, Any]:
    return read_documents(COMPOSE, variables=variables)


# The file


def test_file_follows_the_compose_specification(document: dict[str, Any]) -> None:
    validator = jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))
    validator.validate(yaml.safe_load(COMPOSE.read_text()))
    validator.validate(document)


def test_schema_refuses_what_is_no_compose_file() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(json.loads(SCHEMA.read_text())).validate({"services": {"a": {"restarts": "no"}}})


def test_nothing_starts_without_generated_secrets(variables: dict[str, str]) -> None:
    for name in env_file.NAMES:
        without = {key: value for key, value in variables.items() if key != name}
        with pytest.raises(ComposeError, match=f"{name} is not set: run make env first"):
            read_documents(COMPOSE, variables=without)


def test_no_secret_has_a_default() -> None:
    text = COMPOSE.read_text()
    secret = [name for name in env_file.NAMES if re.search("PASSWORD|KEY|SECRET", name)]
    assert len(secret) == 8
    for name in secret:
        assert f"${{{name}:?" in text and not re.search(rf"\$\{{{name}[^}}]*[-+]", text)


def test_every_service_is_limited_restarted_and_looked_after(document: dict[str, Any]) -> None:
    for name, service in document["services"].items():
        assert service["mem_limit"] and service["restart"] and service["security_opt"] == ["no-new-privileges:true"], (
            name
        )
        assert ("healthcheck" in service) != (name == "prepare"), name
        assert not service.get("privileged"), name
        assert not service["image"].endswith(":latest") or name not in OTHERS_IMAGES, name
        if name not in OTHERS_IMAGES:
            assert service["user"].endswith(":0") and not service["user"].startswith("0:")
            assert service["read_only"] and service["cap_drop"] == ["ALL"]


def test_only_the_web_ui_is_reached_from_outside_and_only_by_this_machine(document: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in document["services"].items() if "ports" in service}
    assert ports == {"api-server": ["127.0.0.1:8080:8080"]}


def test_only_the_worker_that_empties_it_may_write_to_ingest(variables: dict[str, str]) -> None:
    services = read_services(COMPOSE, variables=variables, profiles=("s3",))
    sees = {
        name: mount.read_only
        for name, service in services.items()
        for mount in service.mounts
        if mount.target == "/data/ingest"
    }
    assert sees == {"worker": False, "triggerer": True}


def test_workers_hold_no_secret_of_the_servers(variables: dict[str, str]) -> None:
    services = read_services(COMPOSE, variables=variables)
    for name in ("worker", "model-worker"):
        values = " ".join(services[name].environment.values())
        for secret in ("TOUNUM_FERNET_KEY", "TOUNUM_JWT_SECRET", "TOUNUM_SECRET_KEY", "TOUNUM_ADMIN_PASSWORD"):
            assert variables[secret] not in values


def test_log_servers_stay_off(variables: dict[str, str]) -> None:
    services = read_services(COMPOSE, variables=variables)
    for name in ("scheduler", "triggerer", "worker", "model-worker"):
        assert "--skip-serve-logs" in " ".join(services[name].command)
        assert "/data/logs" in [mount.target for mount in services[name].mounts]


def test_every_setting_can_be_set(variables: dict[str, str]) -> None:
    given = {f"TOUNUM_{field.upper()}": f"given-{field}" for field in Settings.model_fields}
    services = read_services(COMPOSE, variables={**variables, **given})
    for field in Settings.model_fields.keys() - SET_BY_THE_FILE:
        name = f"TOUNUM_{field.upper()}"
        assert services["worker"].environment[name] == f"given-{field}"
        assert name in services["model-worker"].environment
        assert name in services["scheduler"].environment or field == "s3_connection"


def test_store_is_started_only_with_its_profile(variables: dict[str, str]) -> None:
    assert "store" not in read_services(COMPOSE, variables=variables)
    assert "store" in read_services(COMPOSE, variables=variables, profiles=("s3",))


def test_image_holds_what_the_services_start_and_nothing_of_this_folder_besides() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert names == {"requirements", "requirements.txt", "tounum_tasks", "plugins", "dags"}
    assert ignored[1] == "*" and {line[1:] for line in ignored if line.startswith("!")} == names


def test_image_leaves_out_what_only_development_needs() -> None:
    # Which files of requirements/ the image installs; test_requirements.py keeps the tests' packages in dev.in.
    variants = dict(re.findall(r'(\w+)\) uses="([a-z ]+)"', (REPOSITORY / "Dockerfile").read_text()))
    assert variants == {"full": "run formats airflow cluster read measure train", "lean": "run formats airflow cluster"}


def test_image_is_full_unless_somebody_asks_for_the_lean_one(variables: dict[str, str]) -> None:
    for asked, variant in ({}, "full"), ({"TOUNUM_IMAGE_VARIANT": "lean"}, "lean"):
        services = read_documents(COMPOSE, variables={**variables, **asked})["services"]
        assert services["scheduler"]["build"]["args"] == {"VARIANT": variant}


# The reader


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("$A and ${A}", "1 and 1"),
        ("${E:-x} ${E-x} ${N:-x} ${N-x} ${A:-x}", "x  x x 1"),
        ("${A:+x}${E:+x}${E+y}${N+z}", "xy"),
        ("$$A $${A} ${N:-a:b?c}", "$A ${A} a:b?c"),
        ("${A:?needed}", "1"),
    ],
)
def test_variables_are_filled_in(text: str, filled: str) -> None:
    assert interpolate({"a": [text]}, {"A": "1", "E": ""}) == {"a": [filled]}


@pytest.mark.parametrize("text", ["${N:?needed}", "${E:?needed}", "cost: 5 $", "${}"])
def test_what_cannot_be_filled_in_is_refused(text: str) -> None:
    with pytest.raises(ComposeError):
        interpolate(text, {"E": ""})


def test_second_file_is_laid_over_the_first(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(
        "x-env: &env {A: 1, B: 2}\n"
        "services: {s: {image: i, command: [a, b], environment: {<<: *env, B: 3, C:, D:},"
        " depends_on: {t: {condition: service_healthy}},"
        " healthcheck: {test: [CMD, x], interval: 1m30s}}}"
    )
    second.write_text("services: {s: {command: [c], environment: {A: '${NEW}'}, healthcheck: {interval: 1s}}}")
    service = read_services(first, second, variables={"NEW": "n", "C": "from .env"})["s"]
    assert service.environment == {"A": "n", "B": "3", "C": "from .env"}
    assert service.command == ("c",) and service.depends_on == {"t": "service_healthy"}
    assert service.health and (service.health.test, service.health.interval) == (("CMD", "x"), 1)


def test_durations() -> None:
    assert [seconds(text) for text in ("90s", "1m30s", "15m", "2h", "0.5s")] == [90, 90, 900, 7200, 0.5]
    for wrong in ("", "5", "5 minutes"):
        with pytest.raises(ComposeError):
            seconds(wrong)


# The file of secrets


def test_env_file_is_private_and_different_each_time(tmp_path: Path) -> None:
    files = [tmp_path / "a" / ".env", tmp_path / "b" / ".env"]
    for file in files:
        file.parent.mkdir()
        done = _make_env(file)
        assert done.returncode == 0, done.stderr
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert (file.parent / "data" / "ingest").is_dir()
    first, second = (read_env_file(file) for file in files)
    same = {name for name in first if first[name] == second[name]}
    assert same == {"TOUNUM_UID", "TOUNUM_INGEST_DIR", "TOUNUM_DATASETS_DIR"}
    assert all(len(first[name]) >= 16 and first[name] not in done.stdout for name in first.keys() - same)


def test_env_file_that_is_there_is_left_alone_and_gets_its_folders(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    _make_env(file)
    before = file.read_bytes()
    shutil.rmtree(tmp_path / "data")  # as where the file was restored from a backup
    assert _make_env(file).returncode == 0
    assert file.read_bytes() == before
    assert (tmp_path / "data" / "ingest").is_dir()


def test_env_file_that_lacks_something_is_left_alone_and_reported(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("TOUNUM_TIMEZONE=Europe/Berlin\nPOSTGRES_PASSWORD=mine\n")
    done = _make_env(file)
    assert done.returncode == 2
    assert "lacks REDIS_PASSWORD" in done.stderr and "POSTGRES" not in done.stderr and "mine" not in done.stderr
    assert file.read_text() == "TOUNUM_TIMEZONE=Europe/Berlin\nPOSTGRES_PASSWORD=mine\n"


def _make_env(file: Path) -> subprocess.CompletedProcess[str]:
    """Run it as `make env` does: with a Python that has no packages at all."""
    command = [sys.executable, "-I", "-S", env_file.__file__, "--file", str(file)]
    return subprocess.run(command, env={}, text=True, capture_output=True, check=False)
