"""neumo score as a process: killed at random moments it loses nothing and does nothing twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.images import encode

FILMS = 600
KILLS = 4
PART_FILMS = 20


@pytest.fixture(scope="module")
def archive(examples: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 films in folders: small ones, one in 30 cut off, one in 60 that is a text."""
    folder = tmp_path_factory.mktemp("archive")
    pictures = [Image.open(path).resize((224, 224)) for path in examples.values()]
    films = [encode(picture, "JPEG", quality=90) for picture in pictures]
    for number in range(FILMS):
        film = films[number % len(films)]
        if number % 30 == 7:
            film = film[:2000]
        if number % 60 == 11:
            film = b"a report"
        path = folder / f"{number // 100}" / f"{number:04}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(film)
    return folder


def command(archive: Path, out: Path, *more: str) -> list[str]:
    neumo = [sys.executable, "-m", "app", "score", str(archive), "--out", str(out)]
    return [*neumo, "--processes", "2", "--part-films", str(PART_FILMS), *more]


def run(archive: Path, out: Path, *more: str, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        command(archive, out, *more),
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def rows(out: Path) -> list[dict[str, Any]]:
    """Return all rows in order, as pyarrow reads the folder."""
    found: list[dict[str, Any]] = pyarrow.dataset.dataset(out).to_table().to_pylist()
    return found


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def wait_until(told: str, is_so: Any) -> None:  # noqa: ANN401
    for _ in range(3000):
        if is_so():
            return
        time.sleep(0.02)
    raise AssertionError(told)


@pytest.fixture(scope="module")
def whole(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run that nothing happened to leaves."""
    out = tmp_path_factory.mktemp("whole") / "out"
    code, told, _ = run(archive, out, "--json")
    assert code == 1  # some films could not be read
    assert json.loads(told)["films"] == FILMS
    return out


def test_every_file_has_one_row_and_bad_films_say_why(whole: Path) -> None:
    found = rows(whole)
    assert [row["path"] for row in found] == [
        f"{number // 100}/{number:04}" for number in range(FILMS)
    ]
    assert Counter(row["error"] for row in found) == {None: 580, "image_truncated": 20}
    assert Counter(row["status"] == "other" for row in found) == {False: 590, True: 10}
    assert {row["model"] for row in found} == {"neumo-r18-3"}


def run_until_killed(archive: Path, out: Path, delay_s: float) -> int:
    """Kill a run some time after it wrote a part; return how many parts there are."""
    before = len(list(out.glob("part-*")))
    process = subprocess.Popen(
        command(archive, out), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until("a part is written", lambda: len(list(out.glob("part-*"))) > before)
    time.sleep(delay_s)
    readers = children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until("its processes end", lambda: not any(map(is_running, readers)))
    return len(list(out.glob("part-*")))


def test_killed_at_random_moments_it_does_nothing_twice_and_misses_nothing(
    archive: Path, whole: Path, tmp_path: Path
) -> None:
    out, seed = tmp_path / "out", time.time_ns()
    moments = random.Random(seed)  # noqa: S311 - no secret
    killed: list[int] = []
    for _ in range(KILLS):
        if not killed or killed[-1] < FILMS // PART_FILMS:
            killed.append(run_until_killed(archive, out, moments.uniform(0, 0.3)))
    assert killed[0] < FILMS // PART_FILMS, seed
    code, told, _ = run(archive, out, "--json")
    assert rows(out) == rows(whole), (seed, killed)
    counted = json.loads(told)
    assert (code, counted["films"], counted["not_read"], counted["other"]) == (1, FILMS, 20, 10)
    parts = [path.read_bytes() for path in sorted(out.glob("part-*"))]
    assert parts == [path.read_bytes() for path in sorted(whole.glob("part-*"))], (seed, killed)


def test_ctrl_c_ends_it_and_it_goes_on(archive: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        command(archive, out),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    started = "two processes are started, and perhaps still load their model"
    wait_until(started, lambda: len(children(process.pid)) >= 3)  # and multiprocessing's own
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=30)
    assert b"Traceback" not in errors, errors.decode()
    assert process.returncode == 130, errors.decode()
    run(archive, out)
    assert rows(out) == rows(whole)


def test_another_setting_in_between_is_refused(archive: Path, whole: Path) -> None:
    priors = "normal=0.8,covid19=0.02,bacterial_pneumonia=0.1,viral_pneumonia=0.08"
    code, told, errors = run(archive, whole, NEUMO_PRIORS=priors)
    assert (code, told) == (2, "")
    assert "begun with another priors:" in errors
    code, _, errors = run(archive, whole, "--model", "neumo-r18-2")
    assert code == 2
    assert "begun with another model, model_sha256:" in errors
    assert len(rows(whole)) == FILMS


def test_in_a_pipe_it_says_how_it_went_in_one_line(archive: Path, whole: Path) -> None:
    code, told, errors = run(archive, whole, "--language", "es")
    assert code == 1
    assert errors == ""
    assert told.startswith("590 radiografías: ")
    assert told.endswith("20 no leídas; 10 archivos de otro tipo.\n")
