"""neumo-client by itself: its wheel, in an environment with httpx alone; and its README, run."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import app
from neumo_client import NeumoError
from neumo_client.version import VERSION
from tests.conftest import ROOT
from tests.server import Server

CLIENT = ROOT / "client"
PACKAGE = CLIENT / "src" / "neumo_client"
README = (CLIENT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
HTTPX = {"httpx", "httpcore", "h11", "anyio", "certifi", "idna", "sniffio", "typing-extensions"}


def project(path: Path) -> dict[str, object]:
    table: dict[str, object] = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    return table


def test_it_is_released_with_the_service_under_its_version() -> None:
    own, service = (project(path / "pyproject.toml") for path in (CLIENT, ROOT))
    assert app.__version__ == VERSION
    assert own["license"] == service["license"]
    assert (CLIENT / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_it_imports_nothing_but_httpx_and_the_standard_library() -> None:
    imported: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                imported.add((node.module or "").partition(".")[0])
    assert imported - sys.stdlib_module_names == {"httpx", "neumo_client"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the client's wheel, of a copy: nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("client")
    source = folder / "source"
    shutil.copytree(CLIENT, source, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder)]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_package_typed_and_needs_httpx(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {f"neumo_client/{path.name}" for path in PACKAGE.iterdir() if path.is_file()}
    assert "neumo_client/py.typed" in names
    (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    lines = archive.read(metadata).decode().splitlines()
    assert [line for line in lines if line.startswith("Requires-Dist")] == [
        "Requires-Dist: httpx<1,>=0.28.1"
    ]


def test_it_reads_a_film_from_an_environment_that_has_nothing_else(
    wheel: Path, server: Server, examples: dict[str, Path], tmp_path: Path
) -> None:
    home = tmp_path / "empty"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    code = (
        "import importlib.metadata as m, neumo_client as n, sys\n"
        "print(*sorted(each.name.lower().replace('_', '-') for each in m.distributions()))\n"
        "print(n.__version__, n.__file__)\n"
        "print(n.Client(sys.argv[1]).predict(sys.argv[2]).label)\n"
    )
    done = subprocess.run(
        [str(python), "-c", code, server.url, str(examples["covid19"])],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    installed, where, label = done.stdout.splitlines()
    assert set(installed.split()) - {"pip", "setuptools"} <= HTTPX | {"neumo-client"}
    assert where.startswith(f"{VERSION} {home}")
    assert label == "covid19"


def test_the_readme_holds_snippets_and_names_every_error() -> None:
    assert len(SNIPPETS) == 6

    def walk(kind: type) -> set[str]:
        return {kind.__name__}.union(*map(walk, kind.__subclasses__()))

    assert {name for name in walk(NeumoError) if f"`{name}`" not in README} == set()


@pytest.mark.parametrize("index", range(len(SNIPPETS)))
def test_each_snippet_of_the_readme_runs(
    server: Server, examples: dict[str, Path], tmp_path: Path, index: int
) -> None:
    shutil.copy(ROOT / "examples" / "normal.dcm", tmp_path / "film.dcm")
    shutil.copy(examples["normal"], tmp_path / "film.jpg")
    shutil.copytree(ROOT / "examples", tmp_path / "films", ignore=lambda _, names: [
        name for name in names if not name.endswith(".jpg")
    ])  # fmt: skip
    code = SNIPPETS[index].replace("http://127.0.0.1:8000", server.url)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(CLIENT / "src"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = {
        0: "normal 0.9", 1: "viral_pneumonia.jpg", 2: "label='normal'", 3: "",
        4: "unsupported_media_type El contenido no es JPEG", 5: "",
    }  # fmt: skip
    assert told[index] in done.stdout
    if index == 3:
        pictures = [tmp_path / "map.png", tmp_path / "film.png"]
        assert [path.read_bytes()[:4] for path in pictures] == [b"\x89PNG"] * 2
