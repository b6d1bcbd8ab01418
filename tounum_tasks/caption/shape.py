"""Sizes of the captioner's network, and the shapes of its weights that follow from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

LARGEST = 1_000_000
LONGEST_CAPTION = 1000
"""Words that a captioner says at most, whatever it is told."""

LOOKS_BY_WORD = "attention_word/kernel"


@dataclass(frozen=True)
class NetworkShape:
    """Sizes of the captioner's layers; ValueError if one cannot be.

    Attributes:
        dropout: share of the values, and of the outputs, that are left out while training.
        word_dropout: likewise of the words that are read.
        looks_by_word: the word just said has a say in where to look; not so in captioners made before there was this.
    """

    vocabulary: int
    positions: int = 64
    channels: int = 2048
    embedding: int = 512
    units: int = 512
    attention: int = 256
    dropout: float = 0.4
    word_dropout: float = 0.0
    looks_by_word: bool = False

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name in ("dropout", "word_dropout"):
                if type(value) not in (int, float) or not 0 <= value < 1:
                    raise ValueError(f"{name} must be a share from 0 to below 1, not {value!r}")
            elif name != "looks_by_word" and (type(value) is not int or not 0 < value <= LARGEST):
                raise ValueError(f"{name} must be a whole number from 1 to {LARGEST:,}, not {value!r}")
        if type(self.looks_by_word) is not bool:
            raise ValueError(f"looks_by_word must be true or false, not {self.looks_by_word!r}")

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values, for the model card."""
        return asdict(self)

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all weights by name: ``layer/variable``, as Keras has them."""
        embedding, units, attention = self.embedding, self.units, self.attention
        by_word = {LOOKS_BY_WORD: (embedding, attention)} if self.looks_by_word else {}
        return by_word | {
            "encoder/kernel": (self.channels, embedding),
            "encoder/bias": (embedding,),
            "attention_keys/kernel": (embedding, attention),
            "attention_keys/bias": (attention,),
            "attention_query/kernel": (units, attention),
            "attention_score/kernel": (attention, 1),
            "gate/kernel": (units, embedding),
            "gate/bias": (embedding,),
            "first_state/kernel": (embedding, units),
            "first_state/bias": (units,),
            "words/embeddings": (self.vocabulary, embedding),
            "gru/kernel": (2 * embedding, 3 * units),
            "gru/recurrent_kernel": (units, 3 * units),
            "gru/bias": (2, 3 * units),
            "output_state/kernel": (units, embedding),
            "output_state/bias": (embedding,),
            "output_context/kernel": (embedding, embedding),
            "output_bias": (self.vocabulary,),
        }
