"""`neumo predict` and `neumo health`."""

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
