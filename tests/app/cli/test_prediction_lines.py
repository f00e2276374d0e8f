"""app.cli.read.prediction_lines: plain text, JSON and CSV, for pipes and files."""

import csv
import io
import json

import pytest

from app.cli.read.prediction_lines import COLUMNS, CsvLines, JsonLines, PlainLines
from app.errors import FileUnreadable, ImageTruncated
from app.render.wording import NOTICE
from tests.app.cli.readings import UNSURE, failed, read


def test_plain_text_says_what_is_said_of_a_film(
    jpeg: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = PlainLines("en")
    lines.add(read(jpeg, "a.jpg"))
    lines.add(failed(ImageTruncated(), "b.jpg"))
    lines.add(read(jpeg, "c.jpg", UNSURE))
    lines.end()
    told = capsys.readouterr()
    assert told.err == f"b.jpg: {ImageTruncated().detail('en')}\n"
    assert told.out.startswith(
        "a.jpg: COVID-19\n"
        "  Normal                   1.0%\n"
        "  COVID-19                97.0%\n"
        "  Bacterial pneumonia      1.5%\n"
        "  Viral pneumonia          0.5%\n"
        "  warnings: population_unknown, site_not_validated\n"
        "c.jpg: Viral pneumonia (uncertain)\n"
    )
    assert "  uncertain: The likeliest label is not likely enough" in told.out
    assert told.out.count("site_not_validated: Nobody has shown") == 1
    assert "Here: --age and --view.\n" in told.out
    assert told.out.endswith(NOTICE.en + "\n")


def test_of_nothing_that_was_read_nothing_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    lines = PlainLines("es")
    lines.add(failed(ImageTruncated()))
    lines.end()
    assert capsys.readouterr().out == ""


def test_json_has_a_line_for_each_film(jpeg: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    lines = JsonLines("es")
    lines.add(read(jpeg, "niño.jpg"))
    lines.add(failed(FileUnreadable(reason="No such file or directory"), "b.jpg"))
    lines.add(failed(ImageTruncated(), "c.jpg"))
    lines.end()
    out = capsys.readouterr().out
    assert out.isascii()
    first, second, third = map(json.loads, out.splitlines())
    assert (first["path"], first["label"], first["display_label"]) == (
        "niño.jpg", "covid19", "COVID-19"
    )  # fmt: skip
    assert first["timing_ms"]["total"] == 12.5
    assert second == {
        "path": "b.jpg",
        "title": "No se puede abrir el archivo",
        "detail": "No se puede abrir el archivo (No such file or directory). Compruebe su ruta y "
        "quién puede leerlo.",
        "code": "file_unreadable",
    }
    assert (third["path"], third["code"], third["status"]) == ("c.jpg", "image_truncated", 422)


def test_csv_has_a_row_for_each_film(jpeg: bytes) -> None:
    file = io.StringIO()
    lines = CsvLines(file, "en")
    lines.add(read(jpeg, "a, b.jpg"))
    lines.add(read(jpeg, "c.jpg", UNSURE))
    lines.add(failed(ImageTruncated(), "d.jpg"))
    lines.end()
    rows = list(csv.DictReader(io.StringIO(file.getvalue())))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["path"], row["status"], row["label"], row["code"]) for row in rows] == [
        ("a, b.jpg", "ok", "covid19", ""),
        ("c.jpg", "uncertain", "viral_pneumonia", ""),
        ("d.jpg", "not_read", "", "image_truncated"),
    ]
    assert float(rows[0]["covid19"]) == pytest.approx(0.97)
    assert float(rows[0]["non_covid_pneumonia"]) == pytest.approx(0.02)
    assert rows[0]["warnings"] == "population_unknown;site_not_validated"
    assert rows[1]["reasons"].split(";")[0] == "low_confidence"
    assert (rows[0]["format"], rows[0]["width"], rows[0]["height"]) == ("JPEG", "512", "400")
    assert rows[2]["detail"] == ImageTruncated().detail("en")


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0.jpg", "+1.jpg", "-1.jpg", "@SUM(1).jpg"])
def test_no_name_is_a_formula_to_a_spreadsheet(name: str) -> None:
    file = io.StringIO()
    CsvLines(file, "en").add(failed(ImageTruncated(), name))
    (row,) = csv.DictReader(io.StringIO(file.getvalue()))
    assert row["path"] == f"./{name}"
