"""Where the scripts ``neumo`` and ``neumo-train`` begin, outside of the packages they need.

The names `app` and `training` are common. Where another package of that name is found first
(installed into the same environment, or by PYTHONPATH), Neumo's can't be imported: this says so,
instead of a traceback from somebody else's code. Nothing of the other package is run.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

_FIRST_WORDS = {"app": '"""Neumo\'s serving half', "training": '"""Neumo\'s training half'}
_SHADOWED = 3


def neumo() -> int:
    """Run ``neumo``; exit code 3 where another `app` hides Neumo's."""
    if _is_hidden("neumo", "app"):
        return _SHADOWED
    from app.cli.command import main  # noqa: PLC0415 - it may be another app

    return main()


def neumo_train() -> int:
    """Run ``neumo-train``; exit code 3 where another `app` or `training` hides Neumo's."""
    if _is_hidden("neumo-train", "app", "training"):
        return _SHADOWED
    from training.__main__ import main  # noqa: PLC0415 - it may be another one

    return main()


def _is_hidden(command: str, *packages: str) -> bool:
    """Say on stderr which package is not Neumo's, and what to do."""
    for name in packages:
        spec = find_spec(name)
        found = Path(spec.origin) if spec and spec.origin else None
        if found is None or not _is_ours(found, name):
            where = "is not there" if found is None else f"is another project's: {found.parent}"
            sys.stderr.write(
                f"{command}: the package '{name}' {where}. Neumo wants an environment of its own: "
                "python3 -m venv neumo-env && neumo-env/bin/pip install neumo, and no PYTHONPATH "
                f"that leads to another '{name}'.\n"
            )
            return True
    return False


def _is_ours(origin: Path, name: str) -> bool:
    """Whether a package lies beside this module, and begins as Neumo's does.

    Another distribution that was installed later may have written its own files over Neumo's.
    """
    beside = Path(__file__).resolve().parent / name / "__init__.py"
    try:
        text = origin.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return origin.resolve() == beside and text.startswith(_FIRST_WORDS[name])


if __name__ == "__main__":
    sys.exit(neumo())
