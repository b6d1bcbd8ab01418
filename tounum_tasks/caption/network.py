"""The layers of the captioner, in Keras 3 operations that every backend has.

Attention over the 64 positions after Bahdanau et al. (2015) and Xu et al., "Show, Attend and Tell" (2015): a gate on
the attended vector and a deep output layer, whose last matrix is the word embedding itself (Press and Wolf, 2017).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

Tensor = Any


@dataclass(frozen=True)
class NetworkShape:
    """Sizes of the captioner's layers."""

    vocabulary: int
    positions: int = 64
    channels: int = 2048
    embedding: int = 512
    units: int = 512
    attention: int = 256
    dropout: float = 0.4

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values, for the model card."""
        return asdict(self)


class Memory(NamedTuple):
    """What the decoder looks at: ``values`` N x 64 x embedding and ``keys`` N x 64 x attention."""

    values: Tensor
    keys: Tensor


class CaptionNetwork(keras.Layer):
    """Encoder, attention and GRU; one step at a time, so that training and every kind of search share it."""

    def __init__(self, shape: NetworkShape, *, policy: str = "float32", seed: int = 0) -> None:
        """``policy``: dtype policy of the matrix products (see ``compute_policy``); sums and softmax stay float32."""
        super().__init__(name="captioner", dtype="float32")
        self.sizes = shape
        seeds = keras.random.SeedGenerator(seed)

        def dense(units: int, name: str, **options: Any) -> keras.layers.Dense:
            initializer = keras.initializers.GlorotUniform(seed=seeds)
            return keras.layers.Dense(units, name=name, kernel_initializer=initializer, dtype=policy, **options)

        self.encoder = dense(shape.embedding, "encoder", activation="relu")
        self.attention_keys = dense(shape.attention, "attention_keys")
        self.attention_query = dense(shape.attention, "attention_query", use_bias=False)
        self.attention_score = dense(1, "attention_score", use_bias=False)
        self.gate = dense(shape.embedding, "gate", activation="sigmoid")
        self.first_state = dense(shape.units, "first_state", activation="tanh")
        self.words = keras.layers.Embedding(
            shape.vocabulary,
            shape.embedding,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=0.05, seed=seeds),
            name="words",
        )
        self.gru = keras.layers.GRUCell(
            shape.units,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seeds),
            recurrent_initializer=keras.initializers.Orthogonal(seed=seeds),
            dtype=policy,
            name="gru",
        )
        self.output_state = dense(shape.embedding, "output_state")
        self.output_context = dense(shape.embedding, "output_context", use_bias=False)
        self.dropout = keras.layers.Dropout(shape.dropout, seed=seed, dtype=policy)

    def build(self, input_shape: Any = None) -> None:
        """Makes all variables; their shapes follow from the sizes alone."""
        sizes = self.sizes
        positions = (None, sizes.positions, sizes.embedding)
        self.encoder.build((None, sizes.positions, sizes.channels))
        self.attention_keys.build(positions)
        self.attention_query.build((None, sizes.units))
        self.attention_score.build((None, sizes.positions, sizes.attention))
        self.gate.build((None, sizes.units))
        self.first_state.build((None, sizes.embedding))
        self.words.build((None,))
        self.gru.build((None, 2 * sizes.embedding))
        self.output_state.build((None, sizes.units))
        self.output_context.build((None, sizes.embedding))
        self.output_bias = self.add_weight(shape=(sizes.vocabulary,), initializer="zeros", name="output_bias")
        self.built = True

    def named_weights(self) -> dict[str, keras.Variable]:
        """All trained variables as ``layer/variable``, which is what they are called in files."""
        layers = (
            self.encoder,
            self.attention_keys,
            self.attention_query,
            self.attention_score,
            self.gate,
            self.first_state,
            self.words,
            self.gru,
            self.output_state,
            self.output_context,
        )
        named = {f"{layer.name}/{weight.name}": weight for layer in layers for weight in layer.trainable_weights}
        return {**named, "output_bias": self.output_bias}

    def weight_arrays(self) -> dict[str, NDArray[np.float32]]:
        """Values of :meth:`named_weights`."""
        return {name: ops.convert_to_numpy(variable) for name, variable in self.named_weights().items()}

    def encode(self, features: Tensor, *, training: bool = False) -> tuple[Memory, Tensor]:
        """Features N x 64 x channels -> the memory and the first state N x units."""
        values = self.dropout(self.encoder(features), training=training)
        return Memory(values, self.attention_keys(values)), self.first_state(ops.mean(values, axis=1))

    def step(
        self, words: Tensor, state: Tensor, memory: Memory, *, training: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One word further.

        Args:
            words: int N, the words just read.
            state: N x units.
            memory: of the N images.

        Returns:
            the new state (N x units), the output (N x embedding, see :meth:`logits`), the attention (N x 64, sum 1).
        """
        query = ops.expand_dims(self.attention_query(state), 1)
        scores = ops.squeeze(self.attention_score(ops.tanh(memory.keys + query)), -1)
        attention = ops.softmax(ops.cast(scores, "float32"), axis=-1)
        looked_at = ops.cast(ops.expand_dims(attention, 1), memory.values.dtype)
        attended = self.gate(state) * ops.squeeze(ops.matmul(looked_at, memory.values), 1)
        word = ops.cast(self.words(words), attended.dtype)
        state, _ = self.gru(ops.concatenate([word, attended], axis=-1), [state])
        output = ops.tanh(self.output_state(state) + self.output_context(attended) + word)
        return state, self.dropout(output, training=training), attention

    def logits(self, outputs: Tensor) -> Tensor:
        """Outputs R x embedding -> scores of every word, R x vocabulary, float32."""
        words = ops.cast(ops.transpose(self.words.embeddings), outputs.dtype)
        return ops.cast(ops.matmul(outputs, words), "float32") + self.output_bias
