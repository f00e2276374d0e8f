"""training.fit.torchvision_compat: each case in a process of its own.

The first two cases put a stand-in for torchvision first on the path: one that imports, and one
that fails until the operators are declared, as a torchvision built for another torch does.
"""

import subprocess
import sys
from pathlib import Path

REPORT = """
from training.fit import torchvision_compat
models = torchvision_compat.import_torchvision()
assert torchvision_compat.import_torchvision() is models
import torch
print(models.__name__, len(torchvision_compat._declared), hasattr(torch.ops.torchvision, "nms"))
"""
NEEDS_NMS = """
import torch
if not hasattr(torch.ops.torchvision, "nms"):
    raise RuntimeError("operator torchvision::nms does not exist")
"""
ROOT = Path(__file__).parents[3]


def run(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    lead = f"import sys; sys.path[:0] = {[*map(str, path), str(ROOT)]}\n"
    return subprocess.run(
        [sys.executable, "-c", lead + code], capture_output=True, text=True, check=False
    )


def write_torchvision(folder: Path, code: str) -> Path:
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text(code)
    (folder / "torchvision" / "models.py").touch()
    return folder


def test_nothing_is_declared_where_torchvision_imports(tmp_path: Path) -> None:
    done = run(REPORT, write_torchvision(tmp_path, ""))
    assert (done.stdout.split(), done.stderr) == (["torchvision.models", "0", "False"], "")


def test_the_missing_operators_are_declared_where_it_does_not(tmp_path: Path) -> None:
    done = run(REPORT, write_torchvision(tmp_path, NEEDS_NMS))
    assert (done.stdout.split(), done.stderr) == (["torchvision.models", "1", "True"], "")


def test_another_fault_of_the_import_is_not_hidden(tmp_path: Path) -> None:
    done = run(REPORT, write_torchvision(tmp_path, "raise RuntimeError('out of luck')"))
    assert done.returncode == 1
    assert "RuntimeError: out of luck" in done.stderr


def test_the_installed_torchvision_gives_a_resnet_declaring_only_what_it_needs() -> None:
    plainly = run("import torchvision").returncode == 0
    done = run(REPORT + "print(type(models.resnet18(weights=None)).__name__)")
    assert done.stdout.split() == ["torchvision.models", str(int(not plainly)), "True", "ResNet"]
