"""The ledger of a run: a line for each part that is written, and its counts.

A part counts as done if its line stands here and its file is still the one that the line tells of.
A line that a kill cut off tells nothing, and goes.
"""

import contextlib
import hashlib
import json
import os
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from app.score.parquet_part import part_name


@dataclass(frozen=True, slots=True)
class PartEntry:
    """One part that is written.

    Parameters
    ----------
    part : counted from 0
    films : rows of it
    bytes, sha256 : of its file
    counts : rows by status
    """

    part: int
    films: int
    bytes: int
    sha256: str
    counts: dict[str, int]


class ScoreLedger:
    """The parts of one run; a line is on the disk when `add` returns.

    Parameters
    ----------
    path : made if it isn't there
    folder : where the parts lie
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self._path = path
        self.entries: dict[int, PartEntry] = {}
        for line in _whole_lines(path):
            with contextlib.suppress(ValueError, TypeError):  # a line that tells nothing
                entry = PartEntry(**json.loads(line))
                self.entries[entry.part] = entry
        self.entries = {
            part: entry for part, entry in self.entries.items() if _is_there(folder, entry)
        }

    @property
    def films(self) -> int:
        """Rows that are written."""
        return sum(entry.films for entry in self.entries.values())

    @property
    def counts(self) -> Counter[str]:
        """Rows by status."""
        counts: Counter[str] = Counter()
        for entry in self.entries.values():
            counts.update(entry.counts)
        return counts

    def add(self, entry: PartEntry) -> None:
        """Note a part whose file is on the disk."""
        with self._path.open("ab") as file:
            file.write(json.dumps(asdict(entry)).encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.entries[entry.part] = entry


def _whole_lines(path: Path) -> list[bytes]:
    """Return the lines of a file, after cutting off one that has no end."""
    path.touch()
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(path, len(whole))
    return whole.splitlines()


def _is_there(folder: Path, entry: PartEntry) -> bool:
    try:
        content = (folder / part_name(entry.part)).read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content).hexdigest() == entry.sha256
