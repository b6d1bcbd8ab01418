"""What the runtime costs in exactness and brings in speed: OpenVINO beside Keras, the same weights, the same images.

    python benchmarks/runtime.py PHOTOGRAPHS [--classes FOLDER] [--count N] [--emulate] [--json FILE]

Each runtime computes in a process of its own, once in float32 and, where the processor has it, once in bfloat16. Keras
in float32 is the reference. "Same features" gives every captioner the reference's features; "end to end" its own. With
``--emulate`` bfloat16 is computed without the processor's instructions, too, as both runtimes can with AVX-512: its
results are told then, its seconds are none of bfloat16.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tounum_tasks.caption.captioner import Captioner
from tounum_tasks.classify.classifier import Classifier
from tounum_tasks.classify.network import RANGES, architecture_of
from tounum_tasks.cli.items import find_files
from tounum_tasks.features.extractor import Extractor
from tounum_tasks.images.decode import decode
from tounum_tasks.images.model_input import to_model_input
from tounum_tasks.models.compute import Precision, best_precision
from tounum_tasks.models.registry import STARTERS, version_order
from tounum_tasks.models.weights import read_safetensors
from tounum_tasks.restore.restorer import Restorer

WAYS: dict[str, int] = {"judge": 3, "greedy": 1}
"""Searches for captions, and the beam that asks for each."""

PAGES, PAGE_NOISE = 8, 12.0
Results = dict[str, Any]


def main() -> int:
    """Compute everything in every way, compare, and print a table."""
    arguments = _parse()
    if arguments.worker:
        _work(arguments.worker, arguments.precision)
        return 0
    with tempfile.TemporaryDirectory(prefix="tounum-runtime-") as scratch:
        folder = Path(scratch)
        _write_inputs(arguments, folder)
        precisions: list[Precision] = ["float32"]
        if arguments.emulate or best_precision() == "bfloat16":
            precisions.append("bfloat16")
        ways = [(runtime, precision) for precision in precisions for runtime in ("keras", "openvino")]
        for runtime, precision in ways:
            _start_worker(folder, runtime, precision)
        rows = [_compare(folder, runtime, precision) for runtime, precision in ways]
    _print(rows)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", nargs="?", help="folder of photographs (searched to any depth)")
    parser.add_argument("--classes", help="folder of images to classify (default: the photographs)")
    parser.add_argument("--count", type=int, default=200, help="photographs; of classes 2.5 times as many (200)")
    parser.add_argument("--emulate", action="store_true", help="bfloat16 without the processor's instructions for it")
    parser.add_argument("--json", metavar="FILE", help="write all figures to a file")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--precision", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not (arguments.photographs or arguments.worker):
        parser.error("give a folder of photographs")
    return arguments


def _write_inputs(arguments: argparse.Namespace, folder: Path) -> None:
    """Every model's inputs as one array each, so that all ways see the same pixels."""
    photographs = _spread(arguments.photographs, arguments.count)
    classes = _spread(arguments.classes or arguments.photographs, arguments.count * 5 // 2)
    pages = [decode(file.read_bytes()).rgb for file in photographs[:PAGES]]
    noise = np.random.default_rng(1)
    np.savez(
        folder / "inputs.npz",
        photographs=_inputs(photographs),
        classes=_inputs(classes),
        **{
            f"page{number}": np.clip(page + noise.normal(0, PAGE_NOISE, page.shape), 0, 255).astype(np.uint8)
            for number, page in enumerate(pages)
        },
    )


def _spread(folder: str, count: int) -> list[Path]:
    files = find_files([folder])
    return [files[index * len(files) // count] for index in range(min(count, len(files)))]


def _inputs(files: list[Path]) -> np.ndarray:
    return np.stack([to_model_input(decode(file.read_bytes()).rgb) for file in files])


def _start_worker(folder: Path, runtime: str, precision: Precision) -> None:
    command = [sys.executable, __file__, "--worker", str(folder), "--precision", precision]
    variables = {**os.environ, "TOUNUM_RUNTIME": runtime, "TF_CPP_MIN_LOG_LEVEL": "2"}
    print(f"{runtime}, {precision} ...", file=sys.stderr, flush=True)
    subprocess.run(command, env=variables, check=True)


def _work(folder: Path, precision: Precision) -> None:
    """Compute everything with the runtime that the setting names, and write it beside the inputs."""
    runtime = os.environ["TOUNUM_RUNTIME"]
    inputs = np.load(folder / "inputs.npz")
    extractor = Extractor.load(_newest("extractor"), precision=precision)
    classifier, in_float = _classifiers(_newest("classifier"), precision)
    captioner = Captioner.load(_newest("captioner"), extractor_digest=extractor.digest, precision=precision)
    restorer = Restorer.load(_newest("restorer"), precision=precision)
    seconds: dict[str, float] = {}
    photographs, classes = inputs["photographs"], inputs["classes"]
    pages = [inputs[f"page{number}"] for number in range(PAGES) if f"page{number}" in inputs]

    features = _timed(seconds, "features", len(photographs), lambda: extractor.extract(photographs))
    scores = _timed(seconds, "classes", len(classes), lambda: classifier.scores(classes))
    float_scores = _timed(seconds, "classes in float", len(classes), lambda: in_float.scores(classes))
    reference = folder / _name("keras", "float32")
    given = np.load(reference)["features"] if reference.exists() else features
    said: dict[str, list[str]] = {}
    for way, beam in WAYS.items():
        captions = _timed(seconds, way, len(given), lambda beam=beam: captioner.caption(given, beam=beam))
        said[f"given {way}"] = [caption.text for caption in captions]
        said[f"own {way}"] = [caption.text for caption in captioner.caption(features, beam=beam)]
    megapixels = sum(page.shape[0] * page.shape[1] for page in pages) / 1e6
    restored = _timed(seconds, "restored", megapixels, lambda: [restorer.restore(page, blur=0.0) for page in pages])
    np.savez(
        folder / _name(runtime, precision),
        features=features,
        scores=scores,
        float_scores=float_scores,
        seconds=json.dumps(seconds),
        said=json.dumps(said),
        **{f"page{number}": page for number, page in enumerate(restored)},
    )


def _classifiers(folder: Path, precision: Precision) -> tuple[Classifier, Classifier]:
    """A version as it is, in int8 if it has ranges of activations and the runtime is OpenVINO, and without these."""
    weights = read_safetensors(folder / "weights.safetensors")
    without = {name: array for name, array in weights.items() if name != RANGES}
    architecture = architecture_of(weights)
    shipped = Classifier(weights, architecture=architecture, digest="", precision=precision)
    return shipped, Classifier(without, architecture=architecture, digest="", precision=precision)


def _newest(name: str) -> Path:
    return max((STARTERS / name).iterdir(), key=lambda folder: version_order(folder.name))


def _name(runtime: str, precision: Precision) -> str:
    return f"{runtime}-{precision}.npz"


def _timed(seconds: dict[str, float], what: str, count: float, compute: Callable[[], Any]) -> Any:
    """Compute twice, the first time to load and compile; note the second's processor seconds for one of ``count``."""
    compute()
    started = time.process_time()
    result = compute()
    seconds[what] = (time.process_time() - started) / count
    return result


def _compare(folder: Path, runtime: str, precision: Precision) -> Results:
    """How far the results are from those of Keras in float32."""
    ours, reference = np.load(folder / _name(runtime, precision)), np.load(folder / _name("keras", "float32"))
    said, expected = json.loads(str(ours["said"])), json.loads(str(reference["said"]))
    cosines = _cosines(ours["features"], reference["features"])
    pages = [name for name in ours.files if name.startswith("page")]
    return {
        "runtime": runtime,
        "precision": precision,
        "largest difference of features": float(np.abs(_wide(ours["features"]) - _wide(reference["features"])).max()),
        "mean cosine": float(cosines.mean()),
        "smallest cosine": float(cosines.min()),
        **{
            label: int((ours[name].argmax(1) == reference[name].argmax(1)).sum())
            for label, name in (("same classes", "scores"), ("same classes in float", "float_scores"))
        },
        "classes": len(ours["scores"]),
        "captions": len(ours["features"]),
        **{f"same, {way}": _same(said[way], expected[way]) for way in expected},
        "grey levels": int(max(np.abs(ours[name].astype(int) - reference[name]).max() for name in pages)),
        "pixels more than one level off": float(
            np.mean([(np.abs(ours[name].astype(int) - reference[name]) > 1).mean() for name in pages])
        ),
        "seconds": json.loads(str(ours["seconds"])),
    }


def _wide(features: np.ndarray) -> np.ndarray:
    return features.astype(np.float32)


def _cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    a, b = (_wide(features).reshape(len(features), -1) for features in (ours, theirs))
    return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def _same(ours: list[str], theirs: list[str]) -> int:
    return sum(one == other for one, other in zip(ours, theirs, strict=True))


def _print(rows: list[Results]) -> None:
    """One line for each figure, one column for each way."""
    columns = [f"{row['runtime']}, {row['precision']}" for row in rows]
    print("| | " + " | ".join(columns) + " |\n|---" + "|---" * len(columns) + "|")
    for figure in (name for name in rows[0] if name not in ("runtime", "precision", "seconds")):
        print(f"| {figure} | " + " | ".join(f"{row[figure]:.6g}" for row in rows) + " |")
    for stage in rows[0]["seconds"]:
        unit = "a megapixel" if stage == "restored" else "each"
        cells = [f"{row['seconds'][stage] * 1000:.1f} ms" for row in rows]
        print(f"| {stage}, processor {unit} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    sys.exit(main())
