"""neumo-train run, evaluate and remeasure: one whole run on drawn images."""

import hashlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.model.bundle import Bundle, read_bundle
from app.model.card import AgeRange, Card, Population
from app.model.labels import LABEL_IDS
from app.model.measured.figures import Metrics
from app.model.session import OnnxModel
from tests.training.drawings import write_data_set
from tests.training.workplace import NAME, Say, Workplace, make_quick
from training import commands as cli
from training.commands import main
from training.data.images import load_images
from training.data.manifest import read_samples
from training.measure.predictions import read_predictions
from training.report.plots import PLOTS
from training.report.readme import render_readme

pytestmark = pytest.mark.xdist_group("a whole run")

SETTINGS = [
    *("--weights=random", "--epochs=4", "--small-epochs=3", "--small-side-px=96"),
    *("--batch-size=4", "--augmentation=basic", "--calibration-images=8"),
]


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """Train a narrow network, and leave out most of the audit: tests of its own are about it."""
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A workplace after the whole of `neumo-train run`; its answer is in ``said.txt``."""
    place = Workplace(tmp_path_factory.mktemp("finished"))
    write_data_set(place.data, train=16, test=8)
    place.bundle.mkdir(parents=True)
    (place.bundle / "left-over.txt").touch()  # of an older bundle of this name
    with redirect_stdout(io.StringIO()) as said:
        assert main(["run", *place.arguments, *SETTINGS]) == 0
    (place.data / "said.txt").write_text(said.getvalue())
    return place


@pytest.fixture(scope="module")
def bundle(finished: Workplace) -> Bundle:
    """The bundle, as serving reads it."""
    return read_bundle(finished.bundle)


# ---------------------------------------------------------------- a whole run


def test_the_bundle_is_whole_and_nothing_else_is_left(finished: Workplace) -> None:
    assert {path.name for path in finished.bundle.iterdir()} == {
        "model.onnx",
        "model.fp32.onnx",
        "card.json",
        "README.md",
        "confusion.png",
        "roc.png",
        "precision-recall.png",
        "reliability.png",
        "risk-coverage.png",
        "changes.png",
        "deletion.png",
    }
    assert list(finished.bundle.parent.iterdir()) == [finished.bundle]


def test_the_plots_are_images(finished: Workplace) -> None:
    for name in PLOTS:
        with Image.open(finished.bundle / name) as plot:
            assert min(plot.size) > 300


def test_the_readme_is_the_cards(finished: Workplace, bundle: Bundle) -> None:
    readme = (finished.bundle / "README.md").read_text(encoding="utf-8")
    assert readme == render_readme(bundle.card)


def test_serving_gets_the_known_answers(bundle: Bundle) -> None:
    assert len(bundle.card.known_answers) == 4
    OnnxModel(bundle).check_known_answers()


def test_labels_that_are_easy_to_tell_apart_are_told_apart(bundle: Bundle) -> None:
    splits = {"validation", "validation_fp32", "test", "test_fp32"}
    assert bundle.card.metrics.keys() == splits
    assert all(figures.accuracy.value > 0.7 for figures in bundle.card.metrics.values())


def test_the_test_accuracy_is_that_of_the_served_graph_on_the_test_images(
    finished: Workplace, bundle: Bundle
) -> None:
    samples = [sample for sample in read_samples(finished.data) if sample.split == "test"]
    model = OnnxModel(bundle)
    rows = load_images(samples, "test")[:, np.newaxis]
    called = [int(model.run(row).probabilities.argmax()) for row in rows]
    right = [call == sample.label for call, sample in zip(called, samples, strict=True)]
    assert bundle.card.metrics["test"].accuracy.value == pytest.approx(np.mean(right))


def test_the_float32_graph_answers_like_the_served_one(finished: Workplace, bundle: Bundle) -> None:
    exact = OnnxModel(Bundle(bundle.card, b"", (finished.bundle / "model.fp32.onnx").read_bytes()))
    image = np.full((1, 1, 224, 224), 90, np.uint8)
    logits, rounded = exact.run(image).logits, OnnxModel(bundle).run(image).logits
    assert np.abs(rounded - logits).max() < 0.25 * np.ptp(logits)


def test_the_card_counts_images_and_patients_by_split(bundle: Bundle) -> None:
    figures = bundle.card.metrics["test"]
    assert (figures.images, figures.patients) == (32, 4 * (8 - 2))
    assert set(figures.accuracy_by_source) == {"a", "b"}
    training = [sum(source.images.values()) for source in bundle.card.training.data]
    assert [source.source for source in bundle.card.training.data] == ["a", "b"]
    assert sum(training) == 4 * 16  # the fit and the validation split
    assert bundle.card.metrics["validation"].images == bundle.card.metrics["validation_fp32"].images


def test_the_card_tells_how_the_served_graph_was_quantised(bundle: Bundle) -> None:
    made = bundle.card.quantisation
    assert made is not None
    assert set(made.tried) == {"minmax", "entropy", "percentile"}
    nearest = min(made.tried, key=lambda method: made.tried[method].difference)
    assert made.method == nearest
    validation = bundle.card.metrics["validation"]
    assert made.tried[nearest].macro_auroc == pytest.approx(validation.macro_auroc.value)


def test_the_last_lines_name_every_figure_of_every_split_and_the_folder(
    finished: Workplace, bundle: Bundle
) -> None:
    *lines, folder = (finished.data / "said.txt").read_text().splitlines()
    assert folder == str(finished.bundle)
    for split, figures in bundle.card.metrics.items():
        line = lines[lines.index(split) + 1]
        accuracy = figures.accuracy
        shown = f"{accuracy.value:.4f} ({accuracy.low:.4f} to {accuracy.high:.4f})"
        assert line.split(maxsplit=1) == ["accuracy", shown]
    assert sum("viral_vs_bacterial AUROC" in line for line in lines) >= 2  # the test split's


def test_the_run_folder_holds_all_that_tells_of_a_run(finished: Workplace) -> None:
    files = {path.name for path in finished.run.iterdir() if not path.match("events.*")}
    assert files == {
        "config.json",
        "environment.json",
        "last.pt",
        "best.pt",
        "history.json",
        "history.csv",
        "curves.png",
        "predictions.csv",
    }


def test_the_run_folder_holds_the_answers_that_the_cards_figures_are_of(
    finished: Workplace, bundle: Bundle
) -> None:
    told = read_predictions(finished.run / "predictions.csv")
    assert set(told.data_sets) == {"data"}
    for split in ("validation", "test"):
        part = told.take(told.splits == split)
        figures = bundle.card.metrics[split]
        assert (len(part), len(set(part.patients))) == (figures.images, figures.patients)
        right = np.array(part.called) == part.labels
        assert right.mean() == pytest.approx(figures.accuracy.value)
        assert figures.refused is not None
        assert (part.statuses == "refused").mean() == pytest.approx(figures.refused.value)
    assert len(told) == sum(bundle.card.metrics[split].images for split in ("validation", "test"))


def test_the_card_tells_how_the_run_was_made(finished: Workplace, bundle: Bundle) -> None:
    training = bundle.card.training
    history = json.loads((finished.run / "history.json").read_text(encoding="utf-8"))
    sides = [epoch["side_px"] for epoch in history]
    assert (training.strategy, training.starting_weights) == ("finetune", "random")
    assert (training.epochs, sides, training.seed) == (4, [96, 96, 96, 224], 0)
    assert training.best_epoch == 4  # the only one on whole images
    assert training.command.startswith(f"neumo-train run --name {NAME} --data DATA/data ")
    assert str(finished.data.parent) not in bundle.card_json.decode()  # nobody's folders
    assert training.settings["augmentation"] == "basic"
    assert training.settings["learning_rate"] == 4e-4
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", training.date)
    assert training.duration_s >= sum(epoch["seconds"] for epoch in history)
    assert {"python", "torch", "onnxruntime"} <= training.environment.keys()
    machine = json.loads((finished.run / "environment.json").read_text(encoding="utf-8"))
    fitted_with = f"torch {machine['packages']['torch']} on {machine['processor']}"
    assert training.environment["fitted with"] == fitted_with


def test_a_run_is_exported_only_with_the_settings_it_was_fitted_with(
    finished: Workplace, say: Say
) -> None:
    code, message = say("export", *finished.arguments, "--weights=random", "--seed=3")
    assert code == 3
    assert "was started with another" in message
    assert "seed" in message


@pytest.fixture
def released(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that releases are told, which write nothing here."""
    commands = []

    def release(_: object, __: object, command: str) -> Card:
        commands.append(command)
        return bundle.card

    monkeypatch.setattr(cli, "release", release)
    return commands


def test_the_card_tells_the_weights_of_the_run_whatever_the_export_names(
    finished: Workplace, released: list[str]
) -> None:
    settings = [each for each in SETTINGS if "weights" not in each]
    assert main(["export", *finished.arguments, *settings]) == 0
    assert "--weights random" in released[0]


def test_a_run_that_was_stopped_is_not_exported(
    finished: Workplace, place: Workplace, say: Say
) -> None:
    shutil.copytree(finished.run, place.run)
    history = json.loads((place.run / "history.json").read_text(encoding="utf-8"))
    (place.run / "history.json").write_text(json.dumps(history[:2]), encoding="utf-8")
    code, message = say("export", *place.arguments_on(finished.data), *SETTINGS)
    assert code == 3
    assert "was stopped after epoch 2 of 4" in message
    assert "--resume" in message


def test_the_card_is_named_and_numbered_after_the_run(bundle: Bundle) -> None:
    assert (bundle.card.name, bundle.card.version) == (NAME, "3")


def test_a_finished_run_that_is_resumed_keeps_its_epochs_and_is_released_again(
    finished: Workplace, bundle: Bundle, released: list[str]
) -> None:
    before = (finished.run / "history.json").read_bytes()
    assert main(["run", *finished.arguments, *SETTINGS, "--resume"]) == 0
    assert (finished.run / "history.json").read_bytes() == before
    assert released == [bundle.card.training.command]  # which resumes nothing


# ---------------------------------------------------------------- evaluate


def evaluate(place: Workplace, *more: str) -> int:
    report = place.bundle.parents[1] / "report"
    named = ["--bundle", str(place.bundle), "--data", str(place.data), "--report", str(report)]
    return main(["evaluate", *named, *more])


def test_evaluating_a_bundle_gives_its_cards_own_figures(
    finished: Workplace, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(finished) == 0
    report = finished.bundle.parents[1] / "report"
    written = json.loads((report / "evaluation.json").read_text(encoding="utf-8"))
    assert Metrics.model_validate(written["metrics"]) == bundle.card.metrics["test"]
    assert written["model"] == {"name": NAME, "sha256": bundle.card.sha256}
    for plot in PLOTS:
        assert (report / plot).read_bytes() == (finished.bundle / plot).read_bytes()
    said = capsys.readouterr().out
    assert said.endswith(f"{report}\n")
    accuracy = bundle.card.metrics["test"].accuracy.value
    assert said.splitlines()[0].split()[:2] == ["accuracy", f"{accuracy:.4f}"]


def copy_bundle(finished: Workplace, place: Workplace, **changes: Any) -> Card:  # noqa: ANN401 - JSON
    """Copy the finished bundle, its card changed; return that card."""
    shutil.copytree(finished.bundle, place.bundle)
    card = read_bundle(finished.bundle).card.model_copy(update=changes)
    (place.bundle / "card.json").write_text(card.model_dump_json(), encoding="utf-8")
    return card


POPULATION = Population(
    age_years={label: [AgeRange(low=1, high=5)] for label in LABEL_IDS}, views=["PA"]
)


def test_remeasuring_writes_the_card_anew_and_leaves_graphs_and_what_is_not_given(
    finished: Workplace, place: Workplace, tmp_path: Path
) -> None:
    older = copy_bundle(
        finished,
        place,
        operating_points=None,
        certainty=None,
        distance_threshold=None,
        population=POPULATION,
        licence="ours",
        intended_use="here",
    )
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('limitations = ["a new limit"]', encoding="utf-8")
    told = ["--recipe", str(recipe)]
    assert main(["remeasure", *place.arguments_on(finished.data), *told]) == 0

    before, after = read_bundle(finished.bundle), read_bundle(place.bundle)
    assert after.graph == before.graph
    chosen = {
        "operating_points": before.card.operating_points,
        "distance_threshold": before.card.distance_threshold,
        "certainty": before.card.certainty,
    }
    assert after.card.certainty is not None
    assert after.card == older.model_copy(update=chosen | {"limitations": ["a new limit"]})
    for name in ("model.fp32.onnx", "roc.png"):
        assert (place.bundle / name).read_bytes() == (finished.bundle / name).read_bytes()
    assert {path.name for path in place.bundle.iterdir()} == {
        path.name for path in finished.bundle.iterdir()
    }
    readme = (place.bundle / "README.md").read_text(encoding="utf-8")
    assert readme == render_readme(after.card)


def test_remeasuring_with_another_division_is_refused(
    finished: Workplace, place: Workplace, say: Say
) -> None:
    copy_bundle(finished, place)
    code, message = say("remeasure", *place.arguments_on(finished.data), "--seed=3", "--name", NAME)
    assert code == 3
    assert "was fitted with seed 0" in message
    kept = (place.bundle / "card.json").read_text(encoding="utf-8")
    assert kept == read_bundle(finished.bundle).card.model_dump_json()


def test_remeasuring_on_other_data_keeps_the_priors_and_no_figure_of_the_old(
    finished: Workplace, place: Workplace
) -> None:
    before = copy_bundle(finished, place)
    manifest = write_data_set(place.data, train=11, test=3, seed=1)
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(re.sub(r",(a|b),", r",other-\1,", text), encoding="utf-8")
    assert main(["remeasure", *place.arguments]) == 0

    after = read_bundle(place.bundle).card
    assert after.priors == before.priors
    assert after.metrics.keys() == before.metrics.keys()
    for split, figures in after.metrics.items():
        assert set(figures.accuracy_by_source) <= {"other-a", "other-b"}, split
    # The float32 graph's distance is fitted anew too, and the card vouches for that graph.
    exact = (place.bundle / "model.fp32.onnx").read_bytes()
    assert after.fp32 is not None
    assert after.fp32.sha256 == hashlib.sha256(exact).hexdigest()
    assert after.fp32 != before.fp32


def test_remeasuring_on_other_images_of_a_fitted_source_is_refused(
    finished: Workplace, place: Workplace, say: Say
) -> None:
    copy_bundle(finished, place)
    write_data_set(place.data, train=11, test=3, seed=1)
    code, message = say("remeasure", *place.arguments)
    assert code == 3
    assert "fitted to images of a, b" in message


def test_another_split_is_evaluated_where_it_is_asked_for(
    finished: Workplace, tmp_path: Path
) -> None:
    assert evaluate(finished, "--split", "train", "--report", str(tmp_path)) == 0
    written = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    assert (written["split"], written["metrics"]["images"]) == ("train", 4 * 16)


def test_a_missing_bundle_exits_with_3_and_its_name(say: Say, place: Workplace) -> None:
    code, message = say("evaluate", "--bundle", "neumo-absent-1", "--data", str(place.data))
    assert code == 3
    assert message.startswith("neumo-train: The bundle 'neumo-absent-1' has no card.json.")


@pytest.mark.parametrize(
    "arguments",
    [["--data", "x"], ["--bundle", "x"], ["--bundle", "x", "--data", "x", "--split", "fit"]],
)
def test_evaluating_without_a_bundle_or_data_or_a_known_split_exits_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", *arguments])
    assert caught.value.code == 2
    assert "usage: neumo-train evaluate" in capsys.readouterr().err


def test_the_reference_of_an_older_card_is_written_as_a_run_writes_it(
    finished: Workplace, place: Workplace, say: Say
) -> None:
    copy_bundle(finished, place, reference=None, bundle_format=3)
    graph = (place.bundle / "model.onnx").read_bytes()
    assert say("reference", *place.arguments_on(finished.data))[0] == 0
    after = read_bundle(place.bundle)
    assert after.card == read_bundle(finished.bundle).card
    assert after.card.reference is not None
    assert sum(after.card.reference.labels.values()) == after.card.reference.images
    assert (place.bundle / "model.onnx").read_bytes() == graph
    (place.bundle / "signature.json").write_text("{}", encoding="utf-8")
    code, message = say("reference", *place.arguments_on(finished.data), "--quiet")
    assert (code, message) == (0, "neumo-train: the card is another: sign the bundle anew\n")
