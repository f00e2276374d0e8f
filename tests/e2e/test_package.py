"""The wheel: what it contains is decided on purpose, and works from another folder."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

import app
from tests.conftest import ROOT
from tools.release.distributions import build_distributions


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this checkout's sdist, as a release does."""
    path, _ = build_distributions(app.__version__, tmp_path_factory.mktemp("dist"))
    return path


def test_it_holds_two_packages_their_start_two_bundles_and_nothing_else(
    wheel: Path,
) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"app", "training", "neumo_start.py"}
    others = [name for name in names if not name.endswith(".py") and ".dist-info/" not in name]
    assert sorted(others) == [
        "app/models/neumo-r18-2/README.md",
        "app/models/neumo-r18-2/card.json",
        "app/models/neumo-r18-2/changes.png",
        "app/models/neumo-r18-2/confusion.png",
        "app/models/neumo-r18-2/deletion.png",
        "app/models/neumo-r18-2/model.onnx",
        "app/models/neumo-r18-2/precision-recall.png",
        "app/models/neumo-r18-2/reliability.png",
        "app/models/neumo-r18-2/risk-coverage.png",
        "app/models/neumo-r18-2/roc.png",
        "app/models/neumo-r18-3/README.md",
        "app/models/neumo-r18-3/card.json",
        "app/models/neumo-r18-3/changes.png",
        "app/models/neumo-r18-3/confusion.png",
        "app/models/neumo-r18-3/deletion.png",
        "app/models/neumo-r18-3/model.onnx",
        "app/models/neumo-r18-3/precision-recall.png",
        "app/models/neumo-r18-3/reliability.png",
        "app/models/neumo-r18-3/risk-coverage.png",
        "app/models/neumo-r18-3/roc.png",
        "app/models/neumo-r18-3/trade-off.png",
        "app/py.typed",
        "app/render/fonts/DejaVuSans-latin.ttf",
        "app/render/fonts/LICENSE",
        "app/web/activation.js",
        "app/web/dialogs.js",
        "app/web/dom.js",
        "app/web/export.js",
        "app/web/film.js",
        "app/web/film_view.js",
        "app/web/icon.svg",
        "app/web/index.html",
        "app/web/main.js",
        "app/web/model.js",
        "app/web/page.css",
        "app/web/print.css",
        "app/web/queue.js",
        "app/web/reading_panel.js",
        "app/web/report.js",
        "app/web/service.js",
        "app/web/subject.js",
        "app/web/text_en.js",
        "app/web/text_es.js",
        "app/web/texts.js",
        "app/web/theme.js",
        "app/web/viewer.css",
        "app/web/viewer.js",
        "app/web/worklist.js",
        "training/html_report/report.css",
        "training/py.typed",
        "training/recipes/neumo-open-1.toml",
        "training/recipes/neumo-r18-2.toml",
        "training/recipes/neumo-r18-3.toml",
        "training/recipes/sweeps/example.toml",
    ]


def test_it_declares_the_two_commands_and_the_extras(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (entry_points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    text = archive.read(entry_points).decode()
    assert "neumo = neumo_start:neumo\n" in text
    assert "neumo-train = neumo_start:neumo_train\n" in text
    (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    lines = archive.read(metadata).decode().splitlines()
    extras = {line.split()[1] for line in lines if line.startswith("Provides-Extra")}
    assert extras == {
        "dev", "dicom", "docs", "hospital", "oidc", "otel", "postgres", "ray", "score",
        "signatures", "sweep", "train",
    }  # fmt: skip
    assert f"Version: {app.__version__}" in lines
    needed = [line for line in lines if line.startswith("Requires-Dist") and "extra" not in line]
    assert not [line for line in needed if "torch" in line]


def test_it_reads_an_image_from_another_folder(
    wheel: Path, tmp_path: Path, examples: dict[str, Path]
) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = (
        "import app, sys; from app.cli.command import main; print(app.__file__); sys.exit(main())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "predict", "--json", str(examples["normal"])],
        cwd=elsewhere,
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    origin, reading = result.stdout.splitlines()
    assert Path(origin).is_relative_to(site)
    assert json.loads(reading)["label"] == "normal"


def test_the_same_files_give_the_same_wheel_and_sdist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    hashes = []
    for name in ("first", "second"):
        folder = tmp_path / name
        both = [
            *build_distributions(app.__version__, folder),
            *build_distributions(app.__version__, folder, ROOT / "client", "neumo_client"),
        ]
        hashes.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in both])
        os.utime(ROOT / "app" / "__init__.py", (time.time(), time.time()))
    assert hashes[0] == hashes[1]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a folder of its own, its scripts too."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder),
         str(wheel)],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A folder with somebody else's `app` and `training`, which say so if they are run."""
    for name in ("app", "training"):
        (tmp_path / "strange" / name).mkdir(parents=True)
        (tmp_path / "strange" / name / "__init__.py").write_text("print('a stranger was run')")
    return tmp_path / "strange"


def call(
    installed: Path, script: str, *arguments: str, path: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{path}:{installed}".strip(":")}
    command = [sys.executable, str(installed / "bin" / script), *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


OWN_ENVIRONMENT = "Neumo wants an environment of its own: python3 -m venv"


def test_the_script_runs_from_a_folder_that_holds_another_app(
    installed: Path, stranger: Path
) -> None:
    told = call(installed, "neumo", "--help", cwd=stranger)
    assert (told.returncode, told.stderr) == (0, "")
    assert "stranger" not in told.stdout


@pytest.mark.parametrize("script", ["neumo", "neumo-train"])
def test_where_another_app_is_found_first_they_say_so_and_run_nothing_of_it(
    installed: Path, stranger: Path, script: str
) -> None:
    told = call(installed, script, "--help", path=str(stranger))
    assert (told.returncode, told.stdout) == (3, "")
    (line,) = told.stderr.splitlines()
    assert line.startswith(f"{script}: the package 'app' is another project's: {stranger}/app. ")
    assert OWN_ENVIRONMENT in line


def test_another_training_hides_only_neumo_train(installed: Path, stranger: Path) -> None:
    shutil.rmtree(stranger / "app")
    told = call(installed, "neumo-train", "--help", path=str(stranger))
    assert told.returncode == 3
    assert "the package 'training' is another project's" in told.stderr
    assert call(installed, "neumo", "--version", path=str(stranger)).returncode == 0


def test_a_package_that_wrote_over_neumos_files_is_told(
    installed: Path, stranger: Path, tmp_path: Path
) -> None:
    """As pip does without a word, if two distributions have a file of one name."""
    mixed = tmp_path / "mixed"
    shutil.copytree(installed, mixed)
    shutil.copy(stranger / "app" / "__init__.py", mixed / "app" / "__init__.py")
    told = call(mixed, "neumo", "health")
    assert (told.returncode, told.stdout) == (3, "")
    assert OWN_ENVIRONMENT in told.stderr


def test_an_app_that_is_not_there_at_all_is_told(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(installed / "bin", tmp_path / "bin")
    shutil.copy(installed / "neumo_start.py", tmp_path)
    command = [sys.executable, "-S", str(tmp_path / "bin" / "neumo"), "health"]  # -S: no checkout
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 3
    assert "the package 'app' is not there" in told.stderr


def test_started_as_a_module_from_a_folder_with_another_app_it_says_so(
    installed: Path, stranger: Path
) -> None:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    told = subprocess.run(
        [sys.executable, "-m", "neumo_start", "health"],
        cwd=stranger, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (told.returncode, told.stdout) == (3, "")
    assert OWN_ENVIRONMENT in told.stderr


def test_doctor_finds_a_file_that_is_not_as_installed(installed: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(installed, changed)
    (changed / "app" / "main.py").write_text("")
    told = call(changed, "neumo", "doctor", "--json", "--port", "0")
    assert told.returncode == 1
    found = {each["check"]: each for each in json.loads(told.stdout)["findings"]}
    assert found["installation"]["level"] == "fail"
    assert "app/main.py" in found["installation"]["text"]
    sound = json.loads(call(installed, "neumo", "doctor", "--json", "--port", "0").stdout)
    assert sound["findings"][0]["level"] == "ok"
