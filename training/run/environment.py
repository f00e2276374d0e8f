"""Where a run was made: versions, processor, precision, commit."""

import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Final

import torch

from app.machine import count_cpus
from training.config import Config
from training.devices.ranks import this_rank

_PACKAGES: Final = ("torch", "torchvision", "onnx", "onnxscript", "onnxruntime", "numpy", "pillow")


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of what shapes a model."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def commit() -> str:
    """Return the commit of this code, ``-dirty`` if it was changed since; or ``unknown``.

    Unknown too where a repository lies around that doesn't track this code: installed in a virtual
    environment inside another project, it would be that project's.
    """
    own = Path(__file__)
    if not _ask_git(own.parent, "ls-files", "--error-unmatch", own.name):
        return "unknown"
    return _ask_git(own.parent, "describe", "--always", "--dirty", "--abbrev=12") or "unknown"


def _ask_git(folder: Path, *arguments: str) -> str:
    """Return what git answers; nothing where it can't, or is not there."""
    git = shutil.which("git")
    if git is None:
        return ""
    result = subprocess.run(  # noqa: S603 - fixed arguments
        [git, "-C", str(folder), *arguments], capture_output=True, text=True, check=False
    )
    return result.stdout.strip()


def uses_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16; `auto` does where the processor multiplies it itself.

    Emulated, it is several times slower than float32.
    """
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if platform.machine() in ("x86_64", "AMD64"):
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return bool(native)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def choose_device() -> torch.device:
    """Return CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def describe_environment(config: Config) -> dict[str, object]:
    """Describe the machine for the run folder: nothing that names its owner or its folders."""
    device = choose_device()
    return {
        "packages": package_versions(),
        "commit": commit(),
        "processor": torch.cuda.get_device_name() if device.type == "cuda" else _processor(),
        "cpus": count_cpus(),
        "threads": torch.get_num_threads(),
        "processes": this_rank().size,
        "bfloat16": uses_bfloat16(config.precision, device),
        "seed": config.seed,
    }


def _processor() -> str:
    """Return the processor's name, as Linux gives it, and the vector instructions torch uses."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"
