"""app.server.receiving.exchange_supervisor: what it says of itself."""

import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.server.receiving import exchange_supervisor
from app.server.receiving.exchange_supervisor import HEALTH_NAME, ExchangeSupervisor


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Leave the signals as they were."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    kept = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def holds_in_time(condition: Callable[[], bool]) -> bool:
    until_s = time.monotonic() + 5
    while not condition() and time.monotonic() < until_s:
        time.sleep(0.01)
    return condition()


def test_on_a_full_disk_it_is_alive_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or what asks it would restart it, and so keep it from making room."""
    monkeypatch.setattr(exchange_supervisor, "HEALTH_EVERY_S", 0.0)
    health, young = tmp_path / HEALTH_NAME, []

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def look() -> None:
        if holds_in_time(health.exists):
            monkeypatch.setattr(Path, "write_text", full)
            time.sleep(0.3)  # what was begun before is over
            os.utime(health, (0, 0))
            young.append(holds_in_time(lambda: health.stat().st_mtime > 0))
        os.kill(os.getpid(), signal.SIGTERM)

    looking = threading.Thread(target=look)
    looking.start()
    assert ExchangeSupervisor([], tmp_path, timeout_s=1.0, grace_s=0.0).run() == 0
    looking.join()
    assert young == [True]
