"""Nothing phones out: the system calls of the service and of the terminal, watched by strace."""

import os
import re
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import dicoms
from tests.conftest import ROOT
from tests.server import Server, free_port, predict

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed (Debian package strace)"
)
CALLS = "connect,sendto,sendmsg,sendmmsg,openat,creat,mkdir,mkdirat,rename,renameat,renameat2"
INTERNET = re.compile(r"sa_family=AF_INET6?\b")
CREATES = re.compile(r"^\d+ +(openat\(.*O_CREAT|creat\(|mkdir|rename)")
PATH = re.compile(r'"([^"]*)"')


class Watched:
    """A command run under strace in a home of its own, and what it did."""

    def __init__(self, folder: Path) -> None:
        self.home, self.temporary = folder / "home", folder / "tmp"
        self.home.mkdir()
        self.temporary.mkdir()
        self._log = folder / "strace.log"

    @property
    def environment(self) -> dict[str, str]:
        names = ("PATH", "PYTHONPATH", "LANG")
        kept = {name: os.environ[name] for name in names if name in os.environ}
        folders = {"HOME": str(self.home), "TMPDIR": str(self.temporary)}
        return kept | folders | {"PYTHONDONTWRITEBYTECODE": "1", "NEUMO_DRAIN_DELAY_S": "0"}

    def command(self, *arguments: str) -> list[str]:
        watch = ["strace", "-f", "-qq", "-e", f"trace={CALLS}", "-o", str(self._log)]
        return [*watch, sys.executable, *arguments]

    @property
    def calls(self) -> list[str]:
        return self._log.read_text(errors="replace").splitlines()

    @property
    def outgoing(self) -> list[str]:
        """Calls that address another host: connections and datagrams (DNS queries are both)."""
        return [call for call in self.calls if INTERNET.search(call) and "accept" not in call]

    @property
    def written(self) -> list[str]:
        """Files and folders made outside the temporary folder."""
        made = [call for call in self.calls if CREATES.search(call) and " = -1 " not in call]
        paths = {path for call in made for path in PATH.findall(call)}
        allowed = (str(self.temporary), "/dev/shm/", "/dev/null")  # noqa: S108 - where it may write
        return sorted(path for path in paths if not path.startswith(allowed))

    @property
    def left(self) -> set[str]:
        """What was made in the temporary folder, by the first part of its name.

        Left out is how tempfile tries whether it may write: by a name of eight characters.
        """
        made = "\n".join(call for call in self.calls if CREATES.search(call))
        names = set(re.findall(rf"{re.escape(str(self.temporary))}/(\w+)", made))
        return {name for name in names if not re.fullmatch("[a-z0-9_]{8}", name)}


def films() -> list[bytes]:
    """Give DICOM files, one of them decoded in a process of its own; none without the extra."""
    if not (find_spec("pydicom") and find_spec("imagecodecs")):
        return []
    import imagecodecs  # noqa: PLC0415 - of the extra

    with Image.open(ROOT / "examples" / "normal.jpg") as drawn:
        pixels = np.asarray(drawn.convert("L").resize((400, 400)))
    codestream = imagecodecs.jpegls_encode(pixels)
    return [dicoms.native(pixels), dicoms.encapsulated(pixels, codestream, dicoms.JPEG_LS)]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_a_service_that_reads_images_reaches_for_nothing(watched: Watched, jpeg: bytes) -> None:
    port = free_port()
    command = watched.command("-m", "app", "serve", "--port", str(port), "--workers", "2")
    with (watched.temporary / "log").open("wb") as stderr:
        process = subprocess.Popen(command, env=watched.environment, stderr=stderr)
    try:
        server = Server(process, port, watched.temporary / "log")
        server.wait_until_ready()
        assert predict(server, jpeg)[0] == 200
        for film in films():
            assert predict(server, film)[0] == 200
            assert server.call("POST", "/preview", film)[0] == 200
        assert server.call("GET", "/docs")[0] == 200
        time.sleep(3)  # telemetry is sent after a while
    finally:
        (supervisor,) = server.workers  # strace's one child
        os.kill(supervisor, 15)
        process.wait(30)
    assert len(watched.calls) > 100  # it was watched
    assert watched.outgoing == []
    assert watched.written == []
    assert watched.left <= {"neumo"}  # its workers' figures; nothing of an upload
    assert list(watched.home.iterdir()) == []
    assert server.lines()  # every line on standard error is JSON


def test_the_terminal_reaches_for_nothing(watched: Watched, examples: dict[str, Path]) -> None:
    command = watched.command("-m", "app", "predict", "--json", str(examples["normal"]))
    done = subprocess.run(command, env=watched.environment, capture_output=True, check=True)
    assert done.stderr == b""
    assert (watched.outgoing, watched.written) == ([], [])
    assert list(watched.home.iterdir()) == []


def test_reading_an_archive_reaches_for_nothing(watched: Watched) -> None:
    out = watched.temporary / "scores"
    source = str(ROOT / "examples")
    command = watched.command("-m", "app", "score", source, "--out", str(out), "--processes", "2")
    done = subprocess.run(command, env=watched.environment, capture_output=True, check=True)
    assert done.stderr == b""
    assert any("part-000000.parquet" in call for call in watched.calls)  # it was watched
    assert (watched.outgoing, watched.written, watched.left) == ([], [], {"scores"})
    assert list(watched.home.iterdir()) == []


def test_what_is_watched_for_would_be_seen(watched: Watched) -> None:
    code = (
        "import os, pathlib, socket\n"
        "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:\n"
        "    out.sendto(b'?', ('127.0.0.1', 53))\n"
        "pathlib.Path(os.environ['HOME'], 'deviceid').write_text('1')\n"
    )
    subprocess.run(watched.command("-c", code), env=watched.environment, check=True)
    assert len(watched.outgoing) == 1
    assert watched.written == [str(watched.home / "deviceid")]


def test_without_the_switch_the_library_writes_into_the_home(watched: Watched) -> None:
    subprocess.run(
        watched.command("-c", "import onnxruntime, time; time.sleep(1)"),
        env=watched.environment,
        check=True,
    )
    assert watched.written, "this test can go, and the switch with it"
