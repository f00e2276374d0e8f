"""What STOW-RS sends and is answered, for tests of both sides of the queue."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response

from app.records.outbox.outbox import Outbox
from tests.app.render.hospital.results import INSTANCE, film
from tests.apps import served
from tests.models import FakeModel

BOUNDARY = "neumo-test-boundary"
RELATED = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
STUDIES = "/dicomweb/studies"
COVID = (0.01, 0.97, 0.015, 0.005)


def related(*instances: bytes, media_type: str = "application/dicom") -> bytes:
    """Write instances as parts of multipart/related."""
    parts = b"".join(
        f"--{BOUNDARY}\r\nContent-Type: {media_type}\r\n\r\n".encode() + instance + b"\r\n"
        for instance in instances
    )
    return parts + f"--{BOUNDARY}--\r\n".encode()


def numbered(number: int, study: str | None = None) -> bytes:
    """Return a film that is one of many."""
    changes: dict[int, tuple[str, str] | None] = {0x00080018: ("UI", f"{INSTANCE}.{number}")}
    if study is not None:
        changes[0x0020000D] = ("UI", study)
    return film(changes)  # type: ignore[arg-type]


def uid_of(number: int) -> str:
    return f"{INSTANCE}.{number}"


def store(client: TestClient, *instances: bytes, path: str = STUDIES, **headers: str) -> Response:
    """Store instances in one request."""
    given = {"Content-Type": RELATED} | {n.replace("_", "-"): v for n, v in headers.items()}
    response: Response = client.post(path, content=related(*instances), headers=given)
    return response


@contextmanager
def storing(folder: Path, **settings: Any) -> Iterator[TestClient]:  # noqa: ANN401 - any setting
    """Serve with a queue in `folder`."""
    with served(FakeModel(COVID), exchange_folder=str(folder), **settings) as client:
        yield client


def open_outbox(folder: Path) -> Outbox:
    """Open the queue of `folder` as another process would."""
    return Outbox.open(folder, None, most_bytes=2**30, kept_for=timedelta(days=1))


def told(answer: dict[str, Any], tag: str) -> list[dict[str, Any]]:
    """Return a sequence of the answer, each item's values by tag."""
    items: Sequence[dict[str, Any]] = answer.get(tag, {}).get("Value", [])
    return [
        {name: (each.get("Value") or [None])[0] for name, each in item.items()} for item in items
    ]


def taken(response: Response) -> list[str]:
    """Return the SOP Instance UIDs that were taken."""
    return [item["00081155"] for item in told(response.json(), "00081199")]


def failed(response: Response) -> list[tuple[str, int]]:
    """Return the SOP Instance UIDs that were not taken, and why."""
    return [(item["00081155"], item["00081197"]) for item in told(response.json(), "00081198")]


def others(response: Response) -> list[int]:
    """Return why parts were not taken that name no instance."""
    return [item["00081197"] for item in told(response.json(), "0008119A")]
