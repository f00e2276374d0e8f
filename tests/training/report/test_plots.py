"""training.report.plots: what is drawn are the figures, and what is written are pictures."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from PIL import Image

from app.model.measured.figures import Changed, Deletion, Interval
from tests.training.plots import points_by_name
from training.report import plots
from training.report.plots import (
    plot_all,
    plot_changes,
    plot_confusion,
    plot_deletion,
    plot_precision_recall,
    plot_reliability,
    plot_risk_coverage,
    plot_roc,
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


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    """The figures drawn, kept instead of written."""
    figures: list[Figure] = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, _: figures.append(figure))
    yield figures
    plt.close("all")


# ---------------------------------------------------------------- what is drawn


def test_confusion_shows_counts_and_their_share_of_the_truth(drawn: list[Figure]) -> None:
    plot_confusion([[3, 1, 0, 0], [1, 1, 0, 0], [0, 0, 7, 0], [1, 0, 1, 6]], Path())
    texts = [text.get_text().split("\n") for text in drawn[0].axes[0].texts]
    assert texts[:2] == [["3", "75%"], ["1", "25%"]]
    assert texts[4:6] == [["1", "50%"], ["1", "50%"]]
    assert texts[-4:] == [["1", "12%"], ["0", "0%"], ["1", "12%"], ["6", "75%"]]


def test_confusion_has_the_truth_on_the_left_and_the_prediction_below(drawn: list[Figure]) -> None:
    plot_confusion(np.eye(4, dtype=int).tolist(), Path())
    axes = drawn[0].axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [tick.get_text().replace("\n", " ") for tick in ticks] == NAMES


def test_roc_has_a_curve_of_each_label_against_the_rest(drawn: list[Figure]) -> None:
    plot_roc(LABELS, ANSWERS, Path())
    curves = points_by_name(drawn[0].axes[0])
    assert list(curves) == NAMES
    # Of COVID-19: one image of it, above all five others.
    assert [0, 1] in curves["COVID-19"]
    # Of viral: of two images one is above all others, one ties with a bacterial one as the last.
    assert_allclose(curves["Viral pneumonia"], [[0, 0], [0, 0.5], [0.75, 0.5], [1, 1]])


def test_precision_recall_has_a_curve_of_each_label_against_the_rest(drawn: list[Figure]) -> None:
    plot_precision_recall(LABELS, ANSWERS, Path())
    curves = points_by_name(drawn[0].axes[0])
    assert list(curves) == NAMES
    # Of bacterial: one image of it, tied for the highest with one that is viral.
    assert [1, 0.5] in curves["Bacterial pneumonia"]
    assert [1, 1] in curves["COVID-19"]


def test_reliability_shows_what_is_said_against_what_came_true(drawn: list[Figure]) -> None:
    plot_reliability(LABELS, ANSWERS, Path())
    panels = {axes.get_title(): axes for axes in drawn[0].axes}
    assert list(panels) == ["label called", *NAMES, "confidence"]
    # Six images make six bins of one, the least likely first.
    (points, *_) = panels["label called"].containers[0].lines
    said = [0.65, 0.65, 0.75, 0.75, 0.9, 0.9]
    assert_allclose(points.get_xydata(), list(zip(said, [0, 1, 1, 1, 1, 0], strict=True)))
    (points, *_) = panels["Viral pneumonia"].containers[0].lines
    said = [0.05, 0.05, 0.1, 0.1, 0.1, 0.65]
    assert_allclose(points.get_xydata(), list(zip(said, [0, 1, 0, 0, 0, 1], strict=True)))


def test_reliability_shows_how_far_chance_reaches(drawn: list[Figure]) -> None:
    plot_reliability(np.tile(LABELS, 15), np.tile(ANSWERS, (15, 1)), Path())
    _, _, (bars,) = drawn[0].axes[0].containers[0].lines
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert len(ends) == 15  # bins of six
    half = 1.96 * (0.5 * 0.5 / 6) ** 0.5
    assert_allclose(ends[0], [0.5 - half, 0.5 + half])


def test_reliability_counts_the_images_by_confidence(drawn: list[Figure]) -> None:
    plot_reliability(LABELS, ANSWERS, Path())
    heights = [bar.get_height() for bar in drawn[0].axes[-1].patches]
    assert heights == [0] * 9 + [2, 0, 2, 0, 2, 0]


def test_risk_coverage_shows_errors_among_the_most_confident(drawn: list[Figure]) -> None:
    plot_risk_coverage(np.array([0, 1, 0, 1]), ANSWERS[[3, 0, 1, 2]][:, [2, 0, 1, 3]], Path())
    (line,) = drawn[0].axes[0].lines
    x, y = line.get_xydata().T
    assert_allclose(x, [0.25, 0.5, 0.75, 1])
    assert_allclose(y, [0, 0, 1 / 3, 2 / 4])


def test_deletion_shows_both_curves(drawn: list[Figure]) -> None:
    gap = Interval(value=0.2, low=0.1, high=0.3)
    told = Deletion(images=9, shares=[0, 0.5], marked=[0.9, 0.3], random=[0.9, 0.5], gap=gap)
    plot_deletion(told, Path())
    assert points_by_name(drawn[0].axes[0]) == {
        "what the map marks": [[0, 0.9], [0.5, 0.3]],
        "at random": [[0, 0.9], [0.5, 0.5]],
    }


def test_changes_show_accuracy_with_its_interval_beside_the_unchanged(drawn: list[Figure]) -> None:
    unchanged = Interval(value=0.9, low=0.8, high=0.95)
    blurred = Interval(value=0.7, low=0.6, high=0.9)
    changed = {"blurred_1_px": Changed(accuracy=blurred, lost=blurred, macro_auroc=blurred)}
    plot_changes(changed, unchanged, Path())
    axes = drawn[0].axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["unchanged", "blurred 1 px"]
    points, _, (bars,) = axes.containers[0].lines
    assert_allclose(points.get_xydata(), [[0.9, 1], [0.7, 0]])
    assert_allclose([s[:, 0] for s in bars.get_segments()], [[0.8, 0.95], [0.6, 0.9]])


# ---------------------------------------------------------------- what is written


def test_all_plots_of_a_card_appear_whole_and_nothing_else(tmp_path: Path) -> None:
    plot_all(LABELS, ANSWERS, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == PLOTS == set(plots.PLOTS)
    for path in tmp_path.iterdir():
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert min(image.size) > 400
            assert image.convert("L").getextrema() == (0, 255)


def test_the_same_answers_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        plot_all(LABELS, ANSWERS, folder)
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in PLOTS)


def test_other_answers_give_other_bytes(tmp_path: Path) -> None:
    once, other = tmp_path / "once.png", tmp_path / "other.png"
    plot_roc(LABELS, ANSWERS, once)
    plot_roc(LABELS, ANSWERS[::-1], other)
    assert once.read_bytes() != other.read_bytes()


def test_a_plot_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "roc.png"
    path.write_bytes(b"an old one")
    plot_roc(LABELS, ANSWERS, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [path]


def test_no_figure_stays_open(tmp_path: Path) -> None:
    plot_all(LABELS, ANSWERS, tmp_path)
    assert plt.get_fignums() == []
