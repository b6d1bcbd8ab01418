"""Writes docs/enhancement_study.md: how much denoising and sharpening is right, in figures, plots and crops.

    python benchmarks/enhancement_study.py [--out docs] [--photographs FOLDER] [--names FILE]

Without ``--photographs`` it measures on pictures that come with scikit-image; the crops always show one of these.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import skimage.data
from numpy.typing import NDArray

mpl.use("Agg")

import matplotlib.pyplot as plt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tounum_tasks.datasets.pictures import Source, files_of, load_picture, read_stems
from tounum_tasks.evaluation.restorer import degraded, psnr, similarity, treat
from tounum_tasks.restore.evidence import blur_of, gather
from tounum_tasks.restore.restorer import starter

Page = NDArray[np.uint8]
NOISES, BLURS = ("noise 10", "noise 25"), ("blur 1", "blur1.2+n5", "blur 1.6")
CROP = (slice(60, 190), slice(190, 360))
COLOURS = {
    "network": "#1b6ca8",
    "non-local means": "#c1571a",
    "sharpening kernel": "#c1571a",
    "unsharp mask": "#6a8f2f",
}


def rounded(pixels: NDArray[np.floating]) -> Page:
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def mixed(page: Page, strength: float) -> Page:
    """The page with so large a share of what the network changes (without sharpening)."""
    return rounded(page + strength * (starter().restore(page, blur=0.0).astype(np.float32) - page))


def non_local_means(page: Page, strength: float) -> Page:
    return np.asarray(cv2.fastNlMeansDenoisingColored(page, None, strength, strength, 7, 21), np.uint8)


def unsharp(page: Page, amount: float) -> Page:
    wide = page.astype(np.float32)
    return rounded(wide + amount * (wide - cv2.GaussianBlur(wide, (0, 0), 1.0)))


def kernel(page: Page, amount: float) -> Page:
    """The notebooks' Laplacian kernel: amount 1 is their light one."""
    cross = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]], np.float32)
    return rounded(page + amount * cv2.filter2D(page.astype(np.float32), -1, cross))


def told(page: Page, blur: float) -> Page:
    return starter().restore(page, blur=blur)


def noise_and_detail(clean: Page, given: Page, change: Callable[[Page], Page]) -> tuple[float, float]:
    """What a method leaves of the noise, and what it takes from the picture, in grey levels (root mean square)."""
    restored, restored_clean = change(given).astype(np.float32), change(clean).astype(np.float32)
    noise = float(np.sqrt(np.mean((restored - restored_clean) ** 2)))
    detail = float(np.sqrt(np.mean((restored_clean - clean) ** 2)))
    return noise, detail


def sweep(
    photographs: list[Page], kind: str, change: Callable[[Page, float], Page], strengths: list[float]
) -> list[dict[str, float]]:
    """Mean PSNR, SSIM, noise left and detail changed for each strength."""
    rows = []
    for strength in strengths:
        figures = []
        for number, clean in enumerate(photographs):
            given = degraded(clean, kind, number)
            restored = change(given, strength)
            noise, detail = noise_and_detail(clean, given, lambda page, s=strength: change(page, s))
            figures.append([psnr(clean, restored), similarity(clean, restored), noise, detail])
        mean = np.mean(figures, axis=0)
        rows.append(dict(zip(("psnr", "ssim", "noise", "detail"), mean.tolist(), strict=True)) | {"strength": strength})
    return rows


def best(rows: list[dict[str, float]]) -> dict[str, float]:
    return max(rows, key=lambda row: row["psnr"])


def axis_style(axes: plt.Axes, x: str, y: str, title: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def plot_denoising(curves: dict[str, dict[str, list[dict[str, float]]]], path: Path) -> None:
    figure, panels = plt.subplots(1, 3, figsize=(12, 3.6))
    for panel, measure, name in ((panels[0], "psnr", "PSNR in dB"), (panels[1], "ssim", "SSIM")):
        for method, by_kind in curves.items():
            for kind, rows in by_kind.items():
                scale = max(row["strength"] for row in rows)
                x = [row["strength"] / scale for row in rows]
                dashes = "-" if kind == NOISES[0] else "--"
                panel.plot(x, [row[measure] for row in rows], dashes, color=COLOURS[method], label=f"{method}, {kind}")
        axis_style(panel, "strength (1: strongest tried)", name, "Denoising: one strength does not fit all")
    for method, by_kind in curves.items():
        rows = by_kind[NOISES[1]]
        x, y = [row["detail"] for row in rows], [row["noise"] for row in rows]
        panels[2].plot(x, y, "o-", markersize=3, color=COLOURS[method], label=f"{method}, {NOISES[1]}")
    axis_style(panels[2], "detail lost, grey levels", "noise left, grey levels", "What denoising costs")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def plot_sharpening(
    curves: dict[str, dict[str, list[dict[str, float]]]], estimates: dict[str, float], path: Path
) -> None:
    figure, panels = plt.subplots(1, 2, figsize=(8, 3.6))
    for panel, kind in zip(panels, BLURS[:2], strict=True):
        for method, by_kind in curves.items():
            rows = by_kind[kind]
            scale = max(row["strength"] for row in rows)
            y = [row["psnr"] for row in rows]
            panel.plot([row["strength"] / scale for row in rows], y, color=COLOURS[method], label=method)
            if method == "network":
                panel.axvline(estimates[kind] / scale, color=COLOURS[method], alpha=0.4, linestyle=":")
        axis_style(panel, "strength (1: strongest tried)", "PSNR in dB", f"Sharpening, {kind}")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_crops(clean: Page, path: Path) -> list[str]:
    """Crops at 200 %: rows are degradations, columns methods; return the names of the columns."""
    columns = ("clean", "untouched", "classic", "non-local means", "auto")
    figure, panels = plt.subplots(4, len(columns), figsize=(3.4 * len(columns), 2.75 * 4))
    for row, kind in zip(panels, ("noise 25", "blur 1.6", "blur1.2+n5", "jpeg 30"), strict=True):
        given = degraded(clean, kind, 0)
        for panel, method in zip(row, columns, strict=True):
            page = clean if method == "clean" else treat(given, method)[0].rgb
            panel.imshow(cv2.resize(page[CROP], None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST))
            gained = "" if method == "clean" else f" {psnr(clean, page):.1f} dB"
            panel.set_title(f"{kind if method == 'untouched' else method}{gained}", fontsize=10)
            panel.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=100, pil_kwargs={"quality": 88})
    plt.close(figure)
    return list(columns)


def main() -> None:
    """Measure, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="DIR")
    parser.add_argument("--photographs", type=Path, metavar="FOLDER")
    parser.add_argument("--names", type=Path, metavar="FILE", help="use only the photographs with these stems")
    parser.add_argument("--images", type=int, default=8, help="use the first so many (default: 8)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    photographs = [skimage.data.astronaut(), skimage.data.chelsea(), skimage.data.coffee(), skimage.data.rocket()]
    on = "the four colour photographs that come with scikit-image"
    if arguments.photographs:
        stems = read_stems(arguments.names) if arguments.names else None
        files = [path for path in files_of(Source(arguments.photographs)) if stems is None or path.stem in stems]
        photographs = [load_picture(path) for path in files[: arguments.images]]
        on = f"the first {len(photographs)} photographs of the BSDS500 validation split"

    shares = [0.0, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25]
    denoising = {
        "network": {kind: sweep(photographs, kind, mixed, shares) for kind in NOISES},
        "non-local means": {
            kind: sweep(photographs, kind, non_local_means, [0, 3, 6, 10, 15, 20, 28]) for kind in NOISES
        },
    }
    steps = [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0]
    sharpening = {
        "network": {kind: sweep(photographs, kind, told, [0, 0.5, 0.8, 1, 1.2, 1.4, 1.6, 1.9, 2.2]) for kind in BLURS},
        "sharpening kernel": {kind: sweep(photographs, kind, kernel, [step / 2 for step in steps]) for kind in BLURS},
        "unsharp mask": {kind: sweep(photographs, kind, unsharp, steps) for kind in BLURS},
    }
    estimates = {}
    for kind in BLURS:
        found = [gather(degraded(clean, kind, number)) for number, clean in enumerate(photographs)]
        estimates[kind] = float(np.mean([blur_of(one.crispness, one.crispest) for one in found]))

    pictures = arguments.out / "images"
    pictures.mkdir(parents=True, exist_ok=True)
    plot_denoising(denoising, pictures / "study_denoising.png")
    plot_sharpening(sharpening, estimates, pictures / "study_sharpening.png")
    draw_crops(skimage.data.coffee(), pictures / "study_crops.jpg")
    (arguments.out / "enhancement_study.md").write_text(page(denoising, sharpening, estimates, on), encoding="utf-8")


PAGE = """# Denoising against sharpening: a study

Removing noise takes detail along, and sharpening raises noise. How much of each is right depends on the image: here are
the curves. The page is made by `python benchmarks/enhancement_study.py`, which measures on
{on}, degraded on purpose;
the pictures shown come with scikit-image.

## Denoising

![PSNR and SSIM over the strength of denoising](images/study_denoising.png)

Strength is the filter strength `h` of OpenCV's coloured non-local means (up to 28), and for the network the share of
its change that is applied (up to 1.25). Non-local means must be told the strength: what is best for noise 10 leaves
noise 25 nearly as it is, and what is best for noise 25 smears noise 10. The network finds the strength by itself: its
curve peaks near a share of 1. *Detail lost* is what a method does to the clean photograph, *noise left* what it leaves
of the noise, both as root mean squares in grey levels: the right-hand plot shows the price of each.

| | best strength | PSNR in dB | SSIM | noise left | detail lost |
|---|---|---|---|---|---|
{denoising}

## Sharpening

![PSNR over the strength of sharpening](images/study_sharpening.png)

The network is told how many pixels of blur to undo (up to 2.2); the dotted line is what the evidence of the whole page
estimates, the mean over the photographs. The kernel is the notebooks' (1 is their light one, up to 2), the unsharp mask
has a radius of 1 pixel (amounts up to 4). On a page that is also noisy both filters raise the noise along with the
detail, and gain nothing; the network removes the one while it restores the other.

| | best strength | PSNR in dB | SSIM |
|---|---|---|---|
{sharpening}

Estimated blur in pixels, the mean over the photographs: {estimates}.

## Side by side, at 200 %

![Crops of a photograph, degraded and restored](images/study_crops.jpg)

From left to right: the clean photograph, degraded, mode `classic`, coloured non-local means at the estimated strength,
and mode `auto`; PSNR in dB is that of the whole photograph.
"""


def page(denoising: dict, sharpening: dict, estimates: dict[str, float], on: str) -> str:
    """The page as Markdown."""
    denoised, sharpened = [], []
    for method, by_kind in denoising.items():
        for kind, rows in by_kind.items():
            cells = "{strength:g} | {psnr:.2f} | {ssim:.3f} | {noise:.1f} | {detail:.1f}".format(**best(rows))
            denoised.append(f"| {method}, {kind} | {cells} |")
    for method, by_kind in sharpening.items():
        for kind, rows in by_kind.items():
            cells = "{strength:g} | {psnr:.2f} | {ssim:.3f}".format(**best(rows))
            sharpened.append(f"| {method}, {kind} | {cells} |")
    return PAGE.format(
        on=on,
        denoising="\n".join(denoised),
        sharpening="\n".join(sharpened),
        estimates=", ".join(f"{kind}: {value:.2f}" for kind, value in estimates.items()),
    )


if __name__ == "__main__":
    main()
