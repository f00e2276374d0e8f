"""neumo reconcile: what it needs to be told, and what it tells.

With an archive: tests/e2e/test_orthanc.py.
"""

import json
from datetime import UTC, datetime, timedelta
from importlib import util
from pathlib import Path

import pytest

from app.cli.command import main

if not util.find_spec("httpx"):
    pytest.skip("the extra hospital is not installed", allow_module_level=True)

NOBODY = "http://127.0.0.1:9/dicom-web"


def test_it_needs_a_queue(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NEUMO_EXCHANGE_FOLDER", raising=False)
    assert main(["reconcile", "--archive", NOBODY]) == 2
    assert "NEUMO_EXCHANGE_FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize("partners", ["", "dicom://PACS@pacs.example:104"])
def test_it_needs_an_archive_that_speaks_dicomweb(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    partners: str,
) -> None:
    monkeypatch.setenv("NEUMO_EXCHANGE_FOLDER", str(tmp_path / "queue"))
    monkeypatch.setenv("NEUMO_PARTNERS", partners)
    assert main(["reconcile"]) == 2
    assert "NEUMO_ARCHIVE_DICOMWEB" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("language", "said"), [("en", "do not answer"), ("es", "no responden como deberían")]
)
def test_an_archive_that_is_away_is_exit_code_1_with_counts(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    language: str,
    said: str,
) -> None:
    monkeypatch.setenv("NEUMO_EXCHANGE_FOLDER", str(tmp_path / "queue"))
    assert main(["reconcile", "--archive", NOBODY, "--json", "--language", language]) == 1
    told = capsys.readouterr()
    assert set(json.loads(told.out).values()) == {0}
    assert said in told.err
    assert "127.0.0.1" not in told.err


def test_it_asks_again_and_again_until_it_is_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("NEUMO_EXCHANGE_FOLDER", str(tmp_path / "queue"))
    waited = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", wait)
    assert main(["reconcile", "--archive", NOBODY, "--json", "--every", "300"]) == 130
    assert waited == [300.0] * 3
    assert len(capsys.readouterr().out.split("}")) == 4


@pytest.mark.parametrize("given", [["--days", "-1"], ["--most", "0"], ["--every", "0"]])
def test_bounds(given: list[str]) -> None:
    assert main(["reconcile", "--archive", NOBODY, *given]) == 2


@pytest.mark.parametrize(
    ("language", "said"), [("en", "Studies since {}: 0 films"), ("es", "Estudios desde el {}: 0")]
)
def test_it_says_since_when_it_asked(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    language: str,
    said: str,
) -> None:
    monkeypatch.setenv("NEUMO_EXCHANGE_FOLDER", str(tmp_path / "queue"))
    today = datetime.now(UTC).date()
    main(["reconcile", "--archive", NOBODY, "--days", "3", "--language", language])
    days = (today, datetime.now(UTC).date())  # midnight may lie between
    out = capsys.readouterr().out
    assert any(said.format(day - timedelta(days=3)) in out for day in days)
