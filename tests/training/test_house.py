"""The rooms of training/: what their map names, and what of serving they may know."""

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import training

ROOT = Path(__file__).parents[2]
ALLOWED = {"app.errors", "app.image", "app.language", "app.machine", "app.model"}


def modules(folder: Path) -> set[str]:
    """Return the names of a package's modules and rooms, but for `__init__`."""
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    return files | {path.parent.name for path in folder.glob("*/__init__.py")}


def nouns(path: Path) -> set[str]:
    """Return what a module is called; a room may have one of its own name."""
    return {path.stem} - {"__init__", "__main__", path.parent.name}


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted name of whatever an `import` brings in, to the second part."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import hides where it leads"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (".".join(name.split(".")[:2]) for name in names)


def imported_of_serving(source: str) -> set[str]:
    names = set(imported(ast.parse(source)))
    return {name for name in names if name.partition(".")[0] == "app"}


# ---------------------------------------------------------------- the map


def test_the_map_names_every_room_and_module_and_nothing_else() -> None:
    assert training.__doc__ is not None
    named = re.findall(r"^``(\w+)``", training.__doc__, re.MULTILINE)
    assert sorted(named) == sorted(modules(ROOT / "training"))


def test_every_folder_of_code_is_a_package() -> None:
    # Without __init__.py it would be left out of the map, the contracts and the wheel's tests.
    for folder in {path.parent for path in (ROOT / "training").rglob("*.py")}:
        assert (folder / "__init__.py").is_file(), folder


def test_every_room_says_what_it_is_for() -> None:
    for path in (ROOT / "training").glob("*/__init__.py"):
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert doc is not None, path
        first_line, *rest = doc.splitlines()
        assert len(first_line) > 30, path
        assert any(rest), f"{path}: what does it hand out?"


def test_no_module_is_called_as_another_of_the_house() -> None:
    ours = Counter(noun for path in (ROOT / "training").rglob("*.py") for noun in nouns(path))
    serving = {noun for path in (ROOT / "app").rglob("*.py") for noun in nouns(path)}
    rooms = {path.parent.name for path in (ROOT / "app").rglob("*/__init__.py")}
    assert {noun for noun, count in ours.items() if count > 1} == set()
    assert set(ours) & (serving | rooms) == set()


# ---------------------------------------------------------------- what it knows of serving


def test_only_what_is_allowed_is_imported_of_serving() -> None:
    found = {
        str(path.relative_to(ROOT)): names
        for path in (ROOT / "training").rglob("*.py")
        if (names := imported_of_serving(path.read_text(encoding="utf-8")) - ALLOWED)
    }
    assert found == {}


def test_the_contract_forbids_every_other_room_of_serving() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (
        contract
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["name"].startswith("Training: of serving only")
    )
    others = {f"app.{name}" for name in modules(ROOT / "app")} - ALLOWED
    assert set(contract["forbidden_modules"]) == others


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from app.http.front.gate import Gate", {"app.http"}),
        ("from app import main", {"app.main"}),
        ("import app.server.worker as worker", {"app.server"}),
        ("import app", {"app"}),
        ("def late():\n    from app.settings.settings import Settings", {"app.settings"}),
        ("if TYPE_CHECKING:\n    from app.render import overlay", {"app.render"}),
        ("from app.model.card import Card", {"app.model"}),
        ("import application\nfrom training.app import x", set()),
    ],
)
def test_an_import_of_serving_is_seen(source: str, found: set[str]) -> None:
    assert imported_of_serving(source) == found
