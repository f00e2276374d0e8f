"""training.files: a file or a folder appears whole, or what was there stays."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from training.files import replace_folder, write_whole


@contextmanager
def file_size_limited(limit: int) -> Iterator[None]:
    """Let every write beyond `limit` bytes fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_is_written_and_replaced_leaving_nothing_beside_it(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"old")
    write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_write_that_fails_midway_leaves_the_old_file(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"old")
    with file_size_limited(1000), pytest.raises(OSError, match="File too large"):
        write_whole(tmp_path / "a", bytes(5000))
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_write_that_fails_midway_makes_no_new_file_and_the_next_succeeds(tmp_path: Path) -> None:
    with file_size_limited(1000), pytest.raises(OSError, match="File too large"):
        write_whole(tmp_path / "a", bytes(5000))
    assert not (tmp_path / "a").exists()
    write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def make_folders(root: Path) -> tuple[Path, Path, Path]:
    """Return an old folder, a new one beside it, and where the old one is to go."""
    for name in ("old", "new"):
        (root / name).mkdir()
        (root / name / "a").write_text(name)
    return root / "old", root / "new", root / "aside"


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    old, new, aside = make_folders(tmp_path)
    replace_folder(old, new, aside)
    assert (old / "a").read_text() == "new"
    assert (aside / "a").read_text() == "old"
    assert not new.exists()


def test_interrupted_between_the_two_steps_the_old_folder_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, aside = make_folders(tmp_path)
    rename = Path.rename

    def interrupt(self: Path, target: Path) -> Path:
        if self == new:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupt)
    with pytest.raises(KeyboardInterrupt):
        replace_folder(old, new, aside)
    assert (old / "a").read_text() == "old"
    assert (new / "a").read_text() == "new"
