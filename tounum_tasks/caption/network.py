"""The layers of the captioner, in Keras 3 operations that every backend has.

Attention over the 64 positions after Bahdanau et al. (2015) and Xu et al., "Show, Attend and Tell" (2015): a gate on
the attended vector and a deep output layer, whose last matrix is the word embedding itself (Press and Wolf, 2017).
Where to look depends on the word just said, too (as in Anderson et al. 2018, "Bottom-Up and Top-Down Attention").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from tounum_tasks.caption.shape import NetworkShape
from tounum_tasks.models.weights import assign_weights

Tensor = Any


class Memory(NamedTuple):
    """What the decoder looks at: ``values`` N x 64 x embedding and ``keys`` N x 64 x attention."""

    values: Tensor
    keys: Tensor


class CaptionNetwork(keras.Layer):
    """Encoder, attention and GRU; one step at a time, so that training and every kind of search share it."""

    def __init__(self, shape: NetworkShape, *, policy: str = "float32", seed: int = 0) -> None:
        """``policy``: dtype policy of the matrix products; sums and softmax stay float32.

        With ``bfloat16`` the weights themselves are, which is good enough to use the network, but not to train it.
        """
        super().__init__(name="captioner", dtype="float32")
        self.sizes = shape
        seeds = keras.random.SeedGenerator(seed)

        def dense(units: int, name: str, **options: Any) -> keras.layers.Dense:
            initializer = keras.initializers.GlorotUniform(seed=seeds)
            return keras.layers.Dense(units, name=name, kernel_initializer=initializer, dtype=policy, **options)

        def orthogonal(size: Any, dtype: Any = None) -> Tensor:
            # Drawn in float32: the decomposition underneath does not know bfloat16.
            return ops.cast(keras.initializers.Orthogonal(seed=seeds)(size, "float32"), dtype)

        self.encoder = dense(shape.embedding, "encoder", activation="relu")
        self.attention_keys = dense(shape.attention, "attention_keys")
        self.attention_query = dense(shape.attention, "attention_query", use_bias=False)
        self.attention_word = dense(shape.attention, "attention_word", use_bias=False) if shape.looks_by_word else None
        self.attention_score = dense(1, "attention_score", use_bias=False)
        self.gate = dense(shape.embedding, "gate", activation="sigmoid")
        self.first_state = dense(shape.units, "first_state", activation="tanh")
        self.words = keras.layers.Embedding(
            shape.vocabulary,
            shape.embedding,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=0.05, seed=seeds),
            # Where weights are float32, so are the words: their gradients are sums of very many small terms.
            dtype=keras.DTypePolicy(policy).variable_dtype,
            name="words",
        )
        self.gru = keras.layers.GRUCell(
            shape.units,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seeds),
            recurrent_initializer=orthogonal,
            dtype=policy,
            name="gru",
        )
        self.output_state = dense(shape.embedding, "output_state")
        self.output_context = dense(shape.embedding, "output_context", use_bias=False)
        self.dropout = keras.layers.Dropout(shape.dropout, seed=seed, dtype=policy)
        self.word_dropout = keras.layers.Dropout(shape.word_dropout, seed=seed + 1, dtype=policy)

    def build(self, input_shape: Any = None) -> None:
        """Makes all variables; their shapes follow from the sizes alone."""
        sizes = self.sizes
        positions = (None, sizes.positions, sizes.embedding)
        self.encoder.build((None, sizes.positions, sizes.channels))
        self.attention_keys.build(positions)
        self.attention_query.build((None, sizes.units))
        if self.attention_word:
            self.attention_word.build((None, sizes.embedding))
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
            *((self.attention_word,) if self.attention_word else ()),
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
        self, words: Tensor, state: Tensor, memory: Memory, *, per_image: int = 1, training: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One word further.

        Args:
            words: int R, the words just read.
            state: R x units.
            memory: of N images; R is N x ``per_image``.
            per_image: how many captions are being said of each image; they lie one after the other.

        Returns:
            the new state (R x units), the output (R x embedding, see :meth:`logits`), the attention (R x 64, sum 1).
        """
        sizes = self.sizes
        word = self.word_dropout(ops.cast(self.words(words), memory.values.dtype), training=training)
        query = self.attention_query(state)
        if self.attention_word:
            query = query + self.attention_word(word)
        query = ops.reshape(query, (-1, per_image, 1, sizes.attention))
        scores = self.attention_score(ops.tanh(ops.expand_dims(memory.keys, 1) + query))
        attention = ops.softmax(ops.cast(ops.squeeze(scores, -1), "float32"), axis=-1)
        looked_at = ops.matmul(ops.cast(attention, memory.values.dtype), memory.values)
        attended = self.gate(state) * ops.reshape(looked_at, (-1, sizes.embedding))
        state, _ = self.gru(ops.concatenate([word, attended], axis=-1), [state])
        output = ops.tanh(self.output_state(state) + self.output_context(attended) + word)
        return state, self.dropout(output, training=training), ops.reshape(attention, (-1, sizes.positions))

    def logits(self, outputs: Tensor) -> Tensor:
        """Outputs R x embedding -> scores of every word, R x vocabulary, float32."""
        words = ops.cast(ops.transpose(self.words.embeddings), outputs.dtype)
        return ops.cast(ops.matmul(outputs, words), "float32") + self.output_bias


def set_weights(network: CaptionNetwork, weights: Mapping[str, NDArray[Any]]) -> None:
    """Gives a network that was built its weights.

    Raises:
        ConfigurationError: one is missing or has the wrong shape.
    """
    assign_weights(network.named_weights(), weights, model="captioner")
