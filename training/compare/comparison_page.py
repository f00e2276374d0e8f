"""A comparison written out: for a terminal, for machines, as a page of HTML."""

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from matplotlib.figure import Figure

from training.compare.comparison import Compared
from training.html_report.html_elements import Html, items, page, paragraph, plot, section, table
from training.metrics.paired import Changes, Difference
from training.report.plot_style import FAINT, entitle, new_plot, styled

_SAID = (
    "Differences are the second less the first, with 95 % intervals paired by patient, each for "
    "itself: of a dozen one in two tables lies outside by chance. p is of a sign test by patient "
    "(McNemar's, of one image a patient) on who is called right."
)


def render_terminal(told: Compared) -> str:
    """Write a comparison out in lines: for a person, or a file."""
    lines = [
        f"{told.names[0]} (first) and {told.names[1]} (second)",
        _describe_images(told),
        *told.notes,
        "",
        *_align(["figure", "first", "second", "difference"], _list_figures(told)),
        "",
        _describe_changes(told.changes),
        "",
        *_align(["source", "label", "images", "first", "second", "difference", "p"], _list(told)),
    ]
    return "\n".join(lines) + "\n"


def to_json(told: Compared) -> str:
    """Write a comparison out for machines."""
    whole = asdict(told)
    whole["figures"] = {name: _to_dict(each) for name, each in told.figures.items()}
    whole["sources"] = {
        source: {
            label: {"images": images, **_to_dict(difference), "changes": asdict(changes)}
            for label, (images, difference, changes) in labels.items()
        }
        for source, labels in told.sources.items()
    }
    return json.dumps(whole, indent=1) + "\n"


def render_page(told: Compared) -> str:
    """Write a comparison out as a page of HTML that stands alone."""
    first, second = told.names
    head: Html = f"<h1>{first} and {second}</h1>" + paragraph(
        f"Compared on {_describe_images(told)}", "faint"
    )
    figures = [[name, *_show(each), each.difference] for name, each in told.figures.items()]
    rows = [
        [source, label, images, *_show(each), each.difference, f"{changes.p:.3f}"]
        for source, labels in told.sources.items()
        for label, (images, each, changes) in labels.items()
    ]
    by_source = ["source", "label", "images", first, second, "difference", "p"]
    return page(
        f"{first} and {second}",
        head + (items(told.notes) if told.notes else ""),
        [
            section(
                "figures",
                "Figures",
                [
                    paragraph(_SAID),
                    table(["figure", first, second, "difference"], figures),
                    paragraph(_describe_changes(told.changes)),
                    plot(draw_differences(told), f"{second} less {first}. Zero: no difference."),
                ],
            ),
            section("sources", "Called right, by source", [table(by_source, rows)]),
        ],
    )


@styled()
def draw_differences(told: Compared) -> Figure:
    """Draw each difference with its interval."""
    title = entitle("Differences", told.split, told.images)
    figure, axes = new_plot(6.4, 4.2, title)
    places = np.arange(len(told.figures))[::-1]
    values = [each.difference for each in told.figures.values()]
    middle = [each.value for each in values]
    reach = [
        [each.value - each.low for each in values],
        [each.high - each.value for each in values],
    ]
    axes.errorbar(middle, places, xerr=reach, fmt="o", capsize=3, color="C2")
    axes.axvline(0, color=FAINT, linewidth=0.8, linestyle="--")
    axes.set_yticks(places, list(told.figures))
    axes.set_xlabel("second less first, with 95 % interval")
    return figure


def _describe_images(told: Compared) -> str:
    what = f"{told.split}: {told.images} images of {told.patients} patients"
    if told.left_out:
        what += f"; {told.left_out} that only one has answers for are left out"
    if told.split == "test":
        what += ". The test split was read: who chooses by it has no test left"
    return what + "."


def _describe_changes(changes: Changes) -> str:
    return (
        f"Only the second is right of {changes.gained} images, only the first of {changes.lost}. "
        f"By patient {changes.patients_gained} and {changes.patients_lost}: p = {changes.p:.3g}."
    )


def _list_figures(told: Compared) -> list[list[str]]:
    return [[name, *_show(each), _difference(each)] for name, each in told.figures.items()]


def _list(told: Compared) -> list[list[str]]:
    return [
        [source, label, str(images), *_show(each), _difference(each), f"{changes.p:.3f}"]
        for source, labels in told.sources.items()
        for label, (images, each, changes) in labels.items()
    ]


def _show(each: Difference) -> list[str]:
    return [f"{each.first:.3f}", f"{each.second:.3f}"]


def _difference(each: Difference) -> str:
    told = each.difference
    return f"{told.value:+.3f} ({told.low:+.3f} to {told.high:+.3f})"


def _to_dict(each: Difference) -> dict[str, object]:
    return {
        "first": each.first,
        "second": each.second,
        "difference": each.difference.model_dump(),
    }


def _align(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]
