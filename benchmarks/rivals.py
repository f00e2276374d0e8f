r"""Neumo beside what people would pick instead, and the floor: one command.

    .venv-dev/bin/python -m benchmarks.rivals            # 20 minutes, after the rivals' set-up
    .venv-dev/bin/python -m benchmarks.rivals --quick    # one minute: Neumo, floor, FastAPI int8
    .venv-dev/bin/python -m benchmarks.rivals --resume   # goes on where a run was stopped
    .venv-dev/bin/python -m benchmarks.rivals --cores both --rounds 7 --seconds 3 \
        --contenders "FastAPI + Neumo's graph" "FastAPI + ONNX int8"    # a part: 8 minutes

"one core" puts server and floor on core 0 and the generator on core 1. "both cores" lets server
and generator share two, which is how a machine of two is used; the generator is wrk then, and
only answers of 200 count. Every cell is measured in rounds, all contenders in turn in each, and
told by the median; a cell's ratio is the median of the rounds' ratios, for the machine's mood
changes between rounds. Writes .work/results.json (a part: part.json), and with --publish
docs/performance.json, its plot and the tables of docs/performance.md; a part replaces its cells.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks import report, wrk
from benchmarks.contenders import (
    FIELDS,
    GRAPH,
    NEUMO,
    RIVALS,
    ROOT,
    WORK,
    Contender,
    Running,
    prepare,
    python_of,
    started,
)
from benchmarks.images import FORMATS, write_all

_LIMIT_S: Final = 90
_REST_S: Final = 0.3  # after wrk, for the requests that it left unanswered
_QUICK_RIVALS: Final = ("FastAPI + ONNX int8",)
_BOTH_RIVALS: Final = (GRAPH.name, *_QUICK_RIVALS)


@dataclass(frozen=True)
class Cell:
    """One thing to measure. `rate` a second is an open loop's; 0 is closed."""

    cores: str  # "one" or "both"
    image: str
    connections: int
    names: tuple[str, ...]
    rounds: int
    seconds: float
    rate_share: float = 0  # of Neumo's measured closed-loop rate at 8 connections

    @property
    def key(self) -> str:
        """Name it in the results."""
        mode = f"open {self.rate_share}" if self.rate_share else "closed"
        mode = "wrk" if self.cores == "both" else mode
        return f"{self.cores} | {self.image} | {self.connections} | {mode}"


def plan(names: tuple[str, ...], *, quick: bool) -> list[Cell]:
    """Return what is measured, in order."""
    ours = ("Neumo", report.FLOOR)
    formats = ("JPEG 1024", "PNG 1024") if quick else tuple(FORMATS)
    rounds, seconds = (2, 1.5) if quick else (3, 2.5)
    cells = [Cell("one", image, 8, names, rounds, seconds) for image in formats]
    for image in formats:
        everyone = names if image == "JPEG 1024" else ours
        cells.append(Cell("one", image, 1, everyone, rounds, seconds))
    if not quick:
        cells.append(Cell("one", "JPEG 1024", 32, names, rounds, seconds))
        cells += [
            Cell("one", "JPEG 1024", 64, ("Neumo", *_QUICK_RIVALS), rounds, 5, share)
            for share in (0.5, 0.7)
        ]
        near = tuple(name for name in names if name in {"Neumo", *_BOTH_RIVALS})
        cells += [Cell("both", image, 8, names, rounds, 3) for image in report.BOTH_FORMATS]
        cells += [Cell("both", image, 1, near, rounds, 3) for image in report.BOTH_FORMATS]
    return cells


def part(cells: list[Cell], options: argparse.Namespace) -> list[Cell]:
    """Return what the options leave of a plan, and as they want it."""
    chosen = []
    for cell in cells:
        names = tuple(
            name
            for name in cell.names
            if options.contenders is None or name in {"Neumo", *options.contenders}
        )
        wanted = (
            options.cores in (None, cell.cores)
            and (options.formats is None or cell.image in options.formats)
            and (options.connections is None or cell.connections in options.connections)
            and len(names) > 1
        )
        if wanted:
            seconds = options.seconds or cell.seconds
            chosen.append(
                replace(cell, names=names, rounds=options.rounds or cell.rounds, seconds=seconds)
            )
    return chosen


def main() -> None:
    """Measure, write, print."""
    options = _parse()
    chosen = _choose(options)
    names = ("Neumo", report.FLOOR, *(each.name for each in chosen))
    cells = part(plan(names, quick=options.quick), options)
    _check_wrk(cells)
    WORK.mkdir(exist_ok=True)
    prepare([NEUMO, *chosen])
    images = write_all(WORK / "images")
    kept = WORK / ("part.json" if _is_part(options) else "results.json")
    results = json.loads(kept.read_text()) if options.resume and kept.exists() else {}
    results.setdefault("cells", {})
    results.setdefault("started", {})
    results["machine"] = _describe_machine()
    for cores, of_cores in _by_cores(cells):
        todo = [cell for cell in of_cores if cell.key not in results["cells"]]
        if not todo:
            continue
        with ExitStack() as stack:
            servers = {
                each.name: stack.enter_context(started(each, _cpus(cores)))
                for each in [NEUMO, *chosen]
            }
            if cores == "one":
                results["started"] = {
                    name: {"ready_s": server.started_s} for name, server in servers.items()
                }
            for cell in todo:
                results["cells"][cell.key] = _measure(cell, servers, images, results["cells"])
                kept.write_text(json.dumps(results, indent=1))
                print(report.row(cell.key, results["cells"][cell.key]), flush=True)
            for name, server in servers.items():
                if name in results["started"]:
                    results["started"][name]["resident_mb"] = server.resident_mb()
        kept.write_text(json.dumps(results, indent=1))
    print(report.tables(results))
    _finish(results, options)


def _check_wrk(cells: list[Cell]) -> None:
    """End here, not after the minutes before both cores' turn, if they can't be measured."""
    if "both" in {cell.cores for cell in cells}:
        try:
            wrk.find_wrk()
        except wrk.WrkMissing as missing:
            sys.exit(f"{missing}; --cores one does without")


def _finish(results: dict[str, Any], options: argparse.Namespace) -> None:
    docs = ROOT / "docs"
    if not _is_part(options):
        report.plot(results, WORK / "performance.png")
    elif options.publish:
        results = report.merge(json.loads((docs / "performance.json").read_text()), results)
    if options.publish:
        report.publish(results, docs)


def _choose(options: argparse.Namespace) -> list[Contender]:
    return [
        each
        for each in RIVALS
        if each.name not in (options.without or ())
        and (not options.quick or each.name in _QUICK_RIVALS)
        and (options.contenders is None or each.name in options.contenders)
    ]


def _is_part(options: argparse.Namespace) -> bool:
    limits = ("cores", "formats", "connections", "contenders", "without", "quick")
    return any(getattr(options, name) for name in limits)


def _cpus(cores: str) -> set[int]:
    """Return the CPUs of a server: the first, or the first two, whatever the machine has."""
    return {0} if cores == "one" else set(sorted(os.sched_getaffinity(0))[:2])


def _by_cores(cells: list[Cell]) -> Iterator[tuple[str, list[Cell]]]:
    for cores in ("one", "both"):
        yield cores, [cell for cell in cells if cell.cores == cores]


def _measure(
    cell: Cell,
    servers: Mapping[str, Running],
    images: Mapping[str, Path],
    done: Mapping[str, report.Figures],
) -> report.Figures:
    """Measure every contender in each round; return figures by contender, a list a round."""
    rate = 0.0
    if cell.rate_share:
        closed = done[Cell(cell.cores, cell.image, 8, (), 0, 0).key]
        rate = cell.rate_share * report.median(closed["Neumo"], "per_second")
    figures: report.Figures = {name: [] for name in cell.names}
    for name in cell.names:  # not counted: caches, and lazily loaded parts
        _run_once(cell, name, servers, images[cell.image], seconds=0.5, rate=0)
    for _ in range(cell.rounds):
        for name in cell.names:
            figures[name].append(
                _run_once(cell, name, servers, images[cell.image], cell.seconds, rate)
            )
    return figures


def _run_once(
    cell: Cell,
    name: str,
    servers: Mapping[str, Running],
    image: Path,
    seconds: float,
    rate: float,
) -> dict[str, float]:
    if name == report.FLOOR:
        cpus = _cpus(cell.cores)
        threads = 1 if cell.connections == 1 else len(cpus)
        return _run(
            [
                *(str(python_of(None)), "-m", "benchmarks.floor", "--threads", str(threads)),
                *("--image", str(image), "--seconds", str(seconds)),
            ],
            cpus,
        )
    server = servers[name]
    before = server.cpu_seconds()
    field = FIELDS.get(name, "file")
    if cell.cores == "both":
        figures = wrk.post(
            server.port,
            image,
            field=field,
            cpus=_cpus("both"),
            connections=cell.connections,
            seconds=max(1, round(seconds)),
        )
        time.sleep(_REST_S)
    else:
        figures = _run(
            [
                *(sys.executable, "-m", "benchmarks.generator", "--port", str(server.port)),
                *("--image", str(image), "--connections", str(cell.connections)),
                *("--seconds", str(seconds), "--rate", str(rate), "--field", field),
            ],
            {max(os.sched_getaffinity(0))},
        )
    if figures["count"]:
        figures["cpu_ms"] = (server.cpu_seconds() - before) / figures["count"] * 1000
    return figures


def _run(command: list[str], cpus: set[int]) -> dict[str, float]:
    done = subprocess.run(  # noqa: S603 - our own command
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cpus),
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _describe_machine() -> dict[str, str]:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "python": platform.python_version(),
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one minute, fewer cells")
    parser.add_argument("--resume", action="store_true", help="keep the cells already measured")
    names = [each.name for each in RIVALS]
    parser.add_argument("--without", nargs="+", choices=names)
    parser.add_argument("--contenders", nargs="+", choices=[report.FLOOR, *names])
    parser.add_argument("--cores", choices=["one", "both"])
    parser.add_argument("--formats", nargs="+", choices=list(FORMATS))
    parser.add_argument("--connections", nargs="+", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of a round; wrk's are whole")
    parser.add_argument("--publish", action="store_true", help="write docs/performance.*")
    return parser.parse_args()


if __name__ == "__main__":
    main()
