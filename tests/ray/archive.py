"""A small archive that all tests of Ray read, and how processes are found and watched."""

import re
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from tests.images import encode

NEEDS_RAY = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray is not installed here: make test-ray"
)
NAME = "DOE^JANE"
"""A folder's, in an archive whose paths name patients."""

CALLS = "connect,sendto,sendmsg,sendmmsg,bind"
OUTSIDE = re.compile(
    r"sa_family=AF_INET, sin_port=htons\(\d+\), sin_addr=inet_addr\(\"(?!127\.)[^\"]+\""
    r"|sa_family=AF_INET6.*inet_pton\(AF_INET6, \"(?!::1\"|::ffff:127\.)[^\"]+\""
)
"""How strace tells of an address that is not this machine's own."""


def make_archive(folder: Path, examples: dict[str, Path], films: int) -> Path:
    """Write films of 224 px: one in 30 is cut off, one in 60 a text."""
    pictures = [Image.open(path).resize((224, 224)) for path in examples.values()]
    encoded = [encode(picture, "JPEG", quality=90) for picture in pictures]
    (folder / NAME).mkdir(parents=True)
    for number in range(films):
        film = encoded[number % len(encoded)]
        if number % 30 == 7:
            film = film[:2000]
        if number % 60 == 11:
            film = b"a report"
        (folder / NAME / f"{number:04}").write_bytes(film)
    return folder


def commands() -> dict[int, str]:
    """Return the command line of each process, by its id."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found[int(path.parent.name)] = path.read_bytes().replace(b"\0", b" ").decode().strip()
        except (OSError, UnicodeDecodeError):
            continue
    return found


def parent_of(pid: int) -> int:
    """Return a process's parent; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def wait_until(told: str, is_so: Callable[[], bool], limit_s: float = 120) -> None:
    """Wait, as long as a busy machine may take."""
    due = time.monotonic() + limit_s
    while time.monotonic() < due:
        if is_so():
            return
        time.sleep(0.05)
    raise AssertionError(f"never so: {told}")
