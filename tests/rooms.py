"""The rooms of tounum_tasks: on which floor each stands, and who imports whom, read from the code."""

import ast
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.conftest import REPOSITORY

# Bottom first. A new room, or module directly in tounum_tasks, is added here: on the floor above all that it imports.
FLOORS = (
    {"batches", "files", "fingerprint", "model_kinds", "pandas_left_out", "threads", "visible"},
    {"errors", "memory", "metadata", "page_flags", "quality"},
    {"images", "names"},
    {"sample", "settings"},
    {"plan", "store"},
    {"fixity", "models", "tables", "thumbnails"},
    {"caption", "features", "items", "restore"},
    {"classify", "logs", "manifest"},
    {"reviews"},
    {"datasets", "pages", "steps"},
    {"search", "views"},
    {"corrections", "evaluation", "intake", "publish", "reprocess"},
    {"history", "report", "training"},
    {"cli", "retrain"},
    {"__main__"},
)
PACKAGE = "tounum_tasks"
NOT_HERE = ("airflow", "tounum_airflow", "tests")  # what tounum_tasks may not import


@dataclass(frozen=True, order=True)
class Import:
    """A line that imports: ``importer`` and ``imported`` are names of modules, ``place`` is file and line."""

    importer: str
    imported: str
    place: str

    @property
    def rooms(self) -> tuple[str, str]:
        """The rooms of both modules."""
        return room_of(self.importer), room_of(self.imported)


def room_of(module: str) -> str:
    """Return the room of a module of tounum_tasks: the folder or the file directly in the package."""
    return module.split(".")[1]


def all_imports(repository: Path = REPOSITORY) -> list[Import]:
    """Return every import in tounum_tasks, at any depth of the code, in order."""
    found = []
    for path in (repository / PACKAGE).rglob("*.py"):
        relative = path.relative_to(repository)
        module = _module(relative)
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for node in ast.walk(ast.parse(path.read_text())):
            found += [Import(module, name, f"{relative} line {node.lineno}") for name in imported_names(node, package)]
    return sorted(found)


def inner_imports(repository: Path = REPOSITORY) -> list[Import]:
    """Return the imports of tounum_tasks from itself; ``imported`` is a module that is there, never a name in one."""
    modules = {_module(path.relative_to(repository)) for path in (repository / PACKAGE).rglob("*.py")}
    found = []
    for line in all_imports(repository):
        target = line.imported
        while target and target not in modules:
            target = target.rpartition(".")[0]
        if "." in target and "." in line.importer and target != line.importer:
            found.append(Import(line.importer, target, line.place))
    return found


def imported_names(node: ast.AST, package: str = "") -> Iterator[str]:
    """Return what a statement imports, as full dotted names; ``package`` is where relative imports start."""
    match node:
        case ast.Import():
            yield from (alias.name for alias in node.names)
        case ast.ImportFrom():
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            yield name


def faults(imports: Sequence[Import], rooms: Collection[str], floors: Sequence[Collection[str]] = FLOORS) -> list[str]:
    """Return what is wrong with the house, a sentence for each fault, with the remedy."""
    floor_of = {room: number for number, floor in enumerate(floors) for room in floor}
    return _unlisted(imports, set(rooms), floor_of) + _upward(imports, floor_of) + _circles(imports)


def rooms(repository: Path = REPOSITORY) -> set[str]:
    """Return the rooms and modules that lie directly in tounum_tasks."""
    folder = repository / PACKAGE
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    return files | {path.parent.name for path in folder.glob("*/__init__.py")}


def _unlisted(imports: Iterable[Import], rooms: set[str], floor_of: Mapping[str, int]) -> list[str]:
    found = [f"FLOORS names {room}, which is not in {PACKAGE}: take it out." for room in sorted(set(floor_of) - rooms)]
    for room in sorted(rooms - set(floor_of)):
        needed = (floor_of.get(line.rooms[1], 0) for line in imports if line.rooms[0] == room)
        found.append(
            f"{PACKAGE}/{room} is on no floor: add it to FLOORS in tests/rooms.py, "
            f"on floor {max(needed, default=-1) + 1} or higher."
        )
    return found


def _upward(imports: Iterable[Import], floor_of: Mapping[str, int]) -> list[str]:
    found = []
    for line in imports:
        importer, imported = line.rooms
        if importer == imported or not {importer, imported} <= set(floor_of):
            continue
        here, there = floor_of[importer], floor_of[imported]
        if there >= here:
            found.append(
                f"{line.place} imports {line.imported}: {importer} is on floor {here}, {imported} on floor {there}. "
                f"What both need belongs below floor {here}, and code that uses {imported} on floor {there + 1} or "
                "higher."
            )
    return found


def _circles(imports: Iterable[Import]) -> list[str]:
    graph = defaultdict(set)
    for line in imports:
        graph[line.importer].add(line.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " > ".join(reversed(error.args[1]))
        return [f"Files import each other in a circle: {circle}. What they share belongs into a file of its own."]
    return []


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
