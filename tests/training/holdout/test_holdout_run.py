"""neumo-train holdout, and a run that takes over what it found: whole runs on drawn images.

Four hospitals: only `kids` has bacterial and viral pneumonia told apart, so the network that was
trained without it was never taught them.
"""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.special import softmax

from app.model.bundle import read_bundle
from app.model.labels import LABEL_IDS
from app.model.session import OnnxModel
from tests.training.drawings import Row, draw, make_row, write_manifest
from tests.training.networks import build_slim_resnet
from tests.training.workplace import Say, Workplace, shorten_audit
from training import commands as cli
from training.commands import main
from training.fit import trainer
from training.holdout import fold_run
from training.holdout.held_answers import HeldAnswers, read_answers
from training.holdout.record import Record
from training.holdout.threshold_choice import name_kind
from training.metrics import reliability
from training.report.readme import render_readme

pytestmark = pytest.mark.xdist_group("a whole hold-out")

SETTINGS = [
    *("--weights=random", "--epochs=2", "--small-epochs=1", "--small-side-px=96"),
    *("--batch-size=4", "--augmentation=basic", "--calibration-images=8"),
    *("--calibration-method=minmax", "--validation-share=0.25"),
]


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "build_model", build_slim_resnet)
        patch.setattr(trainer, "build_model", build_slim_resnet)
        shorten_audit(patch)
        patch.setattr(reliability, "LEAST_IMAGES", 1)
        patch.setattr(reliability, "LEAST_PATIENTS", 1)
        yield


SET = "bacterial_pneumonia|viral_pneumonia"
HOSPITALS = {
    "adults": {"normal": 8, SET: 6, "other": 4},
    "clinic": {"normal": 8, "covid19": 8},
    "kids": {"normal": 8, "bacterial_pneumonia": 12, "viral_pneumonia": 12},
    "wards": {"covid19": 8},
}


HELD_OUT = ("adults", "kids", "wards")
FOLDS = [f"--fold={source}" for source in HELD_OUT]


def write_hospitals(folder: Path) -> None:
    """Write training images of every hospital, and some tests of each label."""
    generator = np.random.default_rng(0)
    rows: list[Row] = []
    tests = {"kids": dict.fromkeys(LABEL_IDS, 3)}
    for split, hospitals in (("train", HOSPITALS), ("test", tests)):
        for source, kinds in hospitals.items():
            for kind, count in kinds.items():
                for number in range(count):
                    path = f"{split}-{source}-{kind.replace('|', '-')}-{number}.png"
                    drawn = {SET: "viral_pneumonia", "other": "normal"}.get(kind, kind)
                    pixels = draw(LABEL_IDS.index(drawn), generator)  # type: ignore[arg-type]
                    Image.fromarray(pixels).save(folder / path)
                    rows.append(make_row(path, split, kind) | {"source": source})
    write_manifest(folder, rows)


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A workplace after `neumo-train holdout` of three hospitals in turn."""
    place = Workplace(tmp_path_factory.mktemp("held-out"))
    write_hospitals(place.data)
    assert main(["holdout", *place.arguments, *SETTINGS, *FOLDS]) == 0
    return place


@pytest.fixture(scope="module")
def record(held_out: Workplace) -> Record:
    return Record.model_validate_json((held_out.run / "holdout.json").read_bytes())


def read_fold(place: Workplace, name: str) -> HeldAnswers:
    answers = read_answers(place.run / "holdout" / name / "answers.npz")
    assert answers is not None
    return answers


def read_names(answers: HeldAnswers) -> NDArray[np.str_]:
    return np.array([path.rpartition("/")[2] for path in answers.paths.tolist()])


@pytest.mark.parametrize("source", HELD_OUT)
def test_a_fold_answers_for_every_training_image_of_its_source_and_none_of_the_test(
    held_out: Workplace, source: str
) -> None:
    with (held_out.data / "manifest.csv").open(encoding="utf-8") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    answers = read_fold(held_out, source)
    expected = {
        path for path, row in rows.items() if (row["source"], row["split"]) == (source, "train")
    }
    names = read_names(answers)
    assert set(names[answers.held].tolist()) == expected
    assert not any(name.startswith("test") for name in names)
    assert set(answers.sources[~answers.held].tolist()) == HOSPITALS.keys() - {source}
    kinds = [name_kind(target) for target in answers.targets]
    assert kinds == [rows[name]["label"] for name in names]


def test_a_network_that_was_never_taught_a_label_is_not_blamed_for_it(held_out: Workplace) -> None:
    answers = read_fold(held_out, "kids")
    taught = {
        kind: set(answers.learned[(answers.targets == target).all(1)].tolist())
        for target in np.unique(answers.targets, axis=0)
        for kind in [name_kind(target)]
    }
    assert taught == {
        "normal": {True},
        "covid19": {True},
        "bacterial_pneumonia": {False},
        "viral_pneumonia": {False},
        SET: {True},
        "other": {True},
    }


def test_a_fold_was_not_taught_its_sources_patients(held_out: Workplace) -> None:
    config = json.loads((held_out.run / "holdout" / "wards" / "config.json").read_text("utf-8"))
    assert config["name"] == "wards"
    answers = read_fold(held_out, "wards")
    assert not set(answers.patients[answers.held]) & set(answers.patients[~answers.held])


def test_logits_and_distances_are_those_of_the_folds_own_network(held_out: Workplace) -> None:
    one, other = (read_fold(held_out, name) for name in ("adults", "kids"))
    for answers in (one, other):
        assert answers.logits.shape == (len(answers.paths), 4)
        assert np.isfinite(answers.logits).all()
        assert (answers.distance > 0).all()
        assert answers.logits.dtype == answers.distance.dtype == np.float32
    shared = set(one.paths.tolist()) & set(other.paths.tolist())
    assert shared  # validation images of the one are held out in the other
    rows = [(one.paths.tolist().index(path), other.paths.tolist().index(path)) for path in shared]
    assert all(not np.allclose(one.logits[i], other.logits[j]) for i, j in rows)


def test_the_record_counts_each_source_and_the_table_tells_it(
    held_out: Workplace, record: Record
) -> None:
    assert tuple(record.sources) == HELD_OUT
    for name, figures in record.sources.items():
        answers = read_fold(held_out, name)
        assert figures.images == HOSPITALS[name]
        assert figures.without == [name]
        called = answers.logits.argmax(1)
        for kind, share in figures.called_covid19.items():
            shown = [name_kind(target) == kind for target in answers.targets]
            rows = answers.held & shown
            assert share.value == pytest.approx((called[rows] == 1).mean())
    assert record.sources["wards"].auroc.keys() == {
        f"normal of {source} (seen)" for source in ("adults", "clinic", "kids")
    }
    assert record.sources["kids"].untaught == ["bacterial_pneumonia", "viral_pneumonia"]
    assert record.from_validation == ["bacterial_pneumonia", "viral_pneumonia"]
    page = (held_out.run / "holdout" / "README.md").read_text(encoding="utf-8")
    shown = record.sources["wards"].called_covid19["covid19"]
    line = next(each for each in page.splitlines() if each.startswith("| wards | covid19 | 8 |"))
    assert f"{shown.value:.3f} ({shown.low:.3f} to {shown.high:.3f})" in line
    assert "of bacterial_pneumonia and viral_pneumonia validation's patients" in page
    assert "each source and kind counts alike" in page


def test_folds_that_are_done_are_not_done_again(
    held_out: Workplace, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(fold_run, "fit", fail)
    assert main(["holdout", *held_out.arguments, *SETTINGS, *FOLDS]) == 0
    again = Record.model_validate_json((held_out.run / "holdout.json").read_bytes())
    assert again == record


def test_folds_in_processes_of_their_own_give_the_same(held_out: Workplace, record: Record) -> None:
    assert main(["holdout", *held_out.arguments, *SETTINGS, *FOLDS, "--jobs=2"]) == 0
    again = Record.model_validate_json((held_out.run / "holdout.json").read_bytes())
    assert again == record


def test_a_fold_of_other_settings_is_not_taken_for_done(held_out: Workplace, say: Say) -> None:
    code, message = say("holdout", *held_out.arguments, *SETTINGS, *FOLDS, "--learning-rate=0.001")
    assert code == 3
    assert "learning_rate" in message


def test_an_unknown_source_is_named(held_out: Workplace, say: Say) -> None:
    code, message = say("holdout", *held_out.arguments, *SETTINGS, "--fold=kids,elsewhere")
    assert code == 3
    assert "of the source elsewhere; known: adults, clinic, kids, wards" in message


# ---------------------------------------------------------------- what a run takes over


def test_a_run_takes_temperature_thresholds_and_figures_over(
    held_out: Workplace, record: Record
) -> None:
    named = ("--holdout", str(held_out.run))
    assert main(["run", *held_out.arguments, *SETTINGS, *named]) == 0
    assert (held_out.run / "holdout.json").exists()  # it is no earlier run's, to be moved aside
    card = read_bundle(held_out.bundle).card
    assert card.temperature == pytest.approx(record.temperature)
    assert card.operating_points == record.operating_points
    assert card.certainty == record.certainty
    assert card.certainty is not None
    assert card.certainty.chosen_on == "held_out_sources"
    assert card.holdout == record.sources
    assert card.trade_off == record.trade_off
    assert str(held_out.run) not in card.model_dump_json()
    assert "--holdout RUNS/neumo-drawn-3/holdout.json" in card.training.command
    readme = (held_out.bundle / "README.md").read_text(encoding="utf-8")
    assert readme == render_readme(card)
    assert "## Hospitals never seen" in readme
    assert "| kids | bacterial_pneumonia (never taught) | 12 |" in readme
    assert (held_out.bundle / "trade-off.png").read_bytes().startswith(b"\x89PNG")


def test_a_bundle_measured_anew_takes_it_over_too_and_answers_as_its_card_says(
    held_out: Workplace, record: Record, place: Workplace
) -> None:
    other = record.model_copy(update={"temperature": 3.0, "distance_factor": 4.0})
    told = place.data / "told.json"
    told.write_text(other.model_dump_json(), encoding="utf-8")
    shutil.copytree(held_out.bundle, place.bundle)
    before = read_bundle(place.bundle).card
    arguments = [each.replace(str(place.data), str(held_out.data)) for each in place.arguments]
    assert main(["remeasure", *arguments, "--holdout", str(told)]) == 0
    after = read_bundle(place.bundle)
    assert after.card.temperature == 3
    outputs = OnnxModel(after).run(np.full((1, 1, 224, 224), 90, np.uint8))
    logits = np.array(list(outputs.logits[0]))
    np.testing.assert_allclose(outputs.probabilities[0], softmax(logits / 3), rtol=1e-3)
    assert before.distance_threshold is not None
    room = 4 / record.distance_factor
    assert after.card.distance_threshold == pytest.approx(room * before.distance_threshold)
    assert after.card.known_answers != before.known_answers  # at the new temperature
