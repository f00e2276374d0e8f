"""A `ReadingProcess` of its own, around a model that does what a test says: run as a program.

``python -m tests.reading_child MODE``, settings from the environment: ``plain`` answers, ``hang``
says that it was asked and hangs, at a black film alone with ``stuck``, ``poison`` kills its process
at such a film.
"""

import os
import signal
import sys
import time

from app.exchange.reading_process import ReadingProcess
from app.model.session import Outputs, Pixels
from app.service.logs import configure_logging
from app.settings.settings import Settings
from tests.app.cli.readings import NAMES
from tests.app.render.hospital.results import COVID
from tests.models import FakeModel, one_hot_cams


class Child(FakeModel):
    """Answers, hangs, or dies."""

    def __init__(self, mode: str) -> None:
        points = dict.fromkeys((name["id"] for name in NAMES), 0.5)
        super().__init__(COVID, one_hot_cams(), card={"labels": NAMES, "operating_points": points})
        self._mode = mode

    def run(self, pixels: Pixels) -> Outputs:
        if self._mode == "hang":
            sys.stdout.write("asked\n")
            sys.stdout.flush()
            time.sleep(60)
        if self._mode == "stuck" and pixels.mean() < 10:
            time.sleep(60)
        if self._mode == "poison" and pixels.mean() < 10:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(pixels)


if __name__ == "__main__":
    configure_logging("info")
    ReadingProcess(Settings(), lambda _: Child(sys.argv[1])).run([])
