"""The floor: decode and `session.run` in a bare loop, no HTTP, nothing judged, nothing written.

    python -m benchmarks.floor --image FILE --seconds 2 --threads 1

The decoder and the network are Neumo's own, so what lies above the floor is what serving costs.
Prints one line of JSON.
"""

import argparse
import json
import statistics
import threading
import time
from pathlib import Path

from app.image.decode import decode
from app.image.resize import resize
from app.model.bundle import find_bundle, read_bundle
from app.model.session import OnnxModel
from app.settings.settings import Settings


def main() -> None:
    """Loop and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    data = options.image.read_bytes()
    model = OnnxModel(read_bundle(find_bundle(Settings().model)))
    for _ in range(5):
        model.run(resize(decode(data))[None])
    times: list[float] = []
    begun, cpu = time.perf_counter(), time.process_time()

    def loop() -> None:
        while (started := time.perf_counter()) - begun < options.seconds:
            model.run(resize(decode(data))[None])
            times.append(time.perf_counter() - started)

    threads = [threading.Thread(target=loop) for _ in range(options.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    figures = {
        "count": len(times),
        "failed": 0,
        "per_second": len(times) / seconds,
        "p50_ms": statistics.median(times) * 1000,
        "p99_ms": sorted(times)[int(len(times) * 0.99)] * 1000,
        "cpu_ms": (time.process_time() - cpu) / len(times) * 1000,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
