"""What each part of the captioner's training brings on the dev split.

    python benchmarks/captioner_changes.py --data DATA --out DIR [--limit 1500] [--epochs 6] [--extractor FILE]

Trains the decoder once as the starter was trained, then once without each of its parts, on the same features (of the
starter's extractor, or of another one's weights), and prints a table. Interrupted, the same command goes on.
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
    print("| training | search | BLEU-1 | BLEU-4 | ROUGE-L | CIDEr |\n|---|---|---|---|---|---|")
    for variant, figures in results.items():
        for search, found in figures.items():
            values = " | ".join(f"{found[column]:.3f}" for column in COLUMNS)
            print(f"| {variant} | {search.replace('_', ' ')} | {values} |")
    return 0


def compare(arguments: argparse.Namespace) -> dict[str, dict[str, dict[str, float]]]:
    """Figures on the dev split by variant and search (``greedy``, ``beam_3``, ``judged_beam_3``)."""
    from tounum_tasks.datasets.captions import load_captions
    from tounum_tasks.features.inception import read_npz
    from tounum_tasks.models.registry import Registry
    from tounum_tasks.models.weights import read_safetensors
    from tounum_tasks.training.captioner import TrainingSettings

    data = load_captions(arguments.data, limit=arguments.limit)
    if arguments.extractor:
        initial = read_npz(arguments.extractor)
    else:
        starter = Registry(str(arguments.out / "lake"), cache=arguments.out / "lake").resolve("extractor", "production")
        initial = read_safetensors(starter.folder / "weights.safetensors")
    whole = TrainingSettings(decoder_epochs=arguments.epochs, patience=arguments.epochs)
    variants = {
        "as the starter, before rewards": whole,
        "with rewards": replace(whole, reward_epochs=max(1, arguments.epochs // 2)),
        "no label smoothing": replace(whole, label_smoothing=0.0),
        "no dropout": replace(whole, dropout=0.0),
        "no mirrored images": replace(whole, mirrored=False),
        "six windows of each image": replace(whole, windows=6),
        "one caption an image and pass": replace(whole, captions_per_image=1),
    }
    cache = arguments.out / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    results = {}
    for index, (variant, settings) in enumerate(variants.items()):
        folder = arguments.out / f"variant-{index}"
        path = folder / "figures.json"
        if not path.exists():
            log.info("training: %s", variant)
            path.write_text(json.dumps(_figures(data, settings, initial, folder, cache)), encoding="utf-8")
        results[variant] = json.loads(path.read_text(encoding="utf-8"))
    return results


def _figures(data, settings, initial, folder: Path, cache: Path) -> dict[str, dict[str, float]]:
    """Trains one variant in ``folder``; the features are shared by all."""
    import keras

    from tounum_tasks.caption.captioner import Captioner
    from tounum_tasks.caption.judge import Judge
    from tounum_tasks.evaluation.captioner import evaluate
    from tounum_tasks.training.captioner import CaptionerTraining
    from tounum_tasks.training.captioner_model import captioner_of
    from tounum_tasks.training.captioner_version import best_of, try_judgements
    from tounum_tasks.training.judge import fit_judge

    keras.backend.clear_session()
    folder.mkdir(exist_ok=True)
    if not (folder / "cache").exists():
        (folder / "cache").symlink_to(cache.resolve())
    training = CaptionerTraining(data, folder, settings, initial)
    training.run()
    features = training.finished_features("dev")
    captioner = captioner_of(training.captioner, training.vocabulary)
    judge = Judge(fit_judge(training.finished_features("train"), training.vocabulary))
    tried = try_judgements(captioner.with_options(captioner.options, judge), features)
    judged = captioner.with_options(replace(captioner.options, judgement=best_of(tried)), judge)

    def figures(captioner: Captioner, beams: tuple[int, ...]) -> dict[str, dict[str, float]]:
        shards = (features.read(i) for i in range(features.shards))
        return evaluate(captioner, training.dev_images, shards, beams=beams)[0]

    of_judged = figures(judged, (3,))["beam_3"]
    found = figures(captioner, (1, 3))
    return {**{search: found[search] for search in ("greedy", "beam_3")}, "judged_beam_3": of_judged}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What each part of the captioner's training brings.")
    parser.add_argument("--data", type=Path, required=True, metavar="PATH", help="folder, .tsv or COCO captions_*.json")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for features and checkpoints")
    parser.add_argument("--limit", type=int, default=1500, metavar="N", help="images of each split (default: 1500)")
    parser.add_argument("--epochs", type=int, default=6, metavar="N", help="passes of the decoder (default: 6)")
    parser.add_argument(
        "--extractor", type=Path, metavar="FILE", help=".npz with folded kernels (default: the starter)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
