"""What an image costs: processor seconds by stage, memory, and bytes and files in each folder.

    python benchmarks/sizing.py IMAGES... [--count N] [--shards N] [--megapixels M] [--json FILE]

Seconds are those that the processor worked, on all cores together and with what was started, so that other programs
disturb them less. The first shard pays for starting decoders and models; what an image costs is taken from the others.
With ``--megapixels`` each image is enlarged to that size and stored as JPEG, as a scanner at 300 dpi would deliver an
A4 page (8.7). The setting ``TOUNUM_ENHANCEMENT`` counts: what restoring takes is the difference to ``off``.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from PIL import Image
from stopwatch import peak_mib, processor_seconds

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tounum_tasks.cli.items import find_files
from tounum_tasks.intake.register import register
from tounum_tasks.manifest.published import read_columns
from tounum_tasks.plan import RunRequest
from tounum_tasks.publish import stage as publish_stage
from tounum_tasks.report import stage as report_stage
from tounum_tasks.settings import load_settings
from tounum_tasks.steps.shard import run_step
from tounum_tasks.steps.table import STEPS
from tounum_tasks.store.open import open_storage


def main() -> int:
    """Run all stages over one batch and print what each image cost."""
    arguments = _parse()
    files = find_files(arguments.images)
    files = [files[index * len(files) // arguments.count] for index in range(min(arguments.count, len(files)))]
    with tempfile.TemporaryDirectory(prefix="tounum-sizing-") as scratch:
        found = measure(files, Path(scratch), arguments.shards, arguments.megapixels)
    _print(found)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=1) + "\n")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", metavar="IMAGES", help="image or folder (searched to any depth)")
    parser.add_argument("--count", type=int, default=384, help="images, spread evenly (default: 384)")
    parser.add_argument("--shards", type=int, default=3, help="shards that they are divided into (default: 3)")
    parser.add_argument("--megapixels", type=float, help="enlarge each image to this size")
    parser.add_argument("--json", metavar="FILE", help="write all figures to a file")
    return parser.parse_args()


def measure(files: list[Path], scratch: Path, shards: int, megapixels: float | None) -> dict[str, Any]:
    """Take the files in, run every stage, and return seconds by stage and bytes by folder."""
    batch = scratch / "ingest" / "batch"
    batch.mkdir(parents=True)
    for number, file in enumerate(files):
        _write(file, batch, number, megapixels)
    delivered = sum(path.stat().st_size for path in batch.iterdir())
    (batch / "_READY").touch()
    roots = {f"{name}_root": str(scratch / name) for name in ("ingest", "lake", "non_photos", "quarantine")}
    settings = load_settings(**roots, shard_size=-(-len(files) // shards))
    seconds: dict[str, list[float]] = {}

    def timed(name: str, step: Callable[[], Any]) -> Any:
        started = processor_seconds()
        result = step()
        seconds.setdefault(name, []).append(processor_seconds() - started)
        return result

    plan = timed("register", lambda: register(RunRequest(run_id="sizing", enhancement=settings.enhancement), settings))
    computed: dict[str, list[int]] = {}
    for shard in plan.shards():
        for step in STEPS:
            summary = timed(step.name, partial(run_step, step.name, plan, shard, settings))
            computed.setdefault(step.name, []).append(summary["computed"])
    published = timed("publish", lambda: publish_stage.run(plan, settings))
    timed("report", lambda: report_stage.run(plan, settings))
    (batch_result,) = published["batches"]
    (batch,) = plan.batches
    rows = read_columns(open_storage(settings.lake_root), batch.batch_date, batch.batch_id, ("enhancement_accepted",))
    assert rows is not None
    return {
        "images": len(files),
        "photographs": batch_result["labels"].get("ok", {}).get("Photo", 0),
        "counts": batch_result["counts"],
        "delivered_bytes": delivered,
        "seconds": seconds,
        "computed": computed,
        "restored": pc.sum(rows["enhancement_accepted"]).as_py(),
        "peak_mib": peak_mib(),
        "folders": _folders(scratch),
    }


def _write(file: Path, batch: Path, number: int, megapixels: float | None) -> None:
    if megapixels is None:
        (batch / f"{number:05d}{file.suffix}").write_bytes(file.read_bytes())
        return
    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    factor = (megapixels * 1e6 / (picture.width * picture.height)) ** 0.5
    size = (round(picture.width * factor), round(picture.height * factor))
    picture.resize(size, Image.Resampling.BICUBIC).save(batch / f"{number:05d}.jpg", quality=92, dpi=(300, 300))


def _folders(scratch: Path) -> dict[str, tuple[int, int]]:
    """Return bytes and number of files by folder: those of the lake one by one, the other buckets whole."""
    found: dict[str, tuple[int, int]] = {}
    for path in scratch.rglob("*"):
        if path.is_file():
            parts = path.relative_to(scratch).parts
            name = "/".join(parts[: 3 if parts[1] == "stages" else 2]) if parts[0] == "lake" else parts[0]
            size, number = found.get(name, (0, 0))
            found[name] = (size + path.stat().st_size, number + 1)
    return dict(sorted(found.items()))


def _print(found: dict[str, Any]) -> None:
    images, photographs = found["images"], found["photographs"]
    print(
        f"{images} images, {photographs} photographs, {found['restored']} restored, {found['counts']}, "
        f"peak {found['peak_mib']:.0f} MiB with decoders"
    )
    print(f"{'stage':<22}{'start s':>9}{'ms an item':>12}")
    for name, taken in found["seconds"].items():
        if name in found["computed"]:
            number = found["computed"][name]
            each = sum(taken[1:]) / max(1, sum(number[1:]))
            print(f"{name:<22}{taken[0] - each * number[0]:>9.1f}{1000 * each:>12.1f}")
        else:
            print(f"{name:<22}{'':>9}{1000 * sum(taken) / images:>12.1f}")
    print(f"{'folder':<28}{'bytes an image':>15}{'files':>8}")
    print(f"{'(delivered)':<28}{found['delivered_bytes'] / images:>15.0f}{images:>8}")
    for name, (size, number) in found["folders"].items():
        print(f"{name:<28}{size / images:>15.0f}{number:>8}")


if __name__ == "__main__":
    sys.exit(main())
