"""How evenly workers share connections, and what that means for their throughput.

    .venv-dev/bin/python -m benchmarks.even_workers --rounds 50

Each round starts `neumo serve --workers 2` and opens eight keep-alive connections: all at once, one
after the other, or from before the port is open, in turn. It prints how they were shared out and
how many Readings a second they got, in the best of a few short spells: other work on the machine
slows a spell down, an uneven split all of them. At the end come the most uneven split, the median
throughput and the lowest against it. Exits with 1 if a split is worse than 2 : 1 or a round slower
than 0.8 of the median.
"""

import argparse
import http.client
import itertools
import socket
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.service import ROOT, Service, free_port, start

ESTABLISHED = "01"
MODES = ("at once", "one by one", "early")


def connections_of(pid: int, port: int) -> int:
    """Return how many established connections to a port a process holds, as /proc tells."""
    inodes = set()
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_, inode = line.split()[:10]
        if int(local.rpartition(":")[2], 16) == port and state == ESTABLISHED:
            inodes.add(f"socket:[{inode}]")
    held = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            held += str(descriptor.readlink()) in inodes
        except FileNotFoundError:  # closed meanwhile
            continue
    return held


def connect(port: int, limit_s: float = 60.0) -> socket.socket:
    """Return a connection, once the port is open."""
    end_s = time.monotonic() + limit_s
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except ConnectionRefusedError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.001)


def split_of(service: Service, connections: int, limit_s: float = 5.0) -> list[int]:
    """Return each worker's connections, once all are accepted."""
    end_s = time.monotonic() + limit_s
    while True:
        split = sorted(connections_of(pid, service.port) for pid in service.workers)
        if sum(split) == connections or time.monotonic() > end_s:
            return split
        time.sleep(0.01)


def throughput(clients: Sequence[socket.socket], image: bytes, seconds: float) -> float:
    """Return the Readings a second that all connections together get."""
    end_s = time.monotonic() + seconds
    headers = {"Content-Type": "image/jpeg"}

    def ask(client: socket.socket) -> int:
        connection = http.client.HTTPConnection("127.0.0.1")
        connection.sock = client
        done = 0
        while time.monotonic() < end_s:
            connection.request("POST", "/predict", image, headers)
            response = connection.getresponse()
            response.read()
            done += response.status == http.client.OK
        return done

    with ThreadPoolExecutor(len(clients)) as pool:
        return sum(pool.map(ask, clients)) / seconds


def measure(mode: str, options: argparse.Namespace, image: bytes) -> tuple[list[int], float]:
    """Return one round's split and throughput."""
    port = free_port()
    count = options.connections
    early: list[socket.socket] = []

    def connect_early() -> None:
        early.append(connect(port))

    threads = [threading.Thread(target=connect_early) for _ in range(count)]
    if mode == "early":
        for thread in threads:
            thread.start()
    with start(port=port, arguments=("--workers", str(options.workers))) as service:
        if mode == "early":
            for thread in threads:
                thread.join()
            clients = early
        elif mode == "at once":
            with ThreadPoolExecutor(count) as pool:
                clients = list(pool.map(connect, [port] * count))
        else:
            clients = []
            for _ in range(count):
                clients.append(connect(port))
                time.sleep(0.02)
        try:
            split = split_of(service, count)
            spells = range(options.spells)
            return split, max(throughput(clients, image, options.seconds) for _ in spells)
        finally:
            for client in clients:
                client.close()


def main() -> int:
    """Measure, print; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--spells", type=int, default=3, help="of load in each round")
    parser.add_argument("--seconds", type=float, default=1.0, help="that each spell lasts")
    parser.add_argument("--image", type=Path, default=ROOT / "examples" / "normal.jpg")
    options = parser.parse_args()
    image = options.image.read_bytes()
    splits, rates = [], []
    for number, mode in zip(range(1, options.rounds + 1), itertools.cycle(MODES), strict=False):
        split, rate = measure(mode, options, image)
        splits.append(split)
        rates.append(rate)
        print(f"{number:3}  {mode:10}  {'/'.join(map(str, split)):8} {rate:7.1f}/s", flush=True)
    median = statistics.median(rates)
    worst = max(splits, key=lambda split: split[-1] / max(split[0], 0.1))
    print(
        f"most uneven {'/'.join(map(str, worst))}; median {median:.1f}/s, lowest {min(rates):.1f}"
    )
    print(f"lowest round / median: {min(rates) / median:.2f}")
    return int(worst[-1] > 2 * worst[0] or min(rates) < 0.8 * median)


if __name__ == "__main__":
    sys.exit(main())
