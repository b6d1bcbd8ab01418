"""The hardware's limit: how fast this processor multiplies matrices, and how many multiplications the networks ask for.

The product and the networks are computed by the same runtime in the same precision; what a network reaches of the
product's speed is its share of the limit.
"""

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from notebooks_way import production
from stopwatch import Spent, Stages, timed

from tounum_tasks.features import graph as features_graph
from tounum_tasks.features.extractor import Extractor
from tounum_tasks.features.inception import last_layer_of
from tounum_tasks.models.card import WEIGHTS_FILE
from tounum_tasks.models.compute import best_precision
from tounum_tasks.models.layers import constant, operations
from tounum_tasks.models.runtime import OpenVinoNetwork, load_openvino
from tounum_tasks.models.weights import read_safetensors
from tounum_tasks.restore import graph as restorer_graph
from tounum_tasks.restore.restorer import Restorer
from tounum_tasks.threads import in_threads, processors

SIDE = 2048
REPEATS = 4
IMAGES = 8
PAGE = (3512, 2480, 3)


def measure_limits() -> dict[str, Any]:
    """Return what a matrix product and the networks reach, in FLOP a second of processor time.

    The smallest time of several counts for each: what else the machine does makes them longer, never shorter.
    """
    print("  the hardware's limit", file=sys.stderr)
    noise = np.random.default_rng(0)
    extractor, extractor_flop = _extractor()
    images = noise.integers(0, 256, (IMAGES * processors(), 299, 299, 3), np.uint8)
    restorer, restorer_flop = _restorer()
    page = noise.integers(0, 256, PAGE, np.uint8)
    product = OpenVinoNetwork(_product, best_precision())
    matrices = [noise.standard_normal((SIDE, SIDE), np.float32) for _ in range(2 * processors())]
    product_flop = 2 * SIDE**3 * len(matrices)
    figures = {
        "product": product_flop / _least("matrix product", lambda: in_threads(product, matrices)).cpu,
        "extractor": extractor_flop * len(images) / _least("extractor", lambda: extractor.extract(images)).cpu,
        "restorer": restorer_flop / _least("restorer", lambda: restorer.restore(page, blur=0.0)).cpu,
    }
    return {"precision": best_precision(), "flop_a_second": figures, "flop_an_image": extractor_flop}


def _least(name: str, work: Callable[[], object]) -> Spent:
    """Return what the shortest of some repetitions takes, after a first one."""
    work()
    taken: Stages = {}
    for number in range(REPEATS):
        with timed(taken, f"{name} {number}"):
            work()
    return min(taken.values(), key=lambda spent: spent.cpu)


def _extractor() -> tuple[Extractor, int]:
    weights = read_safetensors(production("extractor") / WEIGHTS_FILE)
    return Extractor(weights, digest=""), flop_of(features_graph.block_output(weights, last_layer_of(weights)))


def _restorer() -> tuple[Restorer, int]:
    weights = read_safetensors(production("restorer") / WEIGHTS_FILE)
    graph = restorer_graph.restored_page(weights)
    page, blur = graph.inputs
    graph.reshape({page: list(PAGE), blur: []})
    return Restorer(weights, digest=""), flop_of(graph)


def _product() -> Any:
    rows = operations().parameter([SIDE, SIDE], np.float32, "rows")
    columns = constant(np.random.default_rng(1).standard_normal((SIDE, SIDE)))
    return load_openvino().Model([operations().matmul(rows, columns, False, False)], [rows], "product")


def flop_of(graph: Any) -> int:
    """Return the floating-point operations of a graph's convolutions and products; all shapes must be fixed."""
    flop = 0
    for operation in graph.get_ordered_ops():
        if operation.get_type_name() == "Convolution":
            flop += 2 * math.prod(operation.get_output_shape(0)) * math.prod(operation.get_input_shape(1)[1:])
        elif operation.get_type_name() == "MatMul":
            flop += 2 * math.prod(operation.get_output_shape(0)) * operation.get_input_shape(0)[-1]
    return flop
