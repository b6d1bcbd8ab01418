"""How images are looked at for training."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tounum_tasks.datasets.views import view


def coordinates(height, width):
    """A picture that says where each of its pixels is: row, column, and nothing."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.zeros_like(rows)], axis=-1).astype(np.uint8)


def test_the_first_views_are_the_image_and_its_mirror_image():
    picture = coordinates(9, 5)
    assert (view(picture, 0, "a.jpg") == picture).all()
    assert (view(picture, 1, "a.jpg") == picture[:, ::-1]).all()


@given(st.integers(1, 200), st.integers(1, 200), st.integers(2, 50), st.text(max_size=8))
def test_windows_are_whole_rectangles_of_the_image_every_second_mirrored(height, width, number, name):
    seen = view(coordinates(height, width), number, name).astype(int)
    rows, columns = seen.shape[:2]
    assert 0.65 * height - 1 <= rows <= height
    assert 0.65 * width - 1 <= columns <= width
    assert min(rows, columns) >= 1
    step = -1 if number % 2 else 1
    assert (seen[..., 0] == seen[0, 0, 0] + np.arange(rows)[:, None]).all()
    assert (seen[..., 1] == seen[0, 0, 1] + step * np.arange(columns)).all()


def test_a_window_is_the_same_every_time_and_another_for_each_image_and_number():
    picture = coordinates(200, 200)
    corners = {
        (number, name): (tuple(seen[0, 0]), seen.shape)
        for number in (2, 4, 6)
        for name in ("a.jpg", "b.jpg")
        for seen in [view(picture, number, name)]
    }
    assert len(set(corners.values())) == 6
    assert (view(picture, 2, "a.jpg") == view(picture, 2, "a.jpg")).all()


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_picture_of_one_pixel_has_views_too(number):
    assert view(coordinates(1, 1), number, "dot.png").shape == (1, 1, 3)
