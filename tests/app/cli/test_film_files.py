"""app.cli.read.film_files: folders walked, standard input, files that are too large."""

import io
import os
from pathlib import Path

import click
import pytest

from app.cli.read.film_files import (
    STDIN,
    FilmFile,
    NoFilm,
    check_place,
    list_files,
    read_file,
    shown,
)
from app.errors import BodyTooLarge, FileUnreadable

JPEG = b"\xff\xd8\xff" + bytes(2000)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a/2.jpg", "a/1.dcm", ".hidden.jpg", ".git/x.jpg", "notes.txt"):
        path = tmp_path / "films" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(JPEG if name != "notes.txt" else b"words")
    (tmp_path / "films" / "circle").symlink_to(tmp_path / "films")
    return tmp_path / "films"


def test_a_folder_is_walked_by_name_without_hidden_files_and_circles(films: Path) -> None:
    listed = list_files([films])
    assert [str(file.path.relative_to(films)) for file in listed] == [
        "b.jpg", "notes.txt", "a/1.dcm", "a/2.jpg"
    ]  # fmt: skip
    assert all(file.found for file in listed)


def test_what_was_given_keeps_its_order_and_is_not_looked_into(films: Path) -> None:
    given = [films / "notes.txt", films / "missing.jpg", films / ".hidden.jpg"]
    assert list_files(given) == [FilmFile(path) for path in given]


def test_an_empty_folder_is_a_fault_of_its_own(tmp_path: Path) -> None:
    (file,) = list_files([tmp_path])
    with pytest.raises(FileUnreadable, match="no file in this folder"):
        read_file(file, 10)


def test_a_folder_that_can_not_be_listed_is_not_passed_over(
    films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("/a"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr("os.scandir", refuse)
    assert [(file.path.name, file.fault) for file in list_files([films]) if file.fault] == [
        ("a", "Permission denied")
    ]


def test_what_is_no_film_is_passed_over_only_if_it_was_found(films: Path) -> None:
    with pytest.raises(NoFilm):
        read_file(FilmFile(films / "notes.txt", found=True), 100)
    assert read_file(FilmFile(films / "notes.txt"), 100) == b"words"


@pytest.mark.parametrize("found", [True, False])
def test_a_file_is_read_whole_or_not_at_all(films: Path, found: bool) -> None:
    assert read_file(FilmFile(films / "b.jpg", found), len(JPEG)) == JPEG
    with pytest.raises(BodyTooLarge, match=str(len(JPEG) - 1)):
        read_file(FilmFile(films / "b.jpg", found), len(JPEG) - 1)


def test_standard_input_is_read_once_and_not_from_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipe = io.TextIOWrapper(io.BytesIO(JPEG))
    monkeypatch.setattr("sys.stdin", pipe)
    with pytest.raises(click.UsageError, match="one film from standard input"):
        list_files([STDIN, STDIN])
    (file,) = list_files([STDIN])
    assert read_file(file, len(JPEG)) == JPEG
    monkeypatch.setattr(pipe, "isatty", lambda: True, raising=False)
    with pytest.raises(click.UsageError, match="pipe one in"):
        list_files([STDIN])


def test_no_film_is_written_over(films: Path, tmp_path: Path) -> None:
    listed = list_files([films])
    check_place(tmp_path / "out.csv", "--csv", listed)
    (tmp_path / "link.csv").symlink_to(films / "b.jpg")
    for place in (films / "b.jpg", tmp_path / "link.csv"):
        with pytest.raises(click.UsageError, match="--csv names a film"):
            check_place(place, "--csv", listed)
    for place in (films, tmp_path / "missing" / "out.csv"):
        with pytest.raises(click.UsageError, match="--csv names no file"):
            check_place(place, "--csv", listed)


def test_a_name_can_not_steer_the_terminal() -> None:
    assert (
        shown(Path("a\x1b[2Jb\n.jpg"))
        == "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}.jpg"
    )
