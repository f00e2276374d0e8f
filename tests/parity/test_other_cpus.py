"""The int8 graph on a CPU that has AVX2 but no VNNI, emulated: it must answer the same.

Such CPUs add products of 8-bit numbers in 16 bits, which overflow unless the weights leave a
bit free (`training.export.onnx_export`).
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from app.image.decode import decode
from app.image.resize import resize
from app.model.bundle import find_bundle, read_bundle
from app.model.session import OnnxModel
from app.settings.settings import Settings
from tests.conftest import ROOT

QEMU = shutil.which("qemu-x86_64")

pytestmark = [
    pytest.mark.skipif(QEMU is None, reason="qemu-x86_64 is not installed (apt install qemu-user)"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="this machine is no x86-64"),
]


def test_avx2_without_vnni_gives_the_same_answers(examples: dict[str, Path]) -> None:
    files = [str(examples["viral_pneumonia"]), str(examples["bacterial_pneumonia"])]
    result = subprocess.run(
        [str(QEMU), "-cpu", "Haswell-noTSX", str(Path(sys.executable).resolve()),
         "-m", "app", "predict", "--json", *files],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": sysconfig.get_path("purelib")},
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    )  # fmt: skip
    model = OnnxModel(read_bundle(find_bundle(Settings().model)))
    for file, line in zip(files, result.stdout.splitlines(), strict=True):
        emulated = json.loads(line)["probabilities"]
        here = model.run(resize(decode(Path(file).read_bytes()))[None]).probabilities[0]
        for label, probability in zip(model.card.labels, here, strict=True):
            assert emulated[label.id] == pytest.approx(float(probability), abs=0.01)
