"""app.cli.run.health_command: where the service listens, by what a container was given."""

import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli.run.health_command import command, find_flag, find_port


@pytest.mark.parametrize(
    ("variable", "arguments", "port"),
    [
        ("9000", ["neumo", "serve"], "9000"),
        ("9000", ["neumo", "serve", "--port", "7000"], "9000"),
        ("", ["neumo", "serve", "--port", "7000"], "7000"),
        ("", ["neumo", "serve", "--workers", "2", "--port=7000"], "7000"),
        ("", ["/sbin/docker-init", "--", "neumo", "serve", "--port", "7000"], "7000"),
        ("tcp://10.43.0.1:1", ["neumo", "serve", "--port", "7000"], "7000"),
        ("tcp://10.43.0.1:1", ["neumo", "serve"], "8000"),
        ("", ["systemd", "--port", "7000"], "8000"),
    ],
)
def test_the_port_is_the_variables_or_the_first_processes(
    tmp_path: Path, variable: str, arguments: list[str], port: str
) -> None:
    first = tmp_path / "cmdline"
    first.write_bytes(b"\0".join(argument.encode() for argument in arguments) + b"\0")
    assert find_port(variable, first) == port


def test_without_a_first_process_to_see_it_is_the_default(tmp_path: Path) -> None:
    assert find_port("", tmp_path / "none") == "8000"


def told_of_receive(folder: Path) -> tuple[int, str]:
    result = CliRunner().invoke(
        command, ["receive", "--exchange-folder", str(folder)], standalone_mode=False
    )
    return result.return_value, result.output


def test_receive_is_well_while_all_of_it_is_up_and_somebody_looks(tmp_path: Path) -> None:
    file = tmp_path / "receive.health"
    assert told_of_receive(tmp_path) == (1, "receive: not running\n")
    file.write_text('{"listener": "up", "reader": "starting"}')
    assert told_of_receive(tmp_path) == (1, "receive: listener up, reader starting\n")
    file.write_text('{"listener": "up", "reader": "up"}')
    assert told_of_receive(tmp_path) == (0, "receive: listener up, reader up\n")
    os.utime(file, (0, time.time() - 60))
    assert told_of_receive(tmp_path) == (1, "receive: silent for 60 s\n")


def test_a_container_of_neumo_receive_says_where_its_exchange_is(tmp_path: Path) -> None:
    first = tmp_path / "cmdline"
    first.write_bytes(b"/usr/bin/python\0/usr/bin/neumo\0receive\0--exchange-folder=/data\0")
    assert find_flag("--exchange-folder", first) == "/data"
