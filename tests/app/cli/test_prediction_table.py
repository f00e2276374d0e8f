"""app.cli.read.prediction_table: what a person sees, in 80 and in 120 columns."""

import io

import pytest
from rich.console import Console

from app.cli.read.film_results import Result
from app.cli.read.prediction_table import PredictionTable
from app.errors import ImageTruncated
from app.language import Language
from app.reading.population import Subject
from tests.app.cli.readings import SURE, UNSURE, failed, read


def draw(results: list[Result], width: int = 80, language: Language = "en") -> str:
    file = io.StringIO()
    table = PredictionTable(language, Console(file=file, width=width, highlight=False))
    for result in results:
        table.add(result)
    table.end()
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return "\n".join(line.rstrip() for line in lines)


def joined(told: str) -> str:
    return " ".join(told.split())


def test_a_film_has_a_bar_for_each_label_and_its_warnings(jpeg: bytes) -> None:
    told = draw([read(jpeg)])
    lines = told.splitlines()
    assert lines[:2] == ["film.jpg", "  COVID-19, ok"]
    bars = {line[:24].strip(): line.count("━") for line in lines[2:6]}
    assert list(bars) == ["Normal", "COVID-19", "Bacterial pneumonia", "Viral pneumonia"]
    assert bars["COVID-19"] > 35
    assert bars["Normal"] == bars["Viral pneumonia"] == 0
    assert "97.0%" in lines[3]
    assert "Mind: Nobody has shown that this model can be relied on" in told
    assert "Here: --age and --view." in joined(told)
    assert "Not a medical device." in told


def test_a_doubt_and_a_refusal_are_told_with_why(jpeg: bytes) -> None:
    told = draw([read(jpeg, "a.jpg", UNSURE), failed(ImageTruncated(), "b.jpg")])
    assert "  Viral pneumonia, uncertain\n" in told
    assert "  Uncertain: The likeliest label is not likely enough to rely on.\n" in told
    assert "  not read\n  Not read: The image ends too early" in told
    assert "2 films: 0 ok, 1 uncertain, 1 not read." in told


def many(jpeg: bytes) -> list[Result]:
    adult = Subject(age_years=40)
    return [
        read(jpeg, "ward/a.jpg", SURE),
        read(jpeg, "ward/b.jpg", UNSURE),
        read(jpeg, "ward/more/c.jpg", SURE, adult),
        failed(ImageTruncated(), "ward/d.jpg"),
    ]


def test_many_films_have_a_row_each_and_notes_by_number(jpeg: bytes) -> None:
    told = draw(many(jpeg))
    lines = told.splitlines()
    assert lines[0] == "In ward"
    rows = {line.split()[0]: line.split()[1:] for line in lines if ".jpg" in line}
    assert rows["a.jpg"] == ["COVID-19", "ok", "97.0%"]
    assert rows["b.jpg"][:4] == ["Viral", "pneumonia", "uncertain", "40.0%"]
    assert rows["more/c.jpg"] == ["COVID-19", "ok", "97.0%"]
    number = rows["d.jpg"][-1]
    assert rows["d.jpg"] == ["not", "read", number]
    assert f"\n{number} Not read: The image ends too early" in told
    assert f"\n{rows['b.jpg'][4]} Uncertain: The likeliest label" in told
    assert "4 films: 2 ok, 1 uncertain, 1 not read." in told


def test_what_holds_for_all_that_were_read_is_told_once_without_a_number(jpeg: bytes) -> None:
    told = draw(many(jpeg))
    general = told.partition("Of all of them")[2]
    assert "Nobody has shown that this model" in general
    assert told.count("Nobody has shown that this model") == 1


def test_a_wide_terminal_shows_all_four_labels(jpeg: bytes) -> None:
    told = draw(many(jpeg), 120)
    (row,) = (line for line in told.splitlines() if "b.jpg" in line)
    assert row.split()[4:8] == ["10.0%", "20.0%", "30.0%", "40.0%"]
    assert "40.0%" in draw(many(jpeg), 80)
    assert "30.0%" not in draw(many(jpeg), 80)


@pytest.mark.parametrize("width", [30, 50, 72, 80, 120])
@pytest.mark.parametrize("language", ["en", "es"])
def test_it_fits_every_width(jpeg: bytes, width: int, language: Language) -> None:
    for results in (many(jpeg), many(jpeg)[1:3]):
        assert ".jpg" in draw(results, width, language)


def test_spanish(jpeg: bytes) -> None:
    told = joined(draw(many(jpeg), 120, "es"))
    assert "Neumonía vírica dudoso" in told
    assert "4 radiografías: 2 ok, 1 dudosas, 1 no leídas." in told
    assert "No es un producto sanitario." in told


def test_nothing_is_drawn_of_nothing() -> None:
    file = io.StringIO()
    PredictionTable("en", Console(file=file)).end()
    assert file.getvalue() == ""


def test_without_utf_8_lines_are_ascii(jpeg: bytes) -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii", errors="replace")
    table = PredictionTable("en", Console(file=file, width=80, force_terminal=True))
    table.add(read(jpeg))
    for result in many(jpeg):
        table.add(result)
    table.end()
    file.flush()
    assert b"?" not in raw.getvalue().replace(b"\x1b[?", b"")
    assert b"----" in raw.getvalue()
