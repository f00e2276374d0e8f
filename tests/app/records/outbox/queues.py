"""Queues to test with, and what stands for a film and its results in them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from app.records.outbox.outbox import Outbox
from app.records.outbox.queue_entries import Kind

SOP_UID = "1.2.826.0.1.3680043.10.1.777001"
STUDY_UID = "1.2.826.0.1.3680043.10.1.777002"
FILM = b"film of CANARY^PATIENT " * 200
PACS = "dicom://PACS@127.0.0.1:104"
FHIR = "fhir+https://ehr.example/fhir"
PARTNERS: dict[str, tuple[Kind, ...]] = {PACS: ("sr", "sc"), FHIR: ("fhir",)}


@dataclass(frozen=True)
class Made:
    """A result."""

    kind: Kind
    uid: str
    media_type: str = "application/dicom"
    data: bytes = b""


RESULTS = (
    Made("sr", "2.25.1001", data=b"report of CANARY^PATIENT"),
    Made("sc", "2.25.1002", data=b"picture of CANARY^PATIENT"),
    Made("fhir", "2.25.1001", "application/fhir+json", b'{"family": "CANARY"}'),
)


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now_s: float = 1.8e9

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Place:
    """A folder with a queue, to be opened as often as is wanted."""

    folder: Path
    clock: Clock = field(default_factory=Clock)

    def open(
        self,
        *,
        most_bytes: int = 2**20,
        key_file: Path | None = None,
        clock: Callable[[], float] | None = None,
    ) -> Outbox:
        return Outbox.open(
            self.folder,
            key_file,
            most_bytes=most_bytes,
            kept_for=timedelta(hours=1),
            clock=clock or self.clock,
        )


def keep(
    outbox: Outbox, sop_uid: str = SOP_UID, data: bytes = FILM, models: tuple[str, ...] = ()
) -> str:
    """Keep a film; return its id."""
    return outbox.keep(data, sop_uid=sop_uid, study_uid=STUDY_UID, way="dimse", models=models).id


def read(outbox: Outbox, sop_uid: str = SOP_UID, model: str | None = None) -> str:
    """Keep a film, take it and finish it as read; return its id."""
    film_id = keep(outbox, sop_uid)
    taken = outbox.take()
    assert taken is not None
    assert taken.id == film_id
    outbox.finish(
        film_id,
        outcome="read",
        reading=b'{"label": "normal"}',
        results=RESULTS,
        partners=PARTNERS,
        model=model,
    )
    return film_id
