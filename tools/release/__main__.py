"""Make a release: ``python -m tools.release [FOLDER]``."""

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from app import __version__
from tools.release.audit import audit_lock
from tools.release.distributions import build_distributions
from tools.release.environment import Environment
from tools.release.licences import read_licences, write_licences
from tools.release.sbom import write_sbom
from tools.release.version import ROOT, ReleaseFault, date_of

_LOCK: Final = "image"
SUMS: Final = "SHA256SUMS"


def main(dist: Path) -> int:
    """Fill `dist`; return 1 if something speaks against the release."""
    try:
        _make(dist)
    except ReleaseFault as fault:
        _say("fault", str(fault))
        return 1
    return 0


def _make(dist: Path) -> None:
    epoch = str(int(date_of(__version__).timestamp()))
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        wheel, sdist = build_distributions(__version__, dist)
        client = build_distributions(__version__, dist, ROOT / "client", "neumo_client")
        _say("built", ", ".join(path.name for path in (wheel, sdist, *client)))
        environment = Environment(place / "environment")
        environment.install_lock(_LOCK)
        sbom = dist / f"neumo-{__version__}.cdx.json"
        _say("SBOM", f"{write_sbom(environment.python, __version__, epoch, sbom)} components")
        licences = read_licences(environment.python)
        _say("licences", f"{write_licences(licences, dist / 'LICENCES.md')} packages, all allowed")
        _say("audit", audit_lock(_LOCK))
        environment.install("--no-deps", str(wheel))
        elsewhere = place / "elsewhere"
        elsewhere.mkdir()
        environment.check_service(elsewhere, ROOT / "examples" / "normal.jpg")
        _say("tried", f"neumo {__version__} reads and serves from an empty environment")
    _write_sums(dist)
    _say("image", f"neumo:{__version__} (make image)")


def _write_sums(dist: Path) -> None:
    """Write what ``sha256sum --check`` reads."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(dist.iterdir())
    ]
    (dist / SUMS).write_text("".join(lines), encoding="utf-8")


def _say(what: str, told: str) -> None:
    sys.stdout.write(f"{what:9} {told}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"))
