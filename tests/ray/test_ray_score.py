"""neumo score as docs/ray.md has it, killed and called again; Ray reaches for nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.dataset
import pytest

from tests.conftest import ROOT
from tests.ray.archive import CALLS, NEEDS_RAY, OUTSIDE, commands, make_archive, wait_until

pytestmark = [NEEDS_RAY, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]
FILMS = 360
PART_FILMS = 40


@dataclass
class Place:
    """Folders: films, a home, and a temporary one whose name is short, as Ray's sockets need it."""

    films: Path
    home: Path
    temporary: Path

    def command(self, out: Path, *more: str) -> list[str]:
        neumo = [sys.executable, "-m", "app", "score", str(self.films), "--out", str(out)]
        return [*neumo, "--processes", "2", "--part-films", str(PART_FILMS), "--json", *more]

    @property
    def environment(self) -> dict[str, str]:
        folders = {"HOME": str(self.home), "TMPDIR": str(self.temporary)}
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | folders

    @property
    def processes(self) -> list[int]:
        """Those of a cluster whose folder is here."""
        return [pid for pid, told in commands().items() if str(self.temporary) in told]


@pytest.fixture(scope="module")
def place(examples: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("score")
    (folder / "home").mkdir()
    temporary = Path(tempfile.mkdtemp(prefix="nr"))
    yield Place(make_archive(folder / "films", examples, FILMS), folder / "home", temporary)
    shutil.rmtree(temporary)


@pytest.fixture(scope="module")
def whole(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the local engine writes."""
    out = tmp_path_factory.mktemp("whole") / "out"
    subprocess.run(
        place.command(out), cwd=ROOT, env=place.environment, capture_output=True, check=False
    )
    return out


def parts(out: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(out.glob("part-*"))]


def test_killed_and_called_again_it_writes_the_local_engines_files_and_reaches_for_nothing(
    place: Place, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    killed = subprocess.Popen(
        place.command(out, "--engine", "ray"),
        cwd=ROOT,
        env=place.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until("a part is written", lambda: len(parts(out)) > 0, 300)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    written = parts(out)
    assert 0 < len(written) < FILMS // PART_FILMS
    wait_until("its cluster ends", lambda: not place.processes)
    log = tmp_path / "strace.log"
    watch = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", f"trace={CALLS}", "-o", str(log)]
    done = subprocess.run(
        [*watch, *place.command(out, "--engine", "ray")] if shutil.which("strace") else [],
        cwd=ROOT,
        env=place.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 1, done.stderr  # some films can't be read
    assert json.loads(done.stdout)["films"] == FILMS
    rows = pyarrow.dataset.dataset(out).to_table()
    assert rows.num_rows == FILMS
    assert rows.equals(pyarrow.dataset.dataset(whole).to_table())
    assert parts(out) == parts(whole)  # nothing twice, nothing missing, not a bit another
    calls = log.read_text(errors="replace").splitlines()
    assert any("127.0.0.1" in call for call in calls)  # it was watched
    assert [call for call in calls if OUTSIDE.search(call)] == []
    assert list(place.home.iterdir()) == []
    assert not place.processes
    left = {path.name for path in place.temporary.iterdir()}
    assert len(left) == 1  # what was killed could not clear up


def test_where_no_cluster_is_it_says_so(place: Place, tmp_path: Path) -> None:
    done = subprocess.run(
        place.command(tmp_path / "out", "--engine", "ray", "--ray-address", "127.0.0.1:9"),
        cwd=ROOT,
        env=place.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert "neumo: The cluster of Ray can't be used: nobody answers at its address" in done.stderr
    assert "Traceback" not in done.stderr
