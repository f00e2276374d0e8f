"""training.data.manifest: which images there are, and every clear fault of a list of them."""

from collections import Counter
from pathlib import Path

import pytest

from app.model.labels import LABEL_IDS
from tests.training.drawings import COLUMNS, make_row, make_rows, write_manifest
from training.data.faults import DataError
from training.data.manifest import Sample, read_samples


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
        tmp_path / "test-covid19.png", frozenset({1}), "test-covid19", "test", "a", "CC0"
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
    assert message == f"1 image(s): nothing in the column(s) ['{column}']: 'line 4'"


def test_a_row_that_ends_early_is_named_with_its_line(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, make_rows())
    manifest.write_text(manifest.read_text() + "train-normal-2.png,normal\n")
    missing = "nothing in the column(s) ['patient', 'split', 'source']"
    assert refusal(manifest) == f"1 image(s): {missing}: 'line 10'"


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
    assert message.startswith("1 image(s): unknown label 'tuberculosis'; known: ")
    assert message.endswith(": 'line 3'")
    assert all(label in message for label in LABEL_IDS)


@pytest.mark.parametrize("path", ["../outside.png", "a/../../outside.png", "/outside.png"])
def test_a_path_that_leaves_the_folder_is_refused_with_its_line(tmp_path: Path, path: str) -> None:
    rows = make_rows()
    rows[0]["path"] = path
    message = refusal(write_manifest(tmp_path, rows))
    assert message == "1 image(s): the path leaves the folder: 'line 2'"


def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "train-normal.png").symlink_to(tmp_path / "outside.png")
    message = refusal(write_manifest(data, make_rows()))
    assert message == "1 image(s): the path leaves the folder: 'line 2'"


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
    rows[4]["patient"] = ""
    faults = refusal(write_manifest(tmp_path, rows)).splitlines()
    assert [fault.rpartition(": ")[2] for fault in faults] == [
        "'line 2'",
        "'line 5', 'line 6'",
        "'line 8'",
    ]
    assert [fault.partition(" ")[0] for fault in faults] == ["1", "2", "1"]


def test_faulty_lines_hide_no_fault_between_the_others(tmp_path: Path) -> None:
    rows = make_rows()
    rows[0]["label"] = "tuberculosis"
    rows[1]["patient"] = rows[7]["patient"]
    faults = refusal(write_manifest(tmp_path, rows)).splitlines()
    assert [fault.partition(":")[0] for fault in faults] == [
        "1 image(s)",
        "1 patient(s) in both splits",
    ]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_manifest_of_a_spreadsheet_with_decimal_commas_is_read(
    delimiter: str, tmp_path: Path
) -> None:
    manifest = write_manifest(tmp_path, make_rows())
    manifest.write_text(manifest.read_text().replace(",", delimiter))
    assert len(read_samples(manifest)) == 8


def test_a_path_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, make_rows())
    manifest.write_text(manifest.read_text().replace("train-normal", "train\0normal"))
    assert "the path leaves the folder: 'line 2'" in refusal(manifest)


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


# ---------------------------------------------------------------- sets and other findings

SET = "bacterial_pneumonia|viral_pneumonia"


def test_sets_and_other_findings_are_read_beside_single_labels(tmp_path: Path) -> None:
    more = [make_row("set.png", "train", SET), make_row("other.png", "train", "other")]
    samples = read_samples(write_manifest(tmp_path, make_rows() + more))
    assert [sample.targets for sample in samples[-2:]] == [{2, 3}, set()]
    assert [sample.label for sample in samples[-3:]] == [3, None, None]
    assert [sample.named for sample in samples[-3:]] == ["viral_pneumonia", SET, "other"]


def test_a_set_is_no_image_of_either_of_its_labels(tmp_path: Path) -> None:
    rows = make_rows()
    rows[3]["label"] = SET  # the only viral pneumonia of training
    assert refusal(write_manifest(tmp_path, rows)) == (
        "the train split has no image labelled viral_pneumonia"
    )


@pytest.mark.parametrize("label", ["normal|tb", "normal|normal", "|".join(LABEL_IDS)])
def test_a_set_that_tells_nothing_is_named_with_its_line(tmp_path: Path, label: str) -> None:
    message = refusal(write_manifest(tmp_path, [*make_rows(), make_row("x.png", "train", label)]))
    assert message.startswith("1 image(s): ")
    assert message.endswith(": 'line 10'")


# ---------------------------------------------------------------- several data sets


def write_sets(folder: Path) -> list[Path]:
    """Write two manifests whose patients and sources are their own; images needn't be there."""
    manifests = []
    for name in ("one", "two"):
        own = {"source": name}
        rows = [row | own | {"patient": f"{name}-{row['patient']}"} for row in make_rows()]
        (folder / name).mkdir()
        manifests.append(write_manifest(folder / name, rows))
    return manifests


def test_several_data_sets_are_one_after_the_other(tmp_path: Path) -> None:
    manifests = write_sets(tmp_path)
    samples = read_samples(manifests)
    assert samples == [*read_samples(manifests[0]), *read_samples(manifests[1])]
    assert Counter(sample.source for sample in samples) == {"one": 8, "two": 8}


def test_a_label_need_be_in_one_of_several_data_sets_only(tmp_path: Path) -> None:
    first, second = write_sets(tmp_path)
    write_manifest(second.parent, [make_row("x.png", "train", "other")])
    assert len(read_samples([first, second])) == 9


def test_a_patient_of_two_data_sets_is_one_and_can_not_be_in_both_splits(tmp_path: Path) -> None:
    first, second = write_sets(tmp_path)
    row = make_row("x.png", "test", "normal") | {"patient": "one-train-covid19"}
    write_manifest(second.parent, [row])
    with pytest.raises(DataError) as caught:
        read_samples([first, second])
    assert str(caught.value) == "1 patient(s) in both splits: 'one-train-covid19'"


def test_a_data_set_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    first, _ = write_sets(tmp_path)
    with pytest.raises(DataError, match=r"8 image\(s\) listed twice"):
        read_samples([first, first])


def test_faults_of_several_data_sets_are_named_at_once_with_their_manifest(tmp_path: Path) -> None:
    first, second = write_sets(tmp_path)
    for manifest in (first, second):
        manifest.write_text(manifest.read_text().replace(",covid19,", ",tb,"))
    second.write_text(second.read_text().replace("test-normal.png", "../out.png"))
    with pytest.raises(DataError) as caught:
        read_samples([first, second])
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["2 image(s)", "2 image(s)", "1 image(s)"]
    assert f"{str(first) + ', line 3'!r}" in lines[0]
    assert f"{str(second) + ', line 3'!r}" in lines[1]
    assert lines[2].endswith(f"the path leaves the folder: {str(second) + ', line 6'!r}")


def test_patients_of_several_folders_are_their_own_though_called_alike(tmp_path: Path) -> None:
    folders = [write_kermany(tmp_path / name) for name in ("one", "two")]
    samples = read_samples(folders, patient_pattern=KERMANY)
    assert len({sample.patient for sample in samples}) == 16
    assert {sample.source for sample in samples} == {"one", "two"}


def test_a_pattern_beside_a_folder_and_a_manifest_is_the_folders(tmp_path: Path) -> None:
    folder = write_kermany(tmp_path / "folder")
    manifest = write_manifest(tmp_path, make_rows())
    patients = {each.patient for each in read_samples([folder, manifest], patient_pattern=KERMANY)}
    assert {"train-normal", f"{folder.resolve()}: IM-1"} <= patients


# ---------------------------------------------------------------- a root


def write_elsewhere(folder: Path, paths: list[str]) -> Path:
    """Write a manifest whose images lie somewhere else."""
    folder.mkdir()
    rows = [row | {"path": path} for row, path in zip(make_rows(), paths, strict=True)]
    return write_manifest(folder, rows)


def test_paths_in_a_root_may_be_absolute_or_relative_to_it(tmp_path: Path) -> None:
    root = tmp_path / "archive"
    root.mkdir()
    names = [f"x/{number}.png" for number in range(8)]
    given = [str(root / name) if number % 2 else name for number, name in enumerate(names)]
    manifest = write_elsewhere(tmp_path / "lists", given)
    samples = read_samples(manifest, root=root)
    assert [sample.path for sample in samples] == [root / name for name in names]
    assert "the path leaves the folder" in refusal(manifest)  # without the root


@pytest.mark.parametrize("path", ["/elsewhere/0.png", "../0.png"])
def test_a_path_that_leaves_the_root_is_refused(path: str, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    root.mkdir()
    names = [path, *(f"{number}.png" for number in range(1, 8))]
    with pytest.raises(DataError) as caught:
        read_samples(write_elsewhere(tmp_path / "lists", names), root=root)
    assert str(caught.value) == "1 image(s): the path leaves the folder: 'line 2'"


# ---------------------------------------------------------------- ImageFolder


def test_an_image_folder_takes_split_and_label_from_the_path(tmp_path: Path) -> None:
    samples = read_samples(write_folders(tmp_path / "xrays"))
    assert len(samples) == 8
    path = tmp_path / "xrays" / "test" / "covid19" / "0.png"
    patient = "test/covid19/0.png"
    assert Sample(path, frozenset({1}), patient, "test", "xrays", "not stated") in samples


def test_in_an_image_folder_every_file_is_its_own_patient(tmp_path: Path) -> None:
    samples = read_samples(write_folders(tmp_path))  # every file is called 0.png
    assert len({sample.patient for sample in samples}) == 8


KERMANY = r"(person[0-9]+|IM-[0-9]+)"


def write_kermany(root: Path) -> Path:
    """Write empty files named as Kermany's, two of one person in each folder."""
    for row in make_rows():
        folder = root / row["split"] / row["label"]
        folder.mkdir(parents=True)
        person = f"{len(list(root.rglob('*.jpeg'))) + 1}"
        name = f"NORMAL2-IM-{person}-000" if row["label"] == "normal" else f"person{person}_x_"
        for number in (1, 2):
            (folder / f"{name}{number}.jpeg").touch()
    return root


def test_a_pattern_tells_the_patient_by_the_files_name(tmp_path: Path) -> None:
    samples = read_samples(write_kermany(tmp_path), patient_pattern=KERMANY)
    patients = Counter(sample.patient for sample in samples)
    assert patients["IM-1"] == patients["person3"] == 2
    assert len(patients) == 8


def test_a_name_without_a_patient_is_refused(tmp_path: Path) -> None:
    write_kermany(tmp_path)
    (tmp_path / "train" / "normal" / "scan.png").touch()
    with pytest.raises(DataError) as caught:
        read_samples(tmp_path, patient_pattern=KERMANY)
    assert str(caught.value) == (
        f"1 image(s): patient_pattern {KERMANY!r} finds no patient in the name: "
        f"{str(tmp_path / 'train' / 'normal' / 'scan.png')!r}"
    )


def test_a_pattern_that_finds_a_patient_in_both_splits_is_refused(tmp_path: Path) -> None:
    write_kermany(tmp_path)
    (tmp_path / "test" / "covid19" / "person3_x_9.png").touch()
    with pytest.raises(DataError, match=r"1 patient\(s\) in both splits: 'person3'"):
        read_samples(tmp_path, patient_pattern=KERMANY)


def test_a_pattern_beside_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a manifest names its patients"):
        read_samples(write_manifest(tmp_path, make_rows()), patient_pattern=KERMANY)


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
    for image, told in zip(images, refusal(tmp_path).splitlines(), strict=True):
        assert told.startswith(f"1 image(s): unknown label {image.parent.name!r}; known: ")
        assert told.endswith(f": {str(image)!r}")


def test_an_image_folder_with_an_empty_class_is_refused(tmp_path: Path) -> None:
    write_folders(tmp_path)
    (tmp_path / "train" / "covid19" / "0.png").unlink()
    assert "the train split has no image labelled covid19" in refusal(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "the train split has no image" in refusal(tmp_path)
