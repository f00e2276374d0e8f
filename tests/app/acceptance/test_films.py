"""app.acceptance.films: three layouts, and faults told by row alone."""

from pathlib import Path

import pytest

from app.acceptance.films import Film, list_films
from app.errors import FilmsUnusable
from app.reading.population import Subject


def manifest(folder: Path, *lines: str, head: str = "path,label") -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return path


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_a_folder_tells_labels_by_its_folders(tmp_path: Path) -> None:
    touch(tmp_path, "normal/b.png", "covid19/a.jpg", "normal/a.png", "normal/.DS_Store", "notes.md")
    films = list_films(tmp_path)
    assert [(film.row, film.label, film.path.name) for film in films] == [
        (1, "covid19", "a.jpg"), (2, "normal", "a.png"), (3, "normal", "b.png")
    ]  # fmt: skip
    assert len({film.patient for film in films}) == 3


def test_a_flat_folder_has_the_label_that_is_given(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "2.png")
    assert [film.label for film in list_films(tmp_path, "normal")] == ["normal", "normal"]


def test_a_manifest_tells_sets_patients_ages_and_views(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        "a.png;bacterial_pneumonia|viral_pneumonia;p1;061Y;AP",
        "b.png;other;;;",
        head="path;label;patient;age_years;view",
    )
    expected = [
        Film(2, tmp_path / "a.png", "bacterial_pneumonia|viral_pneumonia", "p1",
             Subject(61, "AP")),
        Film(3, tmp_path / "b.png", "other", "row 3", Subject()),
    ]  # fmt: skip
    assert list_films(path) == list_films(tmp_path) == expected
    assert expected[0].labels == {"bacterial_pneumonia", "viral_pneumonia"}
    assert [expected[0].is_right(label) for label in ("viral_pneumonia", "covid19")] == [
        True,
        False,
    ]
    # What is none of the four is rightly called normal: it means none of the three others.
    assert [expected[1].is_right(label) for label in ("normal", "covid19")] == [True, False]


PERSON = "DOE^JANE"


@pytest.mark.parametrize(
    ("lines", "head", "told"),
    [
        ([f"a.png,{PERSON}", "b.png,normal", "c.png,"], "path,label", "no known label in row 2, 4"),
        ([",normal"], "path,label", "no path in row 2"),
        ([f"{PERSON},normal,200"], "path,label,age_years", "age_years that can't be read in row 2"),
        ([f"{PERSON},normal,x"], "path,label,view", "view that can't be read in row 2"),
        ([PERSON], "path", "no column label"),
        ([], "path,label", "no rows"),
        (["a.png,x"] * 13, "path,label", "11 (+3)"),
    ],
)
def test_faults_of_a_manifest_are_told_by_row_not_by_content(
    tmp_path: Path, lines: list[str], head: str, told: str
) -> None:
    with pytest.raises(FilmsUnusable) as caught:
        list_films(manifest(tmp_path, *lines, head=head))
    assert told in caught.value.detail("en")
    for language in ("en", "es"):
        assert PERSON not in caught.value.detail(language)
        assert "{" not in caught.value.detail(language)


def test_all_faults_of_a_manifest_are_told_at_once_in_each_language(tmp_path: Path) -> None:
    head = "path,label,age_years,view"
    lines = [",normal,,", "a.png,x,,", "b.png,normal,200,", "c.png,normal,,x"]
    with pytest.raises(FilmsUnusable) as caught:
        list_films(manifest(tmp_path, *lines, head=head))
    assert (
        "no path in row 2; no known label in row 3; age_years that can't be read in row 4; "
        "view that can't be read in row 5. Give"
    ) in caught.value.detail("en")
    assert (
        "falta path en la fila 2; label desconocida en la fila 3; age_years ilegible en la fila 4; "
        "view ilegible en la fila 5. Indique"
    ) in caught.value.detail("es")


def test_a_folder_named_after_no_label_is_not_named(tmp_path: Path) -> None:
    touch(tmp_path, f"{PERSON}/a.png")
    with pytest.raises(FilmsUnusable) as caught:
        list_films(tmp_path)
    assert "--label normal" in caught.value.detail("en")
    assert PERSON not in caught.value.detail("en")


@pytest.mark.parametrize("label", ["healthy", "normal|healthy"])
def test_a_label_that_is_none_is_refused(tmp_path: Path, label: str) -> None:
    touch(tmp_path, "a.png")
    with pytest.raises(FilmsUnusable, match="is none of normal"):
        list_films(tmp_path, label)


def test_what_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FilmsUnusable, match="no folder or manifest"):
        list_films(tmp_path / "missing")
    with pytest.raises(FilmsUnusable, match="there are none"):
        list_films(tmp_path)
    with pytest.raises(FilmsUnusable, match="leave --label out"):
        list_films(manifest(tmp_path, "a.png,normal"), "normal")
