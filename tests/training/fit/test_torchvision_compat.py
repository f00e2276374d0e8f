"""training.fit.torchvision_compat: each case in a process of its own.

The first cases put a stand-in for torchvision first on the path: one that imports, and one
that fails until the operators are declared, as a torchvision built for another torch does. They
start without what this environment's own start may have installed.
"""

import subprocess
import sys
from pathlib import Path

from training.fit.torchvision_compat import install_at_start

BARE = "sys.meta_path[:] = [each for each in sys.meta_path if type(each).__name__ != '_Finder']\n"
REPORT = """
from training.fit import torchvision_compat
models = torchvision_compat.import_torchvision()
assert torchvision_compat.import_torchvision() is models
import torch
print(models.__name__, len(torchvision_compat._declared), hasattr(torch.ops.torchvision, "nms"))
"""
NEEDS_NMS = """
import torch
import torchvision.half
if not hasattr(torch.ops.torchvision, "nms"):
    raise RuntimeError("operator torchvision::nms does not exist")
"""
ROOT = Path(__file__).parents[3]


def run(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    lead = f"import sys; sys.path[:0] = {[*map(str, path), str(ROOT)]}\n"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", lead + code],
        capture_output=True,
        text=True,
        check=False,
    )


def write_torchvision(folder: Path, code: str) -> Path:
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text(code)
    (folder / "torchvision" / "models.py").touch()
    (folder / "torchvision" / "half.py").touch()
    return folder


def test_nothing_is_declared_where_torchvision_imports(tmp_path: Path) -> None:
    done = run(BARE + REPORT, write_torchvision(tmp_path, ""))
    assert (done.stdout.split(), done.stderr) == (["torchvision.models", "0", "False"], "")


def test_the_missing_operators_are_declared_where_it_does_not(tmp_path: Path) -> None:
    done = run(BARE + REPORT, write_torchvision(tmp_path, NEEDS_NMS))
    assert (done.stdout.split(), done.stderr) == (["torchvision.models", "1", "True"], "")


def test_another_fault_of_the_import_is_not_hidden(tmp_path: Path) -> None:
    done = run(BARE + REPORT, write_torchvision(tmp_path, "raise RuntimeError('out of luck')"))
    assert done.returncode == 1
    assert "RuntimeError: out of luck" in done.stderr


def test_a_missing_torchvision_is_missing_as_ever(tmp_path: Path) -> None:
    hidden = "sys.path[:] = [each for each in sys.path if 'site-packages' not in each]\n"
    code = "from training.fit.torchvision_compat import install; install(); import torchvision"
    done = run(BARE + hidden + code, tmp_path)
    assert "ModuleNotFoundError: No module named 'torchvision'" in done.stderr


def test_the_installed_torchvision_gives_a_resnet_declaring_only_what_it_needs() -> None:
    plainly = run(BARE + "import torchvision").returncode == 0
    done = run(BARE + REPORT + "print(type(models.resnet18(weights=None)).__name__)")
    assert done.stdout.split() == ["torchvision.models", str(int(not plainly)), "True", "ResNet"]


# ---------------------------------------------------------------- a plain import, as in a notebook


def test_the_development_environment_imports_torchvision_as_a_notebook_does(tmp_path: Path) -> None:
    code = (
        "import torch, torchvision\n"
        "from torchvision import models, transforms\n"
        "small = transforms.Resize(32)(torch.zeros(3, 64, 64))\n"
        "print(*models.resnet18(weights=None).eval()(small[None]).shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,  # not the checkout: nothing of Neumo helps
    )
    hint = "python -m training.fit.torchvision_compat makes an environment import it"
    assert (done.stdout, done.stderr) == ("1 1000\n", ""), hint


def test_a_start_that_installs_it_imports_nothing_of_neumo_and_no_torch(tmp_path: Path) -> None:
    install_at_start(tmp_path)
    code = (
        "import sys, site\n"  # -S: without what this environment's own start installs
        f"site.addsitedir({str(tmp_path)!r})\n"
        "print('neumo_torchvision' in sys.modules, type(sys.meta_path[0]).__name__,\n"
        "      {'torch', 'training', 'app'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (done.stdout, done.stderr) == ("True _Finder set()\n", "")
