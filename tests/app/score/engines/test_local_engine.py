"""app.score.engines.local_engine: rows in order, as the service answers; processes may die."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.errors import EngineFailed, SourceLost
from app.main import create_app
from app.reading.population import Subject
from app.score.engines.local_engine import LocalEngine
from app.score.engines.score_process import Chunk, Work
from app.score.score_row import ScoreRow
from app.score.source import ListedFilm, open_source
from app.settings.settings import Settings
from tests.conftest import wait_until_ready

PRIORS = "normal=0.8,covid19=0.02,bacterial_pneumonia=0.1,viral_pneumonia=0.08"


@pytest.fixture(scope="module")
def films(examples: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example films, a DICOM file, one that is cut off, one that is no chest, and a text."""
    folder = tmp_path_factory.mktemp("films")
    for path in (*examples.values(), examples["normal"].with_suffix(".dcm")):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "cut.jpg").write_bytes(examples["normal"].read_bytes()[:5000])
    (folder / "text.txt").write_bytes(b"nothing")
    return folder


def test_rows_are_what_the_service_answers(films: Path) -> None:
    settings = Settings(priors=PRIORS)
    source = open_source(str(films))
    listed = tuple(source.list_films())
    said = (ListedFilm("normal.jpg", view="lateral"), ListedFilm("normal.jpg", age="900"))
    with LocalEngine(Work(settings, source, Subject(age_years=61)), 1) as engine:
        rows = [row for some in engine.score([listed, said]) for row in some]
    assert [row.path for row in rows] == [film.path for film in (*listed, *said)]
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        wait_until_ready(client)
        asked = {"age_years": "61"}
        for row in rows[: len(listed)]:
            if row.path == "text.txt":
                assert (row.status, row.error) == ("other", None)
                continue
            answer = client.post(
                "/predict", content=(films / row.path).read_bytes(), params=asked
            ).json()
            if row.status == "not_read":
                assert row.error == answer["code"]
                continue
            assert row.sha256 == answer["image"]["sha256"]
            assert (row.status, row.label) == (answer["status"], answer["label"])
            assert row.probabilities == tuple(answer["probabilities"].values())
            assert row.abnormal == answer["abnormal"]
            assert row.reasons == tuple(each["code"] for each in answer["reasons"])
            assert row.warnings == tuple(each["code"] for each in answer["warnings"])
    by_path = {row.path: row for row in rows[: len(listed)]}
    assert by_path["cut.jpg"].error == "image_truncated"
    assert by_path["normal.dcm"].format == "DICOM"
    assert "view_outside_population" in rows[-2].warnings  # what a manifest says is heeded
    assert "view_outside_population" not in by_path["normal.jpg"].warnings
    assert (rows[-1].status, rows[-1].error) == ("not_read", "invalid_parameter")


def test_a_process_that_is_killed_costs_no_film(films: Path) -> None:
    chunks: list[Chunk] = [(ListedFilm("normal.jpg"), ListedFilm(f"{at}.jpg")) for at in range(60)]
    with LocalEngine(Work(Settings(), open_source(str(films))), 2) as engine:
        rows = []
        for at, some in enumerate(engine.score(chunks)):
            if at in (5, 25):
                os.kill(engine.pids[at % 2], signal.SIGKILL)
            rows += some
        assert engine.restarts == 2
        pids = engine.pids
    assert [row.path for row in rows] == [film.path for chunk in chunks for film in chunk]
    assert {row.error for row in rows} == {None, "file_unreadable"}
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


class Deadly:
    """A source one film of which ends the process that reads it."""

    name, is_remote = "deadly", False

    def list_films(self) -> Iterator[ListedFilm]:
        return iter(())

    def read(self, film: ListedFilm, _: int) -> bytes:
        if film.path == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        return b""


def test_a_film_that_ends_processes_gets_a_row_that_says_so() -> None:
    names = [[str(10 * chunk + at) for at in range(10)] for chunk in range(4)]
    names[1][5] = "deadly"
    chunks = [tuple(ListedFilm(name) for name in some) for some in names]
    with LocalEngine(Work(Settings(), Deadly()), 2) as engine:
        rows = [row for some in engine.score(chunks) for row in some]
    assert [row.path for row in rows] == [name for some in names for name in some]
    assert [row.error for row in rows if row.path != "deadly"] == ["empty_upload"] * 39
    assert rows[15] == ScoreRow("deadly", None, "not_read", "internal_error")
    assert engine.restarts == 3


class Slow:
    """A store that takes as many seconds as a film's name says, and for one for ever."""

    name, is_remote = "slow", True

    def list_films(self) -> Iterator[ListedFilm]:
        return iter(())

    def read(self, film: ListedFilm, _: int) -> bytes:
        if film.path == "never":
            threading.Event().wait()
        time.sleep(float(film.path))
        return b""


def test_a_store_that_no_longer_answers_is_an_end_and_a_slow_one_is_not() -> None:
    slow = tuple(ListedFilm(seconds) for seconds in ("1.2", "2.4", "3.6", "4.8"))
    with LocalEngine(Work(Settings(), Slow()), 1, silent_s=3) as engine:
        rows = engine.score([slow, (ListedFilm("never"),)])
        assert [row.error for row in next(rows)] == ["empty_upload"] * 4
        with pytest.raises(SourceLost, match="last 1 film"):
            next(rows)


def test_processes_that_cannot_start_are_an_end() -> None:
    work = Work(Settings(model="nowhere"), Deadly())
    with pytest.raises(EngineFailed), LocalEngine(work, 1) as engine:
        list(engine.score([(ListedFilm("a"),)]))
