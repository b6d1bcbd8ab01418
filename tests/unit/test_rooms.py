"""The house is a staircase: a room imports from the floors below its own, never from above, never in a circle."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import rooms_picture
from tests.conftest import REPOSITORY
from tests.rooms import NOT_HERE, all_imports, faults, imported_names, inner_imports, rooms

# What the DAG processor, the API server and every other component of Airflow would have to load with our files.
HEAVY = ("tensorflow", "keras", "openvino", "cv2", "pandas", "pyarrow", "duckdb")
# Run in a fresh process: imports every file given, and says which of ours first brought something heavy.
LOAD_ALL = """
import importlib.util, sys
import airflow.sdk, airflow.plugins_manager  # what these bring is Airflow's own business
heavy, root, *files = sys.argv[1:]
heavy = set(heavy.split())

class Watch:
    told = set()
    def find_spec(self, name, path=None, target=None):
        if name in heavy and name not in self.told:
            self.told.add(name)
            frame, ours = sys._getframe(1), []
            while frame:
                file = frame.f_code.co_filename
                if file.startswith(root) and "/.venv/" not in file:
                    ours.append(f"{file.removeprefix(root + '/')} line {frame.f_lineno}")
                frame = frame.f_back
            print(f"{' < '.join(ours)} imports {name} while it is loaded: import it inside the function that needs it.")

sys.meta_path.insert(0, Watch())
for number, file in enumerate(files):
    spec = importlib.util.spec_from_file_location(f"loaded_{number}", file)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""


def test_every_import_goes_down() -> None:
    found = faults(inner_imports(), rooms())
    assert not found, "\n".join(found)


def test_picture_shows_the_house_as_it_is() -> None:
    assert rooms_picture.PICTURE.read_text() == rooms_picture.draw(), "Imports between rooms changed: run make picture."


def test_architecture_tells_of_every_room() -> None:
    text = (REPOSITORY / "docs" / "architecture.md").read_text()
    missing = [room for room in sorted(rooms() - {"__main__"}) if f"`{room}`" not in text]
    assert not missing, f"docs/architecture.md does not say what {', '.join(missing)} does."


def test_domain_never_imports_airflow() -> None:
    found = [line for line in all_imports() if line.imported.partition(".")[0] in NOT_HERE]
    assert not found, "\n".join(
        f"{line.place} imports {line.imported}: what needs Airflow belongs into plugins/." for line in found
    )


def test_files_that_airflow_loads_name_nothing_heavy_at_their_top() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)} imports {name} at its top: import it inside the function that needs it."
        for path in _loaded_by_airflow()
        for statement in _at_top(ast.parse(path.read_text()))
        for name in imported_names(statement)
        if name.partition(".")[0] in HEAVY
    ]
    assert not found, "\n".join(found)


def test_loading_them_brings_nothing_heavy(tmp_path: Path) -> None:
    found = _load(_loaded_by_airflow(), home=tmp_path, root=REPOSITORY)
    assert not found, found


def test_heavy_import_is_told_by_the_line_that_causes_it(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_text("import os\nimport pyarrow.parquet\n")
    found = _load([tmp_path / "page.py"], home=tmp_path / "airflow", root=tmp_path)
    assert found.startswith("helper.py line 2 < page.py line 1 imports pyarrow while it is loaded")


@pytest.mark.parametrize(
    "statement",
    [
        "import tounum_tasks.upper.room",
        "from tounum_tasks.upper import room",
        "from tounum_tasks.upper.room import name",
        "from ..upper import room",
        "from ..upper.room import name",
        "def late():\n    from tounum_tasks.upper.room import name",
        "import importlib\nimportlib.import_module('tounum_tasks.upper.room')",
    ],
)
def test_import_upwards_is_told_with_its_place_and_floor(tmp_path: Path, statement: str) -> None:
    _write(
        tmp_path, {"lower/__init__.py": "", "lower/file.py": statement, "upper/__init__.py": "", "upper/room.py": ""}
    )
    (told,) = faults(inner_imports(tmp_path), rooms(tmp_path), [{"lower"}, {"upper"}])
    place = f"tounum_tasks/lower/file.py line {len(statement.splitlines())}"
    assert told == (
        f"{place} imports tounum_tasks.upper.room: lower is on floor 0, upper on floor 1. "
        "What both need belongs below floor 0, and code that uses upper on floor 2 or higher."
    )
    assert not faults(inner_imports(tmp_path), rooms(tmp_path), [{"upper"}, {"lower"}])
    assert faults(inner_imports(tmp_path), rooms(tmp_path), [{"upper", "lower"}])


def test_circle_between_files_of_one_room_is_told(tmp_path: Path) -> None:
    _write(
        tmp_path,
        {"room/__init__.py": "", "room/a.py": "from tounum_tasks.room import b", "room/b.py": "from . import a"},
    )
    (told,) = faults(inner_imports(tmp_path), rooms(tmp_path), [{"room"}])
    assert told.startswith("Files import each other in a circle: tounum_tasks.room.")


def test_list_of_floors_and_folders_agree(tmp_path: Path) -> None:
    _write(tmp_path, {"low.py": "", "new/file.py": "import tounum_tasks.low"})
    assert faults(inner_imports(tmp_path), rooms(tmp_path), [{"low"}, {"gone"}]) == [
        "FLOORS names gone, which is not in tounum_tasks: take it out.",
        "tounum_tasks/new is on no floor: add it to FLOORS in tests/rooms.py, on floor 1 or higher.",
    ]


def _loaded_by_airflow() -> list[Path]:
    """Return the DAG files, the plugin's entry file, and the package that both import, web pages included."""
    return sorted(path for folder in ("dags", "plugins") for path in (REPOSITORY / folder).rglob("*.py"))


def _at_top(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk what runs when a file is loaded: everything but the bodies of functions and blocks for type checkers."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _at_top(child)


def _load(files: list[Path], *, home: Path, root: Path) -> str:
    """Load files in a fresh process; return what it says of heavy imports, an empty text if there are none."""
    command = [sys.executable, "-c", LOAD_ALL, " ".join(HEAVY), str(root), *map(str, files)]
    paths = os.pathsep.join(map(str, [root, REPOSITORY, REPOSITORY / "plugins"]))
    environment = {**os.environ, "PYTHONPATH": paths, "AIRFLOW_HOME": str(home)}
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    # Airflow writes what its libraries warn of to the same place.
    return "\n".join(line for line in done.stdout.splitlines() if "[warning" not in line)


def _write(repository: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = repository / "tounum_tasks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(text)
