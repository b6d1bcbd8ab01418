"""Long looks at the cluster: ``python -m tests.cluster faults`` and ``python -m tests.cluster throughput``.

Run them from the repository's folder with ``PYTHONPATH=.:plugins``; everything they write lies below ``--folder``.
"""

import argparse
import datetime as dt
import os
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.cluster.cluster import Cluster, interrupted_by_signals
from tests.cluster.images import write_batches
from tests.cluster.intake import CHANGES, disturb_intake
from tests.cluster.native import NotInstalled
from tests.cluster.night import (
    DAG,
    DISK_FAULTS,
    ROOTS_IN_STORE,
    Night,
    cluster_settings,
    faults_on,
    triggerer_killed,
)
from tests.cluster.results import assert_same, run_in_one_process
from tests.cluster.secrets import assert_secrets_are_kept

WORKERS = ("worker", "model-worker")
SERVICES = ("api-server", "scheduler", "dag-processor", "triggerer", "postgres", "redis")
QUEUED_TIMEOUT = "120"  # seconds; many tasks wait for the one worker with models, and are not lost


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    faults = commands.add_parser("faults", help="one scheduled run, every fault once, compared with an undisturbed one")
    throughput = commands.add_parser("throughput", help="one worker of each kind against two, and Airflow's own share")
    for command, images in ((faults, 2000), (throughput, 400)):
        command.add_argument("--images", type=int, default=images, help=f"default: {images}")
        command.add_argument("--batches", type=int, default=4, help="default: 4")
        command.add_argument("--shard-size", type=int, default=100, help="default: 100")
        command.add_argument(
            "--source", type=Path, metavar="DIR", help="take the images from all over this folder; default: generated"
        )
        command.add_argument("--folder", type=Path, help="default: a temporary one, removed when all went well")
    faults.add_argument("--store", action="store_true", help="with every root in the S3-compatible store")
    arguments = parser.parse_args()
    folder = (arguments.folder or Path(tempfile.mkdtemp(prefix="tounum-cluster-"))).absolute()
    try:
        with interrupted_by_signals():
            (inject_faults if arguments.command == "faults" else measure_throughput)(folder, arguments)
    except NotInstalled as missing:
        print(f"Not installed: {missing}", file=sys.stderr)
        return 2
    except AssertionError as wrong:
        print(f"\nFAILED: {wrong}\nSee {folder}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    if arguments.folder is None:
        shutil.rmtree(folder)
    return 0


def inject_faults(folder: Path, arguments: argparse.Namespace) -> None:
    """One scheduled run over all batches, with every fault in turn; then the comparison."""
    settings = cluster_settings(TOUNUM_SHARD_SIZE=str(arguments.shard_size), QUEUED_TIMEOUT=QUEUED_TIMEOUT)
    batches = write_batches(
        folder / "batches", images=arguments.images, batches=arguments.batches, source=arguments.source
    )
    began = time.monotonic()
    undisturbed = run_in_one_process(folder / "one process", batches, settings)
    _say(began, f"one process: {arguments.images} images in {arguments.batches} batches")
    if arguments.store:
        cluster = Cluster(folder / "cluster", settings={**settings, **ROOTS_IN_STORE}, profiles=("s3",))
    else:
        cluster = Cluster(folder / "cluster", settings=settings, disks=("lake",))
    with cluster:
        _say(began, "the cluster is up")
        night, faults = Night(cluster), faults_on(cluster)
        if not (arguments.store or cluster.disks):
            _say(began, f"left out, because no disk can be mounted here: {', '.join(DISK_FAULTS)}")
        night.drop(batches, ready=False)
        run = night.scheduled()
        triggerer_killed(night, run)
        _say(began, "struck: triggerer killed while the sensor is deferred")
        night.mark_ready(batches)
        for name, fault in faults.items():
            fault(night, run)
            _say(began, f"struck: {name}")
        state = night.finish(run, seconds=4 * 3600)
        _say(began, f"the run ended: {state}")
        assert state == "success", night.states(run)
        tries = [task["try_number"] for task in night.tasks(run)]
        _say(began, f"{len(tries)} tasks, {sum(number > 1 for number in tries)} of them tried again")
        assert_same(night.archive, undisturbed)
        rows = len(undisturbed.rows())
        _say(began, f"manifests, buckets and originals are those of the undisturbed run: {rows} rows")
        assert_secrets_are_kept(cluster)
        _say(began, "no secret stands in a log, a rendered field or a command line")
        for change in CHANGES:
            disturb_intake(night, folder / "disturbed", change)
            _say(began, f"a batch was {change} while it was taken in: it came in whole, or stayed where it was")


def measure_throughput(folder: Path, arguments: argparse.Namespace) -> None:
    """The same batches by one worker of each kind and by two, with Airflow's usual intervals; a table."""
    batches = write_batches(
        folder / "batches", images=arguments.images, batches=arguments.batches, source=arguments.source
    )
    settings = {"TOUNUM_SHARD_SIZE": str(arguments.shard_size)}
    print(f"{arguments.images} images in {arguments.batches} batches, {os.cpu_count()} processors")
    print("| | seconds | images an hour | no task at work | CPU s, workers | CPU s, Airflow's services |")
    print("|---|---|---|---|---|---|", flush=True)
    began, cpu = time.monotonic(), _cpu_of_children()
    run_in_one_process(folder / "one process", batches, {**cluster_settings(), **settings})
    took = time.monotonic() - began
    print(
        _row("one process, no Airflow", took, arguments.images, "", f"{_cpu_of_children() - cpu:.0f}", ""), flush=True
    )
    for workers in (1, 2):
        number = str(workers)
        kinds = {"TOUNUM_WORKERS": number, "TOUNUM_MODEL_WORKERS": number, "TOUNUM_MODEL_SLOTS": str(2 * workers)}
        with Cluster(folder / f"workers-{number}", settings=cluster_settings(**kinds, **settings), files=()) as cluster:
            night = Night(cluster)
            night.unpause()
            night.drop(batches)
            before = [cluster.cpu_seconds(*services) for services in (WORKERS, SERVICES)]
            run = night.trigger()
            assert night.finish(run, seconds=4 * 3600) == "success", night.states(run)
            after = [cluster.cpu_seconds(*services) for services in (WORKERS, SERVICES)]
            took = _length(*_interval(cluster.api.run(DAG, run)))
            at_work = _covered(
                [_interval(task) for task in night.tasks(run) if task["start_date"] and task["end_date"]]
            )
        idle = f"{took - at_work:.0f} s ({(took - at_work) / took:.0%})"
        spent = [f"{end - begin:.0f}" for begin, end in zip(before, after, strict=True)]
        print(
            _row(f"{number} worker{'s' * (workers - 1)} of each kind", took, arguments.images, idle, *spent), flush=True
        )


def _row(name: str, seconds: float, images: int, *others: str) -> str:
    return f"| {' | '.join([name, f'{seconds:.0f}', f'{images / seconds * 3600:.0f}', *others])} |"


def _cpu_of_children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _interval(entry: dict) -> tuple[dt.datetime, dt.datetime]:
    begin, end = (dt.datetime.fromisoformat(entry[name]) for name in ("start_date", "end_date"))
    return begin, end


def _length(begin: dt.datetime, end: dt.datetime) -> float:
    return (end - begin).total_seconds()


def _covered(intervals: list[tuple[dt.datetime, dt.datetime]]) -> float:
    """Return for how many seconds at least one of the intervals lasted."""
    total, latest = 0.0, min(begin for begin, _ in intervals)
    for begin, end in sorted(intervals):
        total += max(0.0, _length(max(begin, latest), end))
        latest = max(latest, end)
    return total


def _say(began: float, text: str) -> None:
    print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
