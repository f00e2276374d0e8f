"""training.report.plots: what is drawn are the figures, and what is written are pictures."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from PIL import Image

from app.model.measured.figures import Changed, Deletion, Interval
from tests.training.plots import points_by_name
from training.metrics.metrics import measure
from training.report import plots
from training.report.audit_plots import draw_changes, draw_deletion
from training.report.plot_style import COLOURS, INK, save_figure, to_svg
from training.report.plots import (
    draw_all,
    draw_confusion,
    draw_precision_recall,
    draw_reliability,
    draw_risk_coverage,
    draw_roc,
    plot_all,
)

PLOTS = {
    "confusion.png",
    "roc.png",
    "precision-recall.png",
    "reliability.png",
    "risk-coverage.png",
}
NAMES = ["Normal", "COVID-19", "Bacterial pneumonia", "Viral pneumonia"]

LABELS = np.array([0, 0, 1, 2, 3, 3])
ANSWERS = np.array(
    [
        [0.75, 0.05, 0.10, 0.10],
        [0.15, 0.65, 0.10, 0.10],  # wrong
        [0.05, 0.75, 0.10, 0.10],
        [0.02, 0.03, 0.90, 0.05],
        [0.10, 0.10, 0.15, 0.65],
        [0.02, 0.03, 0.90, 0.05],  # wrong
    ],
    np.float32,
)


FIGURES = measure(LABELS, ANSWERS, list("aabbcd"), list("xxxyyy"))


def points_by_label(figure: Figure) -> dict[str, list[list[float]]]:
    """Return the points of each label's line, whatever more the legend tells of it."""
    points = points_by_name(figure.axes[0])
    found = {name.partition(":")[0]: points[name] for name in points}
    assert list(found) == NAMES
    return found


# ---------------------------------------------------------------- what is drawn


def test_confusion_shows_counts_and_their_share_of_the_truth() -> None:
    figure = draw_confusion([[3, 1, 0, 0], [1, 1, 0, 0], [0, 0, 7, 0], [1, 0, 1, 6]], "test")
    texts = [text.get_text().split("\n") for text in figure.axes[0].texts]
    assert texts[:2] == [["3", "75%"], ["1", "25%"]]
    assert texts[4:6] == [["1", "50%"], ["1", "50%"]]
    assert texts[-4:] == [["1", "12%"], ["0", "0%"], ["1", "12%"], ["6", "75%"]]


def test_confusion_has_the_truth_on_the_left_and_the_prediction_below() -> None:
    figure = draw_confusion(np.eye(4, dtype=int).tolist(), "test")
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [tick.get_text().replace("\n", " ") for tick in ticks] == NAMES


def test_roc_has_a_curve_of_each_label_against_the_rest() -> None:
    figure = draw_roc(LABELS, ANSWERS, FIGURES, "test")
    curves = points_by_label(figure)
    # Of COVID-19: one image of it, above all five others.
    assert [0, 1] in curves["COVID-19"]
    # Of viral: of two images one is above all others, one ties with a bacterial one as the last.
    assert_allclose(curves["Viral pneumonia"], [[0, 0], [0, 0.5], [0.75, 0.5], [1, 1]])


def test_precision_recall_has_a_curve_of_each_label_against_the_rest() -> None:
    figure = draw_precision_recall(LABELS, ANSWERS, "test")
    curves = points_by_label(figure)
    # Of bacterial: one image of it, tied for the highest with one that is viral.
    assert [1, 0.5] in curves["Bacterial pneumonia"]
    assert [1, 1] in curves["COVID-19"]


def test_reliability_shows_what_is_said_against_what_came_true() -> None:
    figure = draw_reliability(LABELS, ANSWERS, FIGURES, "test")
    panels = {axes.get_title("left"): axes for axes in figure.axes}
    assert list(panels) == ["label called", *NAMES, "confidence"]
    # Six images make six bins of one, the least likely first.
    (points, *_) = panels["label called"].containers[0].lines
    said = [0.65, 0.65, 0.75, 0.75, 0.9, 0.9]
    assert_allclose(points.get_xydata(), list(zip(said, [0, 1, 1, 1, 1, 0], strict=True)))
    (points, *_) = panels["Viral pneumonia"].containers[0].lines
    said = [0.05, 0.05, 0.1, 0.1, 0.1, 0.65]
    assert_allclose(points.get_xydata(), list(zip(said, [0, 1, 0, 0, 0, 1], strict=True)))


def test_reliability_shows_how_far_chance_reaches() -> None:
    labels, answers = np.tile(LABELS, 15), np.tile(ANSWERS, (15, 1))
    figure = draw_reliability(labels, answers, FIGURES, "test")
    _, _, (bars,) = figure.axes[0].containers[0].lines
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert len(ends) == 15  # bins of six
    half = 1.96 * (0.5 * 0.5 / 6) ** 0.5
    assert_allclose(ends[0], [0.5 - half, 0.5 + half])


def test_reliability_counts_the_images_by_confidence() -> None:
    figure = draw_reliability(LABELS, ANSWERS, FIGURES, "test")
    heights = [bar.get_height() for bar in figure.axes[-1].patches]
    assert heights == [0] * 9 + [2, 0, 2, 0, 2, 0]


def test_risk_coverage_shows_errors_among_the_most_confident() -> None:
    answers = ANSWERS[[3, 0, 1, 2]][:, [2, 0, 1, 3]]
    figure = draw_risk_coverage(np.array([0, 1, 0, 1]), answers, FIGURES, "test")
    (line,) = figure.axes[0].lines
    x, y = line.get_xydata().T
    assert_allclose(x, [0.25, 0.5, 0.75, 1])
    assert_allclose(y, [0, 0, 1 / 3, 2 / 4])


def test_deletion_shows_both_curves() -> None:
    gap = Interval(value=0.2, low=0.1, high=0.3)
    told = Deletion(images=9, shares=[0, 0.5], marked=[0.9, 0.3], random=[0.9, 0.5], gap=gap)
    figure = draw_deletion(told, "test")
    assert points_by_name(figure.axes[0]) == {
        "what the map marks": [[0, 0.9], [0.5, 0.3]],
        "at random": [[0, 0.9], [0.5, 0.5]],
    }


def test_changes_show_accuracy_with_its_interval_beside_the_unchanged() -> None:
    unchanged = Interval(value=0.9, low=0.8, high=0.95)
    blurred = Interval(value=0.7, low=0.6, high=0.9)
    changed = {"blurred_1_px": Changed(accuracy=blurred, lost=blurred, macro_auroc=blurred)}
    figure = draw_changes(changed, unchanged, "test", 9)
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["unchanged", "blurred 1 px"]
    points, _, (bars,) = axes.containers[0].lines
    assert_allclose(points.get_xydata(), [[0.9, 1], [0.7, 0]])
    assert_allclose([s[:, 0] for s in bars.get_segments()], [[0.8, 0.95], [0.6, 0.9]])


# ---------------------------------------------------------------- what is written


def test_all_plots_of_a_card_appear_whole_and_nothing_else(tmp_path: Path) -> None:
    plot_all(LABELS, ANSWERS, FIGURES, "test", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == PLOTS == set(plots.PLOTS)
    for path in tmp_path.iterdir():
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert min(image.size) > 400
            assert len(image.convert("RGB").getcolors(1 << 24)) > 10  # no blank page


def test_the_same_answers_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        plot_all(LABELS, ANSWERS, FIGURES, "test", folder)
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in PLOTS)


def test_other_answers_give_other_bytes(tmp_path: Path) -> None:
    once, other = tmp_path / "once.png", tmp_path / "other.png"
    save_figure(draw_roc(LABELS, ANSWERS, FIGURES, "test"), once)
    save_figure(draw_roc(LABELS, ANSWERS[::-1], FIGURES, "test"), other)
    assert once.read_bytes() != other.read_bytes()


def test_a_plot_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "roc.png"
    path.write_bytes(b"an old one")
    save_figure(draw_roc(LABELS, ANSWERS, FIGURES, "test"), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]


# ---------------------------------------------------------------- how it looks


def test_every_plot_has_a_title_with_what_split_and_how_many() -> None:
    rate = Interval(value=0.5, low=0.4, high=0.6)
    told = Deletion(images=9, shares=[0, 1], marked=[1, 0], random=[1, 0], gap=rate)
    figures = [
        *draw_all(LABELS, ANSWERS, FIGURES, "validation"),
        draw_deletion(told, "validation"),
        draw_changes({}, rate, "validation", 6),
    ]
    titles = [figure.get_suptitle() or figure.axes[0].get_title("left") for figure in figures]
    assert [title.partition(": ")[0] for title in titles] == [
        *("What was called", "ROC", "Precision and recall", "Reliability"),
        *("Answered against wrong", "Deleted by the map, or at random", "Images changed"),
    ]
    assert all(": validation, n = " in title for title in titles)
    assert [int(re.findall(r"n = (\d+)", title)[0]) for title in titles] == [6] * 5 + [9, 6]


def test_the_legends_tell_areas_with_intervals_and_the_errors_beside_chance() -> None:
    names = points_by_name(draw_roc(LABELS, ANSWERS, FIGURES, "test").axes[0])
    area = FIGURES.auroc["covid19"]
    assert list(names)[1] == f"COVID-19: {area.value:.3f} ({area.low:.3f} to {area.high:.3f})"
    title = draw_reliability(LABELS, ANSWERS, FIGURES, "test").get_suptitle()
    assert f"ECE {FIGURES.ece:.3f}, by chance below {FIGURES.ece_by_chance_95:.3f}" in title


def test_in_a_page_a_plot_takes_the_pages_colours_and_says_what_it_shows() -> None:
    figure = draw_roc(LABELS, ANSWERS, FIGURES, "test")
    drawn = to_svg(figure, "ROC curves")
    assert drawn == to_svg(draw_roc(LABELS, ANSWERS, FIGURES, "test"), "ROC curves")
    root = ET.fromstring(drawn)  # noqa: S314 - what was drawn here
    assert root.get("aria-label") == "ROC curves"
    assert "currentColor" in drawn
    assert INK not in drawn
    assert COLOURS[1].lower() in drawn.lower()
    assert "1 - specificity" in "".join(root.itertext())  # as text, to be found and read aloud


def test_a_plot_leaves_the_style_of_others_as_it_was(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    plot_all(LABELS, ANSWERS, FIGURES, "test", tmp_path)
    assert dict(mpl.rcParams) == before
