"""Distances between colours: those of numpy's norm, in every bit, because flags hang on them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tounum_tasks.page_flags.colours import distances

PIXELS = arrays.array_shapes(min_dims=1, max_dims=2, max_side=20).flatmap(
    lambda shape: arrays.arrays(np.uint8, (*shape, 3))
)
CHANNEL = st.floats(0, 255, width=32)


@given(PIXELS, st.tuples(CHANNEL, CHANNEL, CHANNEL), st.booleans())
def test_distances_are_the_norm_in_every_bit(
    pixels: np.ndarray, colour: tuple[float, float, float], as_floats: bool
) -> None:
    given_pixels = pixels.astype(np.float32) if as_floats else pixels
    ground = np.array(colour, np.float32)
    found = distances(given_pixels, ground)
    expected = np.linalg.norm(given_pixels - ground, axis=-1)
    assert found.dtype == np.float32 and np.array_equal(found, expected)


def test_distances_of_turned_pixels_are_turned() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3)).astype(np.uint8)
    ground = np.array([90.0, 128.0, 140.5], np.float32)
    assert np.array_equal(distances(pixels.transpose(1, 0, 2), ground), distances(pixels, ground).T)
