"""app.cli.command: the table of commands, what a call loads, how it ends."""

import os
import subprocess
import sys

import click
import pytest

from app.cli import command as cli
from app.cli.command import BROKEN_PIPE, COMMANDS, EXIT_CODES, INTERRUPTED, main, neumo
from app.settings.settings import Settings
from tests.conftest import ROOT

CONTEXT = click.Context(neumo, info_name="neumo")
HEAVY = ["onnxruntime", "numpy", "pydantic", "rich", "starlette", "importlib.metadata"]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_of_the_table_is_there_and_says_what_it_does(name: str) -> None:
    command = neumo.get_command(CONTEXT, name)
    assert isinstance(command, click.Command)
    assert command.help
    assert COMMANDS[name][1].endswith(".")
    assert all(option.help for option in command.params if isinstance(option, click.Option)), (
        "an option without help"
    )


def loaded_after(code: str) -> list[str]:
    script = f"import sys\nfrom app.cli.command import main\n{code}\nprint(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in HEAVY if name in result.stdout.splitlines()[-1].split()]


def test_a_health_check_loads_nothing_that_takes_long() -> None:
    assert loaded_after("main(['health', '--port', '1'])") == []


def test_help_loads_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert loaded_after("main(['--help'])") == []
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    for name, (_, line) in COMMANDS.items():
        assert f"  {name}" in told
        assert line in told


def test_help_says_what_each_exit_code_means(capsys: pytest.CaptureFixture[str]) -> None:
    main(["-h"])
    told = " ".join(capsys.readouterr().out.split())
    for code, meaning in EXIT_CODES.items():
        assert f" {code} {meaning}" in told


def test_serve_has_a_flag_for_every_setting() -> None:
    serve = neumo.get_command(CONTEXT, "serve")
    assert serve is not None
    flags = [option.opts for option in serve.params]
    assert flags == [["--" + name.replace("_", "-")] for name in Settings.model_fields]


@pytest.mark.parametrize("arguments", [["cure"], [], ["health", "--port", "many"], ["predict"]])
def test_a_wrong_call_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "Usage: neumo" in capsys.readouterr().err


def test_an_interrupted_command_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("app.cli.run.health_command.http.client.HTTPConnection", interrupt)
    assert main(["health"]) == INTERRUPTED


def test_a_reader_that_has_gone_is_141_and_nothing_is_said_of_it() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        result = subprocess.run(
            [sys.executable, "-m", "app", "settings"],
            cwd=ROOT, stdout=pipe, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert result.returncode == BROKEN_PIPE
    assert result.stderr == b""


def test_the_table_can_be_added_to_by_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    again = {"again": ("app.cli.run.health_command", "The same once more.")}
    monkeypatch.setattr(cli, "COMMANDS", {**COMMANDS, **again})
    assert neumo.list_commands(CONTEXT)[-1] == "again"
    assert neumo.get_command(CONTEXT, "again") is neumo.get_command(CONTEXT, "health")
