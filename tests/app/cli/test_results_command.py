"""neumo results: what would be filed of a film, as files."""

import json
import os
import subprocess
import sys
from importlib import util
from pathlib import Path

import pytest

from app.cli.command import main
from tests.conftest import ROOT

if not util.find_spec("highdicom"):
    pytest.skip("the extra hospital is not installed", allow_module_level=True)

from pydicom import dcmread

from tests.app.render.hospital.results import film

FILM = ROOT / "examples" / "normal.dcm"


def files(told: str) -> dict[str, Path]:
    return {Path(line).name.split(".", 3)[-1]: Path(line) for line in told.splitlines()}


def kind_of(path: str) -> str:
    return Path(path).name.split(".")[3]


def test_it_writes_a_report_a_picture_fhir_and_hl7(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["results", str(FILM), "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out.split()
    assert [kind_of(line) for line in told] == ["sr", "sc", "fhir", "hl7"]
    assert sorted(map(str, tmp_path.iterdir())) == sorted(told)
    report, picture = dcmread(told[0]), dcmread(told[1])
    film_itself = dcmread(FILM)
    for result in (report, picture):
        assert result.StudyInstanceUID == film_itself.StudyInstanceUID
        assert Path(told[0]).name == f"{report.SOPInstanceUID}.sr.dcm"
    assert (report.Modality, picture.Modality) == ("SR", "OT")
    assert json.loads(Path(told[2]).read_text())["type"] == "transaction"
    assert Path(told[3]).read_text().startswith("MSH|")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_said_twice_it_writes_the_same_files_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for language in ("en", "es"):
        assert main(["results", str(FILM), "--out", str(tmp_path), "--language", language]) == 0
    first, second = capsys.readouterr().out.splitlines()[:4], sorted(tmp_path.iterdir())
    assert len(second) == 4
    (fhir,) = tmp_path.glob("*.fhir.json")
    assert "No es un producto sanitario." in fhir.read_text()
    assert str(fhir) in first


def test_only_what_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["results", str(FILM), "--out", str(tmp_path), "--only", "sr", "--only", "fhir"]
    assert main(given) == 0
    assert [kind_of(line) for line in capsys.readouterr().out.split()] == ["sr", "fhir"]


@pytest.mark.parametrize(("language", "said"), [("en", "names the film"), ("es", "PACS")])
def test_what_names_no_study_gets_no_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], language: str, said: str
) -> None:
    jpeg = ROOT / "examples" / "normal.jpg"
    assert main(["results", str(jpeg), "--out", str(tmp_path), "--language", language]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert list(tmp_path.iterdir()) == []
    assert str(jpeg) in told.err
    assert (said in told.err) == (language == "es")


def test_a_refused_film_gets_no_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = tmp_path / "noise.dcm"
    dataset = dcmread(FILM)
    pixels = os.urandom(len(dataset.PixelData))
    dataset.PixelData = pixels
    dataset.save_as(noise)
    out = tmp_path / "out"
    out.mkdir()
    assert main(["results", str(noise), "--out", str(out)]) == 1
    assert list(out.iterdir()) == []
    assert "no label" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given",
    [
        [str(FILM)],
        [str(FILM), "--out", "no-such-folder"],
        [str(FILM.parent), "--out", "."],
        [str(FILM), "--out", ".", "--only", "pdf"],
    ],
)
def test_calls_that_are_wrong(given: list[str]) -> None:
    assert main(["results", *given]) == 2


def test_a_file_that_lies_there_as_a_link_is_not_written_through(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["results", str(FILM), "--out", str(tmp_path), "--only", "sr"]) == 0
    (path,) = map(Path, capsys.readouterr().out.split())
    victim = tmp_path / "victim"
    victim.write_text("mine")
    path.unlink()
    path.symlink_to(victim)
    assert main(["results", str(FILM), "--out", str(tmp_path), "--only", "sr"]) == 0
    assert victim.read_text() == "mine"
    assert not path.is_symlink()


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['highdicom'] = None\n")
    done = subprocess.run(
        [sys.executable, "-m", "app", "results", str(FILM), "--out", str(tmp_path)],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "pip install 'neumo[hospital]'" in done.stderr


def test_the_terminal_names_nobody(tmp_path: Path) -> None:
    """A patient's name of one part, and all that libraries warn of and log."""
    said = {0x00100010: ("PN", "CANARY"), 0x00080090: ("PN", "CANARYTOO")}
    path = tmp_path / "film.dcm"
    path.write_bytes(film(said))
    out = tmp_path / "out"
    out.mkdir()
    code = (
        "import logging, sys; logging.basicConfig(level=logging.DEBUG)\n"
        "from app.cli.command import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code, "results", str(path), "--out", str(out)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"CANARYTOO" in next(out.glob("*.sr.dcm")).read_bytes()
    assert "CANARY" not in done.stdout + done.stderr
    assert "1.2.826.0.1.7" not in done.stdout + done.stderr
