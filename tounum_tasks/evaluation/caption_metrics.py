"""BLEU, ROUGE-L and CIDEr of captions against several references.

The definitions are those of the MS-COCO caption evaluation (Chen et al. 2015; Python package ``pycocoevalcap``), down
to its constants, so that figures can be compared with published ones; a test compares the two where that package is
installed. It is not a dependency, because it brings 100 MB of Java programs that these three metrics do not need.

Every function takes candidates and references as lists of words (see ``vocabulary.normalise``), one candidate and at
least one reference per image, and gives figures between 0 and 1 (CIDEr: 0 to 10).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

Words = Sequence[str]
LONGEST = 4


def bleu(candidates: Sequence[Words], references: Sequence[Sequence[Words]]) -> list[float]:
    """Corpus BLEU-1 to BLEU-4 (Papineni et al. 2002), reference length: the closest."""
    tiny, small = 1e-15, 1e-9
    guessed, correct = [0] * LONGEST, [0] * LONGEST
    said = expected = 0
    for candidate, known in zip(candidates, references, strict=True):
        said += len(candidate)
        expected += min((abs(len(words) - len(candidate)), len(words)) for words in known)[1]
        for n in range(1, LONGEST + 1):
            counts = _ngrams(candidate, n)
            allowed: Counter[tuple[str, ...]] = Counter()
            for words in known:
                allowed |= _ngrams(words, n)
            guessed[n - 1] += max(0, len(candidate) - n + 1)
            correct[n - 1] += (counts & allowed).total()
    ratio = (said + tiny) / (expected + small)
    brevity = 1.0 if ratio >= 1 else math.exp(1 - 1 / ratio)
    scores, product = [], 1.0
    for n in range(LONGEST):
        product *= (correct[n] + tiny) / (guessed[n] + small)
        scores.append(product ** (1 / (n + 1)) * brevity)
    return scores


def rouge_l(candidates: Sequence[Words], references: Sequence[Sequence[Words]]) -> float:
    """Mean ROUGE-L (Lin 2004), beta 1.2, best precision and best recall over the references."""
    beta = 1.2
    total = 0.0
    for candidate, known in zip(candidates, references, strict=True):
        common = [(_common_subsequence(words, candidate), len(words)) for words in known]
        precision = max(length / max(1, len(candidate)) for length, _ in common)
        recall = max(length / max(1, size) for length, size in common)
        if precision and recall:
            total += (1 + beta**2) * precision * recall / (recall + beta**2 * precision)
    return total / len(candidates)


def cider(candidates: Sequence[Words], references: Sequence[Sequence[Words]]) -> list[float]:
    """CIDEr-D of every image (Vedantam et al. 2015), sigma 6; the corpus's figure is their mean."""
    sigma = 6.0
    frequency: Counter[tuple[str, ...]] = Counter()
    for known in references:
        frequency.update({gram for words in known for n in range(1, LONGEST + 1) for gram in _ngrams(words, n)})
    images = math.log(len(references))

    def weights(words: Words) -> list[dict[tuple[str, ...], float]]:
        return [
            {gram: count * (images - math.log(max(1, frequency[gram]))) for gram, count in _ngrams(words, n).items()}
            for n in range(1, LONGEST + 1)
        ]

    def length(vector: dict[tuple[str, ...], float]) -> float:
        return math.sqrt(sum(weight**2 for weight in vector.values()))

    scores = []
    for candidate, known in zip(candidates, references, strict=True):
        ours = weights(candidate)
        score = 0.0
        for words in known:
            theirs = weights(words)
            # The package counts bigrams where it means words; kept, so that the figures agree.
            difference = max(0, len(candidate) - 1) - max(0, len(words) - 1)
            penalty = math.exp(-(difference**2) / (2 * sigma**2))
            for mine, other in zip(ours, theirs, strict=True):
                common = sum(min(weight, other.get(gram, 0.0)) * other.get(gram, 0.0) for gram, weight in mine.items())
                norm = length(mine) * length(other)
                score += common / norm * penalty if norm else 0.0
        scores.append(10 * score / LONGEST / len(known))
    return scores


def repeats_a_bigram(words: Words) -> bool:
    """Whether some pair of neighbouring words occurs twice."""
    counts = _ngrams(words, 2)
    return any(count > 1 for count in counts.values())


def _ngrams(words: Words, n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _common_subsequence(first: Words, second: Words) -> int:
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for column, other in enumerate(second, start=1):
            above = row[column]
            row[column] = diagonal + 1 if word == other else max(above, row[column - 1])
            diagonal = above
    return row[-1]
