"""Restart two replicas behind nginx, one after the other, while requests come: none may fail.

    .venv-dev/bin/python -m benchmarks.rolling_restart --requests 10000

Uses nginx (Debian: nginx-light) with deploy/nginx.conf. The replicas are restarted in turn, by
SIGTERM and a new start, until all requests are answered. Prints what was answered, and exits with
1 unless all were 200, every replica ended with exit code 0 and each was restarted at least once.
"""

import argparse
import asyncio
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.load import Generator, post
from benchmarks.service import Service, free_port, start

ROOT = Path(__file__).parents[1]
_CONNECTIONS = 4


class Replicas:
    """Two replicas, restarted in turn."""

    def __init__(self, drain_s: float) -> None:
        self.ports = [free_port(), free_port()]
        self.exit_codes: list[int] = []
        self._arguments = ["--log-level", "warning", "--drain-delay-s", str(drain_s)]
        self._stacks = [ExitStack(), ExitStack()]
        self._services = [self._start(number) for number in range(2)]

    def restart(self, number: int) -> None:
        """End one replica as an orchestrator does, and start it anew."""
        process = self._services[number].process
        process.send_signal(signal.SIGTERM)
        self.exit_codes.append(process.wait())
        self._services[number] = self._start(number)

    def close(self) -> None:
        """End both."""
        for stack in self._stacks:
            stack.close()

    def _start(self, number: int) -> Service:
        return self._stacks[number].enter_context(
            start(port=self.ports[number], arguments=self._arguments)
        )


def main() -> int:
    """Measure, print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--restarts", type=int, default=1, help="of each replica, at least")
    parser.add_argument("--drain-delay-s", type=float, default=1.0)
    parser.add_argument("--image", type=Path, default=ROOT / "examples" / "normal.jpg")
    options = parser.parse_args()
    replicas = Replicas(options.drain_delay_s)
    try:
        with _nginx(replicas.ports) as port:
            statuses = asyncio.run(_load(port, replicas, options))
    finally:
        replicas.close()
    restarts = len(replicas.exit_codes)
    print(f"requests by status  {dict(statuses)}")
    print(f"restarts            {restarts}, exit codes {sorted(set(replicas.exit_codes))}")
    whole = restarts >= 2 * options.restarts and set(replicas.exit_codes) == {0}
    return 0 if whole and set(statuses) == {200} else 1


async def _load(port: int, replicas: Replicas, options: argparse.Namespace) -> Counter[int]:
    """Send requests until there were enough of them and of restarts."""
    generator = Generator(port, post(options.image.read_bytes()))
    statuses: Counter[int] = Counter()
    restarted = 0

    async def one() -> None:
        while statuses.total() < options.requests or restarted < 2 * options.restarts:
            answer = await generator.send(time.perf_counter())
            statuses[answer.status] += 1

    async def restart() -> None:
        nonlocal restarted
        while statuses.total() < options.requests or restarted < 2 * options.restarts:
            await asyncio.to_thread(replicas.restart, restarted % 2)
            restarted += 1
            await asyncio.sleep(0.5)

    await asyncio.gather(restart(), *(one() for _ in range(_CONNECTIONS)))
    generator.close()
    return statuses


@contextmanager
def _nginx(ports: list[int]) -> Iterator[int]:
    """Run nginx with deploy/nginx.conf on a free port, in a folder of its own."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    port = free_port()
    site = (ROOT / "deploy" / "nginx.conf").read_text()
    for given, used in (("8080", port), ("8001", ports[0]), ("8002", ports[1])):
        site = site.replace(f":{given}", f":{used}")
    with tempfile.TemporaryDirectory() as folder:
        paths = "".join(
            f"{name}_temp_path {folder}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (Path(folder) / "nginx.conf").write_text(
            f"daemon off;\npid {folder}/pid;\nerror_log stderr crit;\nworker_processes 1;\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{paths}{site}}}\n"
        )
        command = [program, "-e", "stderr", "-p", folder, "-c", f"{folder}/nginx.conf"]
        process = subprocess.Popen(command)  # noqa: S603 - our own command
        try:
            time.sleep(0.5)
            if process.poll() is not None:
                raise RuntimeError("nginx did not start")
            yield port
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
