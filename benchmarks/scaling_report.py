"""The tables of docs/scaling.md and its plot, from docs/scaling.json."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.queueing import queue_of
from benchmarks.sizing import DEMANDS, Film, dollars_a_million, per_s_of_core, size

Results = dict[str, Any]

_MARKED: Final = re.compile(r"(<!-- from scaling.json: (\w+) -->)\n.*?(<!-- end -->)", re.DOTALL)


def write_tables(page: str, results: Results) -> str:
    """Return the page with each table worked out anew."""
    tables = {
        "machine": _machine,
        "queue": _queue,
        "films": _films,
        "demands": _demands,
        "sizes": _sizes,
        "memory": _memory,
    }

    def write(match: re.Match[str]) -> str:
        return "\n".join([match[1], "", *tables[match[2]](results), "", match[3]])

    return _MARKED.sub(write, page)


def films_of(results: Results) -> list[Film]:
    """Return the kinds of films that were measured."""
    return [
        Film(name, each["bytes"], each["service_ms"]) for name, each in results["films"].items()
    ]


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _machine(results: Results) -> list[str]:
    machine = results["machine"]
    where = f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}"
    others = max(curve["others"] for curve in results["curves"].values())
    return [
        f"Measured on {machine['date']}: {where}. Other programs took {others:.0%} of its cores."
    ]


def _queue(results: Results) -> list[str]:
    rows = []
    for name, curve in results["curves"].items():
        for point in curve["points"]:
            cells = [name, curve["formula"], f"{point['load']:.2f}", f"{point['per_s']:.1f}"]
            for each in ("mean", "p95"):
                predicted = f"{point[f'{each}_predicted_ms']:.1f}"
                cells += [
                    f"{point[f'{each}_ms']:.1f}",
                    f"{predicted} ({point[f'{each}_error']:+.0%})",
                ]
            errors = sorted(point["mean_errors"])
            rows.append([*cells, f"{errors[0]:+.0%} to {errors[-1]:+.0%}"])
    head = ["on", "formula", "load", "films a second", "mean, ms", "predicted"]
    return _rows([*head, "95 %, ms", "predicted", "mean, of all runs"], rows)


def _films(results: Results) -> list[str]:
    rows = [
        [
            film.name,
            f"{film.bytes / 1e6:.2f} MB",
            f"{film.service_ms:.1f} ms",
            f"{1000 / film.service_ms:.0f}",
            f"{per_s_of_core(film):.0f}",
            f"{2 * per_s_of_core(film) * 86_400:,.0f}",
            f"{dollars_a_million(film):.2f}",
        ]
        for film in films_of(results)
    ]
    head = ["film", "size", "CPU", "a second, a core full", "at a load of 0.6"]
    return _rows([*head, "a day, a replica of two cores", "dollars a million"], rows)


def _demands(results: Results) -> list[str]:
    rows = []
    for demand in DEMANDS:
        for film in films_of(results):
            need = size(demand, film)
            rows.append(
                [
                    demand.name,
                    film.name,
                    _number(need.per_s),
                    _number(need.busy_cores),
                    str(need.replicas),
                    str(need.cores),
                    f"{need.memory_gib} GiB",
                    _number(need.mbit_per_s),
                    f"{need.p95_ms:.0f} ms",
                    f"{need.dollars_a_day:.2f}",
                ]
            )
    head = ["demand", "film", "films a second", "cores busy", "replicas", "cores", "memory"]
    return _rows([*head, "Mbit/s", "95 % answered within", "dollars a day"], rows)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"  # noqa: PLR2004


def _sizes(results: Results) -> list[str]:
    formats = results["formats"]
    sides = [f"{each['megapixels']:.1f}" for each in next(iter(formats.values()))]
    rows = [
        [name, *(f"{each['decode_ms']:.1f}" for each in of), _slope(of)]
        for name, of in formats.items()
    ]
    return _rows(["decode, CPU ms", *(f"{side} MP" for side in sides), "ms a megapixel"], rows)


def _slope(points: Sequence[dict[str, float]]) -> str:
    pixels = [each["megapixels"] for each in points]
    slope, _ = np.polyfit(pixels, [each["decode_ms"] for each in points], 1)
    return f"{slope:.1f}"


def _memory(results: Results) -> list[str]:
    memory, audit = results["memory"], results["audit"]
    return _rows(
        ["what", "measured"],
        [
            [
                "a worker that has read films (its share of what it shares)",
                f"{memory['worker_mb']:.0f} MB",
            ],
            ["the parent", f"{memory['parent_mb']:.0f} MB"],
            ["a further model, in each worker", f"{memory['further_model_mb']:.0f} MB"],
            [
                "a row of the audit trail in SQLite, with its indexes",
                f"{audit['bytes_per_row']:.0f} bytes",
            ],
            ["a million rows", f"{audit['bytes_per_row'] / 1000:.2f} GB"],
            ["ten million rows: the country's week", f"{audit['bytes_per_row'] / 100:.1f} GB"],
        ],
    )


def draw(results: Results, path: Path) -> None:
    """Draw what was measured on what was predicted."""
    import matplotlib as mpl  # noqa: PLC0415 - not where only serving is

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    curves = results["curves"]
    figure, plots = plt.subplots(1, len(curves), sharey=True, figsize=(4 * len(curves), 4))
    plots = np.atleast_1d(plots)
    for axes, (name, curve) in zip(plots, curves.items(), strict=True):
        servers, service_s = curve["servers"], curve["service_ms"] / 1000
        base_ms = curve["service_ms"] + curve["beside_ms"]
        loads = np.linspace(0.05, 0.88, 60)
        queues = [
            queue_of(servers, load * servers / service_s, service_s, shared=curve["shared"])
            for load in loads
        ]
        for each, colour in (("mean", "tab:blue"), ("p95", "tab:red")):
            waits = [
                queue.mean_wait_s if each == "mean" else queue.wait_quantile_s(0.95)
                for queue in queues
            ]
            axes.plot(
                loads,
                [base_ms + wait * 1000 for wait in waits],
                color=colour,
                label=f"{each}, {curve['formula']}",
            )
            dots = [(point["load"], point[f"{each}_ms"]) for point in curve["points"]]
            axes.plot(*zip(*dots, strict=True), "o", color=colour, label=f"{each}, measured")
        axes.set(title=name, xlabel="load", ylim=(0, None))
        axes.title.set_fontsize(9)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    plots[0].set_ylabel("answer, milliseconds")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
