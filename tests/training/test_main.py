"""`neumo-train` where only serving is installed, and where all is."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code + "; import training.__main__ as c; sys.exit(c.main())",
         *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("missing", ["torch", "sklearn"])  # the first needed, and a later one
def test_without_the_training_dependencies_it_says_what_to_install(missing: str) -> None:
    result = run(f"import sys; sys.modules[{missing!r}] = None", "run")
    assert result.returncode == 3
    assert f"{missing}" in result.stderr
    assert "pip install 'neumo[train]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_part_of_neumo_that_is_missing_is_nothing_to_install() -> None:
    result = run("import sys; sys.modules['app.model.card'] = None", "run")
    assert result.returncode == 1
    assert "app.model.card" in result.stderr
    assert "pip install" not in result.stderr


def test_with_them_it_runs() -> None:
    result = run("import sys", "--help")
    assert result.returncode == 0
    assert "train, export, quantise" in result.stdout
