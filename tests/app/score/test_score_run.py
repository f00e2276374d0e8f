"""app.score.score_run: every film has one row, whatever happens in between."""

import json
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from app.errors import (
    DestinationUnusable,
    FileUnreadable,
    RunDiffers,
    SourceLost,
    SourceUnusable,
)
from app.score.film_list import FilmList, parse_films
from app.score.score_row import ScoreRow
from app.score.score_run import Score, Tally, open_run
from app.score.source import ListedFilm, open_source

ASKED = {"model_sha256": "ab", "priors": ""}
LABELS = ["normal", "covid19", "bacterial_pneumonia", "viral_pneumonia"]


class Films:
    """A source of numbered films that may go away."""

    name, is_remote = "films", False

    def __init__(self, count: int) -> None:
        self.count, self.gone = count, False

    def list_films(self) -> Iterator[ListedFilm]:
        return (ListedFilm(f"{number}.jpg") for number in range(self.count))

    def read(self, _: ListedFilm, __: int) -> bytes:
        if self.gone:
            raise FileUnreadable(reason="gone")
        return b"film"


def answer(chunks: Iterable[tuple[ListedFilm, ...]]) -> Iterator[list[ScoreRow]]:
    """Read all films as ok."""
    for chunk in chunks:
        yield [ScoreRow(film.path, "ab", "ok", probabilities=(1, 0, 0, 0)) for film in chunk]


def noting(read: list[str]) -> Score:
    """Return an engine that notes what it reads."""

    def engine(chunks: Iterable[tuple[ListedFilm, ...]]) -> Iterator[list[ScoreRow]]:
        for some in answer(chunks):
            read.extend(row.path for row in some)
            yield some

    return engine


def interrupted(_: object) -> Iterator[list[ScoreRow]]:
    """Read nothing."""
    raise KeyboardInterrupt
    yield []


def score(
    out: Path,
    films: Films,
    engine: Score = answer,
    asked: dict[str, str] = ASKED,
    part_films: int = 50,
) -> list[Tally]:
    tallies: list[Tally] = []
    with open_run(out, films, asked, part_films, lambda _: None) as run:
        run.go_on(engine, LABELS, {"model": "m"}, 100, tallies.append)
        tallies.append(run.tally)
    return tallies


def rows(out: Path) -> list[dict[str, Any]]:
    parts = sorted(out.glob("part-*.parquet"))
    found: list[dict[str, Any]] = []
    for part in parts:
        found += pq.read_table(part).to_pylist()
    return found


def names(count: int) -> list[str]:
    return [f"{number}.jpg" for number in range(count)]


def test_every_film_has_one_row_in_order(tmp_path: Path) -> None:
    tallies = score(tmp_path / "out", Films(133))
    assert [row["path"] for row in rows(tmp_path / "out")] == names(133)
    assert [path.name for path in sorted((tmp_path / "out").glob("*"))] == [
        ".neumo",
        "part-000000.parquet",
        "part-000001.parquet",
        "part-000002.parquet",
    ]
    assert tallies[-1] == Tally(133, 133, {"ok": 133, "uncertain": 0, "not_read": 0, "other": 0})
    assert [tally.done for tally in tallies] == [32, 50, 82, 100, 132, 133, 133]


def test_a_row_says_what_the_reading_says(tmp_path: Path) -> None:
    said = ScoreRow(
        "a\udcff.jpg", "ab", "uncertain", None, "normal", ("low_confidence",), ("w1", "w2"),
        (0.7, 0.1, 0.15, 0.05), 0.3, 0.2, (1.5, -1.0, 0.25, 0.0), 12.5, "PNG", 640, 480,
    )  # fmt: skip
    score(tmp_path, Films(1), lambda chunks: ([said] for _ in chunks))
    assert rows(tmp_path) == [
        {
            "path": "a\N{REPLACEMENT CHARACTER}.jpg",
            "sha256": "ab",
            "status": "uncertain",
            "error": None,
            "label": "normal",
            "reasons": ["low_confidence"],
            "probability_normal": 0.7,
            "probability_covid19": 0.1,
            "probability_bacterial_pneumonia": 0.15,
            "probability_viral_pneumonia": 0.05,
            "abnormal": 0.3,
            "non_covid_pneumonia": 0.2,
            "logit_normal": 1.5,
            "logit_covid19": -1.0,
            "logit_bacterial_pneumonia": 0.25,
            "logit_viral_pneumonia": 0.0,
            "distance": 12.5,
            "warnings": ["w1", "w2"],
            "format": "PNG",
            "width": 640,
            "height": 480,
            "model": "m",
        }
    ]


@pytest.mark.parametrize("done", [0, 1, 2, 3, 4, 5])
def test_a_run_that_ended_anywhere_goes_on_there(tmp_path: Path, done: int) -> None:
    read: list[str] = []

    def end_after(chunks: Iterable[tuple[ListedFilm, ...]]) -> Iterator[list[ScoreRow]]:
        for number, some in enumerate(answer(chunks)):
            if number == done:
                raise KeyboardInterrupt
            read.extend(row.path for row in some)
            yield some

    with pytest.raises(KeyboardInterrupt):
        score(tmp_path, Films(133), end_after)
    written = len(rows(tmp_path))
    assert written == (0, 0, 50, 50, 100, 100)[done]
    score(tmp_path, Films(133), noting(read))
    assert [row["path"] for row in rows(tmp_path)] == names(133)
    assert read[-(133 - written) :] == names(133)[written:]  # what is written is not read again


def test_a_part_without_a_line_a_line_without_a_part_and_half_a_line(tmp_path: Path) -> None:
    score(tmp_path, Films(200))
    ledger = tmp_path / ".neumo" / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(lines[0] + lines[1] + lines[2] + lines[3][:20])  # killed while it wrote
    (tmp_path / "part-000001.parquet").write_bytes(b"damaged")
    (tmp_path / "part-000002.parquet").unlink()
    read: list[str] = []
    score(tmp_path, Films(200), noting(read))
    assert read == names(200)[50:]
    assert [row["path"] for row in rows(tmp_path)] == names(200)
    told = [json.loads(line)["part"] for line in ledger.read_bytes().splitlines()]
    assert told == [0, 1, 2, 1, 2, 3]


def test_spans_are_where_the_lines_of_chunks_lie(tmp_path: Path) -> None:
    listed = [ListedFilm(f"{'é' * (number % 3)}{number}", found=True) for number in range(150)]
    films = FilmList.write(tmp_path / "films.jsonl", listed, lambda _: None)
    content = films.path.read_bytes()
    for parts in ({0, 1, 2}, {1}, {0, 2}):
        spans = list(films.spans(70, parts))
        found = [parse_films(content[at : at + length]) for at, length in spans]
        assert found == list(films.chunks(70, parts))
    assert [len(films) for films in found] == [32, 32, 6, 10]


def test_a_row_of_a_manifest_without_a_path_is_read_again_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("path,view\na.jpg,PA\n,AP\n")
    for given in (str(tmp_path), f"file://{tmp_path}"):
        listed = list(open_source(given).list_films())
        films = FilmList.write(tmp_path / "films.jsonl", listed, lambda _: None)
        assert list(films.chunks(50, [0])) == [tuple(listed)]
    assert listed[1] == ListedFilm("", view="AP", fault="the row has no path")


def test_a_run_that_is_done_reads_nothing(tmp_path: Path) -> None:
    score(tmp_path, Films(60))
    assert [tally.done for tally in score(tmp_path, Films(99), lambda _: iter(()))] == [60]


def test_films_that_come_later_are_no_part_of_a_run(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        score(tmp_path, Films(60), interrupted)
    assert score(tmp_path, Films(99))[-1].films == 60


def test_nothing_that_rows_depend_on_may_change(tmp_path: Path) -> None:
    score(tmp_path, Films(60))
    with pytest.raises(RunDiffers, match="another model_sha256, priors:"):
        score(tmp_path, Films(60), asked={"model_sha256": "cd", "priors": "x"})
    with pytest.raises(RunDiffers, match="another part_films:"):
        score(tmp_path, Films(60), part_films=51)
    (tmp_path / ".neumo" / "films.jsonl").write_text('{"path": "other.jpg"}\n')
    with pytest.raises(DestinationUnusable, match="not the one it was begun with"):
        score(tmp_path, Films(60))


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(DestinationUnusable, match="other files"):
        score(tmp_path, Films(60))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        open_run(tmp_path, Films(60), ASKED, 50, lambda _: None),
        pytest.raises(DestinationUnusable, match="another run"),
    ):
        score(tmp_path, Films(60))


def test_no_films_are_no_run(tmp_path: Path) -> None:
    with pytest.raises(SourceUnusable, match="there are none"):
        score(tmp_path, Films(0))
    assert score(tmp_path, Films(1))[-1].done == 1  # and the folder can be used


def peak_bytes(out: Path, films: int) -> int:
    """Return the most memory that Python holds while so many films get their rows."""
    tracemalloc.start()
    try:
        with open_run(out, Films(films), ASKED, 500, lambda _: None) as run:
            run.go_on(answer, LABELS, {"model": "m"}, 100, lambda _: None)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_films(tmp_path: Path) -> None:
    score(tmp_path / "first", Films(1))  # what is loaded once
    few = peak_bytes(tmp_path / "few", 2000)
    many = peak_bytes(tmp_path / "many", 20_000)
    assert many < 1.25 * few, (few, many)  # the ledger has a line for each part


def unopened(*paths: range) -> Score:
    """Return an engine that can't open some films."""
    gone = {f"{number}.jpg" for some in paths for number in some}

    def engine(chunks: Iterable[tuple[ListedFilm, ...]]) -> Iterator[list[ScoreRow]]:
        for some in answer(chunks):
            yield [
                ScoreRow(row.path, None, "not_read", "file_unreadable") if row.path in gone else row
                for row in some
            ]

    return engine


def test_films_that_cannot_be_opened_are_rows_as_long_as_others_can(tmp_path: Path) -> None:
    tally = score(tmp_path, Films(300), unopened(range(30, 250)))[-1]
    assert tally.counts == {"ok": 80, "uncertain": 0, "not_read": 220, "other": 0}
    assert rows(tmp_path)[40]["error"] == "file_unreadable"


def test_a_place_that_is_gone_is_told_before_its_films_are_written_off(tmp_path: Path) -> None:
    films = Films(300)
    films.gone = True
    with pytest.raises(SourceLost, match="last 20 film"):
        score(tmp_path, films, unopened(range(30, 300)))
    assert rows(tmp_path) == []
    films.gone = False
    score(tmp_path, films)
    assert [row["status"] for row in rows(tmp_path)] == ["ok"] * 300


def test_a_place_where_nothing_can_be_opened_at_all_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceLost, match="last 100 film"):
        score(tmp_path, Films(300), unopened(range(300)), part_films=200)


def test_a_place_that_is_gone_when_a_run_goes_on_is_told_if_few_films_are_left(
    tmp_path: Path,
) -> None:
    films = Films(120)

    def end_early(chunks: Iterable[tuple[ListedFilm, ...]]) -> Iterator[list[ScoreRow]]:
        for number, some in enumerate(unopened(range(3))(chunks)):
            if number == 2:
                raise KeyboardInterrupt
            yield some

    with pytest.raises(KeyboardInterrupt):
        score(tmp_path, films, end_early)
    films.gone = True
    with pytest.raises(SourceLost, match="last 50 film"):
        score(tmp_path, films, unopened(range(50, 120)))
    assert len(rows(tmp_path)) == 50
    films.gone = False  # so it is these films that can't be opened: a run has to come to its end
    assert score(tmp_path, films, unopened(range(50, 120)))[-1].counts["not_read"] == 73


class Numbered(Films):
    """Films the last of which the list knows to be none."""

    def list_films(self) -> Iterator[ListedFilm]:
        yield from super().list_films()
        yield ListedFilm("none.jpg", fault="the row has no path")


def test_a_film_that_is_none_does_not_tell_that_the_place_is_there(tmp_path: Path) -> None:
    films = Numbered(59)
    films.gone = True
    with pytest.raises(SourceLost, match="last 29 film"):
        score(tmp_path, films, unopened(range(30, 59)), part_films=60)


def test_a_place_that_is_gone_from_the_beginning_is_told_if_parts_are_small(tmp_path: Path) -> None:
    with pytest.raises(SourceLost, match="last 20 film"):
        score(tmp_path, Films(300), unopened(range(300)), part_films=20)
    assert rows(tmp_path) == []
