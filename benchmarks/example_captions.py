"""A picture of what the captioner in production says about the sample photographs.

    python benchmarks/example_captions.py PICTURE [--lake DIR]

The photographs are those that scikit-image installs with its code: nothing that the starter models were trained on.
"""

import argparse
import sys
import textwrap
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

COLUMNS = 4
TITLE_WIDTH = 34
SHOWN = ("astronaut", "cat", "coffee", "motorcycle", "rocket", "shuttle", "portrait", "workshop")


def main() -> int:
    """Caption the photographs and draw them with their captions."""
    from matplotlib.figure import Figure

    from tounum_tasks.caption.captioner import Captioner
    from tounum_tasks.features.extractor import Extractor
    from tounum_tasks.images.model_input import to_model_input
    from tounum_tasks.models.registry import Registry
    from tounum_tasks.sample.photos import photographs
    from tounum_tasks.settings import load_settings

    parser = argparse.ArgumentParser(description="Draw what the captioner says about the sample photographs.")
    parser.add_argument("picture", type=Path, metavar="PICTURE", help="PNG or JPEG to write")
    parser.add_argument("--lake", metavar="DIR", help="lake with the registry (TOUNUM_LAKE_ROOT)")
    arguments = parser.parse_args()
    settings = load_settings(lake_root=arguments.lake)
    registry = Registry.of(settings)
    chosen = registry.resolve("captioner", "production")
    partner = registry.partner(chosen, "extractor")
    pictures = {name: pixels for name, pixels in photographs().items() if name in SHOWN}
    features = Extractor.load(partner.folder).extract(np.stack([to_model_input(p) for p in pictures.values()]))
    captions = Captioner.load(chosen.folder, extractor_digest=partner.digest).caption(features, beam=3)
    rows = -(-len(pictures) // COLUMNS)
    figure = Figure(figsize=(3 * COLUMNS, 3.1 * rows), layout="constrained")
    for axes, pixels, caption in zip(figure.subplots(rows, COLUMNS).flat, pictures.values(), captions, strict=True):
        axes.imshow(pixels)
        axes.set_axis_off()
        axes.set_title(textwrap.fill(caption.text, TITLE_WIDTH), fontsize=11)
    figure.savefig(arguments.picture, dpi=90)
    return 0


if __name__ == "__main__":
    sys.exit(main())
