"""neumo-train: one whole run on drawn images, and what it says when it can't."""

import io
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.bundle import Bundle, read_bundle
from app.card import Card, Metrics
from app.inference import OnnxModel
from tests.training.drawings import make_rows, write_data_set, write_manifest
from training import audit, cli, data_check, features, stress
from training.cli import main
from training.data_check import take_inventory
from training.images import load_images
from training.manifest import read_samples
from training.plots import PLOTS
from training.readme import render_readme

NAME = "neumo-drawn-3"
COMMANDS = ["run", "fit", "export"]
SETTINGS = [
    *("--weights=random", "--epochs=4", "--small-epochs=3", "--small-side-px=96"),
    *("--batch-size=8", "--augmentation=basic", "--calibration-images=8"),
]
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


@pytest.fixture(scope="module", autouse=True)
def _short_audit() -> Iterator[None]:
    """Leave out most of the audit, which takes longest: tests of its own are about it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stress, "CHANGES", {"blurred_1_px": stress.CHANGES["blurred_1_px"]})
        patch.setattr(audit, "_SHARES", (0.0, 0.33))
        patch.setattr(features, "_MOST_TURNED", 8)
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
    }


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


def test_a_run_is_exported_only_with_the_settings_it_was_fitted_with(
    finished: Workplace, say: Say
) -> None:
    code, message = say("export", *finished.arguments, "--weights=random", "--seed=3")
    assert code == 3
    assert "was started with another" in message
    assert "seed" in message


def test_the_card_is_named_and_numbered_after_the_run(bundle: Bundle) -> None:
    assert (bundle.card.name, bundle.card.version) == (NAME, "3")


def test_a_finished_run_that_is_resumed_keeps_its_epochs_and_is_released_again(
    finished: Workplace, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = []

    def release(_: object, __: object, command: str) -> Card:
        commands.append(command)
        return bundle.card

    monkeypatch.setattr(cli, "release", release)
    before = (finished.run / "history.json").read_bytes()
    assert main(["run", *finished.arguments, *SETTINGS, "--resume"]) == 0
    assert (finished.run / "history.json").read_bytes() == before
    assert commands == [bundle.card.training.command]  # which resumes nothing


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


def test_remeasuring_writes_the_card_anew_and_leaves_the_graph(
    finished: Workplace, place: Workplace, tmp_path: Path
) -> None:
    shutil.copytree(finished.bundle, place.bundle)
    before = read_bundle(finished.bundle)
    older = before.card.model_copy(update={"operating_points": None, "distance_threshold": None})
    (place.bundle / "card.json").write_text(older.model_dump_json(), encoding="utf-8")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('limitations = ["a new limit"]', encoding="utf-8")
    data = ("--data", str(finished.data), "--recipe", str(recipe))
    assert main(["remeasure", *place.arguments, *data]) == 0

    after = read_bundle(place.bundle)
    assert after.graph == before.graph
    assert after.card == before.card.model_copy(update={"limitations": ["a new limit"]})
    assert {path.name for path in place.bundle.iterdir()} == {
        path.name for path in finished.bundle.iterdir()
    }
    readme = (place.bundle / "README.md").read_text(encoding="utf-8")
    assert readme == render_readme(after.card)


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


# ---------------------------------------------------------------- data check


def test_checking_data_shows_the_inventory_and_writes_it_for_machines(
    place: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_data_set(place.data, train=2, test=1)
    file = tmp_path / "inventory.json"
    assert main(["data", "check", "--data", str(manifest), "--json", str(file)]) == 0
    inventory = take_inventory(manifest)
    assert capsys.readouterr().out == data_check.render(inventory)
    assert json.loads(file.read_text(encoding="utf-8")) == asdict(inventory)


def test_unreadable_images_exit_with_3_after_the_whole_inventory(
    place: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_data_set(place.data, train=2, test=1)
    for name in ("train-normal-0.jpg", "test-covid19-0.jpg"):
        (place.data / name).write_text("no image")
    file = tmp_path / "inventory.json"
    assert main(["data", "check", "--data", str(manifest), "--json", str(file)]) == 3
    said = capsys.readouterr()
    named = [line.split(": ")[1] for line in said.out.splitlines() if line.startswith("unreadable")]
    assert named == ["train-normal-0.jpg", "test-covid19-0.jpg"]
    assert said.err.splitlines()[-1] == (
        "neumo-train: 2 unreadable image(s), named above: mend or remove them"
    )
    assert len(json.loads(file.read_text(encoding="utf-8"))["unreadable"]) == 2


def test_every_fault_of_a_manifest_has_its_line_and_exits_with_3(
    say: Say, place: Workplace
) -> None:
    rows = make_rows()
    rows[0]["patient"] = rows[7]["patient"]
    rows[3]["path"] = rows[2]["path"]
    manifest = write_manifest(place.data, rows)
    code, message = say("data", "check", "--data", str(manifest))
    assert code == 3
    assert message.splitlines() == [
        "neumo-train: 1 patient(s) in both splits: 'test-viral_pneumonia'",
        f"neumo-train: 1 image(s) listed twice: '{place.data / rows[2]['path']}'",
    ]


@pytest.mark.parametrize("arguments", [[], ["data"], ["data", "check"], ["data", "mend"]])
def test_half_a_command_exits_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: neumo-train" in capsys.readouterr().err


# ---------------------------------------------------------------- stopped: 130


def press_ctrl_c(*_: object) -> None:
    raise KeyboardInterrupt


def end_the_job(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("stop", [press_ctrl_c, end_the_job])
def test_a_run_that_is_stopped_exits_with_130_and_says_how_to_go_on(
    stop: Callable[..., None], say: Say, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "divide", stop)
    before = signal.getsignal(signal.SIGTERM)
    code, message = say("fit", *place.arguments)
    assert code == 130
    assert message.startswith("\nneumo-train: stopped. If an epoch was finished, the same command")
    assert "--resume" in message
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_check_that_is_stopped_offers_nothing_to_resume(
    say: Say, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_check, "take_inventory", press_ctrl_c)
    told = (130, "\nneumo-train: stopped.\n")
    assert say("data", "check", "--data", str(place.data)) == told


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


def test_resuming_what_was_not_begun_exits_with_3_and_says_what_to_run(
    say: Say, place: Workplace
) -> None:
    write_data_set(place.data, train=11, test=1)
    code, message = say("fit", *place.arguments, "--weights=random", "--resume")
    assert code == 3
    last = message.splitlines()[-1]
    assert last.startswith(f"neumo-train: {place.run} holds no fitted run. First run")
    assert not place.run.exists()


def test_leaving_out_an_image_that_is_not_there_exits_with_3_and_its_name(
    say: Say, place: Workplace
) -> None:
    write_data_set(place.data, train=11, test=1)
    recipe = place.data / "recipe.toml"
    recipe.write_text('leave_out = ["train-normal-0.jpg", "absent.jpg"]')
    code, message = say("fit", "--recipe", str(recipe), *place.arguments)
    told = "neumo-train: leave_out names 1 image(s) that are not in training: 'absent.jpg'\n"
    assert (code, message) == (3, told)


def test_exporting_what_was_not_fitted_exits_with_3_and_says_what_to_run(
    say: Say, place: Workplace
) -> None:
    code, message = say("export", *place.arguments)
    assert code == 3
    assert message.startswith(f"neumo-train: {place.run} holds no fitted run. First run")
    assert not place.bundle.exists()
