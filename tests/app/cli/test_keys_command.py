"""``neumo keys``: what it prints, what it writes, and what it refuses."""

import json
from pathlib import Path

import pytest

from app.access.caller import Rate
from app.access.key import digest_of, id_of
from app.access.key_file import read_keys
from app.access.keyring import Keyring
from app.cli.command import main
from app.errors import Unauthenticated

Out = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the environment says that keys lie."""
    monkeypatch.setenv("NEUMO_KEYS_FILE", str(tmp_path / "keys"))
    return tmp_path / "keys"


def test_a_key_is_printed_alone_and_once(path: Path, capsys: Out) -> None:
    assert main(["keys", "create", "--name", "pacs", "--scopes", "predict,metrics"]) == 0
    out, err = capsys.readouterr()
    secret = out.removesuffix("\n")
    (key,) = read_keys(path)
    assert (id_of(secret), digest_of(secret)) == (key.id, key.digest)
    assert (key.name, key.scopes, key.expires, key.rate) == (
        "pacs",
        {"predict", "metrics"},
        None,
        None,
    )
    assert secret not in err
    assert secret not in path.read_text()
    assert "Authorization: Bearer" in err


def test_a_key_may_expire_and_have_a_rate(path: Path) -> None:
    given = ["--name", "ris", "--days", "90", "--rate", "2.5", "--burst", "10"]
    assert main(["keys", "create", *given]) == 0
    (key,) = read_keys(path)
    assert key.expires is not None
    assert (key.expires - key.created).days == 90
    assert (key.scopes, key.rate) == ({"predict"}, Rate(2.5, 10))


def test_a_bare_key_is_written_nowhere(path: Path, capsys: Out) -> None:
    assert main(["keys", "create", "--bare"]) == 0
    assert id_of(capsys.readouterr().out.strip())
    assert not path.exists()


def test_the_list_shows_states_and_no_keys(path: Path, capsys: Out) -> None:
    for name in ("pacs", "ris"):
        main(["keys", "create", "--name", name])
    secrets = capsys.readouterr().out.split()
    assert main(["keys", "revoke", "ris"]) == 0
    capsys.readouterr()
    assert main(["keys", "list"]) == 0
    table = capsys.readouterr().out
    assert [line.split()[1] for line in table.splitlines()] == ["state", "active", "revoked"]
    assert main(["keys", "list", "--json"]) == 0
    listing = capsys.readouterr().out
    rows = json.loads(listing)
    assert [(row["name"], row["state"]) for row in rows] == [("pacs", "active"), ("ris", "revoked")]
    digests = [key.digest.hex() for key in read_keys(path)]
    assert not any(secret in table + listing for secret in [*secrets, *digests])


def test_what_is_revoked_lets_nobody_in(path: Path, capsys: Out) -> None:
    main(["keys", "create", "--name", "pacs"])
    secret = capsys.readouterr().out.strip()
    assert Keyring(path, None).identify(secret).name == "pacs"
    assert main(["keys", "revoke", read_keys(path)[0].id]) == 0
    with pytest.raises(Unauthenticated):
        Keyring(path, None).identify(secret)


def test_while_a_key_is_turned_over_two_have_its_holders_name(path: Path, capsys: Out) -> None:
    for _ in range(2):
        main(["keys", "create", "--name", "pacs"])
    capsys.readouterr()
    assert main(["keys", "revoke", "pacs"]) == 1
    assert all(key.id in capsys.readouterr().err for key in read_keys(path)[:1])
    assert main(["keys", "revoke", read_keys(path)[0].id]) == 0
    assert main(["keys", "revoke", "pacs"]) == 0
    assert all(key.revoked for key in read_keys(path))
    assert main(["keys", "revoke", "pacs"]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["create"],
        ["create", "--name", "line\nfeed"],
        ["create", "--name", "x", "--scopes", "root"],
        ["create", "--name", "x", "--days", "0"],
        ["create", "--name", "x", "--rate", "0"],
        ["create", "--name", "x", "--burst", "5"],
        ["revoke"],
    ],
    ids=" ".join,
)
def test_called_wrongly_it_writes_nothing(path: Path, arguments: list[str]) -> None:
    assert main(["keys", *arguments]) == 2
    assert not path.exists()


def test_without_a_file_it_says_how_to_name_one(
    monkeypatch: pytest.MonkeyPatch, capsys: Out
) -> None:
    monkeypatch.delenv("NEUMO_KEYS_FILE")
    assert main(["keys", "create", "--name", "pacs"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "--file or NEUMO_KEYS_FILE" in err


def test_a_folder_that_can_not_be_written_is_told(capsys: Out) -> None:
    given = ["--file", "/proc/keys.json", "--name", "pacs"]
    assert main(["keys", "create", *given]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "can't be used" in err


def test_a_file_that_others_may_read_is_not_listed(path: Path, capsys: Out) -> None:
    main(["keys", "create", "--name", "pacs"])
    path.chmod(0o644)
    assert main(["keys", "list"]) == 1
    assert "chmod 600" in capsys.readouterr().err
