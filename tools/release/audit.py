"""Known vulnerabilities of what is locked, where the databases can be reached."""

import json
import subprocess
import sys
from typing import Any, Final

from tools.release.version import ROOT, ReleaseFault

_LIMIT_S: Final = 300


def audit_lock(name: str) -> str:
    """Ask pip-audit about a lock of requirements/; return what it found, in a sentence.

    Raises
    ------
    ReleaseFault
        If a package has a known vulnerability.
    """
    command = [
        *(sys.executable, "-m", "pip_audit", "--requirement"),
        *(str(ROOT / "requirements" / f"{name}.txt"), "--disable-pip", "--require-hashes"),
        *("--format", "json", "--progress-spinner", "off"),
    ]
    try:
        told = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=_LIMIT_S
        ).stdout
    except subprocess.TimeoutExpired:
        told = ""
    return judge(told)


def judge(told: str) -> str:
    """Say what pip-audit's JSON holds; nothing at all means that no database was reached.

    Raises
    ------
    ReleaseFault
    """
    try:
        packages: list[dict[str, Any]] = json.loads(told)["dependencies"]
    except (ValueError, KeyError):
        return "NOT audited: no database of vulnerabilities could be reached"
    found = [
        f"{each['name']} {each['version']}: {flaw['id']}"
        for each in packages
        for flaw in each.get("vulns", ())
    ]
    if found:
        raise ReleaseFault("known vulnerabilities: " + "; ".join(found))
    skipped = sum("skip_reason" in each for each in packages)
    if skipped == len(packages):
        return f"NOT audited: none of the {skipped} packages is known to the database"
    if skipped:
        return (
            f"{len(packages) - skipped} packages without a known vulnerability, {skipped} unknown"
        )
    return f"{len(packages)} packages without a known vulnerability"
