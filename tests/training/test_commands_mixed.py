"""neumo-train run on two data sets, with sets, other findings, and a network of a smaller side."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.model.bundle import Bundle, read_bundle
from app.model.session import OnnxModel
from tests.training.drawings import write_data_set
from tests.training.workplace import Workplace, make_quick
from training.commands import main

pytestmark = pytest.mark.xdist_group("a mixed run")

SET = "bacterial_pneumonia|viral_pneumonia"
SETTINGS = [
    *("--weights=random", "--epochs=2", "--side-px=96", "--augmentation=hospital"),
    *("--batch-size=4", "--calibration-images=8", "--calibration-method=minmax", "--keep=last"),
    *("--sampling-power=0.5", "--epoch-images=48", "--class-weights=none", "--ema-decay=0.9"),
]


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        make_quick(patch)
        yield


def write_more(folder: Path) -> Path:
    """Write a data set whose normals are a set, whose other images have another finding."""
    folder.mkdir()
    manifest = write_data_set(folder, train=9, test=1, seed=1)
    text = manifest.read_text().replace(",normal,", f",{SET},")
    for label in ("covid19", "bacterial_pneumonia", "viral_pneumonia"):
        text = text.replace(f",{label},", ",other,")
    manifest.write_text(text.replace(",train-", ",more-train-").replace(",test-", ",more-test-"))
    return manifest


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_more(tmp_path_factory.mktemp("mixed") / "more")


@pytest.fixture(scope="module")
def finished(more: Path) -> Workplace:
    place = Workplace(more.parent.parent)
    write_data_set(place.data, train=16, test=8)
    assert main(["run", *place.arguments, "--data", str(more), *SETTINGS]) == 0
    return place


@pytest.fixture(scope="module")
def bundle(finished: Workplace) -> Bundle:
    return read_bundle(finished.bundle)


def test_the_card_counts_sets_and_other_findings_by_source(bundle: Bundle) -> None:
    counts: dict[str, int] = {}
    for source in bundle.card.training.data:
        for label, count in source.images.items():
            counts[label] = counts.get(label, 0) + count
    assert counts == {
        "normal": 16,
        "covid19": 16,
        "bacterial_pneumonia": 16,
        "viral_pneumonia": 16,
        SET: 9,
        "other": 27,
    }


def test_the_figures_are_of_images_of_one_label(bundle: Bundle) -> None:
    assert bundle.card.metrics["test"].images == 32
    assert np.sum(bundle.card.metrics["test"].confusion) == 32


def test_the_readme_has_a_column_for_sets_and_for_other_findings(finished: Workplace) -> None:
    readme = (finished.bundle / "README.md").read_text(encoding="utf-8")
    assert "| viral_pneumonia | bacterial_pneumonia or viral_pneumonia | other |" in readme
    assert "Cells of the 3 x 3 map" in readme
    assert "epoch 2 of 2 kept (the last)" in readme


def test_the_served_graph_takes_224_and_maps_its_own_grid(bundle: Bundle) -> None:
    model = OnnxModel(bundle)
    model.check_known_answers()
    outputs = model.run(np.full((1, 1, 224, 224), 90, np.uint8))
    assert outputs.cam.shape == (1, 4, 3, 3)


def test_the_command_names_both_data_sets_and_nobodys_folders(
    finished: Workplace, bundle: Bundle, more: Path
) -> None:
    command = bundle.card.training.command
    sets = [f"{path.parent.name}/{path.name}" for path in (finished.data, more)]
    assert f"--data DATA/{sets[0]} --data DATA/{sets[1]}" in command
    assert str(more.parent) not in bundle.card_json.decode()


def test_the_bundle_is_measured_anew_on_the_same_data_sets(
    finished: Workplace, bundle: Bundle, more: Path
) -> None:
    assert main(["remeasure", *finished.arguments, "--data", str(more)]) == 0
    after = read_bundle(finished.bundle)
    assert after.graph == bundle.graph
    assert after.card == bundle.card


def test_sets_and_other_findings_of_the_test_split_are_told_of_apart(
    finished: Workplace, more: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report"
    named = ["--bundle", str(finished.bundle), "--report", str(report)]
    assert main(["evaluate", *named, "--data", str(finished.data), "--data", str(more)]) == 0
    said = capsys.readouterr().out
    assert f"  {SET}/a: 1 image(s), in none of the figures above; called " in said
    assert "  other/a: 3 image(s), in none of the figures above; called " in said
    written = json.loads((report / "evaluation.json").read_text(encoding="utf-8"))
    assert written["metrics"]["images"] == 32
    assert sum(written["apart"]["other/a"]["called"].values()) == 3


def test_both_data_sets_are_checked_together(
    finished: Workplace, more: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["data", "check", "--data", str(finished.data), "--data", str(more)])
    said = capsys.readouterr().out
    assert f"  train/{SET}/a" in said
    assert "  train/other/a" in said
