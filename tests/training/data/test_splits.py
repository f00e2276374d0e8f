"""training.data.splits: which images are for what, and whose they are."""

from collections import Counter
from pathlib import Path

import pytest
from sklearn.model_selection import StratifiedGroupKFold

from app.model.card import DataSource
from app.model.labels import LABEL_IDS
from tests.training.drawings import make_row, make_rows, write_manifest
from tests.training.networks import make_config
from training.data.faults import DataError
from training.data.manifest import Sample, read_samples
from training.data.splits import describe_sources, divide, divide_data, split_validation


def write_folders(root: Path) -> Path:
    """Write an empty ImageFolder file for each split and label."""
    for row in make_rows():
        (root / row["split"] / row["label"]).mkdir(parents=True)
        (root / row["split"] / row["label"] / "0.png").touch()
    return root


# ---------------------------------------------------------------- validation split


def make_sample(name: str, targets: set[int], patient: str, source: str = "a") -> Sample:
    return Sample(Path(name), frozenset(targets), patient, "train", source, "")


def make_training_set(patients_per_label: int = 40) -> list[Sample]:
    """Two images a patient; twice as many patients with label 0 as with any other."""
    return [
        make_sample(f"{label}-{patient}-{image}", {label}, f"{label}-{patient}")
        for label in range(4)
        for patient in range(patients_per_label * (2 if label == 0 else 1))
        for image in range(2)
    ]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_validation_and_fit_share_no_patient(seed: int) -> None:
    fit, validation = split_validation(make_training_set(), 0.125, seed)
    assert not {s.patient for s in fit} & {s.patient for s in validation}


def test_validation_and_fit_are_all_the_images_once() -> None:
    samples = make_training_set()
    fit, validation = split_validation(samples, 0.125, seed=0)
    assert Counter(fit + validation) == Counter(samples)


@pytest.mark.parametrize("share", [0.1, 0.125, 0.2, 0.25])
def test_validation_takes_about_the_share_asked_for(share: float) -> None:
    samples = make_training_set()
    _, validation = split_validation(samples, share, seed=0)
    assert len(validation) / len(samples) == pytest.approx(share, abs=0.02)


def test_validation_holds_each_label_in_its_share() -> None:
    _, validation = split_validation(make_training_set(), 0.125, seed=0)
    counts = Counter(sample.label for sample in validation)
    # 160, 80, 80 and 80 images, an eighth of each; one patient more or less
    assert [counts[label] for label in range(4)] == pytest.approx([20, 10, 10, 10], abs=2)


def test_the_same_seed_splits_the_same_way() -> None:
    samples = make_training_set()
    assert split_validation(samples, 0.125, seed=3) == split_validation(samples, 0.125, seed=3)


def test_another_seed_splits_another_way() -> None:
    samples = make_training_set()
    assert split_validation(samples, 0.125, seed=3) != split_validation(samples, 0.125, seed=4)


SET, OTHER = {2, 3}, set[int]()


def make_mixed_set() -> list[Sample]:
    """The training set of above, and 64 images of a set and 4 of another finding."""
    sets = [make_sample(f"s{number}", SET, f"s{number}", "b") for number in range(64)]
    others = [make_sample(f"o{number}", OTHER, f"o{number}", "b") for number in range(4)]
    return [*make_training_set(), *sets, *others]


def test_validation_holds_sets_in_their_share_too() -> None:
    samples = make_mixed_set()
    fit, validation = split_validation(samples, 0.125, seed=0)
    assert Counter(fit + validation) == Counter(samples)
    counts = Counter(sample.named for sample in validation)
    assert counts["bacterial_pneumonia|viral_pneumonia"] == pytest.approx(8, abs=1)
    assert counts["other"] <= 2  # too few to divide evenly: no fault


def test_single_labels_alone_are_divided_as_they_always_were() -> None:
    """What a bundle was fitted to must not depend on the version that asks."""
    _, validation = split_validation(make_training_set(), 0.125, seed=0)
    folds = StratifiedGroupKFold(n_splits=8, shuffle=True, random_state=0)
    samples = make_training_set()
    labels = [sample.label for sample in samples]
    _, rows = next(folds.split(labels, labels, [sample.patient for sample in samples]))
    assert validation == [samples[row] for row in rows]


# ---------------------------------------------------------------- division


def write_patients(folder: Path, count: int) -> Path:
    """Write a manifest of `count` training images and one test image a label, a patient each."""
    rows = [
        make_row(f"{split}-{label}-{number}.png", split, label)
        for split, images in (("train", count), ("test", 1))
        for label in LABEL_IDS
        for number in range(images)
    ]
    return write_manifest(folder, rows)


def test_a_division_gives_every_image_one_use(tmp_path: Path) -> None:
    manifest = write_patients(tmp_path, 16)
    division = divide(manifest, 0.125, seed=0)
    parts = [division.fit, division.validation, division.test]
    assert [len(part) for part in parts] == [4 * 14, 4 * 2, 4]
    used = [sample for part in parts for sample in part]
    assert Counter(used) == Counter(read_samples(manifest))
    assert {sample.split for sample in division.test} == {"test"}


def test_images_left_out_are_in_no_part_and_the_others_stay(tmp_path: Path) -> None:
    manifest = write_patients(tmp_path, 16)
    unwanted = ["train-covid19-3.png", "train-normal-0.png"]
    division = divide(manifest, 0.125, 0, leave_out=unwanted)
    used = {sample.path.name for sample in [*division.fit, *division.validation]}
    assert (len(used), len(division.test)) == (4 * 16 - 2, 4)
    assert not used & set(unwanted)


def test_images_of_a_folder_are_left_out_by_their_path_in_it(tmp_path: Path) -> None:
    write_patients(tmp_path, 16)
    division = divide(tmp_path, 0.125, 0, leave_out=["./train-normal-0.png"])
    assert len(division.fit) + len(division.validation) == 4 * 16 - 1


def test_of_some_sources_nothing_is_learned(tmp_path: Path) -> None:
    manifest = write_patients(tmp_path, 16)
    all_of_it = divide(manifest, 0.125, 0)
    source = all_of_it.fit[0].source
    text = manifest.read_text()
    manifest.write_text(text.replace(f",{source},", ",apart,", 3))
    division = divide(manifest, 0.125, 0, unlearned_sources=["apart"])
    learned = [*division.fit, *division.validation]
    assert {sample.source for sample in division.unlearned} == {"apart"}
    assert "apart" not in {sample.source for sample in learned}
    assert len(learned) + len(division.unlearned) == 4 * 16
    assert len(division.unlearned) == 3
    with pytest.raises(DataError) as caught:
        divide(manifest, 0.125, 0, unlearned_sources=["apart", "absent"])
    assert str(caught.value) == "unlearned_sources: no training image is of absent"


@pytest.mark.parametrize("absent", ["train-normal-99.png", "test-normal-0.png"])
def test_leaving_out_what_is_not_in_training_is_refused_and_named(
    tmp_path: Path, absent: str
) -> None:
    with pytest.raises(DataError) as caught:
        divide(write_patients(tmp_path, 16), 0.125, 0, ["train-normal-1.png", absent])
    told = f"leave_out names 1 image(s) that are not in training: '{absent}'"
    assert str(caught.value) == told


def test_a_label_with_too_few_patients_to_hold_some_out_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        divide(write_patients(tmp_path, 8), 0.125, 0, ["train-covid19-0.png"])
    assert "covid19 has 7 training patient(s); at least 8 are needed" in str(caught.value)


def test_images_of_several_data_sets_are_left_out_by_their_path_in_any(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        manifest = write_patients(folder, 16)
        manifest.write_text(
            manifest.read_text().replace("train-covid19-3.png", f"{folder.name}.png")
        )
    config = make_config(data=[str(each) for each in folders], leave_out=["two.png"])
    division = divide_data(config)
    names = [sample.path.name for sample in [*division.fit, *division.validation]]
    assert len(names) == 2 * 4 * 16 - 1
    assert "one.png" in names


@pytest.mark.parametrize(("other", "kept"), [("uniform", True), ("leave_out", False)])
def test_other_findings_are_learned_from_or_not(tmp_path: Path, other: str, kept: bool) -> None:
    manifest = write_patients(tmp_path, 16)
    more = "".join(f"o{number}.png,other,o{number},train,a,CC0\n" for number in range(16))
    manifest.write_text(manifest.read_text() + more)
    division = divide_data(make_config(data=str(manifest), other=other))
    assert any(not sample.targets for sample in division.fit) is kept
    assert any(not sample.targets for sample in division.validation)
    assert all(sample.targets for sample in division.test)


# ---------------------------------------------------------------- sources


def test_sources_are_counted_by_label() -> None:
    samples = [
        Sample(Path(), frozenset({label}), "", "train", source, licence)
        for label, source, licence in [
            (0, "b", "CC0"),
            (0, "a", "CC0"),
            (3, "a", "CC0"),
            (3, "a", "CC0"),
            (1, "a", "CC BY 4.0"),
        ]
    ]
    assert describe_sources(samples) == [
        DataSource(source="a", licence="CC BY 4.0", images={"covid19": 1}),
        DataSource(source="a", licence="CC0", images={"normal": 1, "viral_pneumonia": 2}),
        DataSource(source="b", licence="CC0", images={"normal": 1}),
    ]


def test_sets_and_other_findings_are_counted_by_their_names() -> None:
    samples = [make_sample("x", targets, "") for targets in ({2}, SET, SET, OTHER)]
    (source,) = describe_sources(samples)
    assert source.images == {
        "bacterial_pneumonia": 1,
        "bacterial_pneumonia|viral_pneumonia": 2,
        "other": 1,
    }
