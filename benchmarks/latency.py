"""How long one `POST /predict` takes, beside the floor: a bare decode + session.run.

    .venv/bin/python benchmarks/latency.py
    .venv/bin/python benchmarks/latency.py --dicom    # 2048 x 2500, 12 in 16 bit, uncompressed

Starts `neumo serve` on a free port, then takes turns: some requests over one kept-alive
connection, some bare calls in this process, on the same image (examples/normal.jpg, 1024 x 1024
JPEG with grain) and the same one thread a run. Prints medians, and the ratio.
"""

import argparse
import http.client
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from app.image.decode import decode
from app.image.resize import resize
from app.model.bundle import find_bundle, read_bundle
from app.model.session import OnnxModel
from app.settings.settings import Settings

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--image", type=Path, default=ROOT / "examples" / "normal.jpg")
    parser.add_argument("--dicom", action="store_true", help="a film as DICOM instead; wanted 1.25")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--calls", type=int, default=50, help="of each kind, in each round")
    options = parser.parse_args()
    image = _film() if options.dicom else options.image.read_bytes()

    model = OnnxModel(read_bundle(find_bundle(Settings().model)), Settings().inference_threads)

    def bare() -> None:
        model.run(resize(decode(image))[None])

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "app", "serve", "--port", str(port), "--log-level", "warning"]
    with subprocess.Popen(command, cwd=ROOT) as process:  # noqa: S603 - our own command
        try:
            connection = _connect(port)

            def served() -> None:
                connection.request("POST", "/predict", image, {"Content-Type": "image/jpeg"})
                answer = json.loads(connection.getresponse().read())
                if "label" not in answer:
                    raise RuntimeError(answer["detail"])

            _time(served, 20)
            _time(bare, 20)
            times: dict[str, list[float]] = {"bare": [], "served": []}
            for _ in range(options.rounds):
                times["bare"] += _time(bare, options.calls)
                connection.close()  # it may have been idle for too long; the next call opens it
                times["served"] += _time(served, options.calls)
        finally:
            process.terminate()
    for name, values in times.items():
        p50, p99 = statistics.median(values), statistics.quantiles(values, n=100)[98]
        print(f"{name:>7}: p50 {p50 * 1000:.2f} ms, p99 {p99 * 1000:.2f} ms, {len(values)} calls")
    ratio = statistics.median(times["served"]) / statistics.median(times["bare"])
    print(f"served / bare, medians: {ratio:.2f}")


def _film() -> bytes:
    from pydicom.uid import ExplicitVRLittleEndian  # noqa: PLC0415 - of the extra dicom

    from benchmarks.dicom import film, write  # noqa: PLC0415 - likewise

    return write(film(), ExplicitVRLittleEndian)


def _connect(port: int) -> http.client.HTTPConnection:
    for _ in range(600):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/health/ready")
            response = connection.getresponse()
            response.read()
        except OSError:
            time.sleep(0.05)
            continue
        if response.status == http.client.OK:
            return connection
    raise RuntimeError("the service never became ready")


def _time(call: Callable[[], None], count: int) -> list[float]:
    seconds = []
    for _ in range(count):
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return seconds


if __name__ == "__main__":
    main()
