"""The house: a map that is true, and names that are found. Who imports whom, `make lint` holds."""

import re
from collections import Counter
from pathlib import Path

import app
from tests.conftest import ROOT

MODULES = [
    path.relative_to(ROOT) for half in ("app", "training") for path in (ROOT / half).rglob("*.py")
]
NAMED = [path for path in MODULES if path.stem not in ("__init__", "__main__")]
ROOMS = {path.parent for path in MODULES if len(path.parts) == 3}
MOST_MODULES = 8


def test_there_is_a_house_to_look_at() -> None:
    assert {Path("app/http"), Path("app/server"), Path("training/data")} <= ROOMS
    assert Path("app/main.py") in NAMED


def mapped() -> dict[str, str]:
    """Return what the map of `app` says of each room (its name ends in /) and lone module."""
    assert app.__doc__ is not None
    return dict(re.findall(r"^    (\w+/?)  +(\S.*)$", app.__doc__, re.MULTILINE))


def test_the_map_names_every_room_and_every_module_outside_of_one() -> None:
    rooms = {f"{room.name}/" for room in ROOMS if room.parent == Path("app")}
    alone = {path.stem for path in NAMED if path.parent == Path("app")}
    assert set(mapped()) == rooms | alone


def test_what_the_map_lists_of_a_room_is_in_it() -> None:
    listed = 0
    for room, text in mapped().items():
        if not room.endswith("/") or ": " not in text:
            continue
        for word in re.findall(r"(?:^|, )(\w+)(?=,|;|/|$)", text.rpartition(": ")[2]):
            listed += 1
            inside = ROOT / "app" / room / word
            assert inside.with_suffix(".py").exists() or (inside / "__init__.py").exists(), inside
    assert listed > 20


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


def test_a_folder_of_modules_is_a_package_and_stands_at_most_two_deep() -> None:
    folders = {path.parent for path in MODULES if path.parts[0] == "app"}
    assert [folder for folder in folders if not (ROOT / folder / "__init__.py").exists()] == []
    assert [folder for folder in folders if len(folder.parts) > 3] == []


def test_contributing_maps_every_room() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(?:app/|training/)?(\w+)/`", page))
    assert {room.name for room in ROOMS} <= named
