"""docs/cli.md says what the commands say."""

from app.cli.command import COMMANDS, EXIT_CODES
from app.cli.reference import describe_commands
from tests.conftest import ROOT


def test_the_page_is_current() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert page == describe_commands(), "write it anew: make cli"


def test_every_command_and_every_exit_code_is_on_it() -> None:
    page = describe_commands()
    for name in COMMANDS:
        assert f"## `neumo {name}`\n" in page
    for code in EXIT_CODES:
        assert f"| {code} | " in page
