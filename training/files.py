"""Files and folders that appear whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it appears whole or not at all, even if the power fails."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    _sync(path.parent)


def replace_folder(folder: Path, by: Path, aside: Path) -> None:
    """Put the folder `by`, beside it on the same disk, in its place; the old one goes `aside`.

    Interrupted between the two steps, the old one comes back.
    """
    for path in (*by.iterdir(), by):
        _sync(path)
    try:
        if folder.exists():
            folder.rename(aside)
        by.rename(folder)
    except BaseException:
        if aside.exists() and not folder.exists():
            aside.rename(folder)
        raise
    _sync(folder.parent)


@contextmanager
def appearing_whole(folder: Path) -> Iterator[Path]:
    """Give a folder to fill; it becomes `folder` at the end, or goes if filling fails."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as beside:
        building = Path(beside) / folder.name
        building.mkdir()
        yield building
        replace_folder(folder, building, Path(beside) / "replaced")


def _sync(path: Path) -> None:
    """Have the disk keep a file, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
