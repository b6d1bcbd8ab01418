"""What a big night came to: from Airflow's tasks, what the watch saw, the manifests and the folders."""

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.compute as pc

from tounum_airflow.local.installation import LocalAirflow
from tounum_tasks.manifest.published import published_batches, read_columns
from tounum_tasks.store.open import open_storage

WHOLE_BATCH = ("register", "publish", "report", "verdict")


def collect(airflow: LocalAirflow, dag_id: str, run_id: str, folder: Path) -> dict[str, Any]:
    """Return the figures of a finished run; the watch's files lie in ``folder``."""
    tasks = [task for task in airflow.api.tasks(dag_id, run_id) if task["start_date"] and task["pid"]]
    run = airflow.api.run(dag_id, run_id)
    rows = _rows(folder / "lake")
    components = _components(_lines(folder / "processes.jsonl"))
    stages = _stages(tasks, _lines(folder / "tasks.jsonl"))
    answers = _lines(folder / "answers.jsonl")
    cpu_of_tasks = sum(stage["cpu"] for stage in stages.values())
    cpu_of_airflow = sum(component["cpu"] for component in components.values())
    return {
        **rows,
        "wall": _seconds(run["start_date"], run["end_date"]),
        "cpu_of_tasks": cpu_of_tasks,
        "cpu_of_airflow": cpu_of_airflow,
        "share_of_airflow": cpu_of_airflow / (cpu_of_airflow + cpu_of_tasks),
        "task_instances": len(tasks),
        "stages": stages,
        "components": components,
        "answers": {name: _spread([answer[name] for answer in answers]) for name in ("health_ms", "gallery_ms")},
        "unhealthy_minutes": sum(answer["healthy"] != "healthy" for answer in answers),
        "minutes": len(answers),
        "report": airflow.api.xcom(dag_id, run_id, "report"),
        "folders": folders(folder),
    }


def _rows(lake: Path) -> dict[str, Any]:
    """What the manifests hold."""
    storage = open_storage(str(lake))
    found: dict[str, Any] = {"images": 0, "photographs": 0, "not_ok": 0, "same_bytes": 0}
    for batch in published_batches(storage):
        columns = ("status", "is_photo", "duplicate_of")
        table = read_columns(storage, batch.batch_date, batch.batch_id, columns)
        assert table is not None
        found["images"] += table.num_rows
        found["photographs"] += pc.sum(table["is_photo"]).as_py() or 0
        found["not_ok"] += pc.sum(pc.not_equal(table["status"], "ok")).as_py()
        found["same_bytes"] += table.num_rows - table["duplicate_of"].null_count
    return found


def _stages(tasks: list[dict[str, Any]], seen: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Processor seconds, duration and peak memory by task; what was begun and had to be done again counts, too.

    What no task of Airflow's list accounts for stands under ``interrupted``.
    """
    by_pid: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for entry in seen:
        by_pid[entry["pid"]].append(entry)
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for task in sorted(tasks, key=lambda task: task["start_date"]):
        began, name = datetime.fromisoformat(task["start_date"]).timestamp(), task["task_id"].rpartition(".")[2]
        near = [entry for entry in by_pid[task["pid"]] if abs(entry["began"] - began) < 60]
        for entry in near:
            by_pid[task["pid"]].remove(entry)
            for key in ("cpu", "peak_mib", "helper_peak_mib"):
                found[name][key].append(entry[key])
        found[name]["seconds"].append(task["duration"] or 0.0)
        found[name]["unseen"].append(not near)
    for entry in (entry for entries in by_pid.values() for entry in entries):
        found["interrupted"]["cpu"].append(entry["cpu"])
    return {name: _stage(lists) for name, lists in found.items()}


def _stage(lists: dict[str, list[float]]) -> dict[str, Any]:
    peaks = lists["peak_mib"]
    third = max(1, len(peaks) // 3)
    return {
        "cpu": sum(lists["cpu"]),
        "tasks": len(lists["seconds"]),
        "unseen": sum(lists["unseen"]),
        "seconds": sum(lists["seconds"]),
        "peak_mib": max(peaks, default=None),
        "helper_peak_mib": max(lists["helper_peak_mib"], default=None),
        "first_third_mib": median(peaks[:third]) if peaks else None,
        "last_third_mib": median(peaks[-third:]) if peaks else None,
    }


def _components(looks: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Processor seconds over all sessions, and memory of the longest one, by kind of process."""
    cpu: dict[str, dict[tuple[str, int], float]] = defaultdict(dict)
    memory: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for look in looks:
        resident: dict[str, float] = {}
        for name, pid, seconds, mib in look["processes"]:
            key = (look["session"], pid)
            cpu[name][key] = max(seconds, cpu[name].get(key, 0.0))
            resident[name] = max(mib, resident.get(name, 0.0))
        for name, mib in resident.items():
            memory[name][look["session"]].append(mib)
    found = {}
    for name, sessions in memory.items():
        longest = max(sessions.values(), key=len)
        third = max(1, len(longest) // 3)
        found[name] = {
            "cpu": sum(cpu[name].values()),
            "peak_mib": max(max(session) for session in sessions.values()),
            "first_third_mib": median(longest[:third]),
            "last_third_mib": median(longest[-third:]),
        }
    return found


def folders(folder: Path) -> dict[str, dict[str, int]]:
    """Bytes and number of files below a night's folder: of the lake by its folders."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: {"bytes": 0, "files": 0})
    for place, _, names in os.walk(folder):
        parts = Path(place).relative_to(folder).parts
        name = "/".join(parts[: 2 if parts and parts[0] in ("lake", "airflow") else 1]) or "."
        found[name]["bytes"] += sum((Path(place) / file).stat(follow_symlinks=False).st_size for file in names)
        found[name]["files"] += len(names)
    return dict(sorted(found.items()))


def said_of_index(folder: Path, variables: dict[str, str]) -> dict[str, float]:
    """Seconds and peak memory of building the index of the pages anew, and of bringing the running one up to date."""
    found: dict[str, float] = {}
    for name, cache in (("fresh", folder / "index_again"), ("again", folder / "index")):
        environment = {**os.environ, **variables, "TOUNUM_INDEX_CACHE": str(cache)}
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "tounum_tasks", "index", "--wait"], env=environment, stdout=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        found |= {
            f"{name}_seconds": time.perf_counter() - begun,
            f"{name}_cpu": used.ru_utime + used.ru_stime,
            f"{name}_peak_mib": used.ru_maxrss / 1024,
        }
    return found


def said_of_report(report: dict[str, Any]) -> dict[str, Any] | None:
    """Seconds until Chromium has loaded a report, and how tall it is; None without Playwright or Chromium."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ModuleNotFoundError:
        return None
    from tests.browser.people import CHROMIUM

    if CHROMIUM is None:
        return None
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        begun = time.perf_counter()
        try:
            page.goto(report["uri"], wait_until="load", timeout=120_000)
        except Error as error:
            return {"error": str(error).splitlines()[0]}
        found = {"seconds": time.perf_counter() - begun, "title": page.title(),
                 "images": page.locator("img").count()}  # fmt: skip
        browser.close()
    return found


def print_table(reference: dict[str, Any], night: dict[str, Any]) -> None:
    """Print the figures of both nights side by side, as Markdown."""
    nights = (reference, night)
    print(f"\n| | {reference['images']:,} images | {night['images']:,} images | ratio |\n|---|---|---|---|")
    for stage in night["stages"]:
        _row(f"`{stage}`, CPU ms an image", [_each(found, found["stages"].get(stage)) for found in nights])
    _row("all tasks, CPU ms an image", [1000 * found["cpu_of_tasks"] / found["images"] for found in nights])
    _row("Airflow itself, CPU ms an image", [1000 * found["cpu_of_airflow"] / found["images"] for found in nights])
    _row("Airflow's share of CPU, %", [100 * found["share_of_airflow"] for found in nights])
    _row("wall, s", [found["wall"] for found in nights])
    _row("images a second of wall", [found["images"] / found["wall"] for found in nights])
    for kind, what in (("stages", "tasks of"), ("components", "")):
        for name in night[kind]:
            both = [found[kind].get(name) or {} for found in nights]
            _row(f"{what} `{name}`, peak MiB".strip(), [one.get("peak_mib") for one in both])
            _row(f"{what} `{name}`, MiB in the last third".strip(), [one.get("last_third_mib") for one in both])
    for name in WHOLE_BATCH:
        _row(f"`{name}`, s", [(found["stages"].get(name) or {}).get("seconds") for found in nights])
    _row("report, MB", [found["report"]["bytes"] / 1e6 for found in nights])
    _row("report in Chromium, s", [(found["report_page"] or {}).get("seconds") for found in nights])
    for name in ("fresh_seconds", "fresh_cpu", "fresh_peak_mib"):
        _row(f"index of the pages, {name.removeprefix('fresh_')}", [found["pages"][name] for found in nights])
    for name in ("health_ms", "gallery_ms"):
        for which in ("median", "worst"):
            _row(f"{name.removesuffix('_ms')}, {which} ms", [found["answers"][name][which] for found in nights])
    _row("minutes in which something was not healthy", [found["unhealthy_minutes"] for found in nights])
    _row("disk, KB an image", [_bytes(found) / found["images"] / 1000 for found in nights])
    for name, component in night["components"].items():
        growth = component["last_third_mib"] / component["first_third_mib"] - 1
        print(
            f"\n{name}: {component['first_third_mib']:.0f} MiB in the first third, {growth:+.0%} in the last.", end=""
        )
    print(f"\n{night['photographs']:,} photographs, {night['not_ok']} not ok, {night['same_bytes']} with the bytes of "
          "another.")  # fmt: skip


def _each(night: dict[str, Any], stage: dict[str, Any] | None) -> float | None:
    return 1000 * stage["cpu"] / night["images"] if stage else None


def _bytes(night: dict[str, Any]) -> int:
    return sum(entry["bytes"] for entry in night["folders"].values())


def _row(name: str, values: Sequence[float | None]) -> None:
    cells = ["" if value is None else f"{value:,.2f}" if value < 100 else f"{value:,.0f}" for value in values]
    first, second = values
    cells.append(f"{second / first:.2f}" if first and second else "")
    print(f"| {name} | " + " | ".join(cells) + " |")


def _spread(values: Sequence[float | None]) -> dict[str, float | int | None]:
    known = [value for value in values if value is not None]
    return {
        "median": median(known) if known else None,
        "worst": max(known, default=None),
        "without_answer": len([value for value in values if value is None]),
    }


def _lines(path: Path) -> list[dict[str, Any]]:
    """The entries of a file of JSON Lines; a last one that was cut off by a kill is left out."""
    lines = path.read_text().splitlines() if path.exists() else []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def _seconds(began: str, ended: str) -> float:
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()
