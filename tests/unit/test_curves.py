"""The curve of a training: kept in the version's card, and drawn from it."""

from pathlib import Path

import pytest

from tounum_airflow.web.curves import HEIGHT, WIDTH, charts_of
from tounum_tasks.models.card import WEIGHTS_FILE, read_card, write_card
from tounum_tasks.training.curve import figures_of, read_curve, write_curve

CAPTIONER = [
    {"phase": "head", "pass": 1, "train_loss": 4.0, "dev_loss": 3.0},
    {"phase": "decoder", "pass": 1, "train_loss": 2.0, "dev_loss": 2.5, "cider": 0.4},
    {"phase": "decoder", "pass": 2, "train_loss": 1.0, "dev_loss": float("nan"), "cider": 0.5},
]


def test_a_card_keeps_the_figures_of_a_curve(tmp_path: Path) -> None:
    write_curve(tmp_path / "curves.csv", CAPTIONER)
    version = tmp_path / "version"
    version.mkdir()
    (version / WEIGHTS_FILE).write_bytes(b"weights")
    curve = figures_of(read_curve(tmp_path / "curves.csv"))
    write_card(version, name="captioner", version="v1", curve=curve)
    assert read_card(version).curve == [
        {"pass": 1, "train_loss": 4.0, "dev_loss": 3.0},
        {"pass": 1, "train_loss": 2.0, "dev_loss": 2.5, "cider": 0.4},
        {"pass": 2, "train_loss": 1.0, "cider": 0.5},
    ]


def test_lines_that_belong_together_share_a_scale() -> None:
    loss, cider = charts_of(figures_of(CAPTIONER))
    assert loss.text == "Loss: training from 4 to 1, dev from 3 to 2.5"
    assert cider.text == "CIDEr: dev from 0.4 to 0.5"
    training, dev = ([tuple(map(float, point.split(","))) for point in line.points.split()] for line in loss.lines)
    assert [x for x, _ in training] == [0, WIDTH / 2, WIDTH]
    assert training[0][1] == 1 and training[-1][1] == HEIGHT - 1  # the highest and the lowest of all
    assert training[0][1] < dev[0][1] < dev[1][1] < training[-1][1]


@pytest.mark.parametrize("curve", [[], [{"step": 10, "images": 320}]])
def test_nothing_is_drawn_of_nothing(curve: list[dict[str, float]]) -> None:
    assert charts_of(curve) == []


def test_one_measurement_and_a_level_line_lie_in_the_box() -> None:
    for curve in ([{"psnr": 30.0}], [{"psnr": 30.0}, {"psnr": 30.0}]):
        (chart,) = charts_of(curve)
        for point in chart.lines[0].points.split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= WIDTH and 0 <= y <= HEIGHT
