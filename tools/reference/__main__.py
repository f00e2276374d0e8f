"""Write the pages of docs/reference: ``python -m tools.reference [FOLDER]``."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from app.settings.settings import describe_settings
from tools.reference import answers_page, cli_page, errors_page, http_page, metrics_page

PAGES: Final[Mapping[str, Callable[[], str]]] = MappingProxyType(
    {
        "answers.md": answers_page.render_page,
        "cli.md": cli_page.render_page,
        "errors.md": errors_page.render_page,
        "http.md": http_page.render_page,
        "metrics.md": metrics_page.render_page,
        "settings.md": describe_settings,
    }
)
_FOLDER: Final = Path(__file__).parents[2] / "docs" / "reference"


def main(folder: Path) -> int:
    """Write every page into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, render in PAGES.items():
        (folder / name).write_text(render(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else _FOLDER))
