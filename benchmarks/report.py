"""What was measured, for people: tables, the bars, a plot, and the docs' part of them."""

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

Figures = dict[str, list[dict[str, float]]]
Results = Mapping[str, Any]

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
FLOOR: Final = "floor"
_INT8: Final = "FastAPI + ONNX int8"
_FORMATS: Final = (
    "JPEG 1024",
    "JPEG 2500",
    "PNG 1024",
    "PNG 2048",
    "PNG 1024, 16 bit",
    "PNG 2048, 16 bit",
)
BOTH_FORMATS: Final = ("JPEG 1024", "JPEG 2500", "PNG 1024")
"""What is measured with both cores too."""

_GRAPH: Final = "FastAPI + Neumo's graph"
_PEAK: Final = "8 | closed"
_ALONE: Final = "1 | closed"
_BARS: Final = (  # what, image, part of the key, figure, against, the bar or none; higher is better
    *(("throughput / floor", image, _PEAK, "per_second", FLOOR, 0.88) for image in _FORMATS),
    *(("CPU a request / floor's", image, _PEAK, "cpu_ms", FLOOR, None) for image in _FORMATS),
    ("throughput / FastAPI int8", "JPEG 1024", _PEAK, "per_second", _INT8, 1.1),
    ("throughput / FastAPI int8", "JPEG 2500", _PEAK, "per_second", _INT8, 1.5),
    ("throughput / FastAPI int8", "PNG 1024", _PEAK, "per_second", _INT8, 1.4),
    ("throughput / LitServe", "JPEG 1024", _PEAK, "per_second", "LitServe", 1.5),
    ("throughput / BentoML", "JPEG 1024", _PEAK, "per_second", "BentoML", 1.8),
    ("throughput / PyTorch", "JPEG 1024", _PEAK, "per_second", "FastAPI + PyTorch", 6.0),
)
_BOTH_BARS: Final = (  # image, connections, figure, against, the bar or none
    ("JPEG 1024", 8, "per_second", _GRAPH, 1.05),
    ("JPEG 2500", 8, "per_second", _GRAPH, 1.5),
    ("PNG 1024", 8, "per_second", _GRAPH, 1.3),
    ("JPEG 1024", 8, "per_second", _INT8, 1.3),
    ("JPEG 2500", 8, "per_second", _INT8, None),
    ("PNG 1024", 8, "per_second", _INT8, None),
    *((image, 1, "p50_ms", _GRAPH, 1.0) for image in BOTH_FORMATS),
)
_MOST_P50: Final = 1.2  # of the floor's, at one connection
_MOST_OVERHEAD_MS: Final = 1.0
_HEAD_LINES: Final = 2  # of a table


def median(rounds: list[dict[str, float]], figure: str) -> float:
    """Return the median over rounds; NaN where a round lacks the figure."""
    values = [each.get(figure) for each in rounds]
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else float("nan")


def ratios(cell: Figures, figure: str, one: str, other: str) -> list[float]:
    """Return each round's ratio; none if one of them was not measured."""
    if one not in cell or other not in cell:
        return []
    return [
        mine[figure] / theirs[figure]
        for mine, theirs in zip(cell[one], cell[other], strict=True)
        if figure in mine and figure in theirs
    ]


def ratio(cell: Figures, figure: str, one: str, other: str) -> float | None:
    """Return the median of the rounds' ratios, None if one of them was not measured."""
    known = ratios(cell, figure, one, other)
    return statistics.median(known) if known else None


def row(key: str, cell: Figures) -> str:
    """Return one line for the terminal."""
    told = [f"{name} {median(rounds, 'per_second'):.1f}/s" for name, rounds in cell.items()]
    return f"{key}: {', '.join(told)}"


def tables(results: Results) -> str:
    """Return the Markdown of everything measured."""
    cells: Mapping[str, Figures] = results["cells"]
    parts = [
        _machine(results["machine"]),
        _bars(cells),
        _both_bars(cells),
        _start(results.get("started", {})),
    ]
    for key, cell in cells.items():
        parts.append(_cell(key, cell))
    return "\n\n".join(part for part in parts if part)


def _machine(machine: Mapping[str, str]) -> str:
    return f"Machine: {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}."


def _bars(cells: Mapping[str, Figures]) -> str:
    lines = ["| bar | image | measured | wanted | |", "|---|---|---|---|---|"]
    for what, image, part, figure, against, bar in _BARS:
        value = ratio(cells.get(f"one | {image} | {part}", {}), figure, "Neumo", against)
        if value is not None and bar is None:
            lines.append(f"| {what} | {image} | {value:.2f} | | |")
        elif value is not None:
            met = "met" if value >= bar else "missed"
            lines.append(f"| {what} | {image} | {value:.2f} | >= {bar} | {met} |")
    for image in _FORMATS:
        alone = cells.get(f"one | {image} | {_ALONE}", {})
        value = ratio(alone, "p50_ms", "Neumo", FLOOR)
        if value is None:
            continue
        met = "met" if value <= _MOST_P50 else "missed"
        lines.append(f"| p50 / floor's | {image} | {value:.2f} | <= {_MOST_P50} | {met} |")
        overhead = median(alone["Neumo"], "overhead_ms")
        met = "met" if overhead <= _MOST_OVERHEAD_MS else "missed"
        lines.append(
            f"| overhead, p50 | {image} | {overhead:.2f} ms | <= {_MOST_OVERHEAD_MS} ms | {met} |"
        )
    return "\n".join(lines) if len(lines) > _HEAD_LINES else ""


def _both_bars(cells: Mapping[str, Figures]) -> str:
    lines = [
        "| both cores, default settings | image | connections | measured | rounds | wanted | |",
        "|---|---|---|---|---|---|---|",
    ]
    for image, connections, figure, against, bar in _BOTH_BARS:
        cell = cells.get(f"both | {image} | {connections} | wrk", {})
        known = ratios(cell, figure, "Neumo", against)
        if not known:
            continue
        value, low, high = statistics.median(known), min(known), max(known)
        what = "throughput" if figure == "per_second" else "p50"
        sign, met = (">=", value >= (bar or 0)) if what == "throughput" else ("<=", value <= bar)
        wanted = f" {sign} {bar} | {'met' if met else 'missed'}" if bar is not None else " |"
        lines.append(
            f"| {what} / {against} | {image} | {connections} | {value:.2f} "
            f"| {low:.2f} to {high:.2f} |{wanted} |"
        )
    return "\n".join(lines) if len(lines) > _HEAD_LINES else ""


def _start(started: Mapping[str, Mapping[str, float]]) -> str:
    lines = ["| | starts in | memory of the largest process |", "|---|---|---|"]
    lines += [
        f"| {name} | {figures['ready_s']:.2f} s | {_or_not_counted(figures, 'resident_mb', 0)} |"
        for name, figures in started.items()
    ]
    return "\n".join(lines) if started else ""


def _cell(key: str, cell: Figures) -> str:
    cores, image, connections, mode = key.split(" | ")
    title = f"{image}, {connections} connections, {cores} core{'s' if cores == 'both' else ''}"
    if mode == "wrk":
        title += ", load by wrk"
    elif mode != "closed":
        title += f", open loop at {mode.removeprefix('open ')} of Neumo's peak"
    lines = [f"**{title}**", "", "| | a second | p50 | p99 | CPU a request | failed |"]
    lines.append("|---|---|---|---|---|---|")
    for name, rounds in cell.items():
        counted = all("cpu_ms" in each for each in rounds)
        parts = ("per_second", "p50_ms", "p99_ms", *(("cpu_ms",) if counted else ()))
        figures = {each: median(rounds, each) for each in parts}
        failed = int(sum(each["failed"] for each in rounds))
        lines.append(
            f"| {name} | {figures['per_second']:.1f} | {figures['p50_ms']:.1f} ms "
            f"| {figures['p99_ms']:.1f} ms | {_or_not_counted(figures, 'cpu_ms', 1)} | {failed} |"
        )
    return "\n".join(lines)


def _or_not_counted(figures: Mapping[str, float], name: str, decimals: int) -> str:
    unit = "MB" if name.endswith("_mb") else "ms"
    return f"{figures[name]:.{decimals}f} {unit}" if name in figures else "not counted"


def plot(results: Results, path: Path) -> None:
    """Draw requests a second by format and contender."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to load, and not for every call

    cells: Mapping[str, Figures] = results["cells"]
    shown = [image for image in _FORMATS if f"one | {image} | {_PEAK}" in cells]
    names = list(cells[f"one | {shown[0]} | {_PEAK}"])
    figure = Figure((11, 5), layout="constrained")
    axes = figure.subplots()
    width = 0.85 / len(names)
    for index, name in enumerate(names):
        heights = [median(cells[f"one | {image} | {_PEAK}"][name], "per_second") for image in shown]
        places = [place + index * width for place in range(len(shown))]
        axes.bar(places, heights, width, label=name)
    axes.set_xticks([place + 0.4 for place in range(len(shown))], shown)
    axes.set_ylabel("requests a second, one core, 8 connections")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


def merge(published: Results, part: Results) -> Results:
    """Return published results with the cells of a later, smaller run in place of theirs."""
    started = published.get("started", {}) | part.get("started", {})
    cells = published["cells"] | part["cells"]
    return {**published, "machine": part["machine"], "started": started, "cells": cells}


def publish(results: Results, folder: Path) -> None:
    """Write performance.json and .png into a folder, and the tables of its performance.md."""
    (folder / "performance.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    plot(results, folder / "performance.png")
    page = folder / "performance.md"
    page.write_text(fill(page.read_text(encoding="utf-8"), results), encoding="utf-8")


def fill(page: str, results: Results) -> str:
    """Return a page with what lies between its marks written anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables(results)}\n\n{END}{after}"
