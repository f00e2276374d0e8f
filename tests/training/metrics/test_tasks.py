"""training.metrics.tasks: two kinds told apart, by numbers worked out by hand."""

import numpy as np
import pytest

from training.metrics import bootstrap
from training.metrics.metrics import measure
from training.metrics.tasks import measure_tasks

NORMAL, COVID, BACTERIAL, VIRAL = range(4)


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_RESAMPLES", 50)


TASK_TRUTH = np.array([NORMAL, NORMAL, BACTERIAL, BACTERIAL, VIRAL, VIRAL, COVID, NORMAL])
TASK_ANSWERS = np.array(
    [
        [0.80, 0.00, 0.10, 0.10],
        [0.40, 0.00, 0.30, 0.30],  # more likely ill
        [0.10, 0.10, 0.50, 0.30],
        [0.45, 0.05, 0.20, 0.30],  # though called normal, more likely ill; then more likely viral
        [0.20, 0.00, 0.20, 0.60],
        [0.50, 0.25, 0.125, 0.125],  # as likely normal as not, as likely viral as bacterial
        [0.00, 0.00, 0.00, 1.00],
        [0.00, 0.00, 1.00, 0.00],
    ],
    np.float32,
)
TASK_PATIENTS = list("abccdefg")
# The last two images come from where COVID-19 and normal do, but no pneumonia.
TASK_SOURCES = ["hospital"] * 6 + ["archive"] * 2


def test_pneumonia_is_told_from_normal_by_all_that_is_not_normal() -> None:
    task = measure_tasks(TASK_TRUTH, TASK_ANSWERS, TASK_PATIENTS, TASK_SOURCES)[
        "pneumonia_vs_normal"
    ]
    assert (task.images, task.patients) == (6, 5)
    assert task.auroc.value == 6 / 8  # ill 0.9, 0.55, 0.8, 0.5 against normal 0.2, 0.6
    assert task.accuracy.value == pytest.approx(4 / 6)
    assert (task.sensitivity.value, task.specificity.value) == (3 / 4, 1 / 2)


def test_viral_is_told_from_bacterial_by_its_share_of_both() -> None:
    task = measure_tasks(TASK_TRUTH, TASK_ANSWERS, TASK_PATIENTS, TASK_SOURCES)[
        "viral_vs_bacterial"
    ]
    assert (task.images, task.patients) == (4, 3)
    assert task.auroc.value == 3 / 4  # viral 0.75, 0.5 against bacterial 0.375, 0.6
    assert task.accuracy.value == 2 / 4
    assert (task.sensitivity.value, task.specificity.value) == (1 / 2, 1 / 2)


def test_more_likely_than_not_is_more_than_a_half() -> None:
    truth = np.array([NORMAL, BACTERIAL, VIRAL])
    even = np.array([[0.5, 0.0, 0.25, 0.25]] * 3, np.float32)
    for task in measure_tasks(truth, even, list("abc"), ["s"] * 3).values():
        assert (task.sensitivity.value, task.specificity.value) == (0, 1)


def test_without_bacterial_and_viral_no_share_is_viral() -> None:
    truth = np.array([NORMAL, BACTERIAL, VIRAL])
    neither = np.array([[1, 0, 0, 0]] * 3, np.float32)
    task = measure_tasks(truth, neither, list("abc"), ["s"] * 3)["viral_vs_bacterial"]
    assert (task.auroc.value, task.sensitivity.value, task.specificity.value) == (0.5, 0, 1)


def test_no_source_with_all_three_labels_leaves_no_task_of_kermanys() -> None:
    sources = ["a", "b", "a", "b", "c", "c", "c", "c"]
    tasks = measure_tasks(TASK_TRUTH, TASK_ANSWERS, TASK_PATIENTS, sources)
    assert {name for name in tasks if not name.startswith("covid19")} == set()


def test_covid19_is_told_from_the_normals_of_each_source_by_its_own_probability() -> None:
    truth = np.array([COVID, COVID, NORMAL, NORMAL, NORMAL, VIRAL])
    answers = np.array([[1 - p, p, 0, 0] for p in (0.9, 0.4, 0.6, 0.1, 0.2, 0.0)], np.float32)
    sources = ["reports", "reports", "adults", "adults", "children", "children"]
    tasks = measure_tasks(truth, answers, list("abcdef"), sources)
    assert set(tasks) == {"covid19_vs_normal_of_adults", "covid19_vs_normal_of_children"}
    adults, children = (tasks[f"covid19_vs_normal_of_{kind}"] for kind in ("adults", "children"))
    assert (adults.images, children.images) == (4, 3)
    assert (adults.auroc.value, children.auroc.value) == (3 / 4, 1)
    assert (adults.sensitivity.value, adults.specificity.value) == (1 / 2, 1 / 2)


def test_without_covid19_there_is_no_such_task() -> None:
    truth = np.array([NORMAL, BACTERIAL, VIRAL])
    tasks = measure_tasks(truth, np.eye(4, dtype=np.float32)[truth], list("abc"), ["s"] * 3)
    assert set(tasks) == {"pneumonia_vs_normal", "viral_vs_bacterial"}


def test_the_tasks_are_measured_with_the_rest() -> None:
    measured = measure(TASK_TRUTH, TASK_ANSWERS, TASK_PATIENTS, TASK_SOURCES, seed=3)
    expected = measure_tasks(TASK_TRUTH, TASK_ANSWERS, TASK_PATIENTS, TASK_SOURCES, seed=3)
    assert measured.tasks == expected
    assert set(expected) == {
        "pneumonia_vs_normal",
        "viral_vs_bacterial",
        "covid19_vs_normal_of_archive",
        "covid19_vs_normal_of_hospital",
    }


def test_a_tasks_patients_are_resampled_together() -> None:
    truth = np.array([NORMAL, BACTERIAL, BACTERIAL, VIRAL, VIRAL])
    answers = np.eye(4, dtype=np.float32)[[NORMAL, BACTERIAL, VIRAL, VIRAL, BACTERIAL]]
    task = measure_tasks(truth, answers, list("abbcc"), ["s"] * 5)["viral_vs_bacterial"]
    # Two patients, each half right, are two of a kind: Clopper and Pearson's of 1 of 2.
    assert task.accuracy.value == 0.5
    assert (task.accuracy.low, task.accuracy.high) == pytest.approx((0.0126, 0.9874), abs=1e-4)
