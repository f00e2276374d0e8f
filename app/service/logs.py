"""Logs as JSON lines that can't carry patient data.

A line holds its own message (of other libraries' messages only the first line: asyncio quotes
exceptions in the next ones), the members that Neumo's code put there under `members`, and, of an
exception, only its class and the places in the code it passed: the text of an exception may quote
what a caller sent.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "time": time,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage().partition("\n")[0],
        }
        line.update(getattr(record, "members", {}))
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["at"] = _places(record.exc_info[2])
        return json.dumps(line, ensure_ascii=False)


def configure_logging(level: str) -> None:
    """Send everything, uvicorn's own lines too, to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.access").disabled = True  # it would log paths and queries
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("PIL").setLevel(logging.WARNING)  # its debug lines quote uploads
    for noisy in ("multipart", "python_multipart"):
        logging.getLogger(noisy).setLevel(logging.ERROR)  # so do its warnings; problems tell enough
    for told_by_records in ("alembic", "sqlalchemy"):  # of the whole database, at each step
        logging.getLogger(told_by_records).setLevel(logging.WARNING)
    logging.captureWarnings(True)


def _places(trace: TracebackType | None) -> list[str]:
    return [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(trace)
    ]
