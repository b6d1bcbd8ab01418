"""The no-harm gate: harmful engines are reverted with a reason, harmless ones pass."""

import cv2
import numpy as np
import pytest
import skimage.data

from tests.unit.degraded import blurred, text_page, with_noise
from tounum_tasks.quality.metrics import measure
from tounum_tasks.restore.auto import AutoEngine
from tounum_tasks.restore.engine import Proposal
from tounum_tasks.restore.enhance import enhance
from tounum_tasks.restore.gate import GateLimits, objection
from tounum_tasks.training.prints import printed


class Filter:
    """An engine that does one thing to every page."""

    def __init__(self, change):
        self.change = change

    def __call__(self, rgb, before):
        return Proposal(self.change(rgb), ("filter",))


def scaled(rgb, factor, offset=0.0):
    return np.clip(np.rint(rgb * np.asarray(factor) + offset), 0, 255).astype(np.uint8)


def with_hole(rgb):
    holed = rgb.copy()
    holed[50:90, 60:100] = 0
    return holed


def too_sharp(rgb):
    return cv2.filter2D(rgb, -1, np.array([[-1, -1, -1], [-1, 9, -1], [-1, -1, -1]], np.float32))


HARM = {
    "tint": (lambda rgb: scaled(rgb, [1.03, 1, 0.97]), "colours"),
    "lighter": (lambda rgb: scaled(rgb, 1, 3), "colours"),
    "contrast": (lambda rgb: scaled(rgb, 1.15, -18), ""),
    "hole": (with_hole, ""),
    "moved": (lambda rgb: np.roll(rgb, 2, axis=1), ""),
    "blurred": (lambda rgb: blurred(rgb, 1.2), ""),
    "median": (lambda rgb: cv2.medianBlur(rgb, 7), ""),
    "noise": (lambda rgb: with_noise(rgb, 5), ""),
    "too sharp": (too_sharp, ""),
    "inverted": (lambda rgb: 255 - rgb, ""),
    "smaller": (lambda rgb: rgb[::2, ::2], "the engine returned"),
    "grey": (lambda rgb: rgb[..., 0], "the engine returned"),
    "other type": (lambda rgb: rgb.astype(np.float32), "the engine returned"),
}


@pytest.mark.parametrize(
    ("name", "harm"),
    [(name, harm) for name in ("astronaut", "coffee") for harm in HARM]
    # On a white page white stays white, and a little lighter or darker ink is no harm.
    + [("text", harm) for harm in HARM if harm not in ("lighter", "contrast")],
)
def test_a_harmful_engine_is_reverted(name, harm):
    rgb = text_page() if name == "text" else getattr(skimage.data, name)()
    change, reason = HARM[harm]
    before = measure(rgb)
    result = enhance(rgb, mode="auto", before=before, engine=Filter(change))
    assert result.rgb is rgb
    assert (result.accepted, result.operations, result.after) == (False, ("filter",), before)
    assert result.reason.startswith(f"reverted: {reason}")
    assert "\n" not in result.reason


def test_a_harmful_engine_cannot_hide_behind_a_small_part_of_a_large_page():
    rgb = np.tile(skimage.data.coffee(), (3, 3, 1))
    assert enhance(rgb, mode="auto", before=measure(rgb), engine=Filter(with_hole)).accepted is False


def test_a_helpful_engine_is_accepted():
    clean = skimage.data.coffee()
    noisy = with_noise(clean, 8)
    result = enhance(noisy, mode="auto", before=measure(noisy), engine=Filter(lambda _: clean))
    assert result.accepted
    assert (result.rgb == clean).all()
    assert result.after == measure(clean)


def test_undoing_noise_that_was_cut_off_at_black_is_no_shift_of_colours():
    clean = skimage.data.rocket()
    noisy = with_noise(clean, 25)
    assert noisy.mean() > clean.mean() + 0.5
    assert enhance(noisy, mode="auto", before=measure(noisy), engine=Filter(lambda _: clean)).accepted


def test_an_engine_that_changes_nothing_is_not_accepted():
    rgb = skimage.data.coffee()
    result = enhance(rgb, mode="auto", before=measure(rgb), engine=Filter(np.copy))
    assert result.rgb is rgb
    assert (result.accepted, result.reason) == (False, "nothing changed")


def test_an_engine_that_proposes_nothing():
    rgb = skimage.data.coffee()
    result = enhance(rgb, mode="auto", before=measure(rgb), engine=lambda rgb, before: None)
    assert result.rgb is rgb
    assert result.operations == ()


def test_the_limits_decide():
    noisy = with_noise(skimage.data.coffee(), 10)
    proposal = AutoEngine()(noisy, measure(noisy))
    assert objection(noisy, proposal.rgb, GateLimits()) is None
    assert "edges" in objection(noisy, proposal.rgb, GateLimits(edge_loss=2))
    assert "colours" in objection(noisy, proposal.rgb, GateLimits(colour_shift=-1))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (3, 3), (40, 33)])
@pytest.mark.parametrize("value", [0, 255, 90])
def test_pages_of_any_size_can_be_compared(shape, value):
    even = np.full((*shape, 3), value, np.uint8)
    noise = np.random.default_rng(5).integers(0, 256, even.shape, np.uint8)
    assert objection(even, even, GateLimits()) is None
    assert objection(noise, noise, GateLimits()) is None
    assert objection(even, noise, GateLimits()) is not None


def test_mode_off_does_nothing():
    rgb = with_noise(skimage.data.coffee(), 20)
    result = enhance(rgb, mode="off", before=measure(rgb))
    assert result.rgb is rgb
    assert (result.accepted, result.operations, result.method) == (False, (), "off")


def test_dots_of_a_print_are_not_changed():
    scan = printed(skimage.data.coffee()[:256, :256], 300 / 133)
    assert "dots" in objection(scan, cv2.medianBlur(scan, 3), GateLimits())
