"""What a service does with more than it can read: four times its peak, in an open loop.

    .venv-dev/bin/python -m benchmarks.overload --output overload

Starts `neumo serve` on core 0 and sends from core 1 (where there is one): first as much as eight
connections get answered (the peak), then four times that rate, while /health/live is asked every
50 ms. Prints a table; `--output FOLDER` also writes it as JSON and, where matplotlib is, a plot.
Exits with 1 if a bar is missed: goodput (Readings a second) at least 90 % of the peak, refusals
within 50 ms and /health/live within 100 ms in 99 of 100 cases, nothing unanswered, no worker
replaced. The bars can be widened by `--goodput` and `--slack`.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import Answer, Generator, get, post
from benchmarks.service import Service, start

ROOT = Path(__file__).parents[1]
OK, REFUSED = 200, 503


@dataclass(frozen=True, slots=True)
class Measured:
    """The answers of the peak, of overload, and of /health/live meanwhile."""

    peak: list[Answer]
    over: list[Answer]
    live: list[Answer]
    peak_s: float
    over_s: float
    replaced: int
    peak_cpu_s: float
    over_cpu_s: float

    @property
    def peak_rate(self) -> float:
        """Readings a second under eight connections."""
        return sum(answer.status == OK for answer in self.peak) / self.peak_s

    @property
    def goodput(self) -> float:
        """Readings a second, of those that came while the load lasted."""
        begun = self.over[0].due_s
        done = [a for a in self.over if a.due_s + a.seconds <= begun + self.over_s]
        return sum(answer.status == OK for answer in done) / self.over_s


def main() -> int:
    """Measure, print, write; return the exit code."""
    options = _options()
    image = options.image.read_bytes()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[1:2])
    with start(core=cores[0], arguments=["--log-level", "warning"]) as service:
        measured = asyncio.run(_measure(service, image, options))
    result = _summary(measured, options.times)
    missed = _missed(result, options)
    _print(result, missed)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        text = json.dumps(result | {"missed": missed}, indent=2)
        (options.output / "overload.json").write_text(text + "\n")
        _plot(measured, options.output / "overload.png")
    return 1 if missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--image", type=Path, default=ROOT / "examples" / "normal.jpg")
    parser.add_argument("--times", type=float, default=4.0, help="of the peak")
    parser.add_argument("--peak-s", type=float, default=10.0)
    parser.add_argument("--over-s", type=float, default=30.0)
    parser.add_argument("--goodput", type=float, default=0.9, help="bar, of the peak")
    parser.add_argument("--slack", type=float, default=1.0, help="widens the bars of latency")
    parser.add_argument("--output", type=Path, help="folder for overload.json and overload.png")
    return parser.parse_args()


async def _measure(service: Service, image: bytes, options: argparse.Namespace) -> Measured:
    generator = Generator(service.port, post(image))
    await generator.closed_loop(8, 1.0)  # warm
    begun_s = service.cpu_s
    peak = await generator.closed_loop(8, options.peak_s)
    peak_cpu_s = service.cpu_s - begun_s
    rate = sum(answer.status == OK for answer in peak) / options.peak_s
    probes = Generator(service.port, get("/health/live"))
    workers = service.workers
    begun_s = service.cpu_s
    over, live = await asyncio.gather(
        generator.open_loop(rate * options.times, options.over_s),
        probes.open_loop(20, options.over_s),
    )
    generator.close()
    probes.close()
    replaced = len(set(workers) - set(service.workers))
    over_cpu_s = service.cpu_s - begun_s
    return Measured(
        peak, over, live, options.peak_s, options.over_s, replaced, peak_cpu_s, over_cpu_s
    )


def _summary(measured: Measured, times: float) -> dict[str, object]:
    refused = [answer.seconds for answer in measured.over if answer.status == REFUSED]
    read = [answer.seconds for answer in measured.over if answer.status == OK]
    return {
        "peak_per_s": round(measured.peak_rate, 1),
        "peak_p50_ms": _quantile_ms([answer.seconds for answer in measured.peak], 50),
        "offered_per_s": round(len(measured.over) / measured.over_s, 1),
        "times": times,
        "goodput_per_s": round(measured.goodput, 1),
        "goodput_of_peak": round(measured.goodput / measured.peak_rate, 3),
        "peak_cpu_ms_each": round(measured.peak_cpu_s * 1000 / len(measured.peak), 2),
        "over_cpu_ms_each": round(measured.over_cpu_s * 1000 / max(1, len(read)), 2),
        "readings_p50_ms": _quantile_ms(read, 50),
        "readings_p99_ms": _quantile_ms(read, 99),
        "refusals_p50_ms": _quantile_ms(refused, 50),
        "refusals_p99_ms": _quantile_ms(refused, 99),
        "live_p99_ms": _quantile_ms([answer.seconds for answer in measured.live], 99),
        "live_failed": sum(answer.status != OK for answer in measured.live),
        "statuses": dict(Counter(str(answer.status) for answer in measured.over)),
        "workers_replaced": measured.replaced,
    }


def _quantile_ms(seconds: Sequence[float], percent: int) -> float:
    if len(seconds) < 2:  # noqa: PLR2004 - quantiles need two
        return 0.0
    return round(statistics.quantiles(seconds, n=100)[percent - 1] * 1000, 2)


def _missed(result: dict[str, object], options: argparse.Namespace) -> list[str]:
    statuses: dict[str, int] = result["statuses"]  # type: ignore[assignment]
    bars = {
        "goodput_of_peak": result["goodput_of_peak"] >= options.goodput,  # type: ignore[operator]
        "refusals_p99_ms": result["refusals_p99_ms"] <= 50 * options.slack,  # type: ignore[operator]
        "live_p99_ms": result["live_p99_ms"] <= 100 * options.slack,  # type: ignore[operator]
        "live_failed": result["live_failed"] == 0,
        "statuses": statuses.get("0", 0) == 0,
        "workers_replaced": result["workers_replaced"] == 0,
    }
    return [name for name, kept in bars.items() if not kept]


def _print(result: dict[str, object], missed: list[str]) -> None:
    for name, value in result.items():
        print(f"{name:<18} {value}{'   MISSED' if name in missed else ''}")


def _plot(measured: Measured, path: Path) -> None:
    try:
        import matplotlib as mpl  # noqa: PLC0415 - not where only serving is
    except ImportError:
        return
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, (rates, latencies) = plt.subplots(2, sharex=True, figsize=(8, 6))
    begun = measured.over[0].due_s
    seconds = range(int(measured.over_s))
    for status, label in ((OK, "Readings"), (REFUSED, "refused, 503")):
        ends = [a.due_s + a.seconds - begun for a in measured.over if a.status == status]
        counts = Counter(int(end) for end in ends)
        rates.plot([s + 0.5 for s in seconds], [counts[s] for s in seconds], label=label)
        dots = [(a.due_s - begun, a.seconds * 1000) for a in measured.over if a.status == status]
        if dots:
            latencies.plot(*zip(*dots, strict=True), ".", markersize=2, label=label)
    dots = [(a.due_s - begun, a.seconds * 1000) for a in measured.live]
    latencies.plot(*zip(*dots, strict=True), ".", markersize=3, label="/health/live")
    rates.axhline(measured.peak_rate, color="grey", linestyle="--", label="peak")
    rates.set(ylabel="answers a second", ylim=(0, None))
    latencies.set(ylabel="milliseconds", xlabel="seconds of overload", yscale="log")
    latencies.axhline(50, color="grey", linestyle=":", label="50 ms")
    for axes in (rates, latencies):
        axes.legend(loc="center right", fontsize="small", markerscale=4)
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
