"""app.cli.run.health_command: where the service listens, by what a container was given."""

from pathlib import Path

import pytest

from app.cli.run.health_command import find_port


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
