"""app.access.key_file: who may read it, what it holds, and how it is changed."""

import json
import multiprocessing
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.access import key_file
from app.access.caller import Rate
from app.access.key import Key, digest_of
from app.access.key_file import change_keys, read_keys, read_secrets
from app.errors import KeysUnusable

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FOREIGN = "b2f0d1c4" * 8


def new_key(name: str = "pacs") -> Key:
    scopes = frozenset(("predict", "metrics"))
    return Key.create(name, scopes, NOW, NOW + timedelta(days=1), Rate(2.5, 7))[0]


def add(path: Path, *keys: Key) -> None:
    change_keys(path, lambda there: [*there, *keys])


def reason_of(path: Path) -> str:
    with pytest.raises(KeysUnusable) as caught:
        read_keys(path)
    return str(caught.value.facts["reason"])


def test_what_was_written_is_read(tmp_path: Path) -> None:
    first, second = new_key("pacs"), new_key("ris").revoke(NOW)
    add(tmp_path / "keys", first)
    add(tmp_path / "keys", second)
    assert read_keys(tmp_path / "keys") == [first, second]


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        add(tmp_path / "keys", new_key())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600


def test_a_change_keeps_who_may_read_it_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    add(tmp_path / "keys", new_key())
    (tmp_path / "keys").chmod(0o640)
    add(tmp_path / "keys", new_key())
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o602, 0o666])
def test_one_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    add(tmp_path / "keys", new_key())
    (tmp_path / "keys").chmod(mode)
    assert f"mode {mode:04o}" in reason_of(tmp_path / "keys")


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_its_owner_and_a_group_may_read_it(tmp_path: Path, mode: int) -> None:
    add(tmp_path / "keys", new_key())
    (tmp_path / "keys").chmod(mode)
    assert len(read_keys(tmp_path / "keys")) == 1


def test_what_is_mounted_for_a_container_alone_may_be_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_file, "_MOUNTED_SECRETS", (tmp_path,))
    add(tmp_path / "keys", new_key())
    (tmp_path / "keys").chmod(0o444)
    assert len(read_keys(tmp_path / "keys")) == 1
    (tmp_path / "keys").chmod(0o446)
    assert "mode 0446" in reason_of(tmp_path / "keys")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert reason_of(tmp_path / "none") == "no such file or directory"


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("", "its JSON"),
        ("[1", "its JSON"),
        ('{"format": 2, "keys": []}', "format"),
        ('{"format": 1, "keys": [{"id": "x"}]}', "keys.0.id"),
        ('{"format": 1, "keys": [], "more": 1}', "a member"),
    ],
)
def test_what_is_no_file_of_keys_is_told_by_its_place_and_not_quoted(
    tmp_path: Path, content: str, place: str
) -> None:
    (tmp_path / "keys").write_text(content)
    (tmp_path / "keys").chmod(0o600)
    assert reason_of(tmp_path / "keys") == f"{place} is not as it should be"


def test_two_keys_of_one_id_are_refused(tmp_path: Path) -> None:
    key = new_key()
    add(tmp_path / "keys", key, key)
    assert reason_of(tmp_path / "keys") == "two keys have one id"


def test_a_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    add(tmp_path / "keys", new_key())
    content = json.loads((tmp_path / "keys").read_text())
    content["keys"][0]["expires"] = "2026-01-01T00:00:00"
    (tmp_path / "keys").write_text(json.dumps(content))
    assert reason_of(tmp_path / "keys") == "keys.0.expires is not as it should be"


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    add(tmp_path / "keys", new_key())
    before = (tmp_path / "keys").read_bytes()

    def fail(_: list[Key]) -> list[Key]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_keys(tmp_path / "keys", fail)
    assert (tmp_path / "keys").read_bytes() == before


def test_changes_at_once_are_all_kept(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    writers = [
        fork.Process(target=lambda: [add(tmp_path / "keys", new_key()) for _ in range(20)])
        for _ in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert len(read_keys(tmp_path / "keys")) == 80


def secret_file(tmp_path: Path, content: str, mode: int = 0o600) -> Path:
    path = tmp_path / "secret"
    path.write_text(content)
    path.chmod(mode)
    return path


def test_a_secret_may_do_all_but_administer(tmp_path: Path) -> None:
    made, secret = Key.create("bare", frozenset(("admin",)), NOW)
    (key,) = read_secrets(secret_file(tmp_path, f"{secret}\n"))
    assert key.id == made.id
    assert key.digest == made.digest
    assert key.scopes == {"predict", "feedback", "metrics"}


def test_a_secret_that_something_else_made_is_known_by_its_digest(tmp_path: Path) -> None:
    (key,) = read_secrets(secret_file(tmp_path, FOREIGN))
    assert (key.id, key.digest) == ("", digest_of(FOREIGN))
    assert FOREIGN not in key.name


def test_while_a_secret_is_turned_over_two_are_good(tmp_path: Path) -> None:
    assert len(read_secrets(secret_file(tmp_path, f"{FOREIGN}\n{FOREIGN[::-1]}\n"))) == 2


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        ("", 0o600, "it is empty"),
        ("\n\n", 0o600, "it is empty"),
        ("changeme", 0o600, "shorter than 32 characters"),
        (FOREIGN + "\nchangeme", 0o600, "shorter than 32 characters"),
        (FOREIGN, 0o644, "mode 0644"),
    ],
)
def test_a_secret_that_is_none_or_known_to_others_is_refused(
    tmp_path: Path, content: str, mode: int, reason: str
) -> None:
    with pytest.raises(KeysUnusable, match=reason) as caught:
        read_secrets(secret_file(tmp_path, content, mode))
    assert "changeme" not in str(caught.value)


def test_a_secret_that_nobody_has_made_yet_is_told_as_such() -> None:
    """docker-compose.yml mounts /dev/null until there is one."""
    with pytest.raises(KeysUnusable, match=r"it is empty.*neumo keys create --bare"):
        read_secrets(Path("/dev/null"))


def test_a_member_that_is_none_of_the_file_is_not_named_for_it_may_be_a_key(tmp_path: Path) -> None:
    add(tmp_path / "keys", new_key())
    content = json.loads((tmp_path / "keys").read_text())
    for place in (content, content["keys"][0]):
        place[FOREIGN] = 1
        (tmp_path / "keys").write_text(json.dumps(content))
        reason = reason_of(tmp_path / "keys")
        assert reason.endswith("a member is not as it should be")
        assert FOREIGN not in reason
        del place[FOREIGN]


@pytest.mark.timeout(10)
def test_a_pipe_is_no_file_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "keys", 0o600)
    assert reason_of(tmp_path / "keys") == "it is no file"
