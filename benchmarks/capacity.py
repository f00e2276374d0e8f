"""What a core reads, how long films wait at which load, and what each film costs.

    .venv-dev/bin/python -m benchmarks.capacity              # 15 minutes, on a machine left to it
    .venv-dev/bin/python -m benchmarks.capacity --times 0.1  # to see that it works

Writes docs/scaling.json, docs/scaling.png and the tables of docs/scaling.md. Films arrive in an
open loop at random (Poisson), each on a connection of its own, at loads from 0.3 to 0.85 of what
the cores can do. What is predicted beside it is M/D/c, from two figures of the same run and no
other: how many come a second, and the CPU that each takes. Of many random sequences of arrivals the
one is sent whose waits, played out with that figure, are nearest to the formula's: so few films
tell as much as very many would. Each load is measured several times, in turns; the middle one is
told.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import film_costs, images
from benchmarks.load import Answer, Generator, post
from benchmarks.queueing import Overload, Queue, queue_of, replay, replay_shared
from benchmarks.scaling_report import draw, write_tables
from benchmarks.service import Service, start

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
LOADS: Final = (0.3, 0.5, 0.7, 0.8, 0.85)
_POINT_S: Final = 15.0
_REPEATS: Final = 3
_CANDIDATES: Final = 200
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Setup:
    """A service whose queue is measured.

    Parameters
    ----------
    servers : cores
    shared : whether films that are there share them; else first come, first served
    arguments : of `neumo serve`
    """

    name: str
    servers: int
    shared: bool
    arguments: tuple[str, ...] = ()

    @property
    def formula(self) -> str:
        """What predicts it, in short."""
        return f"M/D/{self.servers}{', shared' if self.shared else ''}"

    def queue(self, rate_per_s: float, service_s: float) -> Queue:
        """Return what is predicted at one rate."""
        return queue_of(self.servers, rate_per_s, service_s, shared=self.shared)

    def replay(self, arrivals_s: Sequence[float], service_s: float) -> NDArray[np.float64]:
        """Return the waits of these very arrivals."""
        return (replay_shared if self.shared else replay)(arrivals_s, service_s, self.servers)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send, and what a film takes.

    Parameters
    ----------
    service_s : CPU; as last measured
    beside_s : time beside it, of one that comes alone
    seconds : to send for
    """

    load: float
    service_s: float
    beside_s: float
    seconds: float


SETUPS: Final = (
    Setup("one core", 1, shared=False),  # there a worker reads one film at a time
    Setup("two cores", 2, shared=True),
    Setup("two cores, --threads 1", 2, shared=False, arguments=("--threads", "1")),
)


def main() -> int:
    """Measure, write, and return 1 if a prediction is missed by more than `--within`."""
    options = _options()
    image = options.image.read_bytes() if options.image else images.encode("JPEG", 2500, 8)
    curves = {setup.name: _measure_curve(setup, image, options.times) for setup in SETUPS}
    results = {
        "machine": _machine(),
        "image_bytes": len(image),
        "curves": curves,
        **film_costs.measure(image, options.times),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "scaling.json").write_text(json.dumps(results, indent=1) + "\n")
    draw(results, options.output / "scaling.png")
    page = options.output / "scaling.md"
    if page.exists():
        page.write_text(write_tables(page.read_text(encoding="utf-8"), results), encoding="utf-8")
    missed = 0
    for name, curve in curves.items():
        for point in curve["points"]:
            _print(name, point)
            off = max(abs(point[f"{each}_error"]) for each in ("mean", "p95"))
            missed += off > options.within or point["failed"] > 0
    return 1 if missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--image", type=Path, help="a JPEG; else one of 6 megapixels")
    parser.add_argument("--times", type=float, default=1.0, help="of what is sent and counted")
    parser.add_argument("--within", type=float, default=0.15, help="bar, of what was predicted")
    parser.add_argument("--output", type=Path, default=DOCS)
    return parser.parse_args()


def _machine() -> dict[str, str]:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


@contextmanager
def _running(setup: Setup) -> Iterator[Service]:
    """Start the service; with one server on a core of its own, and this process on the other."""
    cores = sorted(os.sched_getaffinity(0))
    alone = setup.servers == 1 and len(cores) > 1
    core = cores[0] if alone else None
    with start(core=core, arguments=["--log-level", "warning", *setup.arguments]) as service:
        try:
            os.sched_setaffinity(0, cores[1:] if alone else cores)
            yield service
        finally:
            os.sched_setaffinity(0, cores)


def _measure_curve(setup: Setup, image: bytes, times: float) -> dict[str, Any]:
    with _running(setup) as service:
        return asyncio.run(_curve(setup, service, image, times))


async def _curve(setup: Setup, service: Service, image: bytes, times: float) -> dict[str, Any]:
    generator = Generator(service.port, post(image), keep=False)
    await generator.closed_loop(4, 1.0)  # warm
    begun_s, others_s = time.perf_counter(), _others_s(service)
    cpu_s = _cpu_s(service, setup)
    alone = await generator.closed_loop(1, 6 * times)
    service_s = (_cpu_s(service, setup) - cpu_s) / len(alone)
    alone_s = statistics.fmean(answer.seconds for answer in alone)
    # What a film takes beside the CPU: it is on its way, and threads wake each other.
    beside_s = max(0.0, alone_s - service_s)
    curve: dict[str, Any] = {
        "servers": setup.servers,
        "shared": setup.shared,
        "formula": setup.formula,
        "service_ms": service_s * 1000,
        "beside_ms": beside_s * 1000,
    }
    repeats: dict[float, list[dict[str, Any]]] = {load: [] for load in LOADS}
    # The first only tells what a film takes among others.
    for load in (LOADS[1], *LOADS * _REPEATS):
        plan = Plan(load, service_s, beside_s, _POINT_S * times)
        try:
            point = await _point(setup, service, generator, plan)
        except Overload:  # a film takes longer on busy cores: here more came than was served
            continue
        service_s = point["service_ms"] / 1000
        repeats[load].append(point)
    del repeats[LOADS[1]][0]
    cores_s = (time.perf_counter() - begun_s) * (os.cpu_count() or 1)
    others = (_others_s(service) - others_s) / cores_s
    points = [middle_of(points) for points in repeats.values() if points]
    return curve | {"others": others, "points": points}


def middle_of(points: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the point whose mean's error is the middle one, with the errors of all."""
    ordered = sorted(points, key=lambda point: point["mean_error"])
    errors = {
        f"{each}_errors": [point[f"{each}_error"] for point in points] for each in ("mean", "p95")
    }
    failed = sum(point["failed"] for point in points)
    return ordered[len(points) // 2] | errors | {"failed": failed}


async def _point(
    setup: Setup, service: Service, generator: Generator, plan: Plan
) -> dict[str, Any]:
    """Send at one load, and put what was measured beside what is predicted."""
    count = max(30, int(plan.load * setup.servers / plan.service_s * plan.seconds))
    offsets = typical_arrivals(setup, plan.load, plan.service_s, count)
    cpu_s = _cpu_s(service, setup)
    answers, lag_s = await _send(generator, offsets)
    service_s = (_cpu_s(service, setup) - cpu_s) / count
    rate_per_s = (count - 1) / (answers[-1].due_s - answers[0].due_s)
    latencies = [answer.seconds for answer in answers]
    base_s = service_s + plan.beside_s
    queue = setup.queue(rate_per_s, service_s)
    waits = {"mean": queue.mean_wait_s, "p95": queue.wait_quantile_s(0.95)}
    measured = {"mean": statistics.fmean(latencies), "p95": float(np.quantile(latencies, 0.95))}
    point: dict[str, Any] = {
        "load": rate_per_s * service_s / setup.servers,
        "per_s": rate_per_s,
        "count": count,
        "failed": sum(answer.status != _OK for answer in answers),
        "late_ms": lag_s * 1000,
        "service_ms": service_s * 1000,
    }
    for name, wait_s in waits.items():
        point |= {
            f"{name}_ms": measured[name] * 1000,
            f"{name}_predicted_ms": (base_s + wait_s) * 1000,
            f"{name}_error": measured[name] / (base_s + wait_s) - 1,
        }
    return point


def typical_arrivals(setup: Setup, load: float, service_s: float, count: int) -> list[float]:
    """Draw arrivals, in seconds from the start, whose waits are those that the formula expects."""
    rate_per_s = load * setup.servers / service_s
    queue = setup.queue(rate_per_s, service_s)
    expected = np.array([queue.mean_wait_s, queue.wait_quantile_s(0.95)])
    best: tuple[float, list[float]] = (float("inf"), [])
    for seed in range(_CANDIDATES):
        generator = random.Random(seed)  # noqa: S311 - no secret
        offsets = list(accumulate(generator.expovariate(rate_per_s) for _ in range(count)))
        waits = setup.replay(offsets, service_s)
        drawn = np.array([waits.mean(), np.quantile(waits, 0.95)])
        rate = (count - 1) / (offsets[-1] - offsets[0])
        off = abs(drawn / expected - 1).max() + 3 * abs(rate / rate_per_s - 1)
        best = min(best, (float(off), offsets))
    return best[1]


async def _send(generator: Generator, offsets: list[float]) -> tuple[list[Answer], float]:
    """Send each when its time has come; return the answers, and how late the latest percent was.

    A timer is up to a millisecond late. That is random too: latency counts from the sending.
    """
    begun_s = time.perf_counter()
    tasks, lags = [], []
    for offset in offsets:
        await asyncio.sleep(max(0.0, begun_s + offset - time.perf_counter()))
        now_s = time.perf_counter()
        lags.append(now_s - begun_s - offset)
        tasks.append(asyncio.create_task(generator.send(now_s)))
    return list(await asyncio.gather(*tasks)), float(np.quantile(lags, 0.99))


def _cpu_s(service: Service, setup: Setup) -> float:
    """Return the CPU of the workers, and of this process where it shares their cores."""
    return service.cpu_s + (time.process_time() if setup.servers > 1 else 0.0)


def _others_s(service: Service) -> float:
    """Return the CPU of all programs of this machine but the service's workers and this one."""
    ticks = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
    user, nice, system, _, _, irq, softirq, steal = map(int, ticks)
    busy_s = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return busy_s - service.cpu_s - time.process_time()


def _print(name: str, point: dict[str, Any]) -> None:
    print(
        f"{name:<22} load {point['load']:.2f}  {point['per_s']:6.1f}/s  "
        f"mean {point['mean_ms']:6.1f} ms, predicted {point['mean_predicted_ms']:6.1f} "
        f"({point['mean_error']:+.0%})  p95 {point['p95_ms']:6.1f}, "
        f"predicted {point['p95_predicted_ms']:6.1f} ({point['p95_error']:+.0%})"
        f"{'  ' + str(point['failed']) + ' FAILED' if point['failed'] else ''}"
    )


if __name__ == "__main__":
    sys.exit(main())
