"""training.run.environment: what a run says of the machine, and what it keeps to itself."""

import json
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT
from tests.training.networks import make_config
from training.run import environment
from training.run.environment import commit, describe_environment, package_versions


def test_the_versions_are_those_installed() -> None:
    versions = package_versions()
    assert versions["python"] == platform.python_version()
    assert versions["torch"] == torch.__version__
    assert versions["onnxruntime"] == version("onnxruntime")


def test_it_names_processor_threads_and_seed() -> None:
    described = describe_environment(make_config(seed=7))
    assert described["packages"] == package_versions()
    assert described["threads"] == torch.get_num_threads()
    assert described["seed"] == 7
    assert described["commit"] == commit()
    if not torch.cuda.is_available():
        name, _, instructions = str(described["processor"]).rpartition(", ")
        assert name in Path("/proc/cpuinfo").read_text() or name == platform.machine()
        assert instructions == torch.backends.cpu.get_cpu_capability()
    assert isinstance(described["cpus"], int)
    assert described["cpus"] >= 1


def test_it_names_neither_the_machine_nor_its_user_nor_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("USER", "LOGNAME", "HOSTNAME"):
        monkeypatch.setenv(variable, "somebody")
    config = make_config(data=str(tmp_path / "data"), runs=tmp_path, out=tmp_path)
    text = json.dumps(describe_environment(config))
    private = ("somebody", str(tmp_path), str(ROOT), str(Path.home()) + "/", platform.node())
    assert [word for word in private if word in text] == []


@pytest.mark.parametrize(("precision", "used"), [("fp32", False), ("bf16", True)])
def test_it_says_whether_bfloat16_is_used(precision: str, used: bool) -> None:
    assert describe_environment(make_config(precision=precision))["bfloat16"] is used


@pytest.mark.parametrize("native", [True, False])
def test_left_to_itself_bfloat16_is_used_where_the_processor_has_it(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert describe_environment(make_config(precision="auto"))["bfloat16"] is native


def test_outside_a_repository_the_commit_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    assert commit() == "unknown"


def git(folder: Path, *arguments: str) -> str:
    own = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    command = ["git", "-C", str(folder), *own, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_installed_inside_another_project_its_commit_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / ".venv" / "training" / "environment.py"
    installed.parent.mkdir(parents=True)
    installed.touch()
    (tmp_path / "theirs.py").touch()
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "theirs.py")
    git(tmp_path, "commit", "--quiet", "--message=theirs")
    monkeypatch.setattr(environment, "__file__", str(installed))
    assert commit() == "unknown"
    git(tmp_path, "add", "--force", ".venv")
    git(tmp_path, "commit", "--quiet", "--message=ours")
    assert commit() == git(tmp_path, "rev-parse", "--short=12", "HEAD")
    (tmp_path / "theirs.py").write_text("changed")
    assert commit().endswith("-dirty")


def test_without_git_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert commit() == "unknown"
