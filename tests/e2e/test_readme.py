"""The README's commands and its answer, run and compared word for word."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.errors import RequestError
from tests.conftest import ROOT
from tests.server import Server

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
LINES = [line.partition(" #")[0].strip() for block in BLOCKS for line in block.splitlines()]
CURLS = [line for line in LINES if line.startswith("curl ")]
DRAWS = {name: line for line in CURLS for name in re.findall(r" -o (\S+)", line)}
ASKS = [line for line in CURLS if line not in DRAWS.values()]
NEUMOS = [line for line in LINES if line.startswith(".venv/bin/neumo ")]

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def run(command: str, server: Server) -> str:
    """Run a README line against the test's own server and interpreter."""
    command = command.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
    command = command.replace("curl ", "curl --silent --show-error --fail ")
    command = command.replace(
        ".venv/bin/neumo health", f".venv/bin/neumo health --port {server.port}"
    )
    command = command.replace(".venv/bin/neumo", f"{shlex.quote(sys.executable)} -m app")
    result = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def without_what_changes(reading: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in reading.items() if key not in ("request_id", "timing_ms")}
    for name in ("image", "model"):
        kept[name] = kept[name] | {"sha256": kept[name]["sha256"][:8]}
    return kept


def test_the_readme_holds_commands() -> None:
    assert len(CURLS) == 10
    assert list(DRAWS) == ["film.png", "map.png"]
    assert len(NEUMOS) == 3


@needs_curl
def test_the_first_question_gets_the_answer_shown(server: Server) -> None:
    (shown,) = re.findall(r"^```json\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    expected, got = json.loads(shown), json.loads(run(ASKS[0], server))
    assert set(got) == set(expected)
    assert set(got["timing_ms"]) == set(expected["timing_ms"])
    expected, got = without_what_changes(expected), without_what_changes(got)
    assert got.pop("probabilities") == pytest.approx(expected.pop("probabilities"), abs=0.02)
    for name in ("abnormal", "non_covid_pneumonia"):
        assert got.pop(name) == pytest.approx(expected.pop(name), abs=0.02)
    assert got == expected


@needs_curl
@pytest.mark.parametrize("command", ASKS[1:])
def test_every_curl_is_answered(server: Server, command: str) -> None:
    answer = json.loads(run(command, server))
    assert answer.get("status") == "ok" or len(answer["results"]) == 2


@needs_curl
@pytest.mark.parametrize("name", DRAWS)
def test_what_is_drawn_is_a_picture(server: Server, tmp_path: Path, name: str) -> None:
    run(DRAWS[name].replace(name, str(tmp_path / name)), server)
    assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@needs_curl
def test_the_dicom_file_is_read_and_what_was_asked_for_is_told(server: Server) -> None:
    first, second = (json.loads(run(line, server)) for line in ASKS if ".dcm" in line)
    assert [answer["label"] for answer in (first, second)] == ["normal", "normal"]
    shown = [answer["image"]["dicom"] for answer in (first, second)]
    assert [each["window"]["width"] for each in shown] == [2551, 1913]
    assert "sop_instance_uid" not in shown[0]
    assert shown[1]["sop_instance_uid"].startswith("2.25.")


@pytest.mark.parametrize("command", NEUMOS)
def test_every_terminal_command_succeeds(server: Server, command: str) -> None:
    assert run(command, server)


def test_every_error_code_stands_in_the_table_under_its_status() -> None:
    rows = re.findall(r"^\| (\d{3}(?:, \d{3})?)[^|]*\| ([^|]*) \|$", README, re.MULTILINE)
    told = {(status, code) for statuses, codes in rows for status in statuses.split(", ")
            for code in re.findall(r"`(\w+)`", codes)}  # fmt: skip
    errors = RequestError.__subclasses__()
    assert {code for _, code in told} == {error.code for error in errors}
    assert {(str(error.status), error.code) for error in errors} <= told


def test_what_neumo_is_not_stands_above_all_commands() -> None:
    top = README.partition("\n## ")[0]
    assert "**Not a medical device.**" in top
    assert "for research use only" in top


def test_every_relative_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README):
        assert (ROOT / target).exists(), target
