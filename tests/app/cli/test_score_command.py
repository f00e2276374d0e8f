"""neumo score: how it is called, how it ends, and what it tells."""

import builtins
import json
import shutil
from pathlib import Path

import pytest

from app.cli.archive.score_progress import LINES_EVERY_S, Pace, describe_time, shown_as_lines
from app.cli.command import main
from app.model import load
from app.model.bundle import find_bundle, read_bundle
from app.score.score_run import Tally
from app.settings.settings import Settings
from tests.bundles import add_fp32


@pytest.fixture
def film(examples: dict[str, Path], tmp_path: Path) -> Path:
    path = tmp_path / "film.jpg"
    path.write_bytes(examples["normal"].read_bytes())
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["score", "--processes", "1", *map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_it_reads_and_counts(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = film.parent / "scores"
    assert run(capsys, film, "--out", out) == (
        0,
        "1 films: 1 ok, 0 uncertain, 0 not read; 0 other files.\n",
        "",
    )
    code, told, _ = run(capsys, film, "--out", out, "--json")
    assert code == 0
    assert json.loads(told) == {"films": 1, "ok": 1, "uncertain": 0, "not_read": 0, "other": 0}


def test_results_may_go_into_the_folder_of_the_films(
    film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told, _ = run(capsys, film.parent, "--out", film.parent / "scores", "--json")
    assert (code, json.loads(told)["films"]) == (0, 1)


def test_what_is_said_of_the_films_is_a_part_of_the_run(
    film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = film.parent / "scores"
    assert run(capsys, film, "--out", out, "--age", "61Y", "--view", "PA")[0] == 0
    code, _, errors = run(capsys, film, "--out", out, "--age", "62", "--view", "PA")
    assert code == 2
    assert "begun with another age_years:" in errors


@pytest.mark.parametrize(("begun", "chosen_now"), [("int8", "fp32"), ("fp32", "int8")])
def test_a_run_goes_on_with_the_graph_it_was_begun_with(
    film: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    begun: str,
    chosen_now: str,
) -> None:
    bundle, out = film.parent / "neumo-both-1", film.parent / "scores"
    shutil.copytree(find_bundle(Settings().model), bundle)
    add_fp32(bundle)
    card = read_bundle(bundle).card
    assert card.fp32 is not None
    monkeypatch.setattr(load, "has_dot_products", lambda: False)
    fast = card.sha256 if chosen_now == "int8" else card.fp32.sha256
    monkeypatch.setattr(load, "time_run", lambda model: model.card.sha256 != fast)
    monkeypatch.setenv("NEUMO_PRECISION", begun)
    assert run(capsys, film, "--out", out, "--model", bundle)[0] == 0
    monkeypatch.setenv("NEUMO_PRECISION", chosen_now)
    code, _, errors = run(capsys, film, "--out", out, "--model", bundle)
    assert (code, "begun with another model_sha256:" in errors) == (2, True)
    monkeypatch.setenv("NEUMO_PRECISION", "auto")
    assert run(capsys, film, "--out", out, "--model", bundle)[0] == 0


def test_wrong_calls_are_told_before_anything_is_written(
    film: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = film.parent / "scores"
    code, _, errors = run(capsys, film.parent / "nowhere", "--out", out)
    assert code == 2
    assert "there is no such folder or file" in errors
    assert run(capsys, film, "--out", out, "--age", "old")[0] == 2
    assert run(capsys, film, "--out", out, "--model", "nowhere")[0] == 3
    monkeypatch.setenv("NEUMO_ACCEPTANCE", str(film.parent / "nowhere.json"))
    assert run(capsys, film, "--out", out)[0] == 3
    assert not out.exists()


def test_without_the_extra_it_says_which(
    film: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = builtins.__import__

    def lacking(name: str, *others: object) -> object:
        if name == "app.score.score_run":
            raise ModuleNotFoundError(name="pyarrow")
        return whole(name, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", lacking)
    code, _, errors = run(capsys, film, "--out", film.parent / "scores")
    assert code == 2
    assert "neumo[score]" in errors


def test_an_engine_that_is_not_there_is_told(
    film: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = builtins.__import__

    def without_ray(name: str, *rest: object) -> object:
        if name.partition(".")[0] == "ray":
            raise ModuleNotFoundError(name="ray")
        return imported(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_ray)
    out = film.parent / "scores"
    code, _, errors = run(capsys, film, "--out", out, "--engine", "ray")
    assert code == 2
    assert "pip install 'neumo[score,ray]'" in errors
    assert run(capsys, film, "--out", out)[0] == 0  # the local engine goes on with the same run
    code, _, errors = run(capsys, film, "--out", out, "--ray-address", "127.0.0.1:6379")
    assert code == 2
    assert "--ray-address needs --engine ray" in errors


def test_a_log_gets_a_line_now_and_then_with_the_rate_and_the_time_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = 0.0
    with shown_as_lines(lambda: now) as (tell_listed, tell):
        tell_listed(1000)
        tell(Tally(100_000, 40_000, {}))  # of an earlier call: no part of the rate
        now = LINES_EVERY_S
        tell(Tally(100_000, 43_000, {}))
        tell(Tally(100_000, 43_100, {}))
    assert capsys.readouterr().err == (
        "neumo: 43,000 of 100,000 films, 100 a second, 10 min left\n"
    )


def test_a_pace_is_none_at_first() -> None:
    assert Pace(lambda: 5.0).rate(7) == 0


@pytest.mark.parametrize(
    ("seconds", "told"), [(7.4, "7 s"), (125, "2 min"), (3600, "1 h 0 min"), (12_000, "3 h 20 min")]
)
def test_times_are_told_as_people_do(seconds: float, told: str) -> None:
    assert describe_time(seconds) == told
