"""What short captions are worth: how much of what they and the captions in whose place they stand say is true.

    python benchmarks/short_captions.py --data DATA [DATA ...] [--limit X] [--lake DIR]

A word is taken for true if somebody used it of the image; words that say nothing of it (articles, prepositions,
numbers, forms of to be) do not count. A line of a table for each data set, of the captions of its dev images that are
below the limit for review.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

SMALL_WORDS = """
a an the of in on at to with is are and his her its their by from up down out off for that this it while one two three
some other into over near next through as be being has have who which there several each another very behind front top
group couple
"""
SAY_NOTHING = frozenset(SMALL_WORDS.split())


def main() -> int:
    """Caption the dev images of every data set and print the table."""
    from tounum_tasks.caption.captioner import Captioner
    from tounum_tasks.caption.doubt import Doubt
    from tounum_tasks.datasets.captions import load_captions
    from tounum_tasks.evaluation.captioner import extract_features, plain_words
    from tounum_tasks.features.extractor import Extractor
    from tounum_tasks.models.registry import Registry
    from tounum_tasks.settings import load_settings

    parser = argparse.ArgumentParser(description="What short captions are worth.")
    parser.add_argument("--data", nargs="+", required=True, type=Path, metavar="PATH", help="as of evaluate captioner")
    parser.add_argument("--limit", type=float, metavar="X", help="default: TOUNUM_CAPTION_REVIEW_CONFIDENCE")
    parser.add_argument("--lake", metavar="DIR", help="lake with the registry (TOUNUM_LAKE_ROOT)")
    arguments = parser.parse_args()
    settings = load_settings(lake_root=arguments.lake)
    doubt = Doubt("short", settings.caption_review_confidence if arguments.limit is None else arguments.limit)
    registry = Registry.of(settings)
    chosen = registry.resolve("captioner", "production")
    partner = registry.partner(chosen, "extractor")
    captioner = Captioner.load(chosen.folder, extractor_digest=partner.digest)
    extractor = Extractor.load(partner.folder)
    print("| data | doubtful | get a short caption | true words | with the short one | wholly true | the short one |")
    print("|---|---|---|---|---|---|---|")
    for data in arguments.data:
        images = load_captions(data).split("dev")
        features = np.concatenate(list(extract_features(extractor, [image.path for image in images])))
        found = list(captioner.candidates(features, beam=3))
        captions = [captioner.chosen(candidates, beam=3) for candidates in found]
        doubted = [row for row, caption in enumerate(captions) if doubt.of(caption)]
        words = captioner.short_captions(features[doubted], [found[row] for row in doubted])
        short = dict(zip(doubted, words, strict=True))
        said = [row for row in doubted if short[row]]
        known = {row: {word for text in plain_words(images[row].captions) for word in text} for row in said}
        full = [_true_words(captions[row].words, known[row]) for row in said]
        instead = [_true_words(short[row], known[row]) for row in said]
        figures = (
            f"{len(doubted)} of {len(images)}", len(said), f"{np.mean(full):.2f}", f"{np.mean(instead):.2f}",
            f"{np.mean(np.equal(full, 1)):.2f}", f"{np.mean(np.equal(instead, 1)):.2f}",
        )  # fmt: skip
        print("|", data.stem, "|", " | ".join(map(str, figures)), "|")
    return 0


def _true_words(words: tuple[str, ...], known: set[str]) -> float:
    """The share of the words that say something which people used; 0 if none says anything."""
    telling = [word for word in words if word not in SAY_NOTHING]
    return float(np.mean([word in known for word in telling])) if telling else 0.0


if __name__ == "__main__":
    sys.exit(main())
