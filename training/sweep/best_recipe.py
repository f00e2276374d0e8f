"""The best trial's settings as a recipe that `neumo-train run --recipe` takes."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.files import write_whole


def write_recipe(path: Path, values: Mapping[str, Any], remarks: str) -> None:
    """Write settings as TOML, remarks above them; several processes may at once."""
    lines = [f"# {line}".rstrip() for line in remarks.splitlines()]
    lines += [f"{name} = {to_toml(value)}" for name, value in values.items() if value is not None]
    own = path.with_name(f"{path.stem}-{os.getpid()}{path.suffix}")
    write_whole(own, ("\n".join(lines) + "\n").encode())
    own.replace(path)


def to_toml(value: Any) -> str:  # noqa: ANN401 - whatever TOML has
    """Return a value as TOML writes it, tables on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_quote(k)} = {to_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(to_toml, value)) + "]"
    return _quote(str(value))


def _quote(text: str) -> str:
    # What JSON escapes, TOML reads; and it wants DEL escaped too.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
