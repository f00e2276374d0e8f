"""What becomes of one instance that is stored: kept to be read, dropped, or refused (PS3.18)."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.errors import (
    BodyTooLarge,
    DicomUnsupported,
    QueueAway,
    QueueFull,
    RequestError,
    StudyUnknown,
)
from app.exchange.film_sort import SortedFilm, sort_film
from app.http.body.related_parts import Part

if TYPE_CHECKING:
    from app.records.outbox.outbox import Outbox

# PS3.18 section I.2.2, where PS3.4 annex B.2.3 has ranges: their first.
PROCESSING_FAILURE: Final = 0x0110
CLASS_NOT_SUPPORTED: Final = 0x0122
OUT_OF_RESOURCES: Final = 0xA700
DOES_NOT_MATCH: Final = 0xA900
NOT_UNDERSTOOD: Final = 0xC000
SYNTAX_NOT_SUPPORTED: Final = 0xC122

_SYNTAXES: Final = ("deflated", "transfer_syntax")


@dataclass(frozen=True, slots=True)
class Intake:
    """What became of one instance.

    Parameters
    ----------
    sop_class, sop_uid : as it says; empty where it does not
    reason : Failure Reason (0008,1197); None if it was taken
    error : why the whole request is answered so, if nothing else of it was taken
    """

    sop_class: str
    sop_uid: str
    reason: int | None = None
    error: RequestError | None = None


def take_in(
    part: Part, outbox: "Outbox", study_uid: str | None, models: Collection[str] = ()
) -> Intake:
    """Keep a film; when this returns without a reason, it is on the disk, or was before.

    What comes with films and is none (reports, presentation states, Neumo's own results) is taken
    and dropped. It waits for the disk.

    Parameters
    ----------
    study_uid : of the study that all has to belong to, if one is named
    models : SHA-256 of those that may read here; none if they are not known yet
    """
    film = sort_film(part.data, models)
    if part.over_bytes is not None and film.verdict != "drop":
        too_large = BodyTooLarge(max_body_bytes=part.over_bytes)
        return Intake(film.sop_class, film.sop_uid, OUT_OF_RESOURCES, too_large)
    reason = _find_fault(film, study_uid)
    if reason is not None or film.verdict == "drop":
        return Intake(film.sop_class, film.sop_uid, reason)
    try:
        outbox.keep(
            part.data,
            sop_uid=film.sop_uid,
            study_uid=film.study_uid,
            way="stow",
            models=models,
        )
    except QueueFull as error:
        return Intake(film.sop_class, film.sop_uid, OUT_OF_RESOURCES, error)
    except QueueAway as error:
        return Intake(film.sop_class, film.sop_uid, PROCESSING_FAILURE, error)
    return Intake(film.sop_class, film.sop_uid)


def _find_fault(film: SortedFilm, study_uid: str | None) -> int | None:
    """Return why an instance can't be taken; None if it can."""
    if isinstance(film.error, StudyUnknown):
        return DOES_NOT_MATCH
    if isinstance(film.error, DicomUnsupported):
        if film.error.facts.get("reason") in _SYNTAXES:
            return SYNTAX_NOT_SUPPORTED
        return CLASS_NOT_SUPPORTED if film.sop_class else NOT_UNDERSTOOD
    if film.verdict == "refuse":
        return NOT_UNDERSTOOD
    if study_uid and film.study_uid and film.study_uid != study_uid:
        return DOES_NOT_MATCH
    return None
