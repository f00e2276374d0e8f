"""A part of the result: rows in a Parquet file that is there whole or not at all."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from app.score.score_row import ScoreRow

_META: Final = b"neumo"


def part_name(part: int) -> str:
    """Return the file name of a part, counted from 0."""
    return f"part-{part:06d}.parquet"


class PartWriter:
    """Writes parts of one run.

    Parameters
    ----------
    folder : where they go
    workshop : a folder of the same file system, where they are made
    labels : in the card's order
    constants : what is the same in every row: model, model_sha256
    about : told in every file's metadata
    """

    def __init__(
        self,
        folder: Path,
        workshop: Path,
        labels: Sequence[str],
        constants: Mapping[str, str],
        about: Mapping[str, object],
    ) -> None:
        self._folder, self._workshop = folder, workshop
        self._labels, self._constants = labels, constants
        self._schema = _schema(labels, constants).with_metadata({_META: json.dumps(about).encode()})

    def write(self, part: int, rows: Sequence[ScoreRow]) -> tuple[int, str]:
        """Write a part; return its bytes and sha256. It is on the disk when this returns."""
        columns: dict[str, list[Any]] = {
            name: [getattr(row, name) for row in rows]
            for name in ScoreRow._fields
            if name not in ("probabilities", "logits")
        }
        columns["path"] = [os.fsencode(path).decode(errors="replace") for path in columns["path"]]
        for at, label in enumerate(self._labels):
            for kind, several in (
                ("probability", [row.probabilities for row in rows]),
                ("logit", [row.logits for row in rows]),
            ):
                columns[f"{kind}_{label}"] = [each[at] if each else None for each in several]
        for name, value in self._constants.items():
            columns[name] = [value] * len(rows)
        table = pa.table([columns[name] for name in self._schema.names], schema=self._schema)
        beside = self._workshop / f"{part_name(part)}.tmp"
        pq.write_table(table, beside, compression="zstd")
        with beside.open("rb") as file:
            content = file.read()
            os.fsync(file.fileno())
        beside.replace(self._folder / part_name(part))
        sync_folder(self._folder)
        return len(content), hashlib.sha256(content).hexdigest()


def read_errors(path: Path) -> list[str | None]:
    """Return the code of the error of each row of a part, None where there is none."""
    errors: list[str | None] = pq.read_table(path, columns=["error"])["error"].to_pylist()
    return errors


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _schema(labels: Sequence[str], constants: Mapping[str, str]) -> pa.Schema:
    text, number = pa.string(), pa.float64()
    texts = pa.list_(text)
    return pa.schema(
        [
            pa.field("path", text, nullable=False),
            ("sha256", text),
            pa.field("status", text, nullable=False),
            ("error", text),
            ("label", text),
            ("reasons", texts),
            *((f"probability_{label}", number) for label in labels),
            ("abnormal", number),
            ("non_covid_pneumonia", number),
            *((f"logit_{label}", number) for label in labels),
            ("distance", number),
            ("warnings", texts),
            ("format", text),
            ("width", pa.int32()),
            ("height", pa.int32()),
            *((name, text) for name in constants),
        ]
    )
