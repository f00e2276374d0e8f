"""app.cli.checks.access_checks: who would get in, as the service would have it."""

from pathlib import Path

import pytest

from app.cli.checks.access_checks import check_access
from app.cli.command import main
from app.settings.settings import Settings


@pytest.fixture
def keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    path = str(tmp_path / "keys.json")
    assert main(["keys", "create", "--file", path, "--name", "first"]) == 0
    capsys.readouterr()
    return path


def test_who_gets_in_is_told_by_host_and_keys(keys: str) -> None:
    def look(**settings: object) -> tuple[str, str]:
        found = check_access(Settings(**settings))  # type: ignore[arg-type]
        return found.level, found.text

    everywhere = "0.0.0.0"  # noqa: S104 - nothing listens
    assert look() == ("ok", "HTTP; nobody is asked, and only this machine gets in")
    assert look(keys_file=keys) == ("ok", "HTTP; whoever calls has to show who it is")
    assert look(host=everywhere, keys_file=keys) == (
        "warn", "films and keys travel unencrypted (HTTP)"
    )  # fmt: skip
    level, told = look(host=everywhere, insecure_no_keys=True)
    assert level == "warn"
    assert "whoever reaches 0.0.0.0 gets in" in told
    level, told = look(host=everywhere)
    assert level == "fail"
    assert "no keys are set" in told


@pytest.mark.parametrize(
    "settings", [{"keys_file": "missing.json"}, {"tls_cert": "missing.pem", "tls_key": "none.pem"}]
)
def test_what_can_not_be_read_fails_with_what_to_do(settings: dict[str, str]) -> None:
    found = check_access(Settings(**settings))  # type: ignore[arg-type]
    assert found.level == "fail"
    assert found.advice
