"""The bill of materials: CycloneDX, of what is installed and of the models beside it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from app.model.bundle import read_bundle
from tools.release.version import ROOT, ReleaseFault

_SPECIFICATION: Final = SchemaVersion.V1_6


def write_sbom(python: Path, version: str, epoch: str, path: Path) -> int:
    """Write the SBOM of an environment that holds Neumo's locked dependencies; count components.

    Raises
    ------
    ReleaseFault
        If it is not valid CycloneDX, or holds a path of this machine.
    """
    command = [
        *(sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"),
        *("--sv", _SPECIFICATION.to_version(), "--of", "JSON"),
        *("--pyproject", str(ROOT / "pyproject.toml"), str(python)),
    ]
    listed = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"SOURCE_DATE_EPOCH": epoch},
    ).stdout
    bill: dict[str, Any] = json.loads(listed)
    bill["metadata"]["component"]["version"] = version
    bill["components"] += [_model(folder) for folder in sorted((ROOT / "models").glob("*/"))]
    text = json.dumps(bill, indent=2, sort_keys=True) + "\n"
    fault = JsonStrictValidator(_SPECIFICATION).validate_str(text)
    if fault is not None:
        raise ReleaseFault(f"the SBOM is not valid: {fault}")
    if "file:" in text:
        raise ReleaseFault("the SBOM holds a path of this machine")
    path.write_text(text, encoding="utf-8")
    return len(bill["components"])


def _model(folder: Path) -> dict[str, Any]:
    card = read_bundle(folder).card
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{card.name}",
        "name": card.name,
        "version": card.version,
        "hashes": [{"alg": "SHA-256", "content": card.sha256}],
        "licenses": [{"license": {"name": card.licence}}],
    }
