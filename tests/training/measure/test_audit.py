"""training.measure.audit: on graphs of known answers, the audit finds what is there."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from app.model.session import Network, Outputs
from tests.training.networks import draw_images, make_small_core, run_graph
from training.data.images import ImageSet
from training.data.manifest import Sample
from training.export.graph import Tail, answer, expose_pooled
from training.export.input_rule import take_images
from training.measure import audit, stress
from training.measure.audit import audit_graph
from training.measure.evaluation import Refusal
from training.metrics import bootstrap
from training.metrics.bootstrap import draw_patients


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_RESAMPLES", 50)


def make_images(
    pictures: NDArray[np.uint8],
    labels: list[int],
    sources: list[str],
    patients: list[str] | None = None,
) -> ImageSet:
    """Make a set of images; a patient each unless they are named."""
    patients = patients or [str(row) for row in range(len(labels))]
    samples = [
        Sample(Path(), frozenset({label}), patient, "test", source, "none")
        for label, source, patient in zip(labels, sources, patients, strict=True)
    ]
    return ImageSet(pictures, samples)


@pytest.mark.parametrize("cells", [5, 6, 7])
def test_cells_of_any_grid_cover_the_whole_image(cells: int) -> None:
    images = np.full((1, 1, 224, 224), 100, np.uint8)
    images[..., :112] = 0  # mean 50
    gone = np.zeros((1, cells, cells), bool)
    gone[0, -1, -1] = True
    blanked = audit._blank(images, gone) != images
    rows = np.flatnonzero(blanked[0, 0].any(1))
    assert (rows[0], rows[-1]) == (np.ceil(224 * (cells - 1) / cells), 223)
    assert (blanked[0, 0] == blanked[0, 0].T).all()
    assert (audit._blank(images, np.ones_like(gone)) == 50).all()


class Eye:
    """Calls label 1 if a spot of the image is bright, else label 0; its map marks that spot."""

    def __init__(self, row: int, column: int) -> None:
        self.row, self.column = row, column

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        size = pixels.shape[-1] // 7
        top, left = self.row * size, self.column * size
        bright = pixels[:, 0, top : top + size, left : left + size].mean((1, 2)) / 255
        probabilities = np.stack([1 - bright, bright, 0 * bright, 0 * bright], 1)
        cam = np.zeros((len(pixels), 4, 7, 7), np.float32)
        cam[:, :, self.row, self.column] = 1
        none = np.zeros(len(pixels), np.float32)
        return Outputs(probabilities.astype(np.float32), probabilities, cam, none)


def draw_spots(eye: Eye, count: int) -> NDArray[np.uint8]:
    """Grey pictures; every second one white where the eye looks, the others black."""
    images = np.full((count, 1, 224, 224), 128, np.uint8)
    cell = (slice(eye.row * 32, eye.row * 32 + 32), slice(eye.column * 32, eye.column * 32 + 32))
    for row in range(count):
        images[row, 0, *cell] = 255 * (row % 2)
    return images


# ---------------------------------------------------------------- lungs and changes


@pytest.mark.parametrize(
    ("eye", "hidden", "only"),
    [(Eye(3, 1), 0.5, 1.0), (Eye(6, 3), 1.0, 0.5)],
    ids=["looks into the lung", "looks below it"],
)
def test_what_is_right_without_lungs_was_never_in_them(
    eye: Eye, hidden: float, only: float
) -> None:
    labels = np.array([0, 1] * 10)
    pictures = draw_spots(eye, 20)
    before = eye.run(pictures).probabilities
    patients = [str(row) for row in range(20)]
    weights = draw_patients(labels, patients, 0)
    for hide, expected in ((stress.hide_lungs, hidden), (stress.hide_all_but_lungs, only)):
        after = eye.run(hide(pictures)).probabilities
        told = audit._compare(labels, before, after, patients, weights)
        assert told.accuracy.value == pytest.approx(expected)
        assert told.lost.value == pytest.approx(1 - expected)
        assert told.lost.low <= told.lost.value <= told.lost.high


def test_what_is_lost_is_counted_image_by_image() -> None:
    # As many turn right as turn wrong: nothing is lost, and the interval says how sure that is.
    labels = np.array([0, 0, 1, 1] * 10)
    right, wrong = np.eye(4, dtype=np.float32)[[labels, 1 - labels]]
    even = (np.arange(40) % 2 == 0)[:, np.newaxis]
    before, after = np.where(even, right, wrong), np.where(even, wrong, right)
    patients = [str(row) for row in range(40)]
    weights = draw_patients(labels, patients, 0)
    same = audit._compare(labels, before, before, patients, weights)
    swapped = audit._compare(labels, before, after, patients, weights)
    assert same.lost.value == 0
    assert -same.lost.low == same.lost.high == pytest.approx(0.088, abs=5e-4)  # 0 of 40 each way
    assert swapped.lost.value == 0
    assert swapped.lost.low < -0.1
    assert swapped.lost.high > 0.1


# ---------------------------------------------------------------- the source probe


def features_of(told: bool, count: int = 60) -> tuple[ImageSet, NDArray[np.float32]]:
    generator = np.random.default_rng(0)
    sources = ["here", "there"] * (count // 2)
    pooled = generator.normal(size=(count, 512)).astype(np.float32)
    if told:
        pooled[1::2, :50] += 2
    images = make_images(np.zeros((count, 1, 8, 8), np.uint8), [0] * count, sources)
    return images, pooled


def test_a_source_that_the_features_hold_is_found() -> None:
    found = audit._probe_source(*features_of(told=True), seed=0)
    assert found is not None
    assert found.value > 0.9


def test_a_source_that_they_do_not_hold_is_not() -> None:
    found = audit._probe_source(*features_of(told=False), seed=0)
    assert found is not None
    assert 0.2 < found.value < 0.8  # patients are never asked about by a probe that saw them


def test_a_probe_is_never_asked_about_a_patient_it_was_fitted_on() -> None:
    # Two equal images a patient, and nothing of the source in them: a probe that had seen one
    # would know the other again.
    generator = np.random.default_rng(0)
    twice = np.repeat(generator.normal(size=(60, 512)), 2, axis=0).astype(np.float32)
    sources = np.repeat(generator.permutation(["here", "there"] * 30), 2).tolist()
    patients = [str(row // 2) for row in range(120)]
    pictures = np.zeros((120, 1, 8, 8), np.uint8)
    images = make_images(pictures, [0] * 120, sources, patients)
    found = audit._probe_source(images, twice, seed=0)
    assert found is not None
    assert 0.3 < found.value < 0.7
    # As if every image were another patient's: what the test guards against is there to be found.
    leaking = audit._probe_source(make_images(pictures, [0] * 120, sources), twice, seed=0)
    assert leaking is not None
    assert leaking.value > 0.8


def test_a_probe_sees_normal_images_only_and_needs_two_sources_of_five_patients() -> None:
    images, pooled = features_of(told=True)
    ill = make_images(images.images, [1] * 60, ["here", "there"] * 30)
    assert audit._probe_source(ill, pooled, seed=0) is None
    few = make_images(images.images, [0] * 60, ["here"] * 56 + ["there"] * 4)
    assert audit._probe_source(few, pooled, seed=0) is None


# ---------------------------------------------------------------- deletion


def test_deleting_what_a_true_map_marks_costs_more_than_at_random() -> None:
    eye = Eye(3, 1)
    labels = [0, 1] * 10
    images = make_images(draw_spots(eye, 20), labels, ["s"] * 20)
    told = audit._delete(eye, images, eye.run(images.images), seed=0)  # type: ignore[arg-type]
    assert told.images == 20
    assert told.shares[0] == 0
    assert told.marked[0] == told.random[0] == 1
    # The first cell gone is the one looked at: what is left is the mean grey, half sure.
    assert told.marked[1:] == pytest.approx([0.5] * 6, abs=0.02)
    assert told.random[1] > 0.8
    assert told.gap.low > 0.05


def test_a_map_that_marks_another_place_shows_no_gap() -> None:
    eye = Eye(3, 1)
    images = make_images(draw_spots(eye, 40), [0, 1] * 20, ["s"] * 40)
    answers = eye.run(images.images)
    turned = Outputs(
        answers.probabilities,
        answers.logits,
        np.random.default_rng(3).random(answers.cam.shape).astype(np.float32),
        answers.distance,
    )
    told = audit._delete(eye, images, turned, seed=0)  # type: ignore[arg-type]
    assert told.gap.low < 0 < told.gap.high


def test_a_cell_deleted_takes_the_images_mean() -> None:
    images = draw_images(2)
    gone = np.zeros((2, 7, 7), bool)
    gone[0, 0, 6] = True
    blanked = audit._blank(images, gone)
    assert (blanked[0, 0, :32, 192:] == round(images[0].mean())).all()
    blanked[0, 0, :32, 192:] = images[0, 0, :32, 192:]
    assert (blanked == images).all()


# ---------------------------------------------------------------- a graph


@pytest.fixture(scope="module")
def core() -> onnx.ModelProto:
    return make_small_core()


@pytest.fixture(scope="module")
def graph(core: onnx.ModelProto) -> bytes:
    generator = np.random.default_rng(0)
    tail = Tail(
        bias=np.zeros(4, np.float32),
        temperature=1.0,
        whitening=np.eye(512, dtype=np.float32),
        centres=generator.normal(size=(4, 512)).astype(np.float32),
        orientation=generator.normal(size=(512, 5)).astype(np.float32),
        orientation_bias=np.zeros(5, np.float32),
    )
    graph: bytes = answer(take_images(core), tail).SerializeToString()
    return graph


def test_the_pooled_features_of_a_served_graph_can_be_had(
    graph: bytes, core: onnx.ModelProto
) -> None:
    images = draw_images(3)
    (pooled,) = run_graph(expose_pooled(graph), ["pooled"], image=images)
    (expected,) = run_graph(take_images(core), ["pooled"], image=images)
    assert pooled.shape == (3, 512)
    np.testing.assert_allclose(pooled, expected, rtol=1e-5)


def test_a_graph_is_audited_as_a_whole(graph: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: stress.CHANGES[name] for name in ("blurred_1_px", "burned_in_marker")}
    monkeypatch.setattr(stress, "CHANGES", few)
    monkeypatch.setattr(audit, "_SHARES", (0.0, 0.2))
    images = make_images(draw_images(8), [0, 1, 2, 3] * 2, ["s"] * 8)
    answers = Network(graph).run(images.images)
    told = audit_graph(graph, images, answers, Refusal(1e9, 0.3))
    assert set(told.changed) == set(few)
    right = answers.probabilities.argmax(1) == images.labels
    for row in (*told.changed.values(), told.lungs_hidden, told.lungs_only):
        assert row.accuracy.value + row.lost.value == pytest.approx(right.mean())
    assert told.commonest == 0.25
    for orientation, refused in told.turned.items():
        told_turned = Network(graph).run(stress.turn(images.images, orientation)).orientation
        assert told_turned is not None
        assert refused.value == pytest.approx((told_turned[:, 0] < 0.3).mean())
    assert told.source_auroc is None
    called = answers.probabilities.max(1).mean()
    assert told.deletion.marked[0] == pytest.approx(float(called), rel=1e-5)
