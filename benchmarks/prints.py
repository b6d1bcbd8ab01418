"""Measures what mode ``auto`` makes of prints and other things whose texture belongs to them.

    python benchmarks/prints.py FOLDER [--images N] [--quality Q] [--scans]

FOLDER holds clean photographs. Each is printed and scanned in every way that ``PRINTS`` names. Printed for each: how
many were touched, and how many of these lie further from the photograph than the scan does (PSNR), as drawn and as
JPEG. With ``--scans`` FOLDER holds scans of real prints, which are judged as they are: printed is how many were
touched, and for what.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from skimage.metrics import peak_signal_noise_ratio

from tounum_tasks.datasets.pictures import Source, files_of, load_picture
from tounum_tasks.quality.metrics import measure
from tounum_tasks.restore.enhance import enhance
from tounum_tasks.training.prints import dithered, engraved, filmed, printed, stochastic, woven

ANGLES = {"15/75/0": (15, 75, 0), "45/15/75": (45, 15, 75), "equal": (45, 45, 45)}
SCANS = (
    (65, 200),
    (85, 200),
    (65, 300),
    (85, 300),
    (133, 300),
    (150, 300),
    (150, 400),
    (200, 400),
    (65, 600),
    (133, 600),
    (200, 600),
)
PRINTS = {
    **{
        f"{lpi} lpi at {dpi} dpi, {name}": partial(printed, pitch=dpi / lpi, angles=angles)
        for lpi, dpi in SCANS
        for name, angles in ANGLES.items()
    },
    "stochastic": stochastic,
    "dithered": dithered,
    "dithered by a matrix": partial(dithered, ordered=True),
    "weave": woven,
    "engraving": engraved,
    "film, grains of 0.05 pixels": partial(filmed, radius=0.05),
    "film, grains of 0.1 pixels": filmed,
    "film, scanned sharply": partial(filmed, spread=0.5),
    "film, grains of 0.2 pixels": partial(filmed, radius=0.2),
}


def main() -> None:
    """Print the table, or the figures of real scans."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=4, help="use only the first so many")
    parser.add_argument("--quality", type=int, default=90, help="of JPEG")
    parser.add_argument("--scans", action="store_true", help="FOLDER holds scans of prints: draw none")
    arguments = parser.parse_args()
    pictures = map(load_picture, files_of(Source(arguments.folder))[: arguments.images])
    if arguments.scans:
        count_touched(pictures)
    else:
        print_and_scan(list(pictures), arguments.quality)


def count_touched(scans: Iterable[np.ndarray]) -> None:
    """Print how many scans, uint8 HxWx3, are touched, reverted and left alone, and what was done or tried."""
    fates: Counter[str] = Counter()
    for scan in scans:
        result = enhance(scan, mode="auto", before=measure(scan))
        operations = " and ".join(operation.split()[0] for operation in result.operations)
        fates["left alone" if not operations else f"{'touched' if result.accepted else 'reverted'}: {operations}"] += 1
    for fate, count in fates.most_common():
        print(f"{count} of {fates.total()} {fate}")


def print_and_scan(photographs: list[np.ndarray], quality: int) -> None:
    """Print the table of all prints of some photographs, uint8 HxWx3."""
    print(f"| | scans | touched | of these, came out worse | the same as JPEG {quality} | worse |")
    print("|---|---|---|---|---|---|")
    for name, draw in PRINTS.items():
        counts = np.zeros(4, int)
        for photograph in photographs:
            scan = draw(photograph)
            for column, page in ((0, scan), (2, compressed(scan, quality))):
                result = enhance(page, mode="auto", before=measure(page))
                counts[column : column + 2] += (result.accepted, is_worse(photograph, page, result.rgb))
        print(f"| {name} | {len(photographs)} |", " | ".join(map(str, counts)), "|", flush=True)


def compressed(page: np.ndarray, quality: int) -> np.ndarray:
    """Return a page, uint8 HxWx3, after JPEG."""
    _, data = cv2.imencode(".jpg", page[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def is_worse(photograph: np.ndarray, page: np.ndarray, restored: np.ndarray) -> bool:
    """Whether a restored page lies further from the photograph than the page."""
    return peak_signal_noise_ratio(photograph, restored) < peak_signal_noise_ratio(photograph, page)


if __name__ == "__main__":
    main()
