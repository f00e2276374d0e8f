"""A program at a terminal: a pseudo-terminal of a width, and all that it shows."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass

from tests.conftest import ROOT

_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\].*?\x07)")
_ROWS = 50


@dataclass(frozen=True)
class Shown:
    """What a terminal was sent, and how the program ended."""

    code: int
    raw: str

    @property
    def text(self) -> str:
        """Without colours and cursor movements; what was drawn over is there too."""
        return _ESCAPES.sub("", self.raw).replace("\r\n", "\n")

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.text.splitlines()]


def show(
    *arguments: str,
    columns: int = 80,
    environment: Mapping[str, str] | None = None,
    interrupt_at: str | None = None,
    limit_s: float = 60,
) -> Shown:
    """Run ``neumo`` at a terminal; send Ctrl-C once what `interrupt_at` matches is shown."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
    kept = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env=kept | {"TERM": "xterm-256color"} | dict(environment or {}),
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    sent, until_s = b"", time.monotonic() + limit_s
    try:
        while time.monotonic() < until_s:
            if not select.select([ours], [], [], 0.2)[0]:
                continue
            try:
                part = os.read(ours, 65536)
            except OSError:  # the program has closed its end
                break
            if not part:
                break
            sent += part
            if interrupt_at is not None and re.search(interrupt_at.encode(), sent):
                process.send_signal(signal.SIGINT)
                interrupt_at = None
        code = process.wait(limit_s)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return Shown(code, sent.decode(errors="replace"))
