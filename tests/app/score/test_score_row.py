"""app.score.score_row: whose fault it is that a film could not be opened."""

from pathlib import Path

import pytest

from app.score.score_row import ScoreRow, is_open_only_here
from app.score.source import ListedFilm, open_source

UNREADABLE = "file_unreadable"
MOST = 1000


@pytest.mark.parametrize(
    ("names", "errors", "is_so"),
    [
        (("here", "here"), (None, UNREADABLE), True),
        (("gone", "empty"), (UNREADABLE, UNREADABLE), True),
        (("text", "large"), (UNREADABLE, None), True),
        (("large", "gone"), (UNREADABLE, None), True),
        (("gone", "here"), (UNREADABLE, None), False),
        (("here",), ("image_truncated",), False),
    ],
)
def test_a_film_that_only_this_machine_can_open(
    tmp_path: Path, names: tuple[str, ...], errors: tuple[str | None, ...], is_so: bool
) -> None:
    for name, size in (("here", MOST), ("text", 4), ("empty", 0), ("large", MOST + 1)):
        (tmp_path / name).write_bytes(b"x" * size)
    films = [ListedFilm(name, found=name == "text") for name in names]
    told = zip(names, errors, strict=True)
    rows = [ScoreRow(name, None, "not_read", error) for name, error in told]
    assert is_open_only_here(open_source(str(tmp_path)), films, rows, MOST) == is_so


def test_what_the_list_knows_to_be_no_film_is_no_machines_fault(tmp_path: Path) -> None:
    (tmp_path / "here").write_bytes(b"film")
    film = ListedFilm("here", fault="the row has no path")
    rows = [ScoreRow("here", None, "not_read", UNREADABLE)]
    for given in (str(tmp_path), f"file://{tmp_path}"):
        assert not is_open_only_here(open_source(given), [film], rows, MOST)
