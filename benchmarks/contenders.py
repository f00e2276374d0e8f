"""Who is compared: how each one's environment is made, and how each is started."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from app.model.bundle import find_bundle
from app.settings.settings import Settings

ROOT: Final = Path(__file__).parents[1]
WORK: Final = Path(__file__).parent / ".work"
MODELS: Final = WORK / "models"
RIVAL: Final = Path(__file__).parent / "rival"

_ONNX: Final = ("onnxruntime", "pillow", "numpy")
_WEB: Final = ("fastapi", "uvicorn[standard]", "python-multipart")
ENVIRONMENTS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {  # pip calls, in order
    "onnx": ((*_WEB, *_ONNX),),
    "litserve": (("litserve", "python-multipart", *_ONNX),),
    "bentoml": (("bentoml", *_ONNX),),
    "pytorch": (
        ("torch==2.13.0", *_WEB, *_ONNX, "onnx", "onnxscript", "sympy"),
        ("--no-deps", "torchvision==0.28.0"),
    ),
}
_START_LIMIT_S: Final = 120
_STOP_LIMIT_S: Final = 15
_CPU_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PARENT_IN_STAT: Final = 1  # counted from after the name: proc(5)
_TIMES_IN_STAT: Final = slice(11, 13)  # user and system


@dataclass(frozen=True)
class Contender:
    """A server of the comparison; `environment` None is Neumo's own."""

    name: str
    environment: str | None
    command: tuple[str, ...]
    model: str = ""  # below MODELS, or a whole path


_UVICORN: Final = ("-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--no-access-log")
NEUMO: Final = Contender(
    "Neumo", None, ("-m", "app", "serve", "--port", "{port}", "--log-level", "info")
)
GRAPH: Final = Contender(
    "FastAPI + Neumo's graph",
    "onnx",
    (*_UVICORN, "--workers", "2", "--app-dir", str(RIVAL), "fastapi_graph:app"),
    str(find_bundle(Settings().model).absolute() / "model.onnx"),
)
RIVALS: Final = (
    Contender(
        "FastAPI + PyTorch",
        "pytorch",
        (*_UVICORN, "--app-dir", str(RIVAL), "fastapi_pytorch:app"),
        "weights.pt",
    ),
    Contender(
        "FastAPI + ONNX fp32",
        "onnx",
        (*_UVICORN, "--workers", "2", "--app-dir", str(RIVAL), "fastapi_onnx:app"),
        "fp32.onnx",
    ),
    Contender(
        "FastAPI + ONNX int8",
        "onnx",
        (*_UVICORN, "--workers", "2", "--app-dir", str(RIVAL), "fastapi_onnx:app"),
        "int8.onnx",
    ),
    GRAPH,
    Contender("LitServe", "litserve", (str(RIVAL / "litserve_onnx.py"),), "int8.onnx"),
    Contender(
        "BentoML",
        "bentoml",
        (
            *("-m", "bentoml", "serve", "--working-dir", str(RIVAL), "--host", "127.0.0.1"),
            *("--port", "{port}", "bentoml_onnx:Chest"),
        ),
        "int8.onnx",
    ),
)
FIELDS: Final = {"LitServe": "request"}
"""The form's field, where it is not `file`."""


def python_of(environment: str | None) -> Path:
    """Return an environment's interpreter: a rival's, or Neumo's (that of `make serve` if made)."""
    if environment is not None:
        return WORK / f"env-{environment}" / "bin" / "python"
    serving = ROOT / ".venv" / "bin" / "python"
    return serving if serving.exists() else Path(sys.executable)


def prepare(contenders: list[Contender]) -> None:
    """Make the environments and models that are missing: minutes, the first time."""
    needed = {each.environment for each in contenders if each.environment is not None}
    maker = _find_model_maker()
    exported = any(each.model and not Path(each.model).is_absolute() for each in contenders)
    lacking = exported and not (MODELS / "weights.pt").exists()
    if lacking and maker is None:
        needed.add("pytorch")
    for name in sorted(needed):
        done = WORK / f"env-{name}" / "made"
        if done.exists():
            continue
        print(f"making the environment of {name} ...", flush=True)
        subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "venv", "--clear", str(done.parent)], check=True
        )
        for packages in ENVIRONMENTS[name]:
            pip = [str(python_of(name)), "-m", "pip", "install", "--quiet", *packages]
            subprocess.run(pip, check=True)  # noqa: S603 - our own command
        done.touch()
    if lacking:
        MODELS.mkdir(parents=True, exist_ok=True)
        subprocess.run(  # noqa: S603 - our own command
            [str(maker or python_of("pytorch")), str(RIVAL / "make_models.py"), str(MODELS)],
            check=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )


def _find_model_maker() -> str | None:
    """Return this interpreter if it can export the rivals' models, as the development one can."""
    needed = ("torch", "torchvision", "onnx", "onnxscript", "onnxruntime")
    return sys.executable if all(find_spec(name) for name in needed) else None


@dataclass
class Running:
    """A server that answers."""

    contender: Contender
    process: subprocess.Popen[bytes]
    port: int
    started_s: float

    def cpu_seconds(self) -> float:
        """Return the CPU time its processes have taken."""
        return sum(_cpu_ticks(pid) for pid in family_of(self.process.pid)) / _CPU_TICKS

    def resident_mb(self) -> float:
        """Return the resident memory of its largest process."""
        return largest_mb(self.process.pid)


@contextmanager
def started(contender: Contender, cpus: set[int] | None) -> Iterator[Running]:
    """Start a contender on `cpus` (None: all), in a group of its own; end that on leaving."""
    allowed = cpus or os.sched_getaffinity(0)
    port = _free_port()
    command = [
        str(python_of(contender.environment)),
        *(part.replace("{port}", str(port)) for part in contender.command),
    ]
    environment = os.environ | {
        "MODEL": str(MODELS / contender.model),
        "PORT": str(port),
        "PYTHONPATH": str(ROOT),
        "BENTOML_DO_NOT_TRACK": "true",
    }
    begun = time.perf_counter()
    with (WORK / f"{contender.name.replace(' ', '-')}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, allowed),  # noqa: PLW1509 - no locks held
        )
    try:
        _wait_for(port, process, contender.name)
        yield Running(contender, process, port, time.perf_counter() - begun)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_LIMIT_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # workers that outlived their parent
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], name: str) -> None:
    deadline = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with {process.returncode}: see {WORK}")
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                connection.sendall(b"GET /health/ready HTTP/1.0\r\n\r\n")
                status = connection.recv(100).split(b" ", 2)[1]
        except (OSError, IndexError):
            status = b"503"
        if status != b"503":  # rivals have no such path: any other answer means it answers
            return
        time.sleep(0.02)
    raise RuntimeError(f"{name} did not start within {_START_LIMIT_S} s: see {WORK}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _stat(pid: int) -> list[str]:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu_ticks(pid: int) -> int:
    return sum(int(ticks) for ticks in _stat(pid)[_TIMES_IN_STAT])


def family_of(pid: int) -> set[int]:
    """Return a process and all that descend from it, whatever sessions they opened."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and (stat := _stat(int(path.name))):
            children[int(stat[_PARENT_IN_STAT])].append(int(path.name))
    family, found = set(), [pid]
    while found:
        family.update(found)
        found = [child for parent in found for child in children[parent]]
    return family


def largest_mb(pid: int) -> float:
    """Return the resident memory of the largest process among `pid` and its descendants, in MB."""
    return max(_resident_mb(each) for each in family_of(pid))


def _resident_mb(pid: int) -> float:
    """Return a process's resident memory in MB (2^20 bytes), 0 if it is gone."""
    try:
        status = (Path("/proc") / str(pid) / "status").read_text()
    except OSError:
        return 0
    lines = [line.split() for line in status.splitlines() if line.startswith("VmRSS")]
    return int(lines[0][1]) / 1024 if lines else 0
