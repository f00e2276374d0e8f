"""training.data: which images there are, whose they are, and how they are split."""

from collections import Counter
from pathlib import Path

import pytest

from app.bundle import LABEL_IDS, DataSource
from tests.training.drawings import COLUMNS, make_row, make_rows, write_manifest
from training.data import (
    DataError,
    Sample,
    describe_sources,
    divide,
    read_samples,
    split_validation,
)


def write_folders(root: Path) -> Path:
    """Write an empty ImageFolder file for each split and label."""
    for row in make_rows():
        (root / row["split"] / row["label"]).mkdir(parents=True)
        (root / row["split"] / row["label"] / "0.png").touch()
    return root


def refusal(data: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_samples(data)
    return str(caught.value)


# ---------------------------------------------------------------- manifest.csv


def test_a_manifest_gives_its_rows_in_order(tmp_path: Path) -> None:
    samples = read_samples(write_manifest(tmp_path, make_rows()))
    assert len(samples) == 8
    assert samples[5] == Sample(
        tmp_path / "test-covid19.png", 1, "test-covid19", "test", "a", "CC0"
    )


def test_a_folder_with_a_manifest_is_read_by_its_manifest(tmp_path: Path) -> None:
    write_folders(tmp_path)
    manifest = write_manifest(tmp_path, make_rows())
    assert read_samples(tmp_path) == read_samples(manifest)


def test_labels_become_their_index_in_the_graphs_outputs(tmp_path: Path) -> None:
    samples = read_samples(write_manifest(tmp_path, make_rows()))
    assert [sample.label for sample in samples] == [0, 1, 2, 3, 0, 1, 2, 3]


def test_a_manifest_without_licences_says_not_stated(tmp_path: Path) -> None:
    samples = read_samples(write_manifest(tmp_path, make_rows(), COLUMNS[:-1]))
    assert {sample.licence for sample in samples} == {"not stated"}


def test_a_manifest_saved_by_a_spreadsheet_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    assert len(read_samples(write_manifest(tmp_path, make_rows(), encoding="utf-8-sig"))) == 8


@pytest.mark.parametrize("column", COLUMNS[:-1])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    columns = tuple(name for name in COLUMNS if name != column)
    assert f"lacks the column(s) ['{column}']" in refusal(
        write_manifest(tmp_path, make_rows(), columns)
    )


@pytest.mark.parametrize("column", COLUMNS[:-1])
def test_an_empty_cell_is_named_with_its_line(tmp_path: Path, column: str) -> None:
    rows = make_rows()
    rows[2][column] = ""
    message = refusal(write_manifest(tmp_path, rows))
    assert f"line 4: nothing in the column(s) ['{column}']" in message


def test_a_row_that_ends_early_is_named_with_its_line(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, make_rows())
    manifest.write_text(manifest.read_text() + "train-normal-2.png,normal\n")
    assert "line 10: nothing in the column(s) ['patient', 'split'" in refusal(manifest)


def test_a_manifest_without_rows_is_refused(tmp_path: Path) -> None:
    assert "has no rows" in refusal(write_manifest(tmp_path, []))


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path / 'absent.csv'} can't be read" in refusal(tmp_path / "absent.csv")


def test_a_manifest_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    assert "can't be read" in refusal(write_manifest(tmp_path, make_rows(), encoding="utf-16"))


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    path.write_text("x" * 200_000)  # longer than a cell may be
    assert f"{path} can't be read" in refusal(path)


def test_an_unknown_label_is_named_with_its_line_and_the_known_ones(tmp_path: Path) -> None:
    rows = make_rows()
    rows[1]["label"] = "tuberculosis"
    message = refusal(write_manifest(tmp_path, rows))
    assert "line 3: unknown label 'tuberculosis'" in message
    assert all(label in message for label in LABEL_IDS)


@pytest.mark.parametrize("path", ["../outside.png", "a/../../outside.png", "/outside.png"])
def test_a_path_that_leaves_the_folder_is_refused_with_its_line(tmp_path: Path, path: str) -> None:
    rows = make_rows()
    rows[0]["path"] = path
    assert f"line 2: {path} leaves the folder" in refusal(write_manifest(tmp_path, rows))


def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "train-normal.png").symlink_to(tmp_path / "outside.png")
    assert "train-normal.png leaves the folder" in refusal(write_manifest(data, make_rows()))


def test_a_path_that_turns_back_inside_the_folder_is_read(tmp_path: Path) -> None:
    rows = make_rows()
    rows[0]["path"] = "a/../train-normal.png"
    assert len(read_samples(write_manifest(tmp_path, rows))) == 8


def test_a_patient_in_both_splits_is_refused(tmp_path: Path) -> None:
    rows = make_rows()
    rows[0]["patient"] = rows[7]["patient"] = "patient-7"
    assert "1 patient(s) in both splits: 'patient-7'" in refusal(write_manifest(tmp_path, rows))


def test_a_patient_with_two_labels_in_one_split_is_read(tmp_path: Path) -> None:
    rows = make_rows()
    rows[0]["patient"] = rows[1]["patient"] = "patient-7"
    assert len(read_samples(write_manifest(tmp_path, rows))) == 8


def test_unknown_splits_are_named_and_counted(tmp_path: Path) -> None:
    others = [make_row(f"{n}.png", split, "normal") for n, split in enumerate(("dev", "x", "x"))]
    assert refusal(write_manifest(tmp_path, make_rows() + others)).splitlines() == [
        "1 image(s) in the split 'dev', which is not train or test",
        "2 image(s) in the split 'x', which is not train or test",
    ]


@pytest.mark.parametrize(
    "again", ["train-normal.png", "./train-normal.png", "a/../train-normal.png"]
)
def test_an_image_listed_twice_is_named(tmp_path: Path, again: str) -> None:
    rows = [*make_rows(), make_row(again, "train", "covid19")]
    message = refusal(write_manifest(tmp_path, rows))
    assert message == f"1 image(s) listed twice: '{tmp_path / 'train-normal.png'}'"


def test_every_faulty_line_of_a_manifest_is_named(tmp_path: Path) -> None:
    rows = make_rows()
    rows[0]["label"] = "tuberculosis"
    rows[3]["patient"] = ""
    rows[6]["path"] = "../outside.png"
    manifest = write_manifest(tmp_path, rows)
    message = refusal(manifest)
    named = [line.split(": ")[0] for line in message.splitlines()]
    assert named == [f"{manifest} line {line}" for line in (2, 5, 8)]


def test_every_fault_between_the_lines_of_a_manifest_is_named(tmp_path: Path) -> None:
    rows = make_rows()
    rows[0]["patient"] = rows[7]["patient"]  # in both splits
    rows[1]["split"] = "dev"  # and no image of covid19 is left in training
    rows[3]["path"] = rows[2]["path"]  # twice
    faults = refusal(write_manifest(tmp_path, rows)).splitlines()
    assert [fault.partition(":")[0] for fault in faults] == [
        "1 image(s) in the split 'dev', which is not train or test",
        "1 patient(s) in both splits",
        "1 image(s) listed twice",
        "the train split has no image labelled covid19",
    ]


def test_of_many_patients_in_both_splits_five_are_named_and_all_counted(tmp_path: Path) -> None:
    torn = [
        make_row(f"{split}-{number}.png", split, "normal") | {"patient": f"p{number}"}
        for split in ("train", "test")
        for number in range(6)
    ]
    message = refusal(write_manifest(tmp_path, make_rows() + torn))
    assert message == "6 patient(s) in both splits: 'p0', 'p1', 'p2', 'p3', 'p4', ..."


def test_a_split_that_is_not_asked_for_may_be_empty(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, make_rows()[4:])
    assert [sample.split for sample in read_samples(manifest, splits=("test",))] == ["test"] * 4
    assert "the train split has no image" in refusal(manifest)


def test_a_split_that_is_not_asked_for_is_checked_for_everything_else(tmp_path: Path) -> None:
    rows = make_rows()
    rows[0]["patient"] = rows[7]["patient"]
    with pytest.raises(DataError, match="in both splits"):
        read_samples(write_manifest(tmp_path, rows), splits=("test",))


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("label", LABEL_IDS)
def test_a_label_without_an_image_in_a_split_is_named(
    tmp_path: Path, split: str, label: str
) -> None:
    rows = [row for row in make_rows() if (row["split"], row["label"]) != (split, label)]
    message = refusal(write_manifest(tmp_path, rows))
    assert f"the {split} split has no image labelled {label}" in message


# ---------------------------------------------------------------- ImageFolder


def test_an_image_folder_takes_split_and_label_from_the_path(tmp_path: Path) -> None:
    samples = read_samples(write_folders(tmp_path / "xrays"))
    assert len(samples) == 8
    path = tmp_path / "xrays" / "test" / "covid19" / "0.png"
    patient = "test/covid19/0.png"
    assert Sample(path, 1, patient, "test", "xrays", "not stated") in samples


def test_in_an_image_folder_every_file_is_its_own_patient(tmp_path: Path) -> None:
    samples = read_samples(write_folders(tmp_path))  # every file is called 0.png
    assert len({sample.patient for sample in samples}) == 8


def test_an_image_folder_keeps_only_jpeg_and_png(tmp_path: Path) -> None:
    write_folders(tmp_path)
    for name in ("1.JPG", "2.jpeg", "3.PNG", "notes.txt", "4.dcm", ".DS_Store"):
        (tmp_path / "train" / "normal" / name).touch()
    names = {sample.path.name for sample in read_samples(tmp_path)}
    assert names == {"0.png", "1.JPG", "2.jpeg", "3.PNG"}


def test_every_image_in_an_unknown_label_folder_is_named(tmp_path: Path) -> None:
    write_folders(tmp_path)
    images = [tmp_path / "train" / label / "0.png" for label in ("cancer", "tuberculosis")]
    for image in images:
        image.parent.mkdir()
        image.touch()
    told = [line.split("; ")[0] for line in refusal(tmp_path).splitlines()]
    assert told == [f"{image}: unknown label {image.parent.name!r}" for image in images]


def test_an_image_folder_with_an_empty_class_is_refused(tmp_path: Path) -> None:
    write_folders(tmp_path)
    (tmp_path / "train" / "covid19" / "0.png").unlink()
    assert "the train split has no image labelled covid19" in refusal(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "the train split has no image" in refusal(tmp_path)


# ---------------------------------------------------------------- validation split


def make_training_set(patients_per_label: int = 40) -> list[Sample]:
    """Two images a patient; twice as many patients with label 0 as with any other."""
    return [
        Sample(Path(f"{label}-{patient}-{image}"), label, f"{label}-{patient}", "train", "a", "")
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


# ---------------------------------------------------------------- sources


def test_sources_are_counted_by_label() -> None:
    samples = [
        Sample(Path(), label, "", "train", source, licence)
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
