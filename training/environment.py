"""Where a run was made: versions, processor, precision, commit."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Final

import torch

from training.config import Config

_PACKAGES: Final = ("torch", "torchvision", "onnx", "onnxscript", "onnxruntime", "numpy", "pillow")


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of what shapes a model."""
    return {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES}


def commit() -> str:
    """Return the commit of this code, ``-dirty`` if it was changed since; or ``unknown``."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    result = subprocess.run(  # noqa: S603 - fixed arguments
        [git, "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.strip() or "unknown"


def native_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself; emulated, it is far slower."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def describe_environment(config: Config) -> dict[str, object]:
    """Describe the machine for the run folder: nothing that names its owner or its folders."""
    cuda = torch.cuda.is_available()
    return {
        "packages": package_versions(),
        "commit": commit(),
        "processor": torch.cuda.get_device_name() if cuda else _processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "bfloat16": config.precision == "bf16"
        or (config.precision == "auto" and (cuda or native_bfloat16())),
        "seed": config.seed,
    }


def _processor() -> str:
    """Return the name Linux gives the processor and its vector instructions as torch sees them."""
    return f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"
