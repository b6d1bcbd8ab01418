"""The captioner's network for inference, as two graphs of OpenVINO operations: the encoder, and one word further.

They compute what :mod:`~tounum_tasks.caption.network` computes. What depends on nothing but the word just said is a
table, and kernels that read the same values are one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tounum_tasks.caption.shape import NetworkShape
from tounum_tasks.models.layers import Node, constant, dense, indices, operations
from tounum_tasks.models.runtime import load_openvino

if TYPE_CHECKING:
    import openvino

Weights = Mapping[str, NDArray[Any]]


def encoder(weights: Weights, shape: NetworkShape) -> openvino.Model:
    """The graph from the features of images to what the decoder needs of them.

    Input: features, float32 N x positions x channels. Outputs: values N x positions x embedding, keys N x positions x
    attention, the first state N x units.
    """
    op = operations()
    features = op.parameter([-1, shape.positions, shape.channels], np.float32, "features")
    values = op.relu(dense(features, weights["encoder/kernel"], weights["encoder/bias"]))
    keys = dense(values, weights["attention_keys/kernel"], weights["attention_keys/bias"])
    mean = op.reduce_mean(values, indices(1))
    state = op.tanh(dense(mean, weights["first_state/kernel"], weights["first_state/bias"]))
    return load_openvino().Model([values, keys, state], [features], "captioner_encoder")


def step(weights: Weights, shape: NetworkShape) -> openvino.Model:
    """The graph for one word further in R captions of N images.

    Values and keys are large: they are never copied for each caption. Where captions look is computed in a table of
    places instead, one row for each image and as many columns as the image with most captions needs.

    Inputs: the words just read, int32 R; ``captions``, int32 N x B, which caption has each place; ``places``, int32 R,
    the place of each caption, counted row by row; the state R x units; values and keys of the images (see
    :func:`encoder`). Outputs: the new state R x units, scores of all words R x vocabulary, attention R x positions
    (sum 1).
    """
    op = operations()
    words, places = (op.parameter([-1], np.int32, name) for name in ("words", "places"))
    captions = op.parameter([-1, -1], np.int32, "captions")
    state = op.parameter([-1, shape.units], np.float32, "state")
    values = op.parameter([-1, shape.positions, shape.embedding], np.float32, "values")
    keys = op.parameter([-1, shape.positions, shape.attention], np.float32, "keys")

    embedded, query_of_word, gru_of_word = _read(words, _tables(weights, shape))
    query_of_state, gate, recurrent = _split(
        dense(state, _beside(weights, "attention_query/kernel", "gate/kernel", "gru/recurrent_kernel")),
        (shape.attention, shape.embedding, 3 * shape.units),
    )
    query = _of_each(op.add(query_of_state, query_of_word), captions)
    attention, looked_at = (
        _of_each(op.reshape(in_places, indices(-1, size), False), places)
        for in_places, size in zip(_look(query, keys, values, weights), (shape.positions, shape.embedding), strict=True)
    )
    attended = op.multiply(op.sigmoid(op.add(gate, constant(weights["gate/bias"]))), looked_at)
    by_attended = np.concatenate(
        [weights["gru/kernel"][shape.embedding :], weights["output_context/kernel"]], axis=1, dtype=np.float32
    )
    gru_of_attended, context = _split(dense(attended, by_attended), (3 * shape.units, shape.embedding))
    recurrent = op.add(recurrent, constant(weights["gru/bias"][1]))
    new_state = _gru(op.add(gru_of_attended, gru_of_word), recurrent, state)
    output = dense(new_state, weights["output_state/kernel"], weights["output_state/bias"])
    output = op.tanh(op.add(op.add(output, context), embedded))
    scores = dense(output, weights["words/embeddings"].T, weights["output_bias"])
    outputs = [new_state, scores, attention]
    return load_openvino().Model(outputs, [words, captions, places, state, values, keys], "captioner_step")


def _tables(weights: Weights, shape: NetworkShape) -> list[NDArray[np.float32]]:
    """What depends on a word alone, by word: its embedding, its part of the query and its part of the GRU's input."""
    embeddings = weights["words/embeddings"].astype(np.float32)
    query = np.zeros((shape.vocabulary, shape.attention), np.float32)
    if shape.looks_by_word:
        query = embeddings @ weights["attention_word/kernel"].astype(np.float32)
    gru = embeddings @ weights["gru/kernel"][: shape.embedding].astype(np.float32) + weights["gru/bias"][0]
    return [embeddings, query, gru]


def _read(words: Node, tables: list[NDArray[np.float32]]) -> list[Node]:
    return [_of_each(constant(table), words) for table in tables]


def _of_each(rows: Node, numbers: Node) -> Node:
    return operations().gather(rows, numbers, indices(0))


def _look(query: Node, keys: Node, values: Node, weights: Weights) -> tuple[Node, Node]:
    """The attention in each place, N x B x positions, and the mean of the values that it is paid to."""
    op = operations()
    hidden = _tanh(op.add(op.unsqueeze(keys, indices(1)), op.unsqueeze(query, indices(2))))
    attention = op.softmax(op.squeeze(dense(hidden, weights["attention_score/kernel"]), indices(3)), 2)
    return attention, op.matmul(attention, values, False, False)


def _tanh(x: Node) -> Node:
    """The hyperbolic tangent as 1 - 2 / (exp(2 x) + 1): several times as fast as OpenVINO's own without AVX-512."""
    op = operations()
    above = op.add(op.exp(op.multiply(x, constant([2.0]))), constant([1.0]))
    return op.subtract(constant([1.0]), op.divide(constant([2.0]), above))


def _gru(entering: Node, recurrent: Node, state: Node) -> Node:
    """The next state of a GRU (Cho et al. 2014) whose reset gate comes after the product, as Keras has it."""
    op = operations()
    update, reset, new = op.split(entering, op.constant(1), 3).outputs()
    update_by_state, reset_by_state, new_by_state = op.split(recurrent, op.constant(1), 3).outputs()
    kept = op.sigmoid(op.add(update, update_by_state))
    proposed = op.tanh(op.add(new, op.multiply(op.sigmoid(op.add(reset, reset_by_state)), new_by_state)))
    return op.add(op.multiply(kept, state), op.multiply(op.subtract(constant([1.0]), kept), proposed))


def _beside(weights: Weights, *names: str) -> NDArray[np.float32]:
    return np.concatenate([weights[name] for name in names], axis=1, dtype=np.float32)


def _split(x: Node, sizes: tuple[int, ...]) -> list[Node]:
    op = operations()
    return op.variadic_split(x, op.constant(1), indices(*sizes)).outputs()
