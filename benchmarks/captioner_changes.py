"""What each part of the captioner's training brings on the dev split.

    python benchmarks/captioner_changes.py --data DATA [DATA ...] --out DIR [--limit 1500] [--epochs 6] [--balance 3]

Trains the decoder once from nothing, then once without each of its parts and with each of what may be added, on the
same features (of the starter's extractor, or of another one's weights), and prints a table, with a line for each data
set. Interrupted, the same command goes on.
"""

import argparse
import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tounum_tasks.errors import TounumError

COLUMNS = ("bleu_1", "bleu_4", "rouge_l", "cider")
Figures = dict[str, dict[str, float]]
log = logging.getLogger("captioner_changes")


def main() -> int:
    """Train every variant and print its line."""
    arguments = _parse()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        results = compare(arguments)
    except TounumError as error:
        print(f"captioner_changes.py: {error}", file=sys.stderr)
        return 2
    print("| training | search | BLEU-1 | BLEU-4 | ROUGE-L | CIDEr | words used |\n|---|---|---|---|---|---|---|")
    for variant, figures in results.items():
        for search, found in figures.items():
            values = " | ".join(f"{found[column]:.3f}" for column in COLUMNS)
            print(f"| {variant} | {search.replace('_', ' ')} | {values} | {found['vocabulary_used']} |")
    return 0


def compare(arguments: argparse.Namespace) -> dict[str, Figures]:
    """Figures on the dev split by variant and search (``greedy``, ``beam_3``, ``judged_beam_3``) and data set."""
    from tounum_tasks.datasets.captions import joined, load_captions
    from tounum_tasks.features.inception import read_npz
    from tounum_tasks.models.registry import Registry
    from tounum_tasks.models.weights import read_safetensors
    from tounum_tasks.training.captioner_settings import TrainingSettings

    sets = [load_captions(path, limit=arguments.limit) for path in arguments.data]
    as_they_are, balanced = joined(sets), joined(sets, balance=arguments.balance)
    if arguments.extractor:
        initial = read_npz(arguments.extractor)
    else:
        starter = Registry(str(arguments.out / "lake"), cache=arguments.out / "lake").resolve("extractor", "production")
        initial = read_safetensors(starter.folder / "weights.safetensors")
    whole = TrainingSettings(decoder_epochs=arguments.epochs, patience=arguments.epochs)
    rewarded = replace(whole, reward_epochs=max(1, arguments.epochs // 2))
    variants = {
        "words alone": whole,
        "with rewards": rewarded,
        "with rewards beside the words of people": replace(rewarded, reward_likelihood=0.15),
        "words of four images or more": replace(whole, fewest_images=4),
        "no label smoothing": replace(whole, label_smoothing=0.0),
        "no dropout": replace(whole, dropout=0.0),
        "no mirrored images": replace(whole, mirrored=False),
        "six windows of each image": replace(whole, windows=6),
        "one caption an image and pass": replace(whole, captions_per_image=1),
    }
    cache = arguments.out / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    results = {}
    runs = {variant: (balanced, settings) for variant, settings in variants.items()}
    if len(sets) > 1:
        runs["the smaller data sets once a pass"] = (as_they_are, whole)
    for index, (variant, (data, settings)) in enumerate(runs.items()):
        folder = arguments.out / f"variant-{index}"
        path = folder / "figures.json"
        if not path.exists():
            log.info("training: %s", variant)
            path.write_text(json.dumps(_figures(data, settings, initial, folder, cache)), encoding="utf-8")
        results[variant] = json.loads(path.read_text(encoding="utf-8"))
    return results


def _figures(data, settings, initial, folder: Path, cache: Path) -> Figures:
    """Trains one variant in ``folder``; the features are shared by all."""
    import keras

    from tounum_tasks.caption.captioner import Captioner
    from tounum_tasks.caption.judge import Judge
    from tounum_tasks.evaluation.captioner import score
    from tounum_tasks.training.captioner import CaptionerTraining
    from tounum_tasks.training.captioner_model import captioner_of
    from tounum_tasks.training.judge import fit_judge
    from tounum_tasks.training.search_choice import choose_search

    keras.backend.clear_session()
    folder.mkdir(exist_ok=True)
    if not (folder / "cache").exists():
        (folder / "cache").symlink_to(cache.resolve())
    training = CaptionerTraining(data, folder, settings, initial)
    training.run()
    features = training.finished_features("dev")
    captioner = captioner_of(training.captioner, training.vocabulary)
    judge = Judge(fit_judge(training.finished_features("train"), training.vocabulary))
    options, _ = choose_search(captioner.with_options(captioner.options, judge), features)
    judged = captioner.with_options(options, judge)

    def figures(search: str, captioner: Captioner, beam: int) -> Figures:
        said = [one.text for i in range(features.shards) for one in captioner.caption(features.read(i), beam=beam)]
        found = {}
        for source in sorted({image.source for image in training.dev_images}):
            rows = [row for row, image in enumerate(training.dev_images) if image.source == source]
            references = [training.dev_images[row].captions for row in rows]
            found[f"{search}, set {source + 1}"] = score([said[row] for row in rows], references)
        return found

    return figures("greedy", captioner, 1) | figures("beam_3", captioner, 3) | figures("judged_beam_3", judged, 3)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What each part of the captioner's training brings.")
    parser.add_argument(
        "--data", type=Path, required=True, nargs="+", metavar="PATH", help="folder, .tsv or COCO captions_*.json"
    )
    parser.add_argument(
        "--balance", type=int, default=3, metavar="N", help="smaller sets come up to N times a pass (default: 3)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for features and checkpoints")
    parser.add_argument("--limit", type=int, default=1500, metavar="N", help="images of each split (default: 1500)")
    parser.add_argument("--epochs", type=int, default=6, metavar="N", help="passes of the decoder (default: 6)")
    parser.add_argument(
        "--extractor", type=Path, metavar="FILE", help=".npz with folded kernels (default: the starter)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
