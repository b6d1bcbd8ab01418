"""The largest values of many: where a search for captions spends its time, and what must not be missed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tounum_tasks.caption.search import largest


@given(
    count=st.integers(1, 20),
    size=st.integers(1, 9000),
    seed=st.integers(0, 2**32 - 1),
    levels=st.sampled_from([3, 50, 10**6]),
    lost=st.sampled_from([0.0, 0.1, 0.999]),
)
def test_the_largest_values_are_found_in_the_order_of_a_stable_sort(
    count: int, size: int, seed: int, levels: int, lost: float
) -> None:
    noise = np.random.default_rng(seed)
    values = noise.integers(0, levels, size).astype(np.float32)
    values[noise.random(size) < lost] = -np.inf
    order = np.argsort(-values, kind="stable")
    expected = order[np.isfinite(values[order])][:count]
    assert np.array_equal(largest(values, count), expected)
