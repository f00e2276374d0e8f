"""neumo-train: one whole run on drawn images, and what it says when it can't."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.bundle import Bundle, read_bundle
from app.inference import OnnxModel
from tests.training.drawings import write_data_set
from training import metrics
from training.card import render_readme
from training.cli import main
from training.data import load_images, read_samples

NAME = "neumo-drawn-3"
COMMANDS = ["run", "fit", "export"]
Say = Callable[..., tuple[int, str]]


class Workplace:
    """Folders of a run, and the arguments that name them."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.data.mkdir()
        self.bundle = folder / "models" / NAME
        self.run = folder / "runs" / NAME
        self.arguments = [
            *("--name", NAME),
            *("--data", str(self.data)),
            *("--out", str(folder / "models")),
            *("--runs", str(folder / "runs")),
        ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A workplace after the whole of `neumo-train run`."""
    place = Workplace(tmp_path_factory.mktemp("finished"))
    write_data_set(place.data, train=24, test=8)
    place.bundle.mkdir(parents=True)
    (place.bundle / "left-over.txt").touch()  # of an older bundle of this name
    settings = ["--weights=random", "--epochs=3", "--batch-size=8", "--calibration-images=16"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "_RESAMPLES", 20)  # 1000 take half a minute a split
        assert main(["run", *place.arguments, *settings]) == 0
    return place


@pytest.fixture(scope="module")
def bundle(finished: Workplace) -> Bundle:
    """The bundle, as serving reads it."""
    return read_bundle(finished.bundle)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """A workplace whose data set is still empty."""
    return Workplace(tmp_path)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run the command; return its exit code and what it wrote to standard error."""

    def run(*arguments: str) -> tuple[int, str]:
        code = main(arguments)
        return code, capsys.readouterr().err

    return run


# ---------------------------------------------------------------- a whole run


def test_the_bundle_is_whole_and_nothing_else_is_left(finished: Workplace) -> None:
    assert {path.name for path in finished.bundle.iterdir()} == {
        "model.onnx",
        "model.fp32.onnx",
        "card.json",
        "README.md",
        "confusion.png",
        "roc.png",
    }
    assert list(finished.bundle.parent.iterdir()) == [finished.bundle]


def test_the_plots_are_images(finished: Workplace) -> None:
    for name in ("confusion.png", "roc.png"):
        with Image.open(finished.bundle / name) as plot:
            assert min(plot.size) > 300


def test_the_readme_is_the_cards(finished: Workplace, bundle: Bundle) -> None:
    readme = (finished.bundle / "README.md").read_text(encoding="utf-8")
    assert readme == render_readme(bundle.card)


def test_serving_gets_the_known_answers(bundle: Bundle) -> None:
    assert len(bundle.card.known_answers) == 4
    OnnxModel(bundle).check_known_answers()


def test_labels_that_are_easy_to_tell_apart_are_told_apart(bundle: Bundle) -> None:
    assert bundle.card.metrics["test"].accuracy.value > 0.7
    assert bundle.card.metrics["test_fp32"].accuracy.value > 0.7


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
    assert sum(training) == 4 * 24  # the fit and the validation split


def test_the_card_tells_how_the_run_was_made(finished: Workplace, bundle: Bundle) -> None:
    training = bundle.card.training
    history = json.loads((finished.run / "history.json").read_text(encoding="utf-8"))
    scores = [epoch["validation_macro_auroc"] for epoch in history]
    assert (training.strategy, training.starting_weights) == ("finetune", "random")
    assert (training.epochs, len(scores), training.seed) == (3, 3, 0)
    assert training.best_epoch == 1 + scores.index(max(scores))
    assert training.command.startswith(f"neumo-train run --name {NAME} --data ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", training.date)
    assert training.duration_s >= sum(epoch["seconds"] for epoch in history)
    assert {"python", "torch", "onnxruntime"} <= training.environment.keys()


def test_the_card_is_named_and_numbered_after_the_run(bundle: Bundle) -> None:
    assert (bundle.card.name, bundle.card.version) == (NAME, "3")


# ---------------------------------------------------------------- called wrongly: 2


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_setting_exits_with_2_and_its_name(
    command: str, say: Say, place: Workplace
) -> None:
    code, message = say(command, *place.arguments, "--epochs", "none")
    assert code == 2
    assert message.startswith("neumo-train: epochs: Input should be a valid integer")


def test_every_wrong_setting_has_its_line(say: Say) -> None:
    code, message = say("run", "--name", "neumo", "--strategy", "thaw")
    assert code == 2
    named = [line.split(": ")[1] for line in message.splitlines()]
    assert sorted(named) == ["data", "name", "strategy"]


def test_an_unknown_key_of_a_recipe_exits_with_2(say: Say, place: Workplace) -> None:
    recipe = place.data / "recipe.toml"
    recipe.write_text("dropout = 0.1")
    code, message = say("run", "--recipe", str(recipe), *place.arguments)
    assert (code, message) == (2, "neumo-train: dropout: Extra inputs are not permitted\n")


def leave_missing(_: Path) -> None:
    """Write nothing."""


def write_yaml(path: Path) -> None:
    path.write_text("name: neumo-1\n")


def write_binary(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


@pytest.mark.parametrize("write", [leave_missing, write_yaml, write_binary])
def test_an_unreadable_recipe_exits_with_2_and_its_path(
    write: Callable[[Path], None], say: Say, place: Workplace
) -> None:
    recipe = place.data / "recipe.toml"
    write(recipe)
    code, message = say("run", "--recipe", str(recipe), *place.arguments)
    assert code == 2
    assert message.startswith(f"neumo-train: --recipe {recipe} can't be read: ")


def test_an_unknown_flag_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", "--dropout", "0.1"])
    assert caught.value.code == 2
    assert "--dropout" in capsys.readouterr().err


# ---------------------------------------------------------------- can't be done: 3


@pytest.mark.parametrize("command", ["run", "fit"])
def test_a_missing_manifest_exits_with_3_and_says_what_to_give(
    command: str, say: Say, place: Workplace
) -> None:
    manifest = place.data / "manifest.csv"
    code, message = say(command, *place.arguments, "--data", str(manifest))
    told = f"neumo-train: {manifest} can't be read; give a manifest.csv or a folder\n"
    assert (code, message) == (3, told)


def test_missing_weights_exit_with_3_and_say_what_to_give(say: Say, place: Workplace) -> None:
    write_data_set(place.data, train=11, test=1)
    code, message = say("fit", *place.arguments, "--weights", "absent.pth")
    assert code == 3
    last = message.splitlines()[-1]
    assert last.startswith("neumo-train: absent.pth: FileNotFoundError. Give --weights the path")


def test_exporting_what_was_not_fitted_exits_with_3_and_says_what_to_run(
    say: Say, place: Workplace
) -> None:
    code, message = say("export", *place.arguments)
    assert code == 3
    assert message.startswith(f"neumo-train: {place.run} holds no fitted run. First run")
    assert not place.bundle.exists()
