"""training.measure.evaluation: a bundle measured on one split, as it is served."""

import json
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

from app.errors import NotAChestXray
from app.model.bundle import Bundle, find_bundle, read_bundle
from app.model.card import Card
from app.model.labels import LABEL_IDS
from app.model.session import OnnxModel, Outputs
from app.reading.refusal import refuse_unlike
from app.settings.settings import Settings
from tests.bundles import make_card
from tests.training.drawings import write_data_set
from training.config import LABELS
from training.data.faults import DataError
from training.data.images import ImageSet, load_images
from training.data.manifest import Sample, read_samples
from training.measure.evaluation import (
    Refusal,
    describe_apart,
    evaluate_bundle,
    in_our_order,
    measure_apart,
)
from training.metrics import metrics, reliability
from training.report.plots import PLOTS


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The shipped bundle; on drawings it is as good as any."""
    return read_bundle(find_bundle(Settings().model))


def test_a_bundle_is_measured_by_what_it_answers_in_service(bundle: Bundle, tmp_path: Path) -> None:
    manifest = write_data_set(tmp_path, train=1, test=4)
    samples = [sample for sample in read_samples(manifest) if sample.split == "test"]
    model = OnnxModel(bundle)
    rows = load_images(samples, "test")[:, np.newaxis]
    probabilities = np.concatenate([model.run(row).probabilities for row in rows])
    labels = np.array([sample.label for sample in samples])
    figures, _ = evaluate_bundle(bundle, manifest, "test", tmp_path / "report")
    assert figures.accuracy.value == pytest.approx(metrics.accuracy(labels, probabilities))
    assert figures.macro_auroc.value == pytest.approx(metrics.macro_auroc(labels, probabilities))
    assert figures.brier == pytest.approx(reliability.brier(labels, probabilities), abs=1e-4)
    assert np.sum(figures.confusion) == figures.images == 16
    assert figures.patients == 4 * (4 - 1)  # of four images a label, two show one patient


def test_the_report_holds_the_figures_the_model_and_the_plots(
    bundle: Bundle, tmp_path: Path
) -> None:
    report = tmp_path / "a" / "report"
    figures, _ = evaluate_bundle(bundle, write_data_set(tmp_path, 0, 2), "test", report)
    written = json.loads((report / "evaluation.json").read_text(encoding="utf-8"))
    assert written == {
        "model": {"name": bundle.card.name, "sha256": bundle.card.sha256},
        "split": "test",
        "metrics": figures.model_dump(),
    }
    assert {path.name for path in report.iterdir()} == {
        "evaluation.json",
        "predictions.csv",
        *PLOTS,
    }
    for name in PLOTS:
        with Image.open(report / name) as plot:
            assert min(plot.size) > 300


SET = "bacterial_pneumonia|viral_pneumonia"


def test_sets_and_other_findings_are_counted_apart_and_in_no_figure(
    bundle: Bundle, tmp_path: Path
) -> None:
    manifest = write_data_set(tmp_path, train=0, test=2)
    plain, nothing = evaluate_bundle(bundle, manifest, "test", tmp_path / "plain")
    assert nothing == {}
    (tmp_path / "more").mkdir()
    write_data_set(tmp_path / "more", train=0, test=1)
    rows = [
        f"more/test-{label}-0.jpg,{kind},{label},test,{source},CC0\n"
        for label, kind, source in zip(
            LABEL_IDS, (SET, SET, SET, "other"), ("c", "c", "d", "d"), strict=True
        )
    ]
    manifest.write_text(manifest.read_text() + "".join(rows))
    figures, apart = evaluate_bundle(bundle, manifest, "test", tmp_path / "report")
    assert figures == plain
    assert {name: told.images for name, told in apart.items()} == {
        f"{SET}/c": 2,
        f"{SET}/d": 1,
        "other/d": 1,
    }
    written = json.loads((tmp_path / "report" / "evaluation.json").read_text(encoding="utf-8"))
    assert written["apart"] == {name: asdict(told) for name, told in apart.items()}
    line = describe_apart(apart).splitlines()[0]
    assert line.startswith(f"  {SET}/c: 2 image(s), in none of the figures above; called normal ")


def test_what_is_called_of_a_set_is_within_it_or_not() -> None:
    kinds = [({2, 3}, "a"), ({2, 3}, "a"), ({2, 3}, "b"), (set[int](), "a")]
    samples = [
        Sample(Path(), frozenset(targets), "", "test", source, "") for targets, source in kinds
    ]
    images = ImageSet(np.zeros((4, 1, 8, 8), np.uint8), samples)
    probabilities = np.eye(4, dtype=np.float32)[[3, 1, 2, 2]]
    apart = measure_apart(probabilities, images)
    assert [(told.images, told.within) for told in apart.values()] == [(2, 0.5), (1, 1), (1, 0)]
    assert list(apart) == [f"{SET}/a", f"{SET}/b", "other/a"]
    assert apart[f"{SET}/a"].called == {
        "normal": 0,
        "covid19": 1,
        "bacterial_pneumonia": 0,
        "viral_pneumonia": 1,
    }


@pytest.mark.parametrize(("train", "test", "split"), [(0, 1, "test"), (1, 0, "train")])
def test_only_the_split_asked_for_is_needed(
    train: int, test: int, split: str, bundle: Bundle, tmp_path: Path
) -> None:
    manifest = write_data_set(tmp_path, train, test)
    figures, _ = evaluate_bundle(bundle, manifest, split, tmp_path / "report")
    assert figures.images == 4


def test_images_of_another_split_need_not_be_there(bundle: Bundle, tmp_path: Path) -> None:
    manifest = write_data_set(tmp_path, train=2, test=1)
    for image in tmp_path.glob("train-*.jpg"):
        image.unlink()
    figures, _ = evaluate_bundle(bundle, manifest, "test", tmp_path / "report")
    assert figures.images == 4


def test_a_split_without_images_is_refused_and_nothing_written(
    bundle: Bundle, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="the train split has no image labelled normal, covid19"):
        evaluate_bundle(bundle, write_data_set(tmp_path, 0, 1), "train", tmp_path / "report")
    assert not (tmp_path / "report").exists()


# ---------------------------------------------------------------- the order of labels


def test_columns_are_put_into_our_order_whatever_the_bundles() -> None:
    theirs = [LABELS[index] for index in (2, 0, 3, 1)]
    columns = np.array([[20.0, 0.0, 30.0, 10.0]], np.float32)  # ten times our index
    cam = np.tile(columns[:, :, None, None], (1, 1, 7, 7))
    distance, orientation = np.array([5.0], np.float32), np.eye(5, dtype=np.float32)[:1]
    ordered = in_our_order(Outputs(columns / 60, columns, cam, distance, orientation), theirs)
    assert ordered.logits.tolist() == [[0, 10, 20, 30]]
    np.testing.assert_allclose(ordered.probabilities, [[0, 1 / 6, 2 / 6, 3 / 6]], rtol=1e-6)
    assert ordered.cam.mean((2, 3)).tolist() == [[0, 10, 20, 30]]
    assert ordered.distance is distance  # which have no column a label
    assert ordered.orientation is orientation


def test_a_bundle_of_another_order_has_the_same_figures(bundle: Bundle, tmp_path: Path) -> None:
    manifest = write_data_set(tmp_path, train=0, test=2)
    turned = Bundle(
        bundle.card.model_copy(update={"labels": bundle.card.labels[::-1]}),
        bundle.card_json,
        reverse_columns(bundle.graph),
    )
    figures = [
        evaluate_bundle(each, manifest, "test", tmp_path / "report")[0] for each in (bundle, turned)
    ]
    assert figures[0].confusion == figures[1].confusion
    assert figures[0].nll == pytest.approx(figures[1].nll, rel=1e-5)


def reverse_columns(graph: bytes) -> bytes:
    """Return a graph whose outputs of a column a label have the last label first."""
    model = onnx.load_from_string(graph)
    backwards = onnx.numpy_helper.from_array(np.array([3, 2, 1, 0]), "backwards")
    model.graph.initializer.append(backwards)
    for name in ("probabilities", "logits", "cam"):
        for node in model.graph.node:
            for names in (node.input, node.output):
                names[:] = [f"{each}_before" if each == name else each for each in names]
        model.graph.node.append(
            onnx.helper.make_node("Gather", [f"{name}_before", "backwards"], [name], axis=1)
        )
    turned: bytes = model.SerializeToString()
    return turned


# ---------------------------------------------------------------- what is refused


def is_refused_in_service(outputs: Outputs, card: Card) -> bool:
    """Whether serving refuses the one picture that a network answered so."""
    pixels = np.zeros((1, 1, 224, 224), np.uint8)
    try:
        refuse_unlike(Deaf(card), pixels, outputs.one(LABEL_IDS))
    except NotAChestXray:
        return True
    return False


class Deaf:
    """A model that finds every picture as far off, however it is turned."""

    card_json = b""

    def __init__(self, card: Card) -> None:
        self.card = card

    def run(self, pixels: NDArray[np.uint8]) -> Outputs:
        nothing = np.zeros((len(pixels), 4), np.float32)
        return Outputs(nothing, nothing, nothing, np.full(len(pixels), np.inf, np.float32))


@pytest.mark.parametrize("told", [True, False], ids=["orientation", "no orientation"])
@pytest.mark.parametrize("upright", [0.35, None])
@pytest.mark.parametrize("distance", [700.0, None])
def test_what_is_refused_here_is_what_serving_refuses(
    distance: float | None, upright: float | None, told: bool
) -> None:
    thresholds = {"distance_threshold": distance, "upright_threshold": upright}
    card = Card.model_validate(make_card(**thresholds))
    generator = np.random.default_rng(0)
    distances = np.append(generator.normal(700, 50, 300), [700, 700]).astype(np.float32)
    shares = np.append(generator.uniform(0.1, 0.5, 300), [0.35, 0.35]).astype(np.float32)
    orientation = np.repeat((1 - shares[:, None]) / 4, 5, axis=1)
    orientation[:, 0] = shares
    nothing = np.zeros((302, 4), np.float32)
    outputs = Outputs(
        nothing, nothing, nothing[:, :, None, None], distances, orientation if told else None
    )
    refused = Refusal(distance, upright).holds(outputs)
    rows = [slice(row, row + 1) for row in range(302)]
    expected = [is_refused_in_service(take(outputs, row), card) for row in rows]
    assert refused.tolist() == expected
    decided = distance is not None or (upright is not None and told)
    assert (0.2 < refused.mean() < 0.9) if decided else not refused.any()


def take(outputs: Outputs, rows: slice) -> Outputs:
    """Return the answers of some images."""
    parts = (getattr(outputs, field.name) for field in fields(Outputs))
    return Outputs(*(None if part is None else part[rows] for part in parts))
