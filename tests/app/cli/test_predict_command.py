"""neumo predict, with the shipped model: what is written where, and the exit code."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from app.cli.command import main
from tests.conftest import ROOT

LABELS = ["normal", "covid19", "bacterial_pneumonia", "viral_pneumonia"]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A folder with a folder in it: three films, and a file that is none."""
    folder = tmp_path / "films"
    (folder / "ward").mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "covid19.jpg", folder / "b.jpg")
    shutil.copy(ROOT / "examples" / "normal.jpg", folder / "a")
    shutil.copy(ROOT / "examples" / "normal.dcm", folder / "ward" / "c")
    (folder / "notes.txt").write_text("words")
    return folder


def test_a_folder_is_read_whatever_its_files_are_called(
    films: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "--json", str(films)]) == 0
    told = capsys.readouterr()
    lines = [json.loads(line) for line in told.out.splitlines()]
    assert [(Path(line["path"]).name, line["label"]) for line in lines] == [
        ("a", "normal"), ("b.jpg", "covid19"), ("c", "normal")
    ]  # fmt: skip
    assert lines[2]["image"]["format"] == "DICOM"
    assert told.err.startswith("neumo: 1 other file(s) in the folders are neither JPEG")


def test_a_folder_without_a_film_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("words")
    assert main(["predict", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "1 other file(s)" in told.err


def test_one_film_that_is_not_read_makes_it_1_and_the_others_are_told(
    films: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["predict", str(films / "a"), str(films / "notes.txt"), str(films / "b.jpg")])
    told = capsys.readouterr()
    assert code == 1
    assert f"{films / 'a'}: Normal\n" in told.out
    assert f"{films / 'b.jpg'}: COVID-19\n" in told.out
    assert told.err.startswith(f"{films / 'notes.txt'}: The content is neither JPEG nor PNG")


def test_what_is_said_of_the_patient_is_heeded(
    films: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def warnings(*flags: str) -> list[str]:
        assert main(["predict", "--json", str(films / "a"), *flags]) == 0
        answer = json.loads(capsys.readouterr().out)
        return [warning["code"] for warning in answer["warnings"]]

    assert warnings() == ["population_unknown", "site_not_validated"]
    assert warnings("--age", "61", "--view", "PA") == ["site_not_validated"]
    assert "view_outside_population" in warnings("--age", "61", "--view", "lateral")
    assert "age_outside_population" in warnings("--age", "012Y")


def test_windows_are_counted_from_1(films: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def width(*flags: str) -> int:
        assert main(["predict", "--json", str(films / "ward" / "c"), *flags]) == 0
        width: int = json.loads(capsys.readouterr().out)["image"]["dicom"]["window"]["width"]
        return width

    assert width() == width("--window", "1") == 2551
    assert width("--window", "2") == 1913
    assert main(["predict", "--json", str(films / "ward" / "c"), "--window", "3"]) == 1
    assert json.loads(capsys.readouterr().out)["code"] == "invalid_parameter"


def test_a_csv_file_is_written_beside_what_is_told(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    assert main(["predict", "--csv", str(out), str(films)]) == 0
    assert "b.jpg: COVID-19\n" in capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
    assert [row["label"] for row in rows] == ["normal", "covid19", "normal"]
    assert sum(float(rows[0][label]) for label in LABELS) == pytest.approx(1, abs=1e-5)


def test_csv_into_a_pipe_is_nothing_but_csv(
    films: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "--csv", "-", str(films / "a"), str(films / "notes.txt")]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["status"], row["code"]) for row in rows] == [
        ("ok", ""), ("not_read", "unsupported_media_type")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--csv", "-", "--json"], "both want standard output"),
        (["--csv", "missing/out.csv"], "--csv names no file"),
        (["--age", "old"], "'--age' can't take this value"),
        (["--view", "up"], "'--view' can't take this value"),
        (["--window", "0"], "'--window'"),
    ],
)
def test_a_wrong_call_is_told_before_anything_is_read(
    films: Path, flags: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(films), *flags]) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert captured.out == ""


def test_a_film_is_not_written_over(films: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (films / "a").read_bytes()
    assert main(["predict", str(films), "--csv", str(films / "a")]) == 2
    assert "--csv names a film" in capsys.readouterr().err
    assert (films / "a").read_bytes() == before


def test_a_file_over_the_limit_of_the_service_is_not_read_here_either(
    films: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEUMO_MAX_BODY_BYTES", "1024")
    assert main(["predict", "--json", str(films / "a")]) == 1
    assert json.loads(capsys.readouterr().out)["code"] == "body_too_large"


def test_a_model_that_is_not_there_is_3(films: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(films), "--model", "missing"]) == 3
    assert "neumo: The bundle 'missing' has no card.json" in capsys.readouterr().err
