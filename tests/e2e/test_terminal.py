"""The command `neumo` in processes of its own: pipes, locales, and real terminals."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.model.bundle import find_bundle, read_bundle
from app.model.labels import LABEL_IDS
from app.settings.settings import Settings
from tests.bundles import make_acceptance, make_certainty
from tests.conftest import ROOT
from tests.ptys import show
from tests.server import Server, free_port, predict


def test_the_terminal_gives_the_same_reading_as_http(
    server: Server, examples: dict[str, Path]
) -> None:
    path = examples["viral_pneumonia"]
    result = subprocess.run(
        [sys.executable, "-m", "app", "predict", "--json", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(result.stdout)
    assert told.pop("path") == str(path)
    served = json.loads(predict(server, path.read_bytes())[1])
    for changing in ("request_id", "timing_ms"):
        del told[changing], served[changing]
    assert told == served


def test_the_terminal_prints_labels_for_people(examples: dict[str, Path]) -> None:
    files = [str(examples["normal"]), str(examples["covid19"]), str(ROOT / "README.md")]
    result = subprocess.run(
        [sys.executable, "-m", "app", "predict", "--language", "es", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert f"{files[0]}: Normal\n" in result.stdout
    assert f"{files[1]}: COVID-19\n" in result.stdout
    assert "Neumonía bacteriana" in result.stdout
    assert "No es un producto sanitario. Los pesos" in result.stdout
    assert "no es un diagnóstico" in result.stdout
    assert result.stdout.count("  avisos: population_unknown, site_not_validated\n") == 2
    assert result.stdout.count("\nsite_not_validated: Nadie ha mostrado") == 1
    assert f"{files[2]}: El contenido no es JPEG, PNG ni un archivo DICOM" in result.stderr


def test_the_health_command_tells_by_its_exit_code(server: Server) -> None:
    def ask(*arguments: str, **environment: str) -> int:
        command = [sys.executable, "-m", "app", "health", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=os.environ | environment, capture_output=True, check=False
        ).returncode

    assert ask("--port", str(server.port)) == 0
    assert ask(NEUMO_PORT=str(server.port), NEUMO_HOST="0.0.0.0") == 0  # noqa: S104 - as in a container
    closed = str(free_port())
    assert ask("--port", closed) == 1
    assert ask("--port", str(server.port), NEUMO_PORT=closed) == 0


def test_health_says_that_a_stranger_holds_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]

        def greet() -> None:
            connection, _ = stranger.accept()
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            connection.close()

        thread = threading.Thread(target=greet)
        thread.start()
        result = neumo("health", "--port", str(port))
        thread.join()
    assert result.returncode == 1
    assert result.stdout.decode() == f"port {port} answers, but not in HTTP: it is not neumo\n"
    assert result.stderr == b""


def test_health_reads_over_a_kubernetes_service_link() -> None:
    result = neumo("health", environment={"NEUMO_PORT": "tcp://10.43.0.1:1"})
    assert result.returncode == 1  # nobody listens on 8000, or a stranger: it asked there
    assert result.stderr == b""


def neumo(
    *arguments: str | bytes, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env=os.environ | (environment or {}),
        capture_output=True,
        check=False,
    )


def test_every_file_has_its_line_and_every_line_its_file(
    examples: dict[str, Path], tmp_path: Path
) -> None:
    files = [
        str(examples["covid19"]), str(tmp_path / "missing.jpg"), str(ROOT / "README.md"),
        str(tmp_path), str(examples["normal"]),
    ]  # fmt: skip
    result = neumo("predict", "--json", *files)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 1
    assert result.stderr == b""
    assert [line["path"] for line in lines] == files
    assert [line.get("label", line.get("code")) for line in lines] == [
        "covid19", "file_unreadable", "unsupported_media_type", "file_unreadable", "normal"
    ]  # fmt: skip
    assert "No such file or directory" in lines[1]["detail"]


@pytest.mark.parametrize("locale", ["C.UTF-8", "C", "POSIX"])
@pytest.mark.parametrize(
    "name", [b"ni\xf1o.jpg", "niño.jpg".encode(), b"a\nb.jpg", "胸.jpg".encode()]
)
def test_a_file_of_any_name_is_read_in_any_locale(
    examples: dict[str, Path], tmp_path: Path, locale: str, name: bytes
) -> None:
    path = bytes(tmp_path) + b"/" + name
    Path(os.fsdecode(path)).write_bytes(examples["normal"].read_bytes())
    after = str(examples["covid19"])
    environment = {"LC_ALL": locale, "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    told = neumo("predict", "--json", path, after, environment=environment)
    assert [json.loads(line)["label"] for line in told.stdout.splitlines()] == ["normal", "covid19"]
    shown = json.loads(told.stdout.splitlines()[0])["path"]
    assert shown == path.decode(errors="replace")
    people = neumo("predict", "--language", "es", path, after, environment=environment)
    assert people.returncode == 0
    assert people.stderr == b""
    titles = [line for line in people.stdout.splitlines() if line.startswith(bytes(tmp_path))]
    assert [line.rpartition(b": ")[2] for line in titles] == [b"Normal"]
    assert b"covid19.jpg: COVID-19" in people.stdout


def test_a_wrong_setting_is_told_in_plain_words() -> None:
    result = neumo("serve", "--log-level", "loud", "--port", "many")
    told = result.stderr.decode()
    assert result.returncode == 2
    assert "NEUMO_LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'" in told
    assert "NEUMO_PORT: Input should be a valid integer" in told
    assert "^" not in told


def test_the_terminal_says_why_an_answer_is_uncertain(
    examples: dict[str, Path], tmp_path: Path
) -> None:
    """By a hospital's own floors, which nothing reaches."""
    model = read_bundle(find_bundle(Settings().model))
    floors = make_certainty(floors=dict.fromkeys(LABEL_IDS, 1.0), chosen_on="site")
    path = tmp_path / "ours.json"
    path.write_text(json.dumps(make_acceptance(model.graph, certainty=floors)), encoding="utf-8")
    files = [str(examples["normal"]), str(examples["covid19"])]
    told = neumo("predict", *files, environment={"NEUMO_ACCEPTANCE": str(path)}).stdout.decode()
    assert f"{files[0]}: Normal (uncertain)\n" in told
    assert told.count("  uncertain: The likeliest label is not likely enough to rely on.\n") == 2
    assert told.count("  warnings: population_unknown\n") == 2
    assert "site_not_validated" not in told


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["predict", "README.md"]])
def test_an_acceptance_of_another_model_stops_the_start_with_what_to_do(
    tmp_path: Path, command: list[str]
) -> None:
    path = tmp_path / "ours.json"
    path.write_text(json.dumps(make_acceptance()), encoding="utf-8")
    result = neumo(*command, environment={"NEUMO_ACCEPTANCE": str(path)})
    assert result.returncode == 3
    assert b"Measure again with neumo accept" in result.stderr


COLOUR = "\x1b[1m"


@pytest.mark.parametrize("columns", [80, 120])
def test_a_person_sees_bars_and_a_pipe_gets_lines(examples: dict[str, Path], columns: int) -> None:
    path = str(examples["covid19"].relative_to(ROOT))
    told = show("predict", path, columns=columns)
    assert told.code == 0
    assert COLOUR in told.raw
    assert told.lines[:2] == [path, "  COVID-19, ok"]
    assert told.lines[3].startswith("    COVID-19            99.6% ━━━━")
    assert max(map(len, told.lines)) <= columns
    piped = neumo("predict", path).stdout.decode()
    assert piped.startswith(f"{path}: COVID-19\n  Normal")
    assert "\x1b" not in piped
    assert "━" not in piped


def test_a_folder_has_a_progress_bar_meanwhile_and_a_table_then() -> None:
    told = show("predict", "examples", "README.md", "--age", "61")
    assert told.code == 1  # README.md is no film
    asked = len(list((ROOT / "examples").iterdir())) + 1
    assert f"{asked}/{asked}" in told.text
    rows = [line.split() for line in told.lines if ".jpg" in line or ".dcm" in line]
    assert ["examples/normal.dcm", "Normal", "ok"] in [row[:3] for row in rows]
    assert any(line.startswith(" examples/viral_") and " uncertain " in line for line in told.lines)
    assert "6 films: 3 ok, 2 uncertain, 1 not read." in told.text
    assert "\x1b[?25h" in told.raw  # the cursor is shown again


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_no_color_and_a_dumb_terminal_are_heeded(
    examples: dict[str, Path], environment: dict[str, str], coloured: bool
) -> None:
    told = show("predict", str(examples["normal"]), str(examples["covid19"]),
                environment=environment)  # fmt: skip
    assert ("\x1b[36m" in told.raw or "\x1b[32m" in told.raw) == coloured
    assert told.code == 0


def test_the_environments_language_is_spoken(examples: dict[str, Path]) -> None:
    told = show("predict", str(examples["normal"]), environment={"LC_ALL": "es_ES.UTF-8"})
    assert "Atención: Nadie ha mostrado que se pueda confiar" in " ".join(told.text.split())


def test_a_terminal_without_utf_8_gets_what_it_can_show(examples: dict[str, Path]) -> None:
    environment = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    told = show("predict", str(examples["covid19"]), "--language", "es", environment=environment)
    assert told.code == 0
    assert told.raw.isascii()
    assert "-----" in told.text
    assert "Neumon?a bacteriana" in told.text


def test_a_narrow_terminal_is_not_written_past() -> None:
    told = show("predict", "examples", columns=40)
    assert max(map(len, told.lines)) <= 40 or "neither JPEG" in max(told.lines, key=len)
    assert "  Bacterial pneumonia, uncertain" in told.lines


def test_ctrl_c_tells_what_was_read_and_is_130(examples: dict[str, Path], tmp_path: Path) -> None:
    for index in range(3000):
        (tmp_path / f"{index:04}.jpg").symlink_to(examples["normal"])
    told = show("predict", str(tmp_path), interrupt_at=r" [1-9]\d+/3000")
    assert told.code == 130
    assert "0000.jpg" in told.text
    assert "Traceback" not in told.text


def test_a_reader_that_stops_reading_is_no_error(examples: dict[str, Path]) -> None:
    files = " ".join([str(examples["normal"])] * 400)
    script = f"{sys.executable} -m app predict {files} | head -n 1; echo ${{PIPESTATUS[0]}}"
    told = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stdout == f"{examples['normal']}: Normal\n141\n"
    assert told.stderr == ""


def test_a_film_comes_through_a_pipe(examples: dict[str, Path]) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "app", "predict", "--json", "-"],
        cwd=ROOT, input=examples["covid19"].read_bytes(), capture_output=True, check=True,
    )  # fmt: skip
    answer = json.loads(told.stdout)
    assert (answer["path"], answer["label"]) == ("-", "covid19")


def test_doctor_tells_a_neumo_on_the_port_from_a_stranger(server: Server) -> None:
    found = json.loads(neumo("doctor", "--json", "--port", str(server.port)).stdout)["findings"]
    (port,) = (each for each in found if each["check"] == "port")
    assert port["level"] == "warn"
    assert port["text"] == f"a Neumo answers on 127.0.0.1:{server.port} already"


def test_doctor_is_a_table_at_a_terminal() -> None:
    told = show("doctor", "--port", "0", "--model", "missing")
    assert told.code == 1
    assert "fail  bundle           The bundle 'missing' has no card.json" in told.lines
    assert any(line.strip().startswith("Do: Point NEUMO_MODEL") for line in told.lines)
    assert max(map(len, told.lines)) <= 80


def complete(folder: Path, *words: str) -> list[str]:
    """Return what bash would offer for a line whose last word the cursor is at."""
    command = folder / "neumo"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m app "$@"\n')
    command.chmod(0o700)
    line = " ".join(f"'{word}'" for word in words)
    script = f"""
        eval "$(_NEUMO_COMPLETE=bash_source neumo)"
        COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}
        _neumo_completion neumo
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    told = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return told.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["neumo", "pre"], ["predict"]),
        (["neumo", "health", ""], ["live", "ready", "startup", "receive"]),
        (["neumo", "predict", "--lang"], ["--language"]),
        (["neumo", "predict", "--language", ""], ["en", "es"]),
        (["neumo", "explain", "--label", "c"], ["covid19"]),
        (["neumo", "serve", "--keep"], ["--keep-alive-s"]),
        (["neumo", "model", "--model", "neumo-r18-3"], ["neumo-r18-3"]),
    ],
)
def test_bash_completes(words: list[str], offered: list[str], tmp_path: Path) -> None:
    assert complete(tmp_path, *words) == offered
