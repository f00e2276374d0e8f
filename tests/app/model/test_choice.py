"""app.model.choice: which model was chosen, across restarts."""

import os
from pathlib import Path

import pytest

from app.errors import ChoiceUnusable
from app.model.choice import Choice, read_choice, write_choice

CHOICE = Choice(active="neumo-b-1", former="neumo-a-1", instead_of="neumo-a-1")


def test_it_reads_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "choice.json"
    write_choice(path, CHOICE)
    assert read_choice(path) == CHOICE
    assert [each.name for each in tmp_path.iterdir()] == ["choice.json"]


def test_where_nothing_was_chosen_there_is_none(tmp_path: Path) -> None:
    assert read_choice(tmp_path / "choice.json") is None


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"active": "neumo-b-1"'])
def test_what_can_not_be_read_is_no_choice(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "choice.json").write_bytes(content)
    with pytest.raises(ChoiceUnusable, match=r"choice\.json"):
        read_choice(tmp_path / "choice.json")


@pytest.mark.parametrize(
    "name", [".choice.json.1", f".choice.json.{os.getpid()}"], ids=["a number", "its process"]
)
def test_a_link_beside_it_is_not_followed(tmp_path: Path, name: str) -> None:
    """In a folder that others may write, a name that can be guessed could lead elsewhere."""
    (tmp_path / "theirs").write_text("not ours")
    (tmp_path / name).symlink_to(tmp_path / "theirs")
    write_choice(tmp_path / "choice.json", CHOICE)
    assert (tmp_path / "theirs").read_text() == "not ours"
    assert not (tmp_path / "choice.json").is_symlink()


def test_one_that_can_not_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "no folder" / "choice.json"
    with pytest.raises(OSError, match="No such file"):
        write_choice(path, CHOICE)
    folder = tmp_path / "folder.json"
    folder.mkdir()
    with pytest.raises(OSError, match=r"folder\.json"):
        write_choice(folder, CHOICE)  # a folder can't be replaced
    assert [each.name for each in tmp_path.iterdir()] == ["folder.json"]
