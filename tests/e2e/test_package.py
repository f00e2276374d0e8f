"""The wheel: what it contains is decided on purpose, and works from another folder."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import app
from tools.release.distributions import build_distributions


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this checkout's sdist, as a release does."""
    path, _ = build_distributions(app.__version__, tmp_path_factory.mktemp("dist"))
    return path


def test_it_holds_two_packages_two_bundles_and_nothing_else(
    wheel: Path,
) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"app", "training"}
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
        "training/py.typed",
        "training/recipes/neumo-r18-2.toml",
        "training/recipes/neumo-r18-3.toml",
    ]


def test_it_declares_the_two_commands_and_the_extras(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (entry_points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    text = archive.read(entry_points).decode()
    assert "neumo = app.cli.command:main" in text
    assert "neumo-train = training.__main__:main" in text
    (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    lines = archive.read(metadata).decode().splitlines()
    extras = {line.split()[1] for line in lines if line.startswith("Provides-Extra")}
    assert extras == {"dev", "dicom", "docs", "oidc", "otel", "postgres", "score", "train"}
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
