"""Does enhancement help the stages that read its result? Classes and captions of degraded photographs, both ways.

    python benchmarks/enhancement_downstream.py CAPTIONS [--split dev] [--images N] [--json FILE]

CAPTIONS is a data set of captioned photographs (see docs/captioner.md). Each is degraded on purpose, and then
classified and captioned by the models in production twice: as it is, and as mode ``auto`` leaves it. Printed for each
degradation: the share that is recognised as a photograph, its mean probability, and the CIDEr of the captions.
"""

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tounum_tasks.caption.captioner import Captioner
from tounum_tasks.classify.classifier import Classifier
from tounum_tasks.classify.labels import CLASSES, PHOTO
from tounum_tasks.datasets.captions import load_captions
from tounum_tasks.datasets.pictures import load_picture
from tounum_tasks.evaluation.captioner import score
from tounum_tasks.evaluation.restorer import DEGRADED, treat
from tounum_tasks.evaluation.restorer import degraded as degrade
from tounum_tasks.features.extractor import Extractor
from tounum_tasks.images.model_input import to_model_input
from tounum_tasks.models.registry import Registry
from tounum_tasks.settings import load_settings

KINDS = ("clean", *DEGRADED)
BEAM = 3


def main() -> None:
    """Print the table, and write it as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captions", type=Path)
    parser.add_argument("--split", default="dev", help="default: dev")
    parser.add_argument("--images", type=int, default=200, help="use the first so many (default: 200)")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    images = load_captions(arguments.captions).split(arguments.split)[: arguments.images]
    if not images:
        sys.exit(f"{arguments.captions} has no images of the split {arguments.split}")
    settings = load_settings()
    registry = Registry.of(settings)
    chosen = registry.resolve("captioner")
    eyes = registry.partner(chosen, "extractor")
    classifier = Classifier.load(registry.resolve("classifier").folder)
    extractor = Extractor.load(eyes.folder)
    captioner = Captioner.load(chosen.folder, extractor_digest=eyes.digest)
    references = [image.captions for image in images]

    table = {}
    for kind in KINDS:
        given = [degrade(load_picture(image.path), kind, number) for number, image in enumerate(images)]
        enhanced = [treat(rgb, "auto")[0].rgb for rgb in given]
        touched = sum(one is not other for one, other in zip(given, enhanced, strict=True))
        row = {"images": len(images), "touched": touched}
        for name, pages in (("as it is", given), ("enhanced", enhanced)):
            inputs = np.stack([to_model_input(page) for page in pages])
            photo = classifier.predict(inputs)[:, CLASSES.index(PHOTO)]
            found = [caption.text for caption in captioner.caption(extractor.extract(inputs), beam=BEAM)]
            row[name] = {
                "photographs": round(float(np.mean(photo > 0.5)), 4),
                "probability": round(float(photo.mean()), 4),
                "cider": score(found, references)["cider"],
            }
        table[kind] = row
        print(kind, row, file=sys.stderr)
    print("| | touched | photograph, as it is | enhanced | CIDEr, as it is | enhanced |")
    print("|---|---|---|---|---|---|")
    for kind, row in table.items():
        before, after = row["as it is"], row["enhanced"]
        classes = [f"{part['photographs']:.1%} ({part['probability']:.3f})" for part in (before, after)]
        ciders = [f"{part['cider']:.3f}" for part in (before, after)]
        print(f"| {kind} | {row['touched']} of {row['images']} |", " | ".join([*classes, *ciders]), "|")
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
