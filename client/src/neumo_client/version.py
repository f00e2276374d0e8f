"""The version that is installed."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def _installed() -> str:
    try:
        return version("neumo-client")
    except PackageNotFoundError:  # a checkout that was never installed
        return "0+unknown"


VERSION: Final = _installed()
