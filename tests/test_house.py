"""The house: a map that is true, names that are found, and libraries known in one place only."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import app
from tests.conftest import ROOT

MODULES = [
    path.relative_to(ROOT) for half in ("app", "training") for path in (ROOT / half).rglob("*.py")
]
NAMED = [path for path in MODULES if path.stem not in ("__init__", "__main__")]
ROOMS = {path.parent for path in MODULES if len(path.parts) == 3}
MOST_MODULES = 9

LIBRARIES = {
    "uvicorn": ("app/server/",),
    "fastapi": ("app/http/", "app/main.py"),
    "fastapi_offline": ("app/main.py",),
    "starlette": ("app/http/", "app/main.py"),
}
"""Who may import what knows HTTP."""

HEADS_IN_SERVER = pytest.mark.xfail(
    strict=True, reason="the worker knows the application and its heads by their types"
)


def imported(path: Path) -> Iterator[str]:
    """Yield the packages that a module imports, wherever in it."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{path}: a relative import hides where it leads"
            yield node.module.partition(".")[0]


def test_there_is_a_house_to_look_at() -> None:
    assert {Path("app/http"), Path("app/server"), Path("training/data")} <= ROOMS
    assert Path("app/main.py") in NAMED
    assert set(imported(Path("app/main.py"))) >= {"fastapi", "app"}


@pytest.mark.xfail(strict=True, reason="the map is written with the connection's new states")
def test_the_map_names_every_room_and_module_and_nothing_that_is_not_there() -> None:
    assert app.__doc__ is not None
    words = set(re.findall(r"\w+", app.__doc__))
    rooms = {path.name for path in (ROOT / "app").iterdir() if (path / "__init__.py").exists()}
    nouns = {path.stem for path in NAMED if path.parts[0] == "app"}
    assert rooms | nouns <= words, (rooms | nouns) - words
    told = set(re.findall(r"\b(\w+)/", app.__doc__)) | set(re.findall(r"``(\w+)``", app.__doc__))
    told |= set(re.findall(r"\b(\w+)\.py\b", app.__doc__))
    assert told <= rooms | nouns | {"routes", "training", "app"}, told - rooms - nouns


def test_no_two_modules_have_one_name() -> None:
    names = Counter(path.stem for path in NAMED)
    assert [name for name, count in names.items() if count > 1] == []


def test_no_module_is_named_like_a_room_but_one_in_it() -> None:
    rooms = {room.name: room for room in ROOMS}
    assert [path for path in NAMED if path.parent != rooms.get(path.stem, path.parent)] == []


def test_no_room_of_one_half_is_named_like_one_of_the_other() -> None:
    names = Counter(room.name for room in ROOMS)
    assert [name for name, count in names.items() if count > 1] == []


def test_no_room_holds_more_modules_than_a_glance_takes_in() -> None:
    sizes = Counter(path.parent for path in NAMED)
    assert {room: size for room, size in sizes.items() if size > MOST_MODULES} == {}


@pytest.mark.parametrize(
    "library",
    [
        "uvicorn",
        "fastapi_offline",
        *(pytest.param(name, marks=HEADS_IN_SERVER) for name in ("fastapi", "starlette")),
    ],
)
def test_only_its_rooms_know_a_library_of_http(library: str) -> None:
    knowing = [path.as_posix() for path in MODULES if library in imported(path)]
    assert knowing, library
    assert [path for path in knowing if not path.startswith(LIBRARIES[library])] == []


def test_a_folder_of_modules_is_a_package_and_stands_at_most_two_deep() -> None:
    folders = {path.parent for path in MODULES if path.parts[0] == "app"}
    assert [folder for folder in folders if not (ROOT / folder / "__init__.py").exists()] == []
    deep = {folder for folder in folders if len(folder.parts) > 2}
    assert deep <= {Path("app/http/routes")}
