"""The words that the captioner knows."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tounum_tasks.errors import ConfigurationError

PAD, START, END, UNK = range(4)
SPECIAL = ("<pad>", "<start>", "<end>", "<unk>")
_JOINERS = "\u200c\u200d"


def normalise(text: str) -> list[str]:
    """Return the words of a text: lower case, everything but letters, digits and the marks on them is a space.

    Letters are composed (Unicode's form NFC), so that it does not matter how a system writes an umlaut. Marks are
    part of words, as Unicode Standard Annex 29 asks for: vowel signs of Indic scripts, Thai tone marks, Arabic
    vocalisation, joiners between letters. Scripts without spaces are not split: a Chinese sentence is one word.

    >>> normalise("A dog's tail, wagging.")
    ['a', 'dog', 's', 'tail', 'wagging']
    """
    text = text.lower()
    if text.isascii():
        return re.sub(r"[\W_]+", " ", text).split()
    composed = unicodedata.normalize("NFC", text)
    return "".join(one if _is_of_a_word(one) else " " for one in composed).split()


def _is_of_a_word(character: str) -> bool:
    return character.isalnum() or character in _JOINERS or unicodedata.category(character).startswith("M")


def _is_one_word(text: str) -> bool:
    """Whether a caption can hold it: neither empty nor with a blank, and no half of a character, as JSON allows it."""
    return text.split() == [text] and text.encode(errors="ignore").decode() == text


class Vocabulary:
    """Words and their numbers; 0 to 3 are ``<pad>``, ``<start>``, ``<end>`` and ``<unk>``."""

    def __init__(self, words: Sequence[str]) -> None:
        if tuple(words[: len(SPECIAL)]) != SPECIAL or len(set(words)) != len(words):
            raise ConfigurationError("The vocabulary must begin with <pad>, <start>, <end>, <unk> and repeat no word.")
        self.words = tuple(words)
        self._ids = {word: index for index, word in enumerate(words)}

    @classmethod
    def build(cls, captions: Iterable[str], size: int) -> Vocabulary:
        """The ``size`` most frequent words of some captions, the special four included; ties by alphabet."""
        counts = Counter(word for caption in captions for word in normalise(caption))
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        return cls([*SPECIAL, *ranked[: max(0, size - len(SPECIAL))]])

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Reads what :meth:`save` wrote.

        Raises:
            ConfigurationError: the file is missing or no list of words.
        """
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"Cannot read the vocabulary {path}: {error}") from error
        return cls.parse(content, path)

    @classmethod
    def parse(cls, content: bytes, path: Path) -> Vocabulary:
        """Return the vocabulary that a file holds.

        Args:
            path: of the file, for messages.

        Raises:
            ConfigurationError: it is no list of words.
        """
        try:
            words = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"Cannot read the vocabulary {path}: {error}") from error
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ConfigurationError(f"The vocabulary {path} is not a list of words.")
        strange = next((word for word in words if not _is_one_word(word)), None)
        if strange is not None:
            raise ConfigurationError(f"The vocabulary {path} holds {json.dumps(strange)}, which is no word.")
        return cls(words)

    def save(self, path: Path) -> None:
        """Writes the words as a JSON list, in order."""
        path.write_text(json.dumps(self.words, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    def __len__(self) -> int:
        return len(self.words)

    def extended(self, captions_by_image: Iterable[Iterable[str]], *, fewest_images: int) -> Vocabulary:
        """Return these words and, behind them, those that the captions of some images add.

        Args:
            captions_by_image: the captions of each image.
            fewest_images: a word is added if the captions of so many images have it; the most frequent come first.
        """
        counts = Counter(
            word for captions in captions_by_image for word in {word for text in captions for word in normalise(text)}
        )
        added = [word for word, count in counts.items() if count >= fewest_images and word not in self._ids]
        return Vocabulary([*self.words, *sorted(added, key=lambda word: (-counts[word], word))])

    def encode(self, text: str) -> list[int]:
        """Numbers of the words of a text, without start and end; unknown words become ``<unk>``."""
        return [self._ids.get(word, UNK) for word in normalise(text)]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Words up to the first ``<end>``; padding and the start are left out."""
        words = []
        for index in ids:
            if index == END:
                break
            if index not in (PAD, START):
                words.append(self.words[index])
        return words
