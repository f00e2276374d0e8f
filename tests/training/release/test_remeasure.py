"""training.release.remeasure: what a bundle keeps, and what is fitted and measured anew."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from app.model.bundle import FP32_FILE, find_bundle, read_bundle, read_fp32
from app.model.card import Card, Exact
from app.model.labels import LABEL_IDS
from app.model.session import Network, enlarge_known_pixels
from app.settings.settings import Settings
from tests.training.drawings import COLUMNS, Row, make_row, write_manifest
from tests.training.networks import (
    draw_images,
    make_config,
    make_image_set,
    make_small_core,
    read_constants,
)
from training.config import Config
from training.data.images import ImageSet
from training.data.splits import Division, Splits, describe_sources, divide
from training.export.calibration import fit_distance_threshold, label_priors
from training.export.graph import Tail, answer, cut_tail
from training.export.input_rule import take_images
from training.metrics import reliability
from training.release import bundle_writer as writing
from training.release import measurement
from training.release import tail as fitting
from training.release.remeasure import SourcesDiffer, SplitDiffers, divide_again, remeasure
from training.release.tail import fit_features
from training.report.limitations import BY_FILE, NO_OPERATING_POINTS, NOT_CALIBRATED

SHIPPED = read_bundle(find_bundle(Settings().model)).card

# ---------------------------------------------------------------- the division


def write_rows(folder: Path, source: str = "a", licence: str = "CC0", patients: int = 12) -> Path:
    """Write a manifest of so many training patients a label; the images need not be there."""
    rows: list[Row] = []
    for label in LABEL_IDS:
        rows.append(make_row(f"test-{label}.png", "test", label))
        for number in range(patients):
            row = make_row(f"{label}-{number}.png", "train", label)
            rows.append(row | {"most": str(int(number > 0))})
    told = {"source": source, "licence": licence}
    return write_manifest(folder, [row | told for row in rows], (*COLUMNS, "most"))


def divide_by(config: Config) -> Division:
    return divide(
        config.data,
        config.validation_share,
        config.seed,
        config.leave_out,
        config.subset,
        config.patient_pattern,
    )


def fit_with(config: Config) -> Card:
    """Return the card of a network that was fitted with these settings."""
    division = divide_by(config)
    update = {
        "seed": config.seed,
        "settings": config.model_dump(mode="json"),
        "data": describe_sources([*division.fit, *division.validation]),
    }
    return SHIPPED.model_copy(update={"training": SHIPPED.training.model_copy(update=update)})


@pytest.mark.parametrize(
    "ran",
    [
        {"seed": 3},
        {"validation_share": 0.25},
        {"subset": "most"},
        {"leave_out": ["normal-0.png", "covid19-3.png"]},
    ],
    ids=lambda ran: next(iter(ran)),
)
def test_the_data_set_of_the_run_is_divided_as_the_run_did(
    ran: dict[str, object], tmp_path: Path
) -> None:
    data = write_rows(tmp_path)
    config = make_config(data=data, **ran)
    assert divide_by(config) != divide_by(make_config(data=data))
    for given in ({}, ran):
        assert divide_again(make_config(data=data, **given), fit_with(config)) == divide_by(config)


@pytest.mark.parametrize(
    ("ran", "given", "told"),
    [
        ({"seed": 3}, {"seed": 0}, "seed 3"),
        ({"validation_share": 0.25}, {"validation_share": 0.125}, "validation_share 0.25"),
        ({"subset": "most"}, {"subset": "half"}, "subset most"),
        ({}, {"subset": "most"}, "no subset"),
        ({"leave_out": ["normal-0.png"]}, {"leave_out": []}, "leave_out 'normal-0.png'"),
        ({}, {"leave_out": ["normal-0.png"]}, "no leave_out"),
        ({"seed": 3, "subset": "most"}, {"seed": 4, "subset": "x"}, "seed 3, subset most"),
    ],
)
def test_a_setting_that_would_divide_otherwise_is_refused_and_the_runs_own_named(
    ran: dict[str, object], given: dict[str, object], told: str, tmp_path: Path
) -> None:
    data = write_rows(tmp_path)
    card = fit_with(make_config(data=data, **ran))
    with pytest.raises(SplitDiffers) as caught:
        divide_again(make_config(data=data, **given), card)
    assert str(caught.value).startswith(f"{card.name} was fitted with {told}: with another value,")
    assert "Give the same, or none" in str(caught.value)


def test_folders_are_divided_by_the_pattern_of_the_run(tmp_path: Path) -> None:
    for split, patients in (("train", 9), ("test", 1)):
        for label in LABEL_IDS:
            (tmp_path / split / label).mkdir(parents=True)
            for name in (f"{split}{label}{p}_{i}.png" for p in range(patients) for i in (1, 2)):
                (tmp_path / split / label / name).touch()
    ran = make_config(data=tmp_path, patient_pattern="(.*)_")
    by_file = make_config(data=tmp_path)
    assert divide_by(ran) != divide_by(by_file)
    assert divide_again(by_file, fit_with(ran)) == divide_by(ran)
    with pytest.raises(SplitDiffers, match="was fitted with no patient_pattern"):
        divide_again(ran, fit_with(by_file))


def test_a_card_from_before_the_settings_tells_the_seed(tmp_path: Path) -> None:
    data = write_rows(tmp_path)
    ran = make_config(data=data, seed=3, validation_share=0.25)
    card = fit_with(ran)
    card = card.model_copy(update={"training": card.training.model_copy(update={"settings": {}})})
    assert divide_again(make_config(data=data, validation_share=0.25), card) == divide_by(ran)
    with pytest.raises(SplitDiffers, match="was fitted with seed 3"):
        divide_again(make_config(data=data, seed=0), card)


def test_a_data_set_of_other_sources_is_divided_as_is_asked_for(tmp_path: Path) -> None:
    ran = make_config(data=write_rows(tmp_path), seed=3, subset="most", leave_out=["normal-1.png"])
    card = fit_with(ran)
    other = tmp_path / "other"
    other.mkdir()
    theirs = make_config(data=write_rows(other, "hospital", patients=9), seed=5)
    assert divide_again(theirs, card) == divide_by(theirs)


def test_other_images_of_a_source_that_was_fitted_are_refused(tmp_path: Path) -> None:
    card = fit_with(make_config(data=write_rows(tmp_path)))
    more = make_config(data=write_rows(tmp_path, patients=13))
    with pytest.raises(SourcesDiffer, match=r"was fitted to images of a, .* from other sources"):
        divide_again(more, card)


def test_a_licence_that_is_told_otherwise_changes_no_image(tmp_path: Path) -> None:
    config = make_config(data=write_rows(tmp_path))
    card = fit_with(config)
    write_rows(tmp_path, licence="CC BY 4.0")
    assert divide_again(config, card) == divide_by(config)


# ---------------------------------------------------------------- the bundle


def take_from(images: ImageSet, source: str) -> ImageSet:
    return ImageSet(images.images, [replace(each, source=source) for each in images.samples])


OWN = Splits(make_image_set(16, 0, 224), make_image_set(8, 1, 224), make_image_set(8, 2, 224))
OTHER = Splits(
    take_from(make_image_set(16, 3, 224), "hospital"),
    take_from(make_image_set(9, 4, 224), "hospital"),  # more normal images
    take_from(make_image_set(8, 5, 224), "hospital"),
)
Write = Callable[..., Config]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the audit and the plots: tests of their own are about them."""
    monkeypatch.setattr(measurement, "audit_graph", lambda *_: SHIPPED.audit["test"])
    monkeypatch.setattr(fitting, "_MOST_TURNED", 8)
    monkeypatch.setattr(reliability, "LEAST_IMAGES", 8)
    monkeypatch.setattr(reliability, "LEAST_PATIENTS", 2)
    monkeypatch.setattr(writing, "plot_all", lambda *_: None)
    monkeypatch.setattr(writing, "draw_surroundings", lambda _: {})


@pytest.fixture(scope="module")
def graphs() -> dict[str, bytes]:
    """Two graphs, each of its own weights and temperature, fitted to nothing."""
    nothing = np.zeros((4, 512)), np.zeros((512, 5)), np.zeros(5)
    blank = [each.astype(np.float32) for each in (np.eye(512), *nothing)]
    bias = np.array([0.3, -0.2, 0.1, 0], np.float32)
    tails = {"model.onnx": Tail(bias, 1.5, *blank), FP32_FILE: Tail(bias, 1.25, *blank)}
    return {
        name: answer(take_images(make_small_core(seed)), tail).SerializeToString()
        for seed, (name, tail) in enumerate(tails.items())
    }


def ask_known(graph: bytes) -> list[list[float]]:
    """Return what a graph answers to the shipped card's known images."""
    network = Network(graph)
    images = [enlarge_known_pixels(known.pixels) for known in SHIPPED.known_answers]
    return [network.run(image).probabilities[0].tolist() for image in images]


@pytest.fixture
def write(tmp_path: Path, graphs: dict[str, bytes]) -> Write:
    """Write a bundle that was fitted to `OWN`, its card changed so; return settings for it."""

    def write_card(**changes: object) -> Config:
        hashes = {name: hashlib.sha256(graph).hexdigest() for name, graph in graphs.items()}
        told = {name: ask_known(graph) for name, graph in graphs.items()}
        update = {
            "sha256": hashes["model.onnx"],
            "known_answers": [
                known.model_copy(update={"probabilities": row})
                for known, row in zip(SHIPPED.known_answers, told["model.onnx"], strict=True)
            ],
            "fp32": Exact(sha256=hashes[FP32_FILE], known_probabilities=told[FP32_FILE]),
            "training": SHIPPED.training.model_copy(
                update={"data": describe_sources([*OWN.fit.samples, *OWN.validation.samples])}
            ),
        }
        config = make_config(out=tmp_path, runs=tmp_path / "runs")
        config.bundle_folder.mkdir()
        card = SHIPPED.model_copy(update=update | changes)
        (config.bundle_folder / "card.json").write_text(card.model_dump_json(), encoding="utf-8")
        for name, graph in graphs.items():
            (config.bundle_folder / name).write_bytes(graph)
        return config

    return write_card


def measure(config: Config, splits: Splits = OWN) -> Card:
    """Remeasure a bundle; return its card as it is read back."""
    folder = config.bundle_folder
    bundle = read_bundle(folder)
    card = remeasure(config, bundle, read_fp32(folder, bundle), splits)
    assert read_bundle(folder).card == card
    return card


def test_texts_and_population_are_the_cards_unless_others_are_given(write: Write) -> None:
    config = write()
    texts = ("licence", "intended_use", "limitations", "population")
    kept = measure(config)
    assert [getattr(kept, name) for name in texts] == [getattr(SHIPPED, name) for name in texts]
    assert SHIPPED.population is not None
    others = {
        "licence": "CC0",
        "intended_use": "teaching",
        "limitations": ["few images"],
        "population": SHIPPED.population.model_copy(update={"views": ["AP"]}),
    }
    given = measure(make_config(out=config.out, runs=config.runs, **others))
    assert {name: getattr(given, name) for name in texts} == others


def test_the_priors_are_those_the_temperature_was_fitted_at(write: Write) -> None:
    config = write()
    before = label_priors(OTHER.validation.labels)
    assert before != SHIPPED.priors
    assert measure(config, OTHER).priors == SHIPPED.priors


@pytest.mark.parametrize(
    ("splits", "priors"),
    [(OWN, label_priors(OWN.validation.labels)), (OTHER, None)],
    ids=["its own images", "others"],
)
def test_priors_that_an_older_card_lacks_are_told_of_its_own_images_only(
    splits: Splits, priors: dict[str, float] | None, write: Write
) -> None:
    assert measure(write(priors=None), splits).priors == priors


def test_both_graphs_are_fitted_anew_and_vouched_for_and_answer_as_before(
    write: Write, graphs: dict[str, bytes]
) -> None:
    config = write()
    card = measure(config, OTHER)
    assert card.fp32 is not None
    hashes = {"model.onnx": card.sha256, FP32_FILE: card.fp32.sha256}
    image = draw_images(1, seed=6)
    for name, before in graphs.items():
        graph = (config.bundle_folder / name).read_bytes()
        assert hashlib.sha256(graph).hexdigest() == hashes[name]
        now, then = Network(graph).run(image), Network(before).run(image)
        np.testing.assert_array_equal(now.probabilities, then.probabilities)
        bare, _, _ = cut_tail(before)
        constants = read_constants(onnx.load_from_string(graph))
        np.testing.assert_array_equal(constants["whitening"], fit_features(bare, OTHER.fit)[0])
    assert card.fp32.known_probabilities == ask_known(graphs[FP32_FILE])


def test_the_figures_of_both_graphs_are_of_the_images_measured_now(
    write: Write, graphs: dict[str, bytes]
) -> None:
    card = measure(write(), OTHER)
    assert list(card.metrics) == ["validation", "validation_fp32", "test", "test_fp32"]
    assert [row.images for row in card.metrics.values()] == [9, 9, 8, 8]
    assert all(row.accuracy_by_source.keys() == {"hospital"} for row in card.metrics.values())
    network = Network(graphs[FP32_FILE])
    called = [network.run(each[None]).probabilities.argmax() for each in OTHER.test.images]
    right = np.mean(called == OTHER.test.labels)
    assert card.metrics["test_fp32"].accuracy.value == pytest.approx(right)


def test_without_the_float32_graph_its_figures_stay_for_the_same_images_only(
    write: Write,
) -> None:
    config = write()
    before = measure(config)
    (config.bundle_folder / FP32_FILE).unlink()
    again = measure(config)
    assert again.metrics == before.metrics
    assert again.fp32 is None  # it would answer with a distance fitted to who knows what
    mixed = Splits(OTHER.fit, OTHER.validation, OWN.test)
    assert list(measure(config, mixed).metrics) == ["validation", "test", "test_fp32"]
    assert list(measure(config, OTHER).metrics) == ["validation", "test"]


def test_the_distance_threshold_is_of_the_images_measured_now(write: Write) -> None:
    config = write()
    card = measure(config, OTHER)
    network = Network((config.bundle_folder / "model.onnx").read_bytes())
    distances = [network.run(each[None]).distance for each in OTHER.validation.images]
    expected = fit_distance_threshold(np.concatenate(distances))
    assert card.distance_threshold == pytest.approx(expected)


def test_a_bundle_whose_images_name_no_patients_says_so_whatever_its_recipe_does(
    write: Write, tmp_path: Path
) -> None:
    config = write(limitations=["one hospital"])
    folders = tmp_path / "folders"
    folders.mkdir()
    by_file = measure(make_config(out=config.out, runs=config.runs, data=folders)).limitations
    assert by_file == ["one hospital", BY_FILE]
    # A pattern that is given later doesn't undo how it was divided.
    later = make_config(
        out=config.out, runs=config.runs, limitations=["two"], data=folders, patient_pattern="(.)"
    )
    assert measure(later).limitations == ["two", BY_FILE]


def test_operating_points_come_and_go_with_the_images_and_calibration_does_not(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(limitations=["one", NOT_CALIBRATED], priors=None)
    monkeypatch.setattr(reliability, "LEAST_IMAGES", 9)
    few = measure(config)
    assert few.operating_points is None
    assert few.limitations == ["one", NOT_CALIBRATED, NO_OPERATING_POINTS]
    enough = measure(config, OTHER)
    assert enough.operating_points is not None
    assert enough.limitations == ["one", NOT_CALIBRATED]
    assert measure(config).priors is None  # nothing was calibrated at any


# ---------------------------------------------------------------- before an old one goes


def read_all(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("graph", ["model.onnx", FP32_FILE])
def test_a_bundle_that_answers_otherwise_than_its_card_does_not_replace_the_old(
    graph: str, write: Write
) -> None:
    config = write()
    bundle = read_bundle(config.bundle_folder)
    exact = read_fp32(config.bundle_folder, bundle)
    other: list[list[float]] = [[0.97, 0.01, 0.01, 0.01]] * len(bundle.card.known_answers)
    assert bundle.card.fp32 is not None
    changes: dict[str, object] = {
        "model.onnx": {
            "known_answers": [
                known.model_copy(update={"probabilities": row})
                for known, row in zip(bundle.card.known_answers, other, strict=True)
            ]
        },
        FP32_FILE: {"fp32": bundle.card.fp32.model_copy(update={"known_probabilities": other})},
    }[graph]
    before = read_all(config.bundle_folder)
    wrong = replace(bundle, card=bundle.card.model_copy(update=changes))
    with pytest.raises(writing.BundleRefused, match=r"stays as it was: .* known image 0 different"):
        remeasure(config, wrong, exact, OWN)
    assert read_all(config.bundle_folder) == before
    assert list(config.out.iterdir()) == [config.bundle_folder]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (lambda folder: (folder / "model.onnx").write_bytes(b"none"), "another sha256"),
        (lambda folder: (folder / FP32_FILE).write_bytes(b"none"), "another sha256"),
        (lambda folder: (folder / "card.json").write_text("{}"), "can't be read: "),
    ],
    ids=["graph", "float32 graph", "card"],
)
def test_a_bundle_that_serving_would_not_load_does_not_replace_the_old(
    fault: Callable[[Path], object],
    told: str,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = write()
    before = read_all(config.bundle_folder)
    monkeypatch.setattr(writing, "plot_all", lambda *given: fault(given[-1]))
    with pytest.raises(writing.BundleRefused, match=told):
        measure(config)
    assert read_all(config.bundle_folder) == before
