"""``make run``, ``make ui`` and ``make airflow``: ``python -m tounum_airflow.local run|ui|airflow``."""

import argparse
import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from tounum_airflow.local.follow import follow, reasons
from tounum_airflow.local.installation import PROJECT, USER, LocalAirflow
from tounum_tasks.errors import ConfigurationError, TounumError
from tounum_tasks.names import batch_slug
from tounum_tasks.plan import RunPlan
from tounum_tasks.settings import Settings, load_settings

DAG = "tounum_nightly"
RUN_PREFIX = "make-run"
UI_PORT = 8080
IDLE_SLEEP = "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME"
"""Seconds between two looks for work. Tasks of the sample take a second each, as long as it waits by default."""

TASK_API = "/execution/health"
"""Airflow builds its API for tasks at the first request: asked early, the first task need not wait for that."""

EARLIER_RUNS_SECONDS = 120
RUN_SECONDS = 1800
DONE, TOO_MANY_FAILURES, WRONG, INTERRUPTED = 0, 1, 2, 130


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 done, 1 done with more failed images than accepted, 2 wrong configuration or faults."""
    parser = argparse.ArgumentParser(prog="python -m tounum_airflow.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("run", "send a sample batch through the nightly DAG"), ("ui", "leave the web UI running")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--port", type=int, help=f"of the web UI; default: {UI_PORT} for ui, any free one for run")
    airflow = commands.add_parser("airflow", help="run an airflow command on this installation")
    airflow.add_argument("arguments", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        if given.command == "airflow":
            return airflow_command(given.arguments)
        return sample_run(given.port) if given.command == "run" else web_ui(given.port or UI_PORT)
    except TounumError as error:
        print(f"\n{error}", file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return INTERRUPTED


def sample_run(port: int | None) -> int:
    """Send the sample batch through the nightly DAG and show what became of every image."""
    from tounum_tasks.report.summary import print_run
    from tounum_tasks.sample.batch import write_sample_batch

    began = time.monotonic()
    data = PROJECT / "data"
    settings, environment = _own_roots(data)
    environment[IDLE_SLEEP] = os.environ.get(IDLE_SLEEP, "0.5")
    # Nothing of the sample is waited for, so no task is deferred.
    installation = LocalAirflow(
        data / "airflow", workdir=PROJECT, port=port, environment=environment, defers_later=True
    )
    _say("Starting Airflow in data/airflow; the first time takes half a minute.")
    with TemporaryDirectory(prefix="sample-", dir=data) as folder, ThreadPoolExecutor(2) as aside:
        drawn = Path(folder, "batch")
        drawing = aside.submit(write_sample_batch, drawn)
        with _running(installation) as airflow:
            api = airflow.api
            aside.submit(api.page, TASK_API)
            if api.dag(DAG)["is_paused"]:
                api.set_paused(DAG, False)
            _finish_earlier_runs(airflow)
            now = dt.datetime.now(dt.UTC)
            batch = data / "ingest" / f"sample {now:%Y-%m-%d %H-%M-%S}"
            drawing.result()
            shutil.move(drawn, batch)
            (batch / "_READY").touch()
            run_id = api.trigger(DAG, dag_run_id=f"{RUN_PREFIX}__{now:%Y-%m-%dT%H-%M-%S}")
            _say(f"Dropped a sample batch in {batch.relative_to(PROJECT)} and triggered the DAG {DAG}:")
            state = follow(airflow, DAG, run_id, timeout=RUN_SECONDS)
            failed = reasons(api, DAG, run_id)
            plan = api.xcom(DAG, run_id, "register", "plan")
    if plan and "publish" not in failed:
        print()
        print_run(_only_sample(RunPlan.from_json(plan), batch.name), settings)
    for task, reason in failed.items():
        print(f"\nTask {task} failed: {reason}", file=sys.stderr)
    print(
        f"\nFinished in {time.monotonic() - began:.0f} s. Everything lies below {_shown(data)}.\n"
        "The web UI:         make ui\n"
        "This batch again:   .venv/bin/python -m tounum_tasks show --lake data/lake"
    )
    if state == "success":
        return DONE
    return TOO_MANY_FAILURES if set(failed) == {"verdict"} else WRONG


def web_ui(port: int) -> int:
    """Run the installation until it is interrupted."""
    data = PROJECT / "data"
    settings = load_settings()
    for root in (settings.ingest_root, settings.lake_root, settings.datasets_root):
        if root.startswith("file://"):
            Path(root.removeprefix("file://")).mkdir(parents=True, exist_ok=True)
    _say("Starting Airflow in data/airflow; the first time takes half a minute.")
    with _running(LocalAirflow(data / "airflow", workdir=PROJECT, port=port)) as airflow:
        where = f"in {_shown(airflow.passwords_file)}"
        print(
            f"\nThe web UI is at {airflow.base_url}\n"
            f"User {USER}, password {airflow.password if sys.stdout.isatty() else where}\n"
            f"New batches go into {settings.ingest_root.removeprefix('file://')}; "
            f"the nightly run starts by the schedule '{settings.schedule}' ({settings.timezone}).\n"
            f"Data sets for retraining go into {settings.datasets_root.removeprefix('file://')}.\n"
            "Stop it with Ctrl-C.",
            flush=True,
        )
        while True:
            airflow.check()
            time.sleep(2)


def airflow_command(arguments: list[str]) -> int:
    """Run Airflow's own command line with the installation's environment; return its exit code."""
    installation = LocalAirflow(PROJECT / "data" / "airflow", workdir=PROJECT)
    if not installation.passwords_file.exists():
        raise ConfigurationError("There is no installation yet: `make run` or `make ui` sets it up.")
    command = [sys.executable, "-m", "airflow", *arguments]
    return subprocess.run(command, env=installation.environment(), cwd=PROJECT, check=False).returncode


@contextmanager
def _running(airflow: LocalAirflow) -> Iterator[LocalAirflow]:
    try:
        airflow.start()
        yield airflow
    finally:
        # A second Ctrl-C must not leave components behind.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        airflow.stop()


def _own_roots(data: Path) -> tuple[Settings, dict[str, str]]:
    """Return settings, and their variables, in which every root lies below ``data``.

    Whatever ``.env`` says: the sample does not belong in anybody's real archive.
    """
    names = ("ingest_root", "lake_root", "non_photos_root", "quarantine_root")
    roots = {name: str(data / name.removesuffix("_root")) for name in names}
    for folder in roots.values():
        Path(folder).mkdir(parents=True, exist_ok=True)
    return load_settings(**roots), {f"TOUNUM_{name.upper()}": folder for name, folder in roots.items()}


def _only_sample(plan: RunPlan, name: str) -> RunPlan:
    """Leave out the day's other batches, which the run had no work with."""
    begin = batch_slug(name) + "-"
    return plan.model_copy(update={"batches": [b for b in plan.batches if b.batch_id.startswith(begin)]})


def _finish_earlier_runs(airflow: LocalAirflow) -> None:
    """End runs that an interrupted ``make run`` left, and let others finish: they would take the sample in."""
    deadline = time.monotonic() + EARLIER_RUNS_SECONDS
    told = False
    while time.monotonic() < deadline:
        for run in airflow.api.runs(DAG, state=["queued", "running"]):
            if run["dag_run_id"].startswith(RUN_PREFIX):
                airflow.api.set_run_state(DAG, run["dag_run_id"], "failed")
        if airflow.api.is_at_rest(DAG):
            return
        if not told:
            _say("Airflow first makes up for a run that was due while it did not run.")
            told = True
            airflow.serve_deferred()  # a scheduled run waits until its ingest has settled
        airflow.check()
        time.sleep(1)


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _say(text: str) -> None:
    print(text, flush=True)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
