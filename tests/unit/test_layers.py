"""The layer rule: a module imports from rows below its own and from its own room, and from nowhere else.

A room is a file or a folder of the package, or a few files that are one (assembly, startup and daemon
build, check and run the service). Rooms of one row do not know each other; what introduces them to one
another is the row above.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "loadtest_trio"
ROOT = "__init__"

Room = frozenset[str]


def room(*names: str) -> Room:
    """Return files and folders that may import each other."""
    return frozenset(names)


ROWS: tuple[tuple[Room, ...], ...] = (
    (room(ROOT), room("errors")),
    # The log lines are the seam: what reads them knows nothing of the service that wrote them.
    (room("jobs"),),
    (room("settings"), room("http")),
    (room("metrics"),),
    (room("report"),),
    (room("backends"),),
    (room("handlers"),),
    (room("scheduler"), room("worker"), room("web"), room("users")),
    (room("kinds_of_work", "surroundings", "parts", "controls", "build", "lifetimes", "daemon"),),
    (room("tune"),),
    (room("__main__", "cli"),),
)
ROW = {name: row for row, rooms in enumerate(ROWS) for each in rooms for name in each}
ROOM = {name: each for rooms in ROWS for each in rooms for name in each}


def place(module: str) -> str:
    """Return the file or folder of the package that a dotted name begins with."""
    parts = module.split(".")
    assert parts[0] == PACKAGE.name
    known = len(parts) > 1 and ((PACKAGE / parts[1]).is_dir() or (PACKAGE / f"{parts[1]}.py").exists())
    return parts[1] if known else ROOT


def imported(source: str) -> Iterator[str]:
    """Yield the dotted name of everything of the package that a source imports, also inside functions."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(module=str(module), names=names, level=0) if module == PACKAGE.name:
                yield from (f"{module}.{alias.name}" for alias in names)
            case ast.ImportFrom(module=str(module), level=0) if module.startswith(f"{PACKAGE.name}."):
                yield module
            case ast.ImportFrom(level=level) if level:
                raise AssertionError("relative import")
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name.split(".")[0] == PACKAGE.name)


def allowed(importer: str, imports: str) -> bool:
    """Whether one place may import another."""
    return ROW[imports] < ROW[importer] or ROOM[imports] == ROOM[importer]


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_from_below(path: Path) -> None:
    """Every import of every module obeys the rule."""
    importer = place(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    assert importer in ROW, f"{importer} is in no room: put it into the table"
    places = {place(module) for module in imported(path.read_text(encoding="utf-8"))}
    assert not places - ROW.keys(), "imports what is in no room"
    assert not {each for each in places if not allowed(importer, each)}, "imports from beside or above"


def test_reports_know_log_lines_only() -> None:
    """A report is made of log lines; besides them it knows how their histograms are encoded."""
    known = {
        module
        for path in (PACKAGE / "report").rglob("*.py")
        for module in imported(path.read_text(encoding="utf-8"))
        if place(module) != "report"
    }
    assert known <= {"loadtest_trio.metrics.latencies", "loadtest_trio.errors"}


def test_every_room_exists() -> None:
    """The table names nothing that is not there."""
    present = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert present == ROW.keys()


@pytest.mark.parametrize(
    ("importer", "imports", "verdict"),
    [
        ("worker", "handlers", True),
        ("worker", "scheduler", False),
        ("handlers", "worker", False),
        ("report", "worker", False),
        ("daemon", "build", True),
        ("backends", "handlers", False),
    ],
)
def test_the_rule(importer: str, imports: str, verdict: bool) -> None:
    """Down and at home is allowed, sideways and up is not."""
    assert allowed(importer, imports) is verdict


def test_imports_are_found() -> None:
    """Every way of importing is seen, also inside a function."""
    source = (
        "import loadtest_trio.backends.s3\n"
        "from loadtest_trio import web, __version__\n"
        "from loadtest_trio.worker.runner import Runner\n"
        "def f():\n    from loadtest_trio.errors import S3Error\n"
        "import trio, loadtest_trio_other\n"
    )
    assert {place(module) for module in imported(source)} == {"backends", "web", ROOT, "worker", "errors"}
