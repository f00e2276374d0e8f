"""Where data sets lie while they arrive: emptied at the start, but never under another's feet."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.exchange.dimse.receiving_folder import prepare_folder


@pytest.fixture(autouse=True)
def _temporary_files_as_before() -> Iterator[None]:
    before = tempfile.tempdir
    yield
    tempfile.tempdir = before


def test_what_a_killed_process_left_goes_at_the_next_start(tmp_path: Path) -> None:
    folder = prepare_folder(tmp_path)
    (folder / "left").touch()
    assert prepare_folder(tmp_path) == folder
    assert list(folder.iterdir()) == []


def test_what_arrives_at_another_process_stays(tmp_path: Path) -> None:
    folder = prepare_folder(tmp_path)
    arriving = folder / "arriving"
    arriving.touch()
    other = os.open(folder, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_SH)
    prepare_folder(tmp_path)
    assert arriving.exists()
    os.close(other)
    prepare_folder(tmp_path)
    assert not arriving.exists()


def test_a_process_that_takes_films_is_seen_by_the_next(tmp_path: Path) -> None:
    folder = prepare_folder(tmp_path)
    other = os.open(folder, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    os.close(other)
