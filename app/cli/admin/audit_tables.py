"""The audit trail's rows as files that other programs read: CSV and Parquet."""

import csv
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final, TextIO

from app.records.store.rows import COLUMNS

_BATCH: Final = 10_000
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_NUMBERS: Final = {
    "seq": "int64", "file_index": "int32", "lost": "int32", "decode_ms": "double",
    "inference_ms": "double",
}  # fmt: skip


def write_csv(path: Path | None, rows: Iterable[dict[str, Any]]) -> int:
    """Write rows as CSV, to standard output without a path; return how many.

    Text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    count = 0
    with _opened(path) as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _inert(value) for name, value in row.items()})
            count += 1
    return count


def write_parquet(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write rows as Parquet; return how many."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, _NUMBERS.get(name, "string")) for name in COLUMNS])
    remaining, count = iter(rows), 0
    with os.fdopen(_private(path), "wb") as file, pq.ParquetWriter(file, schema) as writer:
        while batch := list(islice(remaining, _BATCH)):
            writer.write_table(pa.Table.from_pylist(batch, schema))
            count += len(batch)
    return count


@contextmanager
def _opened(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    with os.fdopen(_private(path), "w", encoding="utf-8", newline="") as file:
        yield file


def _private(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


def _inert(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
