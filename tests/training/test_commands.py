"""neumo-train: what it says when it is stopped, called wrongly, or can't do what is asked."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image

from app.model.labels import LABEL_IDS
from tests.training.drawings import make_rows, write_data_set, write_manifest
from tests.training.workplace import Say, Workplace
from training import commands as cli
from training.commands import main
from training.data.inventory import render_inventory, take_inventory
from training.data.manifest import NO_PATIENTS
from training.data.splits import Division

COMMANDS = ["run", "fit", "export"]

# ---------------------------------------------------------------- data check


def test_checking_data_shows_the_inventory_and_writes_it_for_machines(
    place: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write_data_set(place.data, train=2, test=1)
    file = tmp_path / "inventory.json"
    assert main(["data", "check", "--data", str(manifest), "--json", str(file)]) == 0
    inventory = take_inventory(manifest)
    assert capsys.readouterr().out == render_inventory(inventory)
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


# ---------------------------------------------------------------- folders and patients

WARNING = f"neumo-train: warning: {NO_PATIENTS}"


def write_persons(root: Path, persons: int = 9) -> Path:
    """Write folders of readable images, two of each person: person7_x_1.png."""
    number = 0
    for split, count in (("train", persons), ("test", 1)):
        for label in LABEL_IDS:
            folder = root / split / label
            folder.mkdir(parents=True)
            for _ in range(count):
                number += 1
                for image in (1, 2):
                    name = folder / f"person{number}_x_{image}.png"
                    Image.new("L", (64, 64), number).save(name)
    return root


@pytest.mark.parametrize(
    ("pattern", "shared", "warned"), [([], True, True), (["--patient-pattern=(person[0-9]+)_"],
    False, False)], ids=["by file", "by patient"],
)  # fmt: skip
def test_folders_are_divided_by_the_patient_in_the_name_or_a_warning_is_said(
    pattern: list[str],
    shared: bool,
    warned: bool,
    say: Say,
    place: Workplace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Division] = []
    monkeypatch.setattr(cli, "_fit_division", lambda _, division, __: seen.append(division))
    write_persons(place.data)
    code, message = say("fit", *place.arguments, *pattern)
    assert code == 0
    fitted, validated = (
        {sample.path.name.partition("_")[0] for sample in samples}
        for samples in (seen[0].fit, seen[0].validation)
    )
    assert bool(fitted & validated) is shared
    lines = message.splitlines()
    assert (WARNING in lines) is warned
    assert lines[-1].startswith(
        "neumo-train: warning: validation has fewer than 100 images, or than 20 patients of a label"
    )


def test_a_check_counts_the_patients_that_a_pattern_tells(
    place: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "check", "--data", str(write_persons(place.data, 2))]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "patients: test 8, train 16" in said
    assert f"warning: {NO_PATIENTS}" in said
    assert main([*command, "--patient-pattern=(person[0-9]+)_"]) == 0
    said = capsys.readouterr().out
    assert "patients: test 4, train 8" in said
    assert NO_PATIENTS not in said


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("(person", "'(person' is no regular expression: missing )"),
        ("person[0-9]+", "'person[0-9]+' has 0 groups; one has to hold the patient"),
        ("(person)([0-9]+)", "'(person)([0-9]+)' has 2 groups; one has to hold the patient"),
    ],
)
@pytest.mark.parametrize(
    "command", [*COMMANDS, "remeasure", "data check", "evaluate --bundle=neumo-r18-2"]
)
def test_a_pattern_that_can_not_name_a_patient_exits_with_2(
    command: str, pattern: str, told: str, say: Say, place: Workplace
) -> None:
    named = place.arguments if "--" not in command and " " not in command else place.arguments[2:4]
    code, message = say(*command.split(), *named, "--patient-pattern", pattern)
    assert code == 2
    assert message.startswith(f"neumo-train: patient_pattern: {told}")


# ---------------------------------------------------------------- stopped: 130


def press_ctrl_c(*_: object) -> None:
    raise KeyboardInterrupt


def end_the_job(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("stop", [press_ctrl_c, end_the_job])
def test_a_run_that_is_stopped_exits_with_130_and_says_how_to_go_on(
    stop: Callable[..., None], say: Say, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "divide_data", stop)
    before = signal.getsignal(signal.SIGTERM)
    code, message = say("fit", *place.arguments)
    assert code == 130
    assert message.startswith("\nneumo-train: stopped. If an epoch was finished, the same command")
    assert "--resume" in message
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_check_that_is_stopped_offers_nothing_to_resume(
    say: Say, place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "take_inventory", press_ctrl_c)
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


@pytest.mark.parametrize(
    ("ages", "told"),
    [
        ({"normal": (1, 90)}, "population: age_years has not one entry for each label"),
        (
            dict.fromkeys(LABEL_IDS, (9, 5)),
            "population.age_years.normal.0: low (9) is more than high (5)",
        ),
    ],
    ids=["a label is missing", "an age range is upside down"],
)
@pytest.mark.parametrize("command", [*COMMANDS, "remeasure"])
def test_a_population_that_no_card_may_have_exits_with_2_at_once(
    command: str, ages: dict[str, tuple[int, int]], told: str, say: Say, place: Workplace
) -> None:
    recipe = place.data / "recipe.toml"
    lines = [f"{label} = [{{low = {low}, high = {high}}}]" for label, (low, high) in ages.items()]
    text = ['[population]\nviews = ["PA"]', "[population.age_years]", *lines]
    recipe.write_text("\n".join(text))
    code, message = say(command, "--recipe", str(recipe), *place.arguments)
    assert (code, message.splitlines()[0]) == (2, f"neumo-train: {told}")


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
    code, message = say(command, *place.arguments_on(manifest))
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
