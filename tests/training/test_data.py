"""training.data: which images there are, whose they are, and how they are split."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.bundle import LABEL_IDS, DataSource
from training.data import (
    DataError,
    Sample,
    describe_sources,
    load_images,
    read_samples,
    split_validation,
)

COLUMNS = ("path", "label", "patient", "split", "source", "licence")
Row = dict[str, str]


def make_rows() -> list[Row]:
    """One image and one patient for each split and label."""
    return [
        {
            "path": f"{split}-{label}.png",
            "label": label,
            "patient": f"{split}-{label}",
            "split": split,
            "source": "a",
            "licence": "CC0",
        }
        for split in ("train", "test")
        for label in LABEL_IDS
    ]


def write_manifest(
    folder: Path, rows: list[Row], columns: tuple[str, ...] = COLUMNS, encoding: str = "utf-8"
) -> Path:
    path = folder / "manifest.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


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
    assert f"line 4 has nothing in the column(s) ['{column}']" in message


def test_a_row_that_ends_early_is_named_with_its_line(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, make_rows())
    manifest.write_text(manifest.read_text() + "train-normal-2.png,normal\n")
    assert "line 10 has nothing in the column(s) ['patient', 'split'" in refusal(manifest)


def test_a_manifest_without_rows_is_refused(tmp_path: Path) -> None:
    assert "has no rows" in refusal(write_manifest(tmp_path, []))


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path / 'absent.csv'} can't be read" in refusal(tmp_path / "absent.csv")


def test_a_manifest_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    assert "can't be read" in refusal(write_manifest(tmp_path, make_rows(), encoding="utf-16"))


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
    assert "1 patient(s) in both splits, 'patient-7'" in refusal(write_manifest(tmp_path, rows))


def test_a_patient_with_two_labels_in_one_split_is_read(tmp_path: Path) -> None:
    rows = make_rows()
    rows[0]["patient"] = rows[1]["patient"] = "patient-7"
    assert len(read_samples(write_manifest(tmp_path, rows))) == 8


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    rows = make_rows()
    rows[0]["split"] = "holdout"
    assert "split 'holdout' is not train or test" in refusal(write_manifest(tmp_path, rows))


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


def test_an_unknown_label_folder_is_refused(tmp_path: Path) -> None:
    write_folders(tmp_path)
    (tmp_path / "train" / "tuberculosis").mkdir()
    (tmp_path / "train" / "tuberculosis" / "0.png").touch()
    assert "unknown label 'tuberculosis'" in refusal(tmp_path)


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


# ---------------------------------------------------------------- images and sources


def write_flat(path: Path, level: int, side: int = 40) -> Sample:
    Image.new("L", (side, side), level).save(path)
    return Sample(path, 0, path.name, "train", "a", "")


def test_images_are_read_in_the_order_of_their_samples(tmp_path: Path) -> None:
    samples = [write_flat(tmp_path / f"{level}.png", level) for level in (30, 10, 20)]
    images = load_images(samples, "flat images")
    assert (images.dtype.name, images.shape) == ("uint8", (3, 1, 224, 224))
    assert [np.unique(image).tolist() for image in images] == [[30], [10], [20]]


def test_images_down_to_32_pixels_are_read(tmp_path: Path) -> None:
    assert np.unique(load_images([write_flat(tmp_path / "0.png", 7, side=32)], "it")) == [7]


def test_every_unreadable_image_is_named_and_no_other(tmp_path: Path) -> None:
    good = write_flat(tmp_path / "good.png", 1)
    small = write_flat(tmp_path / "small.png", 1, side=31)
    text, absent = (
        Sample(tmp_path / name, 0, name, "train", "a", "") for name in ("text.png", "absent.png")
    )
    text.path.write_text("no image")
    with pytest.raises(DataError) as caught:
        load_images([small, good, text, absent], "some")
    message = str(caught.value)
    assert "3 unreadable image(s)" in message
    assert all(str(sample.path) in message for sample in (small, text, absent))
    assert "good.png" not in message


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
