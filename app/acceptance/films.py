"""A hospital's own films, and what is known of each: a folder or a manifest.

Three layouts are read:

- a manifest (a .csv file, or a folder with ``manifest.csv``) with the columns path and label and,
  if known, patient, age_years and view; paths are relative to the manifest's folder. A label is one
  of the four, several of them (``bacterial_pneumonia|viral_pneumonia``: one of these), or
  ``other``: a finding that is none of the four;
- a folder of ``<label>/<file>``;
- a folder of files that all have one label, which is given.

What is told of faults names rows, never what stands in them.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from app.errors import FilmsUnusable, InvalidParameter
from app.model.labels import LABEL_IDS, LabelId
from app.reading.population import NOBODY, Subject
from app.reading.subject_words import read_age_years, read_view

OTHER: Final = "other"
_MANIFEST: Final = "manifest.csv"
_COLUMNS: Final = ("path", "label")
_FIRST_LINE: Final = 2  # of a manifest's rows, as a spreadsheet counts them
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Film:
    """One file: where it is and what is known of it.

    Parameters
    ----------
    row : its line in the manifest (the header is line 1), or its place in the folder, from 1
    label : as it was given: a label, a set of labels joined by |, or `OTHER`
    patient : who it shows; films without a patient count as one each
    """

    row: int
    path: Path
    label: str
    patient: str
    subject: Subject = NOBODY

    @property
    def labels(self) -> frozenset[LabelId]:
        """The labels of which one is true; none for `OTHER`."""
        return parse_label(self.label)

    def is_right(self, called: LabelId) -> bool:
        """Whether a label called is right: `normal` means none of the three, so of `OTHER` too."""
        return called in (self.labels or {"normal"})


def parse_label(text: str) -> frozenset[LabelId]:
    """Return the labels of a text, none for `OTHER`.

    Raises
    ------
    ValueError
        If it names none that is known.
    """
    if text == OTHER:
        return frozenset()
    names = [name.strip() for name in text.split("|")]
    if not set(names) <= set(LABEL_IDS):
        raise ValueError("no_label")
    return frozenset(cast("list[LabelId]", names))


def list_films(data: Path, label: str | None = None) -> list[Film]:
    """List the films of a manifest or a folder.

    Parameters
    ----------
    label : of all films of a folder that has no folders of labels

    Raises
    ------
    FilmsUnusable
        Naming rows and columns, nothing of their content.
    """
    manifest = data / _MANIFEST if data.is_dir() else data
    if data.is_dir() and not manifest.is_file():
        films = _list_folder(data, label)
    elif label is not None:
        raise FilmsUnusable(reason="label_twice")
    else:
        films = _list_manifest(manifest)
    if not films:
        raise FilmsUnusable(reason="empty")
    return films


def _list_folder(folder: Path, label: str | None) -> list[Film]:
    try:
        if label is not None:
            parse_label(label)
            pairs = [(label, path) for path in _files_in(folder)]
        else:
            pairs = list(_labelled_files_in(folder))
    except OSError:
        raise FilmsUnusable(reason="folder") from None
    except ValueError:
        known = ", ".join((*LABEL_IDS, OTHER))
        raise FilmsUnusable(reason="label", known=known) from None
    return [
        Film(row, path, name, patient=f"row {row}") for row, (name, path) in enumerate(pairs, 1)
    ]


def _labelled_files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    for inner in sorted(folder.iterdir()):
        if inner.is_dir() and not inner.name.startswith("."):
            parse_label(inner.name)
            yield from ((inner.name, path) for path in _files_in(inner))


def _files_in(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")
    )


def _list_manifest(manifest: Path) -> list[Film]:
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:  # Excel writes a BOM
            delimiter = max(",;\t", key=file.readline().count)
            file.seek(0)
            rows = list(csv.DictReader(file, delimiter=delimiter))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise FilmsUnusable(reason="missing") from None
    lacking = [name for name in _COLUMNS if not rows or name not in rows[0]]
    if lacking:
        raise FilmsUnusable(reason="columns", lacking=", ".join(lacking))
    films: list[Film] = []
    faults: dict[str, list[int]] = defaultdict(list)
    for line, row in enumerate(rows, _FIRST_LINE):
        try:
            films.append(_read_row(row, line, manifest.parent))
        except InvalidParameter as error:
            faults[str(error.facts["parameter"])].append(line)
        except ValueError as error:
            faults[str(error)].append(line)
    if faults:
        raise FilmsUnusable(**{fault: _some(lines) for fault, lines in faults.items()})
    return films


def _read_row(row: dict[str, str | None], line: int, folder: Path) -> Film:
    said = {name: (row.get(name) or "").strip() for name in (*_COLUMNS, "age_years", "view")}
    if not said["path"]:
        raise ValueError("no_path")
    parse_label(said["label"])
    subject = Subject(
        age_years=read_age_years(said["age_years"]) if said["age_years"] else None,
        view=read_view(said["view"]) if said["view"] else None,
    )
    patient = (row.get("patient") or "").strip() or f"row {line}"
    return Film(line, folder / said["path"], said["label"], patient, subject)


def _some(rows: Iterable[int]) -> str:
    listed = list(rows)
    more = len(listed) - _SHOWN
    return ", ".join(map(str, listed[:_SHOWN])) + (f" (+{more})" if more > 0 else "")
