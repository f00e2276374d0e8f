"""wrk as the load generator: so light that it may share the server's cores.

The generator of this folder is Python: on cores of its own it keeps no server waiting, on the
server's it would take a part of what is measured.
"""

import json
import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Final

from benchmarks.generator import BOUNDARY, write_form

SCRIPT: Final = Path(__file__).parent / "post.lua"
_LIMIT_S: Final = 60
"""What wrk waits for an answer, and we for wrk beyond its time."""


class WrkMissing(Exception):
    """wrk is not installed."""

    def __init__(self) -> None:
        super().__init__("both cores are loaded with wrk (a Debian package): it is not installed")


def find_wrk() -> str:
    """Return where wrk is, or raise `WrkMissing`."""
    found = shutil.which("wrk")
    if found is None:
        raise WrkMissing
    return found


def command(port: int, form: Path, connections: int, seconds: int) -> list[str]:
    """Return the call that posts the form in `form` over and over."""
    return [
        *(find_wrk(), "-t", "1", "-c", str(connections), "-d", f"{seconds}s"),
        *("--timeout", f"{_LIMIT_S}s", "-s", str(SCRIPT), f"http://127.0.0.1:{port}/predict"),
        *("--", str(form), f"multipart/form-data; boundary={BOUNDARY}"),
    ]


def post(
    port: int, image: Path, *, field: str, cpus: set[int], connections: int, seconds: int
) -> dict[str, float]:
    """Post an image for whole seconds.

    Parameters
    ----------
    field : the form's field that the server reads
    cpus : the CPUs that wrk may use

    Returns
    -------
    `count` and `per_second` of answers of 200, `failed` of all others, `p50_ms` and `p99_ms` of
    all that came, and `generator_ms`, the CPU time of wrk itself a request.
    """
    form = image.with_name(f"{image.stem}.{field}.form")
    form.write_bytes(write_form(image.read_bytes(), field))
    before = _children_s()
    done = subprocess.run(  # noqa: S603 - our own command
        command(port, form, connections, seconds),
        capture_output=True,
        text=True,
        timeout=seconds + _LIMIT_S,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cpus),
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if figures["count"]:
        figures["generator_ms"] = (_children_s() - before) / figures["count"] * 1000
    return figures


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
