"""How the OpenAPI page tells of problems."""

from typing import Any

from app.errors import RequestError
from app.problems import MEDIA_TYPE
from app.schemas import Problem


def describe_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the problems a route answers with, the codes of each status by name."""
    schema = Problem.model_json_schema()
    return {
        status: {
            "description": ", ".join(
                f"`{error.code}`"
                for error in RequestError.__subclasses__()
                if error.status == status
            ),
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }
