"""neumo explain: the picture of POST /explain, from the terminal."""

import io
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.cli.command import main
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("flags", "query", "language"),
    [
        ([], "", "en"),
        (["--label", "normal", "--alpha", "1"], "?label=normal&alpha=1", "en"),
        (["--alpha", "0.9"], "?alpha=0.9", "en"),
        (["--language", "es", "--age", "61", "--view", "PA"], "?age_years=61&view=PA", "es"),
    ],
)
def test_it_is_the_picture_that_http_gives(
    client: TestClient,
    examples: dict[str, Path],
    tmp_path: Path,
    flags: list[str],
    query: str,
    language: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    film, out = examples["covid19"], tmp_path / "map.png"
    assert main(["explain", str(film), "--out", str(out), *flags]) == 0
    served = client.post(
        f"/explain{query}", content=film.read_bytes(), headers={"Accept-Language": language}
    )
    assert served.status_code == 200
    assert out.read_bytes() == served.content
    assert capsys.readouterr().out.startswith(f"{film}: COVID-19\n")


def test_the_window_of_a_dicom_file_is_counted_as_over_http(
    client: TestClient, tmp_path: Path
) -> None:
    film, out = ROOT / "examples" / "normal.dcm", tmp_path / "map.png"
    pictures = []
    for window in ("1", "2"):
        assert main(["explain", str(film), "--out", str(out), "--window", window]) == 0
        served = client.post(f"/explain?window={window}", content=film.read_bytes())
        assert out.read_bytes() == served.content
        pictures.append(served.content)
    assert pictures[0] != pictures[1]


def test_a_film_comes_and_a_picture_goes_through_pipes(
    examples: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    film = io.TextIOWrapper(io.BytesIO(examples["normal"].read_bytes()))
    monkeypatch.setattr("sys.stdin", film)
    assert main(["explain", "-", "--out", "-"]) == 0
    told = capsysbinary.readouterr()
    assert told.out.startswith(b"\x89PNG")
    assert told.out.endswith(b"IEND\xaeB`\x82")
    assert told.err.startswith(b"-: Normal\n")


def test_a_film_that_is_none_is_1_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film, out = tmp_path / "film.jpg", tmp_path / "map.png"
    film.write_bytes(b"words")
    assert main(["explain", str(film), "--out", str(out)]) == 1
    assert f"{film}: The content is neither JPEG" in capsys.readouterr().err
    assert not out.exists()


def test_a_wrong_call_is_2(
    examples: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film = examples["normal"]
    before = film.read_bytes()
    for arguments, told in [
        ([str(film), "--out", str(film)], "--out names a film"),
        ([str(tmp_path), "--out", str(tmp_path / "map.png")], "FILE is a folder"),
        ([str(film)], "Missing option '--out'"),
        ([str(film), "--out", str(tmp_path / "map.png"), "--label", "flu"], "'--label'"),
    ]:
        assert main(["explain", *arguments]) == 2
        assert told in capsys.readouterr().err
    assert film.read_bytes() == before


def test_a_model_that_is_not_there_is_3(
    examples: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "map.png"
    assert main(["explain", str(examples["normal"]), "--out", str(out), "--model", "none"]) == 3
    assert "has no card.json" in capsys.readouterr().err
