"""Whether a server's memory grows: mixed images and faults for as long as you like.

    .venv-dev/bin/python -m benchmarks.soak --requests 200000
    .venv-dev/bin/python -m benchmarks.soak --requests 3000 --warm-up 600 --most-mb 20

Sends JPEGs and PNGs of several sizes, both depths, damaged ones and no images at all, over a few
kept-alive connections. Prints the resident memory of the server's largest process now and then;
ends with 1 if, after the warm-up, it grew by more than `--most-mb`, or an answer was not the one
expected.
"""

import argparse
import json
import random
import sys
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.contenders import NEUMO, WORK, largest_mb, started
from benchmarks.generator import Connection, write_request
from benchmarks.images import FORMATS, encode

_REPORT_S: Final = 10.0
_SIDES: Final = (256, 512, 768)
_SHARE_OF_LARGE: Final = 0.02


@dataclass
class Soak:
    """What was sent and how it was answered, by all connections."""

    wanted: int
    warm_up: int
    mix: list[tuple[bytes, bytes, float]]  # request, start of its answer, weight
    sent: int = 0
    wrong: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, port: int, seed: int) -> None:
        """Ask until all is sent."""
        generator = random.Random(seed)  # noqa: S311 - no secret
        connection = Connection(port)
        weights = [weight for _, _, weight in self.mix]
        while self._take():
            # All alike at first: the heap grows to what the largest, at once, ever need.
            now = None if self.sent <= self.warm_up else weights
            ((request, expected, _),) = generator.choices(self.mix, now)
            try:
                status, _ = connection.ask(request)
            except OSError:
                status, connection = b"no answer", Connection(port)
            if status != expected:
                with self.lock:
                    self.wrong += 1

    def _take(self) -> bool:
        with self.lock:
            self.sent += 1
            return self.sent <= self.wanted


def mixture() -> list[tuple[bytes, bytes, float]]:
    """Return requests with the status each must get, and how often each comes."""
    mix = []
    for image_format, bits in (("JPEG", 8), ("PNG", 8), ("PNG", 16)):
        for side in _SIDES:
            image = encode(image_format, side, bits)
            mix.append((write_request(image, "file"), b"200", 1.0))
            mix.append((write_request(image[: len(image) // 2], "file"), b"422", 0.05))
    for image_format, side, bits in FORMATS.values():
        image = encode(image_format, side, bits)
        mix.append((write_request(image, "file"), b"200", _SHARE_OF_LARGE))
    mix.append((write_request(b"no image at all", "file"), b"415", 0.1))
    mix.append((write_request(encode("JPEG", _SIDES[0], 8), "elsewhere"), b"400", 0.1))
    return mix


def main() -> int:
    """Soak, print, judge."""
    options = _parse()
    WORK.mkdir(exist_ok=True)
    soak = Soak(options.requests, options.warm_up, mixture())
    with started(NEUMO, None) if options.port is None else nullcontext() as server:
        port = server.port if server else options.port
        pid = server.process.pid if server else options.pid
        threads = [
            threading.Thread(target=soak.ask, args=(port, seed), daemon=True)
            for seed in range(options.connections)
        ]
        for thread in threads:
            thread.start()
        memory = _watch(soak, threads, pid, options.warm_up)
    grown = memory[-1] - memory[0]
    figures = {
        "requests": options.requests,
        "wrong": soak.wrong,
        "first_mb": round(memory[0], 1),
        "last_mb": round(memory[-1], 1),
        "grown_mb": round(grown, 1),
    }
    print(json.dumps(figures))
    if options.json:
        options.json.write_text(json.dumps(figures | {"memory_mb": memory}, indent=1) + "\n")
    return int(grown > options.most_mb or soak.wrong > 0)


def _watch(soak: Soak, threads: list[threading.Thread], pid: int, warm_up: int) -> list[float]:
    """Return resident memory from the end of the warm-up to the end, in MB."""
    while soak.sent < warm_up and any(thread.is_alive() for thread in threads):
        time.sleep(0.01)
    memory = [largest_mb(pid)]
    told = time.monotonic()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.1)
        if time.monotonic() - told > _REPORT_S:
            told = time.monotonic()
            memory.append(largest_mb(pid))
            print(f"{soak.sent} sent, {memory[-1]:.1f} MB, {soak.wrong} wrong", flush=True)
    memory.append(largest_mb(pid))
    return memory


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--warm-up", type=int, default=2_000, help="requests before growth counts")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--most-mb", type=float, default=20)
    parser.add_argument("--port", type=int, help="of a server that runs already, with --pid")
    parser.add_argument("--pid", type=int)
    parser.add_argument("--json", type=Path, help="file to write the memory over time to")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
