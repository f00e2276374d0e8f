"""neumo-train holdout, and a run that takes over what it found: whole runs on drawn images."""

import csv
import json
from collections.abc import Iterator

import numpy as np
import pytest

from app.model.bundle import read_bundle
from app.model.labels import LABEL_IDS
from tests.training.drawings import write_data_set
from tests.training.networks import build_slim_resnet
from tests.training.workplace import Say, Workplace, shorten_audit
from training import commands as cli
from training.commands import main
from training.fit import trainer
from training.holdout import fold_run
from training.holdout.held_answers import HeldAnswers, read_answers
from training.holdout.record import Record
from training.metrics import reliability
from training.report.readme import render_readme

pytestmark = pytest.mark.xdist_group("a whole hold-out")

SETTINGS = [
    *("--weights=random", "--epochs=3", "--small-epochs=2", "--small-side-px=96"),
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


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A workplace after `neumo-train holdout` of two folds."""
    place = Workplace(tmp_path_factory.mktemp("held-out"))
    write_data_set(place.data, train=16, test=8)
    assert main(["holdout", *place.arguments, *SETTINGS]) == 0
    return place


@pytest.fixture(scope="module")
def record(held_out: Workplace) -> Record:
    return Record.model_validate_json((held_out.run / "holdout.json").read_bytes())


def read_fold(place: Workplace, name: str) -> HeldAnswers:
    answers = read_answers(place.run / "holdout" / name / "answers.npz")
    assert answers is not None
    return answers


@pytest.mark.parametrize("source", ["a", "b"])
def test_a_fold_answers_for_every_training_image_of_its_source_and_none_of_the_test(
    held_out: Workplace, source: str
) -> None:
    with (held_out.data / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    answers = read_fold(held_out, source)
    expected = {row["path"] for row in rows if (row["source"], row["split"]) == (source, "train")}
    names = np.array([path.rpartition("/")[2] for path in answers.paths.tolist()])
    assert set(names[answers.held]) == expected
    assert not any(name.startswith("test") for name in names)
    assert set(answers.sources[~answers.held].tolist()) == {"ab".replace(source, "")}
    by_path = {row["path"]: LABEL_IDS.index(row["label"]) for row in rows}  # type: ignore[arg-type]
    assert answers.targets.argmax(1).tolist() == [by_path[name] for name in names]
    assert answers.targets.sum(1).tolist() == [1] * len(names)


def test_a_fold_was_not_taught_its_sources_patients(held_out: Workplace) -> None:
    config = json.loads((held_out.run / "holdout" / "a" / "config.json").read_text("utf-8"))
    assert config["name"] == "a"
    answers = read_fold(held_out, "a")
    assert not set(answers.patients[answers.held]) & set(answers.patients[~answers.held])


def test_logits_and_distances_are_those_of_the_folds_own_network(held_out: Workplace) -> None:
    one, other = (read_fold(held_out, name) for name in "ab")
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
    assert record.sources.keys() == {"a", "b"}
    for name, figures in record.sources.items():
        answers = read_fold(held_out, name)
        assert figures.images == dict.fromkeys(LABEL_IDS, answers.held.sum() // 4)
        called = answers.logits[answers.held].argmax(1)
        truth = answers.targets[answers.held].argmax(1)
        for index, label in enumerate(LABEL_IDS):
            share = (called[truth == index] == 1).mean()
            assert figures.called_covid19[label].value == pytest.approx(share)
        assert figures.auroc.keys() == {
            "itself",
            f"normal of {'ab'.replace(name, '')} (seen)",
            f"COVID-19 of {'ab'.replace(name, '')} (seen)",
        }
    page = (held_out.run / "holdout" / "README.md").read_text(encoding="utf-8")
    shown = record.sources["a"].called_covid19["covid19"]
    line = next(each for each in page.splitlines() if each.startswith("| a | covid19 |"))
    assert f"{shown.value:.3f} ({shown.low:.3f} to {shown.high:.3f})" in line


def test_folds_that_are_done_are_not_done_again(
    held_out: Workplace, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(fold_run, "fit", fail)
    assert main(["holdout", *held_out.arguments, *SETTINGS]) == 0
    again = Record.model_validate_json((held_out.run / "holdout.json").read_bytes())
    assert again == record


def test_a_fold_of_other_settings_is_not_taken_for_done(held_out: Workplace, say: Say) -> None:
    code, message = say("holdout", *held_out.arguments, *SETTINGS, "--learning-rate=0.001")
    assert code == 3
    assert "learning_rate" in message


def test_an_unknown_source_is_named(held_out: Workplace, say: Say) -> None:
    code, message = say("holdout", *held_out.arguments, *SETTINGS, "--fold=a,elsewhere")
    assert code == 3
    assert "of the source elsewhere; known: a, b" in message


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
    assert (held_out.bundle / "trade-off.png").read_bytes().startswith(b"\x89PNG")
