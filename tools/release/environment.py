"""An empty environment that holds a lock, then the wheel; and whether Neumo works in it.

``python -m tools.release.environment WHEEL PYTHON`` tries a wheel on another Python.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

from app import __version__
from tools.release.version import ROOT, ReleaseFault

_START_LIMIT_S: Final = 60
_PORT: Final = "18000"


class Environment:
    """A virtual environment without pip, in a folder of its own."""

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        subprocess.run([python, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.python = folder / "bin" / "python"

    def install(self, *arguments: str) -> None:
        """Install into it, by the pip of the environment that this runs in."""
        pip = [sys.executable, "-m", "pip", "--python", str(self.python)]
        quiet = ["--quiet", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", *quiet, *arguments], check=True)

    def install_lock(self, name: str) -> None:
        """Install one of the locks of requirements/, by its hashes."""
        lock = ROOT / "requirements" / f"{name}.txt"
        self.install("--require-hashes", "--requirement", str(lock))

    def check_service(self, elsewhere: Path, film: Path) -> None:
        """Read a film and serve, from a folder that holds nothing of Neumo.

        Raises
        ------
        ReleaseFault
        """
        neumo = str(self.python.parent / "neumo")
        told = self._run(elsewhere, neumo, "--version")
        if told.split()[-1] != __version__:
            raise ReleaseFault(f"neumo --version says {told!r}, not {__version__}")
        reading = json.loads(self._run(elsewhere, neumo, "predict", "--json", str(film)))
        if reading.get("label") != "normal":
            raise ReleaseFault(f"neumo predict reads {film.name} as {reading.get('label')}")
        self._serve(elsewhere, neumo)

    def _serve(self, elsewhere: Path, neumo: str) -> None:
        command = [neumo, "serve", "--port", _PORT, "--workers", "1", "--drain-delay-s", "0"]
        with subprocess.Popen(command, cwd=elsewhere, stderr=subprocess.DEVNULL) as service:
            try:
                _wait_for("/health/ready", service)
                told = json.loads(_get("/openapi.json"))["info"]["version"]
                if told != __version__:
                    raise ReleaseFault(f"/openapi.json says {told}, not {__version__}")
                _get("/docs")
                if (ROOT / "app" / "web").is_dir():  # the page for people
                    _get("/")
            finally:
                service.terminate()
        if service.returncode != 0:
            raise ReleaseFault(f"neumo serve ended with {service.returncode}")

    def _run(self, folder: Path, *command: str) -> str:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise ReleaseFault(f"{command[1]} ended with {result.returncode}: {result.stderr}")
        return result.stdout.strip()


def _get(path: str) -> bytes:
    address = f"http://127.0.0.1:{_PORT}{path}"
    with urllib.request.urlopen(address, timeout=10) as answer:
        content: bytes = answer.read()
    return content


def _wait_for(path: str, service: subprocess.Popen[Any]) -> None:
    begun = time.monotonic()
    while time.monotonic() - begun < _START_LIMIT_S and service.poll() is None:
        try:
            _get(path)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
        else:
            return
    raise ReleaseFault("neumo serve does not answer")


def try_wheel(wheel: Path, python: str, lock: str) -> None:
    """Install a wheel beside a lock on some Python, and see that it reads and serves.

    Raises
    ------
    ReleaseFault
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = Environment(Path(folder) / "environment", python)
        environment.install_lock(lock)
        environment.install("--no-deps", str(wheel))
        elsewhere = Path(folder) / "elsewhere"
        elsewhere.mkdir()
        environment.check_service(elsewhere, ROOT / "examples" / "normal.jpg")


if __name__ == "__main__":
    try_wheel(Path(sys.argv[1]), sys.argv[2], "serve")
