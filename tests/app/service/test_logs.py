"""Logs: JSON lines, and nothing in them that could name a patient."""

import json
import logging
import sys
from typing import Any

from app.service.logs import JsonFormatter


def line(message: str, **options: Any) -> dict[str, Any]:  # noqa: ANN401
    record = logging.LogRecord("neumo.test", logging.INFO, "f.py", 1, message, (), None)
    vars(record).update(options)
    parsed: dict[str, Any] = json.loads(JsonFormatter().format(record))
    return parsed


def test_a_line_holds_time_level_logger_message_and_members() -> None:
    parsed = line("ready", members={"threads": 2})
    assert parsed.pop("time").endswith("+00:00")
    assert parsed == {"level": "info", "logger": "neumo.test", "message": "ready", "threads": 2}


def test_an_exception_is_its_class_and_places_never_its_text() -> None:
    try:
        raise ValueError("DOE^JOHN")
    except ValueError:
        parsed = line("request failed", exc_info=sys.exc_info())
    assert parsed["exception"] == "ValueError"
    assert parsed["at"][0].startswith("test_logs.py:")
    assert "DOE" not in json.dumps(parsed)


def test_only_the_first_line_of_a_message_is_kept() -> None:
    assert line("Task exception was never retrieved\nfuture: <DOE^JOHN>")["message"] == (
        "Task exception was never retrieved"
    )
