"""What keys, TLS, the audit trail, traces and a shadow cost: a service with and without, by turns.

    .venv-dev/bin/python benchmarks/cost_of.py audit
    .venv-dev/bin/python benchmarks/cost_of.py keys tls audit traces shadow

Starts two services of one worker on free ports, one of them with what is named (the trail in
SQLite, traces to a collector that keeps nothing), and takes turns: calls one after the other over
one connection (latency), then several at once (throughput). The ratio of each pair of turns is
taken, and the median of the ratios told with its quartiles: what else the machine does falls on
both. So is the CPU time that a call costs the service's processes, which does not depend on it.
"""

import argparse
import http.client
import http.server
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
TICKS = os.sysconf("SC_CLK_TCK")


class Service:
    """A running service."""

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, key: str = "", *, tls: bool = False
    ) -> None:
        self.process, self.port, self._tls = process, port, tls
        self.headers = {"Content-Type": "image/jpeg"} | ({"X-API-Key": key} if key else {})

    def cpu_s(self) -> float:
        """Return the CPU time of all its processes."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return sum(map(_cpu_s, (pid, *map(int, children))))

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection to it."""
        if not self._tls:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        context = ssl._create_unverified_context()  # noqa: S323 - our own certificate, a minute old
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=context)


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes traces, and keeps none."""

    def do_POST(self) -> None:
        """Read what comes; answer that it came."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(http.client.OK)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="+", choices=("keys", "tls", "audit", "traces", "shadow"))
    parser.add_argument("--image", type=Path, default=ROOT / "examples" / "normal.jpg")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--calls", type=int, default=50, help="of each turn")
    parser.add_argument("--clients", type=int, default=4, help="at once, for throughput")
    options = parser.parse_args()
    image = options.image.read_bytes()
    latency, rate, cpu = [], [], []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        without = stack.enter_context(_running({}))
        kept = stack.enter_context(_running(_settings(options.what, folder, stack)))
        for service in (without, kept):
            _one_by_one(service, image, 20)
        for number in range(options.rounds):
            turn = (without, kept) if number % 2 else (kept, without)
            before = {each: each.cpu_s() for each in turn}
            p50 = {each: _one_by_one(each, image, options.calls) for each in turn}
            at_once = {each: _at_once(each, image, options) for each in turn}
            spent = {each: each.cpu_s() - before[each] for each in turn}
            latency.append(p50[kept] / p50[without])
            rate.append(at_once[kept] / at_once[without])
            cpu.append(spent[kept] / spent[without])
    for name, ratios in (("p50", latency), ("throughput", rate), ("CPU time a call", cpu)):
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"{name:>16}, with / without: {middle:.3f} (quartiles {low:.3f} to {high:.3f})")


def _settings(what: list[str], folder: Path, stack: ExitStack) -> dict[str, str]:
    """Make what is needed; return the variables that switch it on."""
    settings = {}
    if "audit" in what:
        settings["NEUMO_AUDIT_FOLDER"] = str(folder / "audit")
        (folder / "audit").mkdir()
    if "shadow" in what:
        settings["NEUMO_SHADOW"] = "neumo-r18-2"
    if "keys" in what:
        made = subprocess.run(
            [sys.executable, "-m", "app", "keys", "create", "--bare"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        settings["NEUMO_API_KEY_FILE"] = str(folder / "key")
        (folder / "key").write_text(made.stdout)
        (folder / "key").chmod(0o600)
    if "tls" in what:
        settings |= {"NEUMO_TLS_CERT": f"{folder}/cert.pem", "NEUMO_TLS_KEY": f"{folder}/key.pem"}
        asked = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        files = ["-keyout", settings["NEUMO_TLS_KEY"], "-out", settings["NEUMO_TLS_CERT"]]
        subprocess.run([*asked.split(), *names, *files], check=True, capture_output=True)  # noqa: S603
    if "traces" in what:
        collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        stack.callback(collector.shutdown)
        settings["NEUMO_OTLP_ENDPOINT"] = f"http://127.0.0.1:{collector.server_port}"
    return settings


def _one_by_one(service: Service, image: bytes, calls: int) -> float:
    """Return the median seconds of a call."""
    connection, spent = service.connect(), []
    for _ in range(calls):
        begun = time.perf_counter()
        _predict(service, connection, image)
        spent.append(time.perf_counter() - begun)
    connection.close()
    return statistics.median(spent)


def _at_once(service: Service, image: bytes, options: argparse.Namespace) -> float:
    """Return calls a second of several clients."""

    def ask() -> None:
        connection = service.connect()
        for _ in range(options.calls):
            _predict(service, connection, image)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(options.clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return options.clients * options.calls / (time.perf_counter() - begun)


def _predict(service: Service, connection: http.client.HTTPConnection, image: bytes) -> None:
    connection.request("POST", "/predict", image, service.headers)
    response = connection.getresponse()
    response.read()
    if response.status != http.client.OK:
        raise RuntimeError(f"status {response.status}")


@contextmanager
def _running(environment: dict[str, str]) -> Iterator[Service]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "app", "serve", "--port", str(port), "--log-level", "warning"]
    settings = {"NEUMO_WORKERS": "1", "NEUMO_DRAIN_DELAY_S": "0"} | environment
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | settings) as process:  # noqa: S603 - our own command
        key_file = environment.get("NEUMO_API_KEY_FILE")
        key = Path(key_file).read_text(encoding="utf-8").strip() if key_file else ""
        service = Service(process, port, key, tls="NEUMO_TLS_CERT" in environment)
        try:
            for _ in range(600):
                try:
                    connection = service.connect()
                    connection.request("GET", "/health/ready")
                    if connection.getresponse().status == http.client.OK:
                        break
                except OSError:
                    time.sleep(0.05)
            yield service
        finally:
            process.terminate()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS  # utime and stime: proc(5)


if __name__ == "__main__":
    main()
