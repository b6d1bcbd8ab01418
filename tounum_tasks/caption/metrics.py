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
from typing import TypeVar

Word = TypeVar("Word")
Words = Sequence[str]
_Vector = tuple[dict[tuple[str, ...], float], float]
LONGEST = 4


def bleu(candidates: Sequence[Words], references: Sequence[Sequence[Words]]) -> list[float]:
    """Corpus BLEU-1 to BLEU-4 (Papineni et al. 2002), reference length: the closest."""
    counts = [bleu_counts(candidate, known) for candidate, known in zip(candidates, references, strict=True)]
    return bleu_of_counts([sum(column) for column in zip(*counts, strict=True)])


def bleu_counts(candidate: Words, known: Sequence[Words]) -> list[int]:
    """What BLEU adds up over the captions of a corpus, of one of them (see :func:`bleu_of_counts`).

    That is how many words it has and should have, how many groups of one to four words, and how many of them are right.
    """
    guessed, correct = [0] * LONGEST, [0] * LONGEST
    for n in range(1, LONGEST + 1):
        allowed: Counter[tuple[str, ...]] = Counter()
        for words in known:
            allowed |= ngrams(words, n)
        guessed[n - 1] = max(0, len(candidate) - n + 1)
        correct[n - 1] = (ngrams(candidate, n) & allowed).total()
    expected = min((abs(len(words) - len(candidate)), len(words)) for words in known)[1]
    return [len(candidate), expected, *guessed, *correct]


def bleu_of_counts(counts: Sequence[int]) -> list[float]:
    """BLEU-1 to BLEU-4 of a corpus, from the sums of :func:`bleu_counts` over its captions."""
    tiny, small = 1e-15, 1e-9
    said, expected = counts[:2]
    guessed, correct = counts[2 : 2 + LONGEST], counts[2 + LONGEST :]
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
    """CIDEr-D of every image (:class:`CiderD`); the corpus's figure is their mean."""
    scorer = CiderD(references)
    return [scorer.score(image, candidate) for image, candidate in enumerate(candidates)]


class CiderD:
    """CIDEr-D (Vedantam et al. 2015, sigma 6) of captions for the images of one corpus.

    The references' vectors are computed once, so that many captions of an image can be scored.
    """

    _sigma = 6.0

    def __init__(self, references: Sequence[Sequence[Words]]) -> None:
        """``references``: of every image; how rare a group of words is depends on all of them."""
        self._references = references
        self._frequency: Counter[tuple[str, ...]] = Counter()
        for known in references:
            self._frequency.update(
                {gram for words in known for n in range(1, LONGEST + 1) for gram in ngrams(words, n)}
            )
        self._images = math.log(len(references))
        self._vectors: dict[int, list[list[_Vector]]] = {}

    def score(self, image: int, candidate: Words) -> float:
        """Score, 0 to 10, of one caption for the image with this index."""
        if image not in self._vectors:
            self._vectors[image] = [self._weights(words) for words in self._references[image]]
        known = self._references[image]
        ours = self._weights(candidate)
        score = 0.0
        for words, theirs in zip(known, self._vectors[image], strict=True):
            # The package counts bigrams where it means words; kept, so that the figures agree.
            difference = max(0, len(candidate) - 1) - max(0, len(words) - 1)
            penalty = math.exp(-(difference**2) / (2 * self._sigma**2))
            for (mine, my_length), (other, their_length) in zip(ours, theirs, strict=True):
                common = sum(min(weight, other.get(gram, 0.0)) * other.get(gram, 0.0) for gram, weight in mine.items())
                norm = my_length * their_length
                score += common / norm * penalty if norm else 0.0
        return 10 * score / LONGEST / len(known)

    def _weights(self, words: Words) -> list[_Vector]:
        """For n of 1 to 4, the weight of every group of n words (tf-idf), and the length of that vector."""
        vectors = []
        for n in range(1, LONGEST + 1):
            counts = ngrams(words, n).items()
            vector = {gram: count * (self._images - math.log(max(1, self._frequency[gram]))) for gram, count in counts}
            vectors.append((vector, math.sqrt(sum(weight**2 for weight in vector.values()))))
        return vectors


def repeats_a_bigram(words: Words) -> bool:
    """Whether some pair of neighbouring words occurs twice."""
    counts = ngrams(words, 2)
    return any(count > 1 for count in counts.values())


def ngrams(words: Sequence[Word], n: int) -> Counter[tuple[Word, ...]]:
    """How often each group of n words in a row occurs; words are texts or numbers.

    >>> ngrams(["a", "dog", "a", "dog"], 2)
    Counter({('a', 'dog'): 2, ('dog', 'a'): 1})
    """
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
