"""app.access.keyring: who is known, and how soon a change of the file is."""

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.access import keyring
from app.access.caller import Rate
from app.access.key import Key
from app.access.key_file import change_keys
from app.access.keyring import Keyring
from app.errors import KeysUnusable, Unauthenticated

NOW = datetime.now(UTC)
FOREIGN = "0123456789abcdef" * 4
PREDICT = frozenset(("predict",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "_LOOK_EVERY_S", 0.0)


def add(path: Path, name: str = "pacs", expires: datetime | None = None) -> str:
    key, secret = Key.create(name, PREDICT, NOW, expires)
    change_keys(path, lambda keys: [*keys, key])
    return secret


def refused(ring: Keyring, secret: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        ring.identify(secret)
    return str(caught.value.facts["reason"])


def test_a_key_names_its_holder(path: Path) -> None:
    first, second = add(path, "pacs"), add(path, "ris")
    ring = Keyring(path, None, Rate(3, 4))
    assert ring.identify(first).name == "pacs"
    assert ring.identify(second).name == "ris"
    assert ring.identify(second).rate == Rate(3, 4)


def test_a_key_of_the_same_id_and_another_secret_is_unknown(path: Path) -> None:
    add(path)
    (key,) = keyring.read_keys(path)
    ring = Keyring(path, None)
    other, secret = Key.create("x", PREDICT, NOW)
    forged = secret.replace(other.id, key.id)
    from app.access.key import _checksum  # noqa: PLC0415 - no caller would need it

    forged = forged[:-6] + _checksum(forged[:-6])
    assert keyring.id_of(forged) == key.id
    assert refused(ring, forged) == "unknown"


@pytest.mark.parametrize("secret", ["", "x", "neumo_", "ñ" * 64, FOREIGN, "a.b.c"])
def test_what_is_no_key_is_unknown(path: Path, secret: str) -> None:
    add(path)
    assert refused(Keyring(path, None), secret) == "unknown"


def test_a_key_expires(path: Path) -> None:
    good = add(path, expires=NOW + timedelta(hours=1))
    late = add(path, expires=NOW - timedelta(seconds=1))
    ring = Keyring(path, None)
    assert ring.identify(good).name == "pacs"
    assert refused(ring, late) == "expired"
    assert len(ring) == 1


def test_a_key_that_is_revoked_or_made_later_is_known_without_a_restart(path: Path) -> None:
    first = add(path, "pacs")
    ring = Keyring(path, None)
    second = add(path, "ris")
    assert ring.identify(second).name == "ris"
    change_keys(path, lambda keys: [keys[0].revoke(NOW), keys[1]])
    assert refused(ring, first) == "revoked"
    assert ring.identify(second).name == "ris"


def test_it_is_not_looked_at_at_each_request(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "_LOOK_EVERY_S", 60.0)
    first = add(path, "pacs")
    ring = Keyring(path, None)
    second = add(path, "ris")
    assert refused(ring, second) == "unknown"
    assert ring.identify(first).name == "pacs"


def test_while_its_file_can_not_be_read_the_keys_that_were_known_stay(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = add(path)
    ring = Keyring(path, None)
    content = path.read_bytes()
    for spoil in (lambda: path.write_bytes(content[:20]), path.unlink):
        spoil()
        caplog.clear()
        for _ in range(3):
            assert ring.identify(secret).name == "pacs"
        (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert "the old ones stay" in line.getMessage()
        assert secret not in caplog.text


def test_a_file_that_can_not_be_read_at_the_start_stops_it(path: Path) -> None:
    with pytest.raises(KeysUnusable):
        Keyring(path, None)


def test_a_link_that_is_swapped_is_followed(tmp_path: Path) -> None:
    """As Kubernetes swaps a secret's folder; the other file is as long."""
    first, second = add(tmp_path / "a"), add(tmp_path / "b", "dose")
    (tmp_path / "keys").symlink_to("a")
    ring = Keyring(tmp_path / "keys", None)
    assert ring.identify(first).name == "pacs"
    (tmp_path / "new").symlink_to("b")
    (tmp_path / "new").replace(tmp_path / "keys")
    assert ring.identify(second).name == "dose"
    assert refused(ring, first) == "unknown"


def test_keys_of_both_files_are_known(tmp_path: Path, path: Path) -> None:
    secret = add(path)
    (tmp_path / "secret").write_text(FOREIGN)
    (tmp_path / "secret").chmod(0o600)
    ring = Keyring(path, tmp_path / "secret")
    assert ring.identify(secret).name == "pacs"
    assert ring.identify(FOREIGN).name.startswith("secret-")
    assert refused(ring, FOREIGN[:-1] + "0") == "unknown"
    assert len(ring) == 2
