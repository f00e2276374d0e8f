"""The sdist, and the wheel that is built from it: of the same files the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

from tools.release.version import ROOT, date_of


def build_distributions(
    version: str, folder: Path, source: Path = ROOT, name: str = "neumo"
) -> tuple[Path, Path]:
    """Build both of `source` into `folder`; return the wheel's path and the sdist's.

    Times in them are the release's date (SOURCE_DATE_EPOCH, which wins if it is set), and the
    build's tools are those locked for development.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or str(int(date_of(version).timestamp()))
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(source)],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"SOURCE_DATE_EPOCH": epoch},
    )
    return folder / f"{name}-{version}-py3-none-any.whl", folder / f"{name}-{version}.tar.gz"
