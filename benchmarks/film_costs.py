"""What a film costs beside its wait: CPU by size and format, memory, rows of the audit trail."""

import contextlib
import io
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian

from app.image.decode import decode
from app.image.resize import resize
from app.model.bundle import find_bundle, read_bundle
from app.model.session import OnnxModel
from app.settings.settings import Settings
from benchmarks import dicom, images
from benchmarks.generator import Connection, write_request
from benchmarks.service import Service, start

SIDES_PX: Final = (512, 1024, 1536, 2048, 2500, 3072)
_FURTHER: Final = "neumo-r18-2"
_ROWS: Final = 400
_FILMS: Final = 150


def measure(image: bytes, times: float) -> dict[str, Any]:
    """Return all of them.

    Parameters
    ----------
    image : that is sent where its size does not matter
    times : how much longer to measure than usual
    """
    return {
        "network_ms": _network_ms(times),
        "formats": _formats(times),
        "films": _films(max(20, int(_FILMS * times))),
        "memory": _memory(image),
        "audit": _audit(image, max(50, int(_ROWS * times))),
    }


def _cpu_ms(work: Callable[[], object], seconds: float) -> float:
    """Return the median CPU of some rounds."""
    work()
    rounds = []
    end_s = time.perf_counter() + seconds
    while len(rounds) < 3 or time.perf_counter() < end_s:  # noqa: PLR2004
        begun_s = time.process_time()
        work()
        rounds.append(time.process_time() - begun_s)
    return float(np.median(rounds)) * 1000


def _network_ms(times: float) -> float:
    model = OnnxModel(read_bundle(find_bundle(Settings().model)))
    pixels = np.zeros((1, 1, 224, 224), np.uint8)
    return _cpu_ms(lambda: model.run(pixels), 2 * times)


def _formats(times: float) -> dict[str, list[dict[str, float]]]:
    """Decode films of several sizes to 224 pixels."""
    makers: dict[str, Callable[[int], bytes]] = {
        "JPEG": lambda side: images.encode("JPEG", side, 8),
        "PNG": lambda side: images.encode("PNG", side, 8),
        "DICOM, uncompressed": _dicom,
    }
    found: dict[str, list[dict[str, float]]] = {}
    for name, make in makers.items():
        found[name] = []
        for side in SIDES_PX:
            data = make(side)
            work = lambda data=data: resize(decode(data))  # noqa: E731
            found[name].append(
                {
                    "megapixels": side * side / 1e6,
                    "bytes": len(data),
                    "decode_ms": _cpu_ms(work, times),
                }
            )
    return found


def _dicom(side: int) -> bytes:
    """Write a film of 12 in 16 bits."""
    with Image.open(io.BytesIO(images.encode("PNG", side, 16))) as file:
        pixels = np.asarray(file).astype(np.uint16)
    return dicom.write(pixels, ExplicitVRLittleEndian)


def _films(count: int) -> dict[str, dict[str, float]]:
    """Return what the service's workers spend on a film, from its first byte to its answer."""
    kinds = {
        "JPEG, 1 megapixel": images.encode("JPEG", 1024, 8),
        "JPEG, 6 megapixels": images.encode("JPEG", 2500, 8),
        "DICOM, 6 megapixels": _dicom(2500),
    }
    found = {}
    with start(arguments=["--log-level", "error", "--workers", "1"]) as service:
        for name, data in kinds.items():
            _read(service, data, 5)
            begun_s = service.cpu_s
            _read(service, data, count)
            spent_s = service.cpu_s - begun_s
            found[name] = {"bytes": len(data), "service_ms": spent_s / count * 1000}
    return found


def _memory(image: bytes) -> dict[str, float]:
    """Return the memory of one worker that has read films, and what a further model adds."""
    alone, parent = _worker_mb(image, ())
    further, _ = _worker_mb(image, ("--models", _FURTHER))
    return {"worker_mb": alone, "parent_mb": parent, "further_model_mb": further - alone}


def _worker_mb(image: bytes, arguments: tuple[str, ...]) -> tuple[float, float]:
    with start(arguments=["--log-level", "error", "--workers", "1", *arguments]) as service:
        _read(service, image, 50)
        return _own_mb(service.workers[0]), _own_mb(service.process.pid)


def _own_mb(pid: int) -> float:
    """Return a process's memory: what it shares counts by its share."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    (kilobytes,) = (int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes * 1024 / 1e6


def _audit(image: bytes, rows: int) -> dict[str, float]:
    """Return how much the trail's database grows with a film, its indexes with it."""
    with tempfile.TemporaryDirectory() as folder, _environment("NEUMO_AUDIT_FOLDER", folder):
        sizes = []
        for _ in range(2):
            with start(arguments=["--log-level", "error", "--workers", "1"]) as service:
                _read(service, image, rows)
            with contextlib.closing(sqlite3.connect(Path(folder) / "audit.sqlite")) as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                database.execute("VACUUM")
                (count,) = database.execute(
                    "SELECT count(*) FROM audit_row WHERE kind = 'reading'"
                ).fetchone()
                (pages,) = database.execute("PRAGMA page_count").fetchone()
                (page_bytes,) = database.execute("PRAGMA page_size").fetchone()
            sizes.append((count, pages * page_bytes))
    (few, small), (many, large) = sizes
    return {"rows": many - few, "bytes_per_row": (large - small) / (many - few)}


def _read(service: Service, image: bytes, count: int) -> None:
    connection = Connection(service.port)
    request = write_request(image, "file")
    for _ in range(count):
        connection.ask(request)


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
