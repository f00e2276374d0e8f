"""neumo models: a service's models from the terminal; keys and signatures."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli.command import main
from app.model.signature import SIGNATURE_FILE
from tests.bundles import write_bundle
from tests.server import Server, free_port, running

SHIPPED, BEFORE = "neumo-r18-3", "neumo-r18-2"


@pytest.fixture(scope="module")
def service() -> Iterator[Server]:
    """A service with two models and a broken one."""
    with running("--models", f"{BEFORE},no-such-bundle-1") as server:
        yield server


class Terminal:
    """Calls `neumo models`, and keeps what it wrote."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: object) -> int:
        self._capsys.readouterr()
        code = main(["models", *map(str, arguments)])
        told = self._capsys.readouterr()
        self.out, self.err = told.out, told.err
        return code


@pytest.fixture
def models(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


def test_it_lists_switches_and_rolls_back(models: Terminal, service: Server) -> None:
    assert models("list", "--url", service.url) == 0
    answer = json.loads(models.out)
    assert [(each["name"], each["state"]) for each in answer["models"]] == [
        (SHIPPED, "active"), (BEFORE, "loaded"), ("no-such-bundle-1", "failed"),
    ]  # fmt: skip
    assert models("activate", BEFORE, "--url", service.url) == 0
    assert json.loads(models.out)["active"] == BEFORE
    assert models("rollback", "--url", service.url) == 0
    assert json.loads(models.out)["active"] == SHIPPED


def test_a_person_is_shown_a_table(
    models: Terminal, service: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.cli.admin.models_command.is_watched", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    assert models("list", "--url", service.url) == 0
    rows = {line.split()[0]: line.split()[1:] for line in models.out.splitlines() if line.strip()}
    assert rows[SHIPPED][:2] == ["active", "3"]
    assert rows["no-such-bundle-1"][0] == "failed"
    assert "has no card.json" in models.out
    assert "NEUMO_MODEL_CHOICE is not set" in models.out


@pytest.mark.parametrize(
    ("name", "code"), [("no-such-bundle-1", "model_not_usable"), ("no such?", "model_unknown")]
)
def test_a_refusal_is_told_with_its_code(
    models: Terminal, service: Server, name: str, code: str
) -> None:
    assert models("activate", name, "--url", service.url) == 1
    assert models.out == ""
    assert models.err.startswith(f"neumo: {code}: ")


def test_where_nothing_answers_it_says_so(models: Terminal) -> None:
    assert models("list", "--url", f"http://127.0.0.1:{free_port()}") == 1
    assert "no answer from" in models.err


def test_an_address_that_is_none_is_called_wrongly(models: Terminal) -> None:
    assert models("list", "--url", "ftp://127.0.0.1") == 2


def test_a_bundle_is_signed_and_verified(models: Terminal, tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="the extra signatures is not installed")
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    bundle = write_bundle(tmp_path / "neumo-test-1")
    assert models("keygen", "--private", private, "--public", public) == 0
    key_id = models.out.split()[1]
    assert models("verify", bundle, "--keys", public) == 3
    assert "is not signed" in models.err
    assert models("sign", bundle, "--key", private) == 0
    assert models.out == f"neumo-test-1 is signed by {key_id}\n"
    assert (bundle / SIGNATURE_FILE).is_file()
    assert models("verify", bundle, "--keys", public) == 0
    assert key_id in models.out
    write_bundle(bundle, b"another graph")
    assert models("verify", bundle, "--keys", public) == 3
    assert "changed after it was signed" in models.err
    assert models("keygen", "--private", private, "--public", public) == 3


def test_a_bundle_that_is_broken_is_not_signed(models: Terminal, tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="the extra signatures is not installed")
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    models("keygen", "--private", private, "--public", public)
    bundle = write_bundle(tmp_path / "neumo-test-1")
    (bundle / "model.onnx").write_bytes(b"changed")
    assert models("sign", bundle, "--key", private) == 3
    assert not (bundle / SIGNATURE_FILE).exists()
