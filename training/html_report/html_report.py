"""The page of a report, its parts in the order in which people ask."""

from datetime import UTC, datetime
from pathlib import Path

from training.files import write_whole
from training.html_report.data_part import describe_data
from training.html_report.doubt_part import (
    describe_audit,
    describe_doubt,
    describe_held_out,
    describe_sources,
)
from training.html_report.figures_part import describe_figures, describe_glance, describe_learning
from training.html_report.films_part import Showing, describe_mistakes
from training.html_report.html_elements import Html, command, inline, page, paragraph, text
from training.html_report.material import Material, Wanted, gather
from training.html_report.origin_part import describe_limits, describe_origin
from training.measure.predictions import PREDICTIONS_FILE, write_predictions


def write_report(wanted: Wanted, showing: Showing, out: Path | None) -> tuple[Path, Material]:
    """Write the report, and what was answered beside it; return its path, and what it is of.

    Parameters
    ----------
    out : the file; None: ``<name>-report.html`` here

    Raises
    ------
    NeumoError
        As `gather` does.
    """
    found = gather(wanted)
    path = out or Path(f"{found.name}-report.html")
    path.parent.mkdir(parents=True, exist_ok=True)
    if found.asked and found.asked.images is not None:
        write_predictions(path.parent / PREDICTIONS_FILE, found.asked.predictions)
    write_whole(path, render(found, showing).encode())
    return path, found


def render(found: Material, showing: Showing) -> str:
    """Return the whole page, UTF-8 HTML that stands alone.

    Parameters
    ----------
    showing : which films may be shown
    """
    return page(
        f"{found.name}: report",
        _describe_head(found),
        [
            describe_data(found),
            describe_learning(found),
            describe_figures(found),
            describe_sources(found),
            describe_held_out(found),
            describe_doubt(found),
            describe_mistakes(found, showing),
            describe_audit(found),
            describe_limits(found),
            describe_origin(found),
        ],
    )


def _describe_head(found: Material) -> Html:
    today = datetime.now(UTC).date().isoformat()
    kind = "bundle" if found.bundle else "run without a bundle"
    return "".join(
        [
            f"<h1>{text(found.name)}</h1>",
            paragraph(f"Report on a {kind}, {today}. Not a medical device.", "faint"),
            *([_warn_of_test()] if _of_test(found) else []),
            describe_glance(found),
            _describe_missing(found),
        ]
    )


def _of_test(found: Material) -> bool:
    return found.asked is not None and found.asked.split == "test"


def _warn_of_test() -> Html:
    return paragraph(
        "This report looks at single answers of the test split. Whoever changes a recipe after "
        "reading it has chosen by the test, and its figures flatter from then on."
    )


def _describe_missing(found: Material) -> Html:
    if not found.missing:
        return ""
    lines = [
        f"<li>{inline(each.what)}{command(each.command) if each.command else ''}</li>"
        for each in found.missing
    ]
    return f"<div class='card missing'><h3>What is missing here</h3><ul>{''.join(lines)}</ul></div>"
