"""Draws docs/images/rooms.svg from the code: ``make picture``.

A row is a floor, the lowest at the bottom. A line goes from a room down to one that it imports; lines that follow from
others (a room imports B, and B imports C: it may import C as well) are left out.
"""

from collections import defaultdict
from collections.abc import Mapping

from tests.conftest import REPOSITORY
from tests.rooms import FLOORS, inner_imports

PICTURE = REPOSITORY / "docs" / "images" / "rooms.svg"
WIDTH, ROW, BOX_HEIGHT, LETTER = 960, 74, 30, 7.6
STYLE = """
  text { font: 13px ui-monospace, monospace; text-anchor: middle; fill: #1f2933; }
  rect { fill: #eef3f8; stroke: #5b7a99; }
  path { fill: none; stroke: #8aa1b8; }
  .floor { font-size: 11px; fill: #8a8f98; text-anchor: start; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e7eb; } rect { fill: #22303d; stroke: #7f9bb5; } path { stroke: #5d7489; }
  }
"""


def lines() -> dict[str, set[str]]:
    """Return which rooms each room imports, without what follows from the rest."""
    imports = defaultdict(set)
    for line in inner_imports():
        importer, imported = line.rooms
        if importer != imported:
            imports[importer].add(imported)
    return {
        room: {other for other in below if not any(_reaches(imports, via, other) for via in below - {other})}
        for room, below in sorted(imports.items())
    }


def draw() -> str:
    """Return the picture as SVG."""
    drawn = lines()
    places = _places(drawn)
    height = len(FLOORS) * ROW + 20
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">', f"<style>{STYLE}</style>"]
    for room, below in drawn.items():
        parts += [_line(places[room], places[other]) for other in sorted(below)]
    parts += [_box(room, *place) for room, place in sorted(places.items())]
    parts += [f'<text class="floor" x="4" y="{_height_of(floor) + 4}">{floor}</text>' for floor in range(len(FLOORS))]
    return "\n".join([*parts, "</svg>", ""])


def _places(drawn: Mapping[str, set[str]]) -> dict[str, tuple[float, float]]:
    """Return the middle of each room's box: in its floor's row, near to the rooms that it imports."""
    places: dict[str, tuple[float, float]] = {}
    for floor, names in enumerate(FLOORS):
        wished = {room: [places[other][0] for other in drawn.get(room, ())] or [WIDTH / 2] for room in names}
        ordered = sorted(names, key=lambda room: (sum(wished[room]) / len(wished[room]), room))
        step = WIDTH / len(ordered)
        places |= {room: (step * (number + 0.5), _height_of(floor)) for number, room in enumerate(ordered)}
    return places


def _height_of(floor: int) -> float:
    return (len(FLOORS) - floor - 0.5) * ROW + 10


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x1, y1), (x2, y2) = start, end
    y1, y2 = y1 + BOX_HEIGHT / 2, y2 - BOX_HEIGHT / 2
    middle = (y1 + y2) / 2
    return f'<path d="M{x1:.0f} {y1:.0f}C{x1:.0f} {middle:.0f} {x2:.0f} {middle:.0f} {x2:.0f} {y2:.0f}"/>'


def _box(room: str, x: float, y: float) -> str:
    width = len(room) * LETTER + 20
    return (
        f'<rect x="{x - width / 2:.0f}" y="{y - BOX_HEIGHT / 2:.0f}" width="{width:.0f}" height="{BOX_HEIGHT}" rx="5"/>'
        f'<text x="{x:.0f}" y="{y + 4:.0f}">{room}</text>'
    )


def _reaches(imports: Mapping[str, set[str]], start: str, end: str) -> bool:
    return end in imports.get(start, ()) or any(_reaches(imports, via, end) for via in imports.get(start, ()))


if __name__ == "__main__":
    PICTURE.write_text(draw())
