"""Every command of every page: it works as it stands, or the page says why it isn't run here.

A page's blocks are run in order, in one folder that looks like a checkout: `neumo`, `python` and
`.venv/bin/neumo` are this interpreter's, and the service of 127.0.0.1:8000 is the tests' own.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.certificates import Authority
from tests.conftest import ROOT
from tests.e2e.pages import PAGES, Block, blocks
from tests.server import Server, running

BLOCKS = [block for page in PAGES for block in blocks(page)]
NOT_RUN = {
    "needs a cluster": 6,
    "needs a container engine": 8,
    "needs a database server": 2,
    "needs a release and an index of packages": 1,
    "needs an identity provider": 4,
    "needs hardware or a machine that is not here": 4,
    "needs the training images": 4,
    "needs what only your own service can tell": 5,
    "sets up an environment": 8,
    "takes minutes, on a machine that is left to it": 6,
}
"""Why a block may not be run here, and of how many blocks at most that may be said."""

RUN_HERE = [block for block in BLOCKS if block.mark in (None, "refused")]
BY_PAGE = {
    str(page.relative_to(ROOT)): list(those)
    for page, those in groupby(RUN_HERE, lambda block: block.page)
}
# What a block exports holds for the next ones of its page, as in a reader's terminal.
SHELL = """
if [ -f .exports ]; then . ./.exports; fi
trap 'export -p > .exports' EXIT
FAIL="$1"
set -euo pipefail
curl() { command curl --silent --show-error $FAIL --max-time 30 "$@"; }
"""
# `neumo serve` of a page is started on a free port, waited for and stopped: it has to get ready.
NEUMO = """#!{python}
import os, socket, subprocess, sys, time
given = sys.argv[1:]
neumo = [sys.executable, "-m", "app"]
if given[:1] == ["serve"]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ours = ["--host", "127.0.0.1", "--port", str(port), "--drain-delay-s", "0"]
    service = subprocess.Popen([*neumo, *given, *ours])
    ready = False
    for _ in range(300):
        if service.poll() is not None:
            sys.exit(service.returncode or 1)
        asked = [*neumo, "health", "ready", "--port", str(port)]
        ready = subprocess.run(asked, stdout=subprocess.DEVNULL).returncode == 0
        if ready:
            break
        time.sleep(0.1)
    service.terminate()
    sys.exit(service.wait() if ready else 1)
os.execv(sys.executable, [*neumo, *given])
"""
MOST_SECONDS = 120


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that holds two models, which the pages ask and switch, and films that wait."""
    queue = tmp_path_factory.mktemp("exchange")
    environment = {"NEUMO_MODELS": "neumo-r18-2", "NEUMO_EXCHANGE_FOLDER": str(queue)}
    with running(environment=environment) as service:
        yield service


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay out what the pages take for granted, and programs of their names."""
    place = tmp_path_factory.mktemp("checkout")
    for name in ("examples", "deploy", "docs", "training", "README.md"):
        (place / name).symlink_to(ROOT / name)
    (place / "models").mkdir()
    for bundle in (ROOT / "models").iterdir():
        (place / "models" / bundle.name).symlink_to(bundle)
    for name in ("ours-1", "ours-2"):
        shutil.copytree(ROOT / "models" / "neumo-r18-3", place / "models" / name)
    write_normals(place / "normals")
    (place / "film.dcm").symlink_to(ROOT / "examples" / "normal.dcm")
    (place / "film.jpg").symlink_to(ROOT / "examples" / "normal.jpg")
    (place / "films").mkdir()
    for film in (ROOT / "examples").glob("*.jpg"):
        (place / "films" / film.name).symlink_to(film)
    (place / "etc").mkdir()
    (place / "var").mkdir()
    Authority(place / "etc", "clients ca").issue("tls")
    for environment in (".venv", ".venv-dev"):
        programs = place / environment / "bin"
        programs.mkdir(parents=True)
        neumo = programs / "neumo"
        neumo.write_text(NEUMO.format(python=sys.executable))
        neumo.chmod(0o755)
        (programs / "python").symlink_to(sys.executable)
    return place


def write_normals(folder: Path, films: int = 80) -> None:
    """Write films that the model reads as normal: one, a little darker or lighter each time."""
    folder.mkdir()
    drawn = np.asarray(Image.open(ROOT / "examples" / "normal.jpg").reduce(4)).astype(np.int16)
    for number in range(films):
        film = np.clip(drawn + number // 4 - 10, 0, 255).astype(np.uint8)
        film[0, number] = 255
        Image.fromarray(film).save(folder / f"{number}.png")


def run(block: Block, place: Path, port: int) -> subprocess.CompletedProcess[str]:
    """Run a block as it stands, but for what differs from one installation to the next."""
    keys = place / "keys.json"
    first_key = re.search(r'"id": *"(\w+)"', keys.read_text()) if keys.is_file() else None
    script = block.script
    for shown, here in (
        ("127.0.0.1:8000", f"127.0.0.1:{port}"),
        ("localhost:8000", f"127.0.0.1:{port}"),
        ("/etc/neumo", str(place / "etc")),
        ("/var/lib/neumo", str(place / "var")),
        ("6zkqp1ab", first_key[1] if first_key else "6zkqp1ab"),
    ):
        script = script.replace(shown, here)
    fail = "" if block.mark == "refused" else "--fail-with-body"
    python = block.language in ("python", "py")
    command = (
        [sys.executable, "-c", script] if python else ["bash", "-c", SHELL + script, "bash", fail]
    )
    client = ROOT / "client" / "src"
    return subprocess.run(
        command,
        cwd=place,
        capture_output=True,
        check=False,
        encoding="utf-8",
        errors="replace",
        timeout=MOST_SECONDS,
        env=os.environ
        | {
            "PATH": f"{place / '.venv-dev' / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{client}",
            "NEUMO_PORT": str(port),
            "NEUMO_WORKERS": "1",
            "KEY": "a key where none is asked for",
        },
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", BY_PAGE)
def test_every_command_of_a_page_works_as_it_stands(
    page: str, checkout: Path, service: Server
) -> None:
    (checkout / ".exports").unlink(missing_ok=True)
    for block in BY_PAGE[page]:
        result = run(block, checkout, service.port)
        assert result.returncode == 0, f"{block.name}: {result.stdout[-500:]} {result.stderr}"
        if block.mark == "refused":
            assert f'"code":"{block.said}"' in result.stdout, block.name


def test_there_are_commands_to_run() -> None:
    assert len(RUN_HERE) >= 14
    assert {"README.md", "README.es.md", "docs/start.md", "docs/operations.md"} <= set(BY_PAGE)


def test_a_block_that_is_not_run_says_why_and_they_stay_few() -> None:
    said = Counter(block.said for block in BLOCKS if block.mark == "not run")
    assert set(said) <= set(NOT_RUN)
    assert {reason: count for reason, count in said.items() if count > NOT_RUN[reason]} == {}


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.mark == "run by"], ids=lambda block: block.name
)
def test_a_block_that_another_test_runs_names_one_that_knows_its_page(block: Block) -> None:
    test = ROOT / block.said
    assert test.is_file()
    assert block.page.name in test.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.mark == "not run"], ids=lambda block: block.name
)
def test_what_is_not_run_names_what_there_is(block: Block) -> None:
    targets = re.findall(r"^([\w./-]+(?: [\w./-]+)*):(?!=)", (ROOT / "Makefile").read_text(), re.M)
    known = {target for line in targets for target in line.split()}
    for line in re.findall(r"^make ([^#\n]+)", block.text, re.MULTILINE):
        assert {word for word in line.split() if "=" not in word} <= known
    for module in re.findall(r"-m ((?:benchmarks|examples|tools)[.\w]*)", block.text):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


@pytest.mark.parametrize(
    ("text", "language", "mark", "script"),
    [
        ("```sh\na\n```\n", "sh", None, "a\n"),
        ("1. x\n\n    ```python\n    a\n    ```\n", "python", None, "a\n"),
        ("<!-- not run: needs a cluster -->\n```bash\na\n```\n", "bash", "not run", "a\n"),
        ("```console\n$ a \\\n  b\nanswer\n$ c\n```\n", "console", None, "a \\\n  b\nc"),
    ],
)
def test_a_block_is_found_with_its_mark_and_what_was_typed(
    text: str, language: str, mark: str | None, script: str, tmp_path: Path
) -> None:
    page = ROOT / "docs" / "start.md"
    (tmp_path / page.name).write_text(text)
    (block,) = blocks(tmp_path / page.name)
    assert (block.language, block.mark, block.script) == (language, mark, script)


@pytest.mark.parametrize("text", ["```json\n{}\n```\n", "```text\na\n```\n", "`sh`\n"])
def test_what_is_no_command_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(text)
    assert list(blocks(tmp_path / "page.md")) == []


def test_a_command_that_fails_is_noticed(checkout: Path, service: Server) -> None:
    page = checkout / "page.md"
    page.write_text("```sh\ncurl http://127.0.0.1:8000/nowhere\ntrue\n```\n")
    (block,) = blocks(page)
    assert run(block, checkout, service.port).returncode != 0


def test_a_service_that_does_not_start_is_noticed(checkout: Path, service: Server) -> None:
    page = checkout / "page.md"
    page.write_text("```sh\nNEUMO_MODEL=models/none neumo serve\n```\n")
    (block,) = blocks(page)
    assert run(block, checkout, service.port).returncode == 3
