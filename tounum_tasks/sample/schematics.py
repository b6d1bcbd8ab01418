"""Schematics: circuits, flow diagrams, charts and a floor plan."""

from collections.abc import Callable
from io import BytesIO

import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Arc, Circle, FancyBboxPatch, Polygon, Rectangle
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Point = tuple[float, float]


def _drawn(draw: Callable[[Axes], None], size: Point, *, plain: bool = True) -> Pixels:
    """Return what ``draw`` puts on axes of ``size`` inches, at 100 dots per inch."""
    figure = matplotlib.figure.Figure(figsize=size, dpi=100)
    axes = figure.add_axes((0, 0, 1, 1)) if plain else figure.add_subplot()
    if plain:
        axes.set_axis_off()
        axes.set_aspect("equal")
    draw(axes)
    out = BytesIO()
    figure.savefig(out, format="png", bbox_inches=None)
    return np.array(Image.open(out).convert("RGB"))


def _wire(axes: Axes, *points: Point) -> None:
    axes.plot(*zip(*points, strict=True), color="black", linewidth=1.6)


def _dot(axes: Axes, at: Point) -> None:
    axes.add_patch(Circle(at, 0.07, color="black"))


def _resistor(axes: Axes, at: Point, label: str, *, upright: bool = False) -> None:
    zigzag = [(0.0, 0.0), (0.1, 0.16), (0.3, -0.16), (0.5, 0.16), (0.7, -0.16), (0.9, 0.16), (1.0, 0.0)]
    _wire(axes, *[(at[0] + (y if upright else x), at[1] + (x if upright else y)) for x, y in zigzag])
    axes.text(at[0] + (0.3 if upright else 0.5), at[1] + (0.5 if upright else 0.3), label, fontsize=11, ha="center")


def _capacitor(axes: Axes, at: Point, label: str, *, left: bool = False) -> None:
    for y in (0.4, 0.6):
        _wire(axes, (at[0] - 0.3, at[1] + y), (at[0] + 0.3, at[1] + y))
    _wire(axes, at, (at[0], at[1] + 0.4))
    _wire(axes, (at[0], at[1] + 0.6), (at[0], at[1] + 1))
    side = -0.42 if left else 0.42
    axes.text(at[0] + side, at[1] + 0.42, label, fontsize=11, ha="right" if left else "left")


def _ground(axes: Axes, at: Point) -> None:
    _wire(axes, at, (at[0], at[1] - 0.25))
    for step, half in enumerate((0.3, 0.2, 0.1)):
        y = at[1] - 0.25 - 0.1 * step
        _wire(axes, (at[0] - half, y), (at[0] + half, y))


def filter_circuit() -> Pixels:
    """Return the circuit of an active low-pass filter."""

    def draw(axes: Axes) -> None:
        axes.set(xlim=(-0.9, 8.7), ylim=(-0.9, 4.4))
        axes.add_patch(Circle((0.3, 1.5), 0.4, fill=False, linewidth=1.6))
        axes.text(0.3, 1.42, "~", fontsize=18, ha="center", va="center")
        axes.text(-0.75, 1.5, "$V_{in}$", fontsize=12)
        _wire(axes, (0.3, 1.1), (0.3, 0.2))
        _ground(axes, (0.3, 0.2))
        _wire(axes, (0.3, 1.9), (0.3, 2.5), (0.8, 2.5))
        _resistor(axes, (0.8, 2.5), "$R_1$ 10k")
        _wire(axes, (1.8, 2.5), (2.5, 2.5))
        _resistor(axes, (2.5, 2.5), "$R_2$ 10k")
        _wire(axes, (3.5, 2.5), (4.8, 2.5))
        _dot(axes, (4.0, 2.5))
        _wire(axes, (4.0, 2.5), (4.0, 1.6))
        _capacitor(axes, (4.0, 0.6), "$C_2$ 10n", left=True)
        _ground(axes, (4.0, 0.6))
        axes.add_patch(Polygon([(4.8, 1.1), (4.8, 3.0), (6.4, 2.05)], fill=False, linewidth=1.6))
        axes.text(4.92, 2.4, "+", fontsize=13)
        axes.text(4.92, 1.45, "−", fontsize=13)
        _wire(axes, (6.4, 2.05), (7.6, 2.05))
        _dot(axes, (6.9, 2.05))
        _wire(axes, (6.9, 2.05), (6.9, 0.4), (4.6, 0.4), (4.6, 1.55), (4.8, 1.55))
        _dot(axes, (2.15, 2.5))
        _wire(axes, (2.15, 2.5), (2.15, 2.7))
        _capacitor(axes, (2.15, 2.7), "$C_1$ 22n")
        _wire(axes, (2.15, 3.7), (6.9, 3.7), (6.9, 2.05))
        axes.add_patch(Circle((7.67, 2.05), 0.07, fill=False))
        axes.text(7.85, 1.97, "$V_{out}$", fontsize=12)

    return _drawn(draw, (7.2, 4.4))


def supply_circuit() -> Pixels:
    """Return the circuit of a small power supply with a bridge of diodes."""

    def draw(axes: Axes) -> None:
        axes.set(xlim=(-1.0, 9.2), ylim=(-0.9, 4))
        for x in (0.6, 1.4):
            for y in np.arange(0.8, 2.8, 0.4):
                axes.add_patch(Arc((x, y), 0.4, 0.4, theta1=90 if x < 1 else 270, theta2=270 if x < 1 else 90, lw=1.6))
        for x in (0.95, 1.05):
            _wire(axes, (x, 0.5), (x, 2.7))
        _wire(axes, (-0.2, 0.6), (0.6, 0.6))
        _wire(axes, (-0.2, 2.6), (0.6, 2.6))
        axes.text(-0.85, 1.45, "230 V\n50 Hz", fontsize=10)
        corners = [(3.0, 3.1), (4.5, 1.6), (3.0, 0.1), (1.9, 1.6)]
        for start, end in zip(corners, corners[1:] + corners[:1], strict=True):
            _wire(axes, start, end)
            middle = np.array([(start[0] + end[0]) / 2, (start[1] + end[1]) / 2])
            along = np.array([abs(end[0] - start[0]), end[1] - start[1] if end[0] > start[0] else start[1] - end[1]])
            along = along / np.hypot(*along) * 0.22
            side = np.array([-along[1], along[0]])
            axes.add_patch(Polygon([middle - along + side, middle - along - side, middle + along], color="black"))
            _wire(axes, tuple(middle + along + side), tuple(middle + along - side))
        _wire(axes, (1.4, 2.6), (1.9, 3.1), (3.0, 3.1))
        _wire(axes, (1.4, 0.6), (1.9, 0.1), (3.0, 0.1))
        _wire(axes, (4.5, 1.6), (4.5, 3.4), (7.8, 3.4))
        _wire(axes, (1.9, 1.6), (1.9, -0.4), (7.8, -0.4))
        _wire(axes, (5.6, 3.4), (5.6, 2.0))
        _capacitor(axes, (5.6, 1.0), "2200 µF")
        _wire(axes, (5.6, 1.0), (5.6, -0.4))
        _wire(axes, (7.4, 3.4), (7.4, 2.0))
        _resistor(axes, (7.4, 1.0), "$R_L$", upright=True)
        _wire(axes, (7.4, 1.0), (7.4, -0.4))
        for at in ((5.6, 3.4), (7.4, 3.4), (5.6, -0.4), (7.4, -0.4)):
            _dot(axes, at)
        axes.text(7.95, 3.32, "+12 V", fontsize=11)

    return _drawn(draw, (7.4, 4.2))


def flow_diagram() -> Pixels:
    """Return the flow of a scan through an archive."""

    def draw(axes: Axes) -> None:
        axes.set(xlim=(0, 8), ylim=(0, 8.4))

        def box(x: float, y: float, text: str, colour: str) -> None:
            shape = FancyBboxPatch((x - 1.05, y - 0.35), 2.1, 0.7, boxstyle="round,pad=0.06", fc=colour, ec="black")
            axes.add_patch(shape)
            axes.text(x, y, text, ha="center", va="center", fontsize=10)

        def arrow(*points: Point) -> None:
            _wire(axes, *points[:-1]) if len(points) > 2 else None
            axes.annotate("", points[-1], points[-2], arrowprops={"arrowstyle": "-|>", "color": "black", "lw": 1.4})

        box(4, 7.8, "Page scanned", "#dde9f7")
        box(4, 6.4, "Measure quality", "#dde9f7")
        axes.add_patch(Polygon([(4, 5.5), (5.7, 4.7), (4, 3.9), (2.3, 4.7)], fc="#fdf3d0", ec="black"))
        axes.text(4, 4.7, "Sharp enough?", ha="center", va="center", fontsize=10)
        box(6.7, 3.1, "Sharpen", "#f7dddd")
        box(4, 2.4, "Classify", "#dde9f7")
        box(1.9, 0.8, "Caption", "#e0f3df")
        box(5.9, 0.8, "Archive", "#e0f3df")
        arrow((4, 7.4), (4, 6.82))
        arrow((4, 6.0), (4, 5.5))
        arrow((4, 3.9), (4, 2.82))
        arrow((5.7, 4.7), (6.7, 4.7), (6.7, 3.52))
        arrow((6.7, 2.7), (6.7, 2.4), (5.15, 2.4))
        arrow((3.6, 2.0), (1.9, 1.22))
        arrow((4.4, 2.0), (5.9, 1.22))
        axes.text(4.12, 3.4, "yes", fontsize=9)
        axes.text(5.9, 4.82, "no", fontsize=9)
        axes.text(2.0, 1.75, "photo", fontsize=9)
        axes.text(5.4, 1.75, "other", fontsize=9)

    return _drawn(draw, (6, 6.3))


def line_chart() -> Pixels:
    """Return a chart of two measurements over time."""

    def draw(axes: Axes) -> None:
        rng = np.random.default_rng(5)
        days = np.arange(60)
        axes.plot(days, 20 + 6 * np.sin(days / 9) + rng.normal(0, 0.7, 60), label="reading room", marker=".")
        axes.plot(days, 15 + 2 * np.sin(days / 9 + 0.8) + rng.normal(0, 0.4, 60), label="stacks", linestyle="--")
        axes.set(xlabel="day", ylabel="temperature (°C)", title="Climate of the archive")
        axes.grid(alpha=0.4)
        axes.legend()

    return _drawn(draw, (6.4, 4.4), plain=False)


def bar_chart() -> Pixels:
    """Return a chart of counts per class."""

    def draw(axes: Axes) -> None:
        names = ["Painting", "Photo", "Schematics", "Sketch", "Text"]
        bars = axes.bar(names, [34, 212, 61, 27, 148], color=["#7a5195", "#003f5c", "#ef5675", "#ffa600", "#6b8f71"])
        axes.bar_label(bars)
        axes.set(ylabel="items", title="Contents of box 17")

    return _drawn(draw, (6, 4.2), plain=False)


def floor_plan() -> Pixels:
    """Return the plan of a flat."""

    def draw(axes: Axes) -> None:
        axes.set(xlim=(-0.8, 10.8), ylim=(-1.0, 7.8))
        axes.add_patch(Rectangle((0, 0), 10, 7, fill=False, linewidth=5))
        for points in (
            [(4, 0), (4, 2.2)],
            [(4, 3.2), (4, 7)],
            [(4, 4), (7.2, 4)],
            [(8.2, 4), (10, 4)],
            [(7, 4), (7, 7)],
        ):
            axes.plot(*zip(*points, strict=True), color="black", linewidth=4)
        for x, y, turn in ((4, 2.2, 0), (7.2, 4, 270), (2, 0, 0)):
            axes.add_patch(Arc((x, y), 2, 2, theta1=turn, theta2=turn + 90, lw=1))
            end = (x + np.cos(np.radians(turn)), y + np.sin(np.radians(turn)))
            axes.plot([x, end[0]], [y, end[1]], color="black", linewidth=1.2)
        for x, y, name in (
            (2, 4, "LIVING\n28.0 m²"),
            (8, 2.6, "BEDROOM\n24.0 m²"),
            (5.4, 5.5, "KITCHEN\n9.0 m²"),
            (8.5, 5.5, "BATH\n9.0 m²"),
        ):
            axes.text(x, y, name, ha="center", va="center", fontsize=10)
        for x, width in ((1, 1.6), (5.2, 2.4)):
            axes.add_patch(Rectangle((x, 6.93), width, 0.14, fc="white", ec="black"))
        axes.annotate("", (0, -0.5), (10, -0.5), arrowprops={"arrowstyle": "<->"})
        axes.text(5, -0.42, "10.00 m", ha="center", fontsize=9)
        axes.annotate("", (-0.45, 0), (-0.45, 7), arrowprops={"arrowstyle": "<->"})
        axes.text(-0.42, 3.5, "7.00 m", rotation=90, va="center", fontsize=9)
        for x in (5, 6):
            axes.add_patch(Rectangle((x, 0.3), 1, 1.6, fill=False))
        axes.add_patch(Circle((5.0, 6.3), 0.3, fill=False))

    return _drawn(draw, (7, 5.2))
