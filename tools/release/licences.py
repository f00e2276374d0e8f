"""Whose licences come with an installation, and whether each is one that was looked at."""

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.release.version import ReleaseFault

ALLOWED: Final = frozenset(
    {
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "HPND", "ISC"),
        *("MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Unlicense", "Zlib"),
    }
)
"""Permissive ones, by SPDX's names."""

BY_PACKAGE: Final = {
    "certifi": "MPL-2.0",
    "psycopg": "LGPL-3.0-only",
    "psycopg-binary": "LGPL-3.0-only",
}
"""Weak copyleft, looked at package by package: used unchanged, as files of their own."""

_SPDX: Final = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
_UNKNOWN: Final = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Licensed:
    """A package and its licence, by SPDX where that is known."""

    name: str
    version: str
    licence: str

    @property
    def allowed(self) -> bool:
        """Whether it may come with Neumo: of alternatives one is enough, of several all count."""
        if BY_PACKAGE.get(self.name) == self.licence:
            return True
        alternatives = self.licence.split(" OR ")
        return any(ALLOWED.issuperset(each.split(" AND ")) for each in alternatives)


def read_licences(python: Path) -> list[Licensed]:
    """Return the licence of each package of an environment, as its metadata tells it."""
    command = [
        *(sys.executable, "-m", "piplicenses", "--python", str(python)),
        *("--from", "all", "--with-system", "--format", "json"),
    ]
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return [
        Licensed(
            each["Name"].lower().replace("_", "-"),
            each["Version"],
            choose(
                each["License-Expression"], each["License-Metadata"], each["License-Classifier"]
            ),
        )
        for each in told
    ]


def choose(expression: str, metadata: str, classifiers: str) -> str:
    """Return the closest of what a package says of its licence, by SPDX's name if it has one.

    Parameters
    ----------
    expression, metadata, classifiers : of its metadata (PEP 639 and before); ``UNKNOWN`` if not
    """
    several = " AND ".join(_SPDX.get(each, each) for each in classifiers.split("; "))
    for told in (expression, _SPDX.get(metadata, metadata), several):
        if told != _UNKNOWN and "\n" not in told:
            return told
    return _UNKNOWN


def write_licences(licences: Iterable[Licensed], path: Path) -> int:
    """Write the list as Markdown; return how many packages it holds.

    Raises
    ------
    ReleaseFault
        If one is neither permissive nor was looked at.
    """
    packages = sorted(licences, key=lambda each: each.name)
    faults = [
        f"{each.name} {each.version}: {each.licence}" for each in packages if not each.allowed
    ]
    if faults:
        raise ReleaseFault("licences that nobody has allowed: " + "; ".join(faults))
    lines = [
        "# Licences of what the image and `pip install` with all of its extras bring",
        "",
        "Neumo's code: Apache-2.0. The weights of each model have a licence of their own, in its",
        "card. The map's legend is drawn in DejaVu Sans (app/render/fonts/LICENSE).",
        "",
        "| package | version | licence |",
        "|---|---|---|",
        *(f"| {each.name} | {each.version} | {each.licence} |" for each in packages),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(packages)
