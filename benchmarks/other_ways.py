"""What people would use instead of a stage: packages from PyPI, called as their own documentation calls them.

Each way is a function of the benchmark's folder that runs in a process of its own, goes over the images twice (see
``PASSES``), and returns what that took and what it found. It imports its packages in the first pass, so that cold
figures are those of a program that begins.
"""

import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from notebooks_way import INCEPTION_BATCH, features_cosine, plain_inception
from stopwatch import PASSES, Stages, peak_mib, timed

from tounum_tasks.threads import processors

FLAGS, NOISY_SCAN, FEATURES = "metrics and flags", "a noisy A4 scan (200 dpi)", "InceptionV3 features"
"""Stages beside which others stand."""

NOISE = 12.0
"""Standard deviation of the noise on the scan, in grey levels."""

SCAN = (2339, 1654)
"""Height and width of an A4 page at 200 dots an inch."""


@dataclass(frozen=True)
class Way:
    """One way of doing what a stage does.

    Attributes:
        stage: the stage of the pipeline beside which it stands.
        title: what is used.
        run: does it.
        modules: what it imports that the pipeline does not need.
        install: how to get them.
    """

    stage: str
    title: str
    run: Callable[[Path], dict[str, Any]]
    modules: tuple[str, ...] = ()
    install: str = ""

    def missing(self) -> str | None:
        """Return one sentence on what must be installed, or None."""
        absent = [module for module in self.modules if find_spec(module) is None]
        return f'"{self.title}" is left out: it wants `{self.install}`.' if absent else None


def twice(name: str, one_pass: Callable[[], object]) -> dict[str, Any]:
    """Do something cold and warm, and return what that took."""
    passes = []
    for which in PASSES:
        stages: Stages = {}
        with timed(stages, f"{name}, {which}"):
            one_pass()
        passes.append(stages[f"{name}, {which}"])
    return {"passes": passes, "peak_mib": peak_mib()}


def flags_by_cleanvision(folder: Path) -> dict[str, Any]:
    """All issues that cleanvision looks for: dark, light, blurry, odd in size, low in information, duplicates."""
    found: dict[str, int] = {}

    def look() -> None:
        from cleanvision import Imagelab

        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            lab = Imagelab(data_path=str(folder / "images"))
            lab.find_issues(n_jobs=processors(), verbose=False)
        flagged = lab.issues[[name for name in lab.issues if name.startswith("is_") and name.endswith("_issue")]]
        found["flagged"] = int(flagged.any(axis=1).sum())

    return {**twice("cleanvision", look), "found": f"{found['flagged']} images flagged"}


def draw_scan(folder: Path) -> None:
    """Write ``scan.npz``: an A4 page of the batch's photographs side by side, clean and with white noise."""
    from skimage.io import imread

    photographs = sorted(json.loads((folder / "reference" / "captions.json").read_text()))
    files = {file.stem: file for file in (folder / "images").iterdir()}
    clean = np.full((*SCAN, 3), 255, np.uint8)
    side, number = 224, 0
    for top in range(0, SCAN[0], side):
        for left in range(0, SCAN[1], side):
            picture = imread(files[photographs[number % len(photographs)]])[..., :3]
            place = clean[top : top + side, left : left + side]
            height, width = (min(of, has) for of, has in zip(place.shape[:2], picture.shape[:2], strict=True))
            place[:height, :width] = picture[:height, :width]
            number += 1
    noise = np.random.default_rng(0).normal(0, NOISE, clean.shape)
    noisy = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    np.savez(folder / "scan.npz", clean=clean, noisy=noisy)


def scan_by_pipeline(folder: Path) -> dict[str, Any]:
    """Mode ``auto``, measured before and after, and judged by the gate."""

    def restore(noisy: np.ndarray) -> np.ndarray:
        from tounum_tasks.quality.metrics import measure
        from tounum_tasks.restore.enhance import enhance

        return enhance(noisy, mode="auto", before=measure(noisy)).rgb

    return _scan("the pipeline", restore, folder)


def scan_by_opencv(folder: Path) -> dict[str, Any]:
    """Non-local means in CIELAB, as strong as the noise, with OpenCV's own windows."""

    def restore(noisy: np.ndarray) -> np.ndarray:
        import cv2

        bgr = cv2.fastNlMeansDenoisingColored(cv2.cvtColor(noisy, cv2.COLOR_RGB2BGR), None, NOISE, NOISE, 7, 21)
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)

    return _scan("OpenCV", restore, folder)


def scan_by_nl_means(folder: Path) -> dict[str, Any]:
    """scikit-image's fast non-local means, with the parameters of its example and the noise that it estimates."""

    def restore(noisy: np.ndarray) -> np.ndarray:
        from skimage.restoration import denoise_nl_means, estimate_sigma

        levels = noisy.astype(np.float32) / 255
        sigma = float(np.mean(estimate_sigma(levels, channel_axis=-1)))
        options = {"patch_size": 5, "patch_distance": 6, "fast_mode": True, "channel_axis": -1}
        return _in_bands(lambda part: denoise_nl_means(part, h=0.6 * sigma, sigma=sigma, **options), levels)

    return _scan("scikit-image, non-local means", restore, folder)


def scan_by_wavelets(folder: Path) -> dict[str, Any]:
    """scikit-image's wavelet shrinkage (BayesShrink) in YCbCr."""

    def restore(noisy: np.ndarray) -> np.ndarray:
        from skimage.restoration import denoise_wavelet

        def shrink(part: np.ndarray) -> np.ndarray:
            return denoise_wavelet(part, channel_axis=-1, convert2ycbcr=True, rescale_sigma=True)

        return _in_bands(shrink, noisy.astype(np.float32) / 255)

    return _scan("scikit-image, wavelets", restore, folder)


def _in_bands(restore: Callable[[np.ndarray], np.ndarray], levels: np.ndarray) -> np.ndarray:
    """Restore as many bands of a page at once as there are processors: scikit-image itself uses one."""
    with ThreadPoolExecutor(processors()) as pool:
        bands = list(pool.map(restore, np.array_split(levels, processors())))
    return np.clip(np.rint(255 * np.concatenate(bands)), 0, 255).astype(np.uint8)


def _scan(name: str, restore: Callable[[np.ndarray], np.ndarray], folder: Path) -> dict[str, Any]:
    with np.load(folder / "scan.npz") as scan:
        clean, noisy = scan["clean"], scan["noisy"]
    results: list[np.ndarray] = []
    taken = twice(name, lambda: results.append(restore(noisy)))
    gain = _decibels(clean, results[-1]) - _decibels(clean, noisy)
    return {**taken, "found": f"{gain:+.1f} dB"}


def _decibels(clean: np.ndarray, page: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((clean.astype(np.float32) - page) ** 2) / 255**2))


def features_by_predict(folder: Path) -> dict[str, Any]:
    """Keras's InceptionV3 and its ``predict`` on all photographs."""

    def extract(images: np.ndarray) -> np.ndarray:
        return plain_inception().predict(_scaled(images), verbose=0).reshape(-1, 64, 2048)

    return _features("Keras, model.predict", extract, folder)


def features_by_onnx(folder: Path) -> dict[str, Any]:
    """The same network, exported by Keras, in ONNX Runtime; exporting is done before and not counted."""
    file = folder / "inception.onnx"
    if not file.exists():
        _export(file)

    @cache
    def session() -> Any:
        import onnxruntime

        return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def extract(images: np.ndarray) -> np.ndarray:
        (entry,) = session().get_inputs()
        starts = range(0, len(images), INCEPTION_BATCH)
        batches = [_scaled(images[start : start + INCEPTION_BATCH]) for start in starts]
        found = [session().run(None, {entry.name: batch})[0] for batch in batches]
        return np.concatenate(found).reshape(-1, 64, 2048)

    return _features("ONNX Runtime", extract, folder)


def _export(file: Path) -> None:
    """Export InceptionV3 in a process of its own, whose TensorFlow and memory are not those of the way."""
    import subprocess

    program = (
        "import sys, numpy; sys.path[:0] = sys.argv[2:]; from notebooks_way import plain_inception\n"
        "network = plain_inception(); network(numpy.zeros((1, 299, 299, 3), 'float32'))\n"
        "network.export(sys.argv[1], format='onnx', verbose=False)\n"
    )
    own = Path(__file__).resolve().parent
    subprocess.run([sys.executable, "-c", program, file, own, own.parent], check=True, stderr=subprocess.DEVNULL)


def _scaled(images: np.ndarray) -> np.ndarray:
    """Pixels as InceptionV3 wants them: -1 to 1."""
    return images.astype(np.float32) / 127.5 - 1


def _features(name: str, extract: Callable[[np.ndarray], np.ndarray], folder: Path) -> dict[str, Any]:
    files = {file.stem: file for file in (folder / "images").iterdir()}
    photographs = sorted(json.loads((folder / "reference" / "captions.json").read_text()))

    def one_pass() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            images = _load([files[photograph] for photograph in photographs])
            for photograph, features in zip(photographs, extract(images), strict=True):
                np.save(Path(scratch, photograph), features)

    taken = twice(name, one_pass)
    return {**taken, "found": f"cosine {features_cosine(folder / 'reference', extract):.5f}"}


def _load(files: Sequence[Path]) -> np.ndarray:
    from PIL import Image

    return np.stack([np.asarray(Image.open(file).convert("RGB").resize((299, 299))) for file in files])


CLEANVISION = "pip install cleanvision"
ONNX = "pip install onnx onnxruntime tf2onnx"
WAYS = (
    Way(FLAGS, "cleanvision", flags_by_cleanvision, ("cleanvision",), CLEANVISION),
    Way(NOISY_SCAN, "pipeline", scan_by_pipeline),
    Way(NOISY_SCAN, "OpenCV, non-local means", scan_by_opencv),
    Way(NOISY_SCAN, "scikit-image, non-local means", scan_by_nl_means),
    Way(NOISY_SCAN, "scikit-image, wavelets", scan_by_wavelets),
    Way(FEATURES, "Keras, model.predict", features_by_predict),
    Way(FEATURES, "ONNX Runtime", features_by_onnx, ("onnx", "onnxruntime", "tf2onnx"), ONNX),
)
