"""The answer to STOW-RS: which instances were taken, and why others were not (PS3.18 annex I)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from app.errors import RequestError

if TYPE_CHECKING:
    from app.http.dicomweb.film_intake import Intake

ANSWER_TYPES: Final = ("application/dicom+json", "application/json")

_RETRIEVE_URL: Final = "00081190"
_FAILURE_REASON: Final = "00081197"
_FAILED: Final = "00081198"
_REFERENCED: Final = "00081199"
_OTHER_FAILURES: Final = "0008119A"
_SOP_CLASS: Final = "00081150"
_SOP_INSTANCE: Final = "00081155"
_NO_URL: Final = {"vr": "UR"}
"""Type 2, and empty: no instance can be fetched from Neumo."""

Item = dict[str, Any]

SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Store Instances Response Module (PS3.18 annex I) in the DICOM JSON model",
    "required": [_RETRIEVE_URL],
    "properties": {
        _RETRIEVE_URL: {"type": "object", "description": "Retrieve URL: empty"},
        _REFERENCED: {"type": "object", "description": "Referenced SOP Sequence: what was taken"},
        _FAILED: {
            "type": "object",
            "description": "Failed SOP Sequence, each item with its Failure Reason (0008,1197): "
            "0110H try again, 0122H SOP class, A700H no room or too large, A900H another study or "
            "no UIDs, C000H not readable, C122H transfer syntax",
        },
        _OTHER_FAILURES: {
            "type": "object",
            "description": "Other Failures Sequence: of parts that do not say which instance",
        },
    },
}


def status_of(intakes: Sequence["Intake"]) -> int:
    """Return 200 if all were taken, 202 if some, 409 if none (PS3.18 table 10.5.3-1)."""
    taken = sum(intake.reason is None for intake in intakes)
    if taken == len(intakes):
        return 200
    return 202 if taken else 409


def refusal_of(intakes: Sequence["Intake"]) -> RequestError | None:
    """Return what a request is refused with of which nothing was taken; None if each has a reason.

    That it may be sent again counts more than what was wrong with another instance.
    """
    if any(intake.reason is None for intake in intakes):
        return None
    errors = [intake.error for intake in intakes]
    for error in errors:
        if error is not None and error.retry_after_s:
            return error
    return errors[0] if all(errors) and errors else None


def render_store_response(intakes: Sequence["Intake"]) -> Item:
    """Return the Store Instances Response Module in the DICOM JSON model (PS3.18 annex F)."""
    named = [intake for intake in intakes if intake.sop_class and intake.sop_uid]
    taken = [_reference(each) | {_RETRIEVE_URL: _NO_URL} for each in named if each.reason is None]
    failed = [_reference(each) | _reason(each) for each in named if each.reason is not None]
    others = [_reason(each) for each in intakes if each not in named and each.reason is not None]
    sequences = {_FAILED: failed, _REFERENCED: taken, _OTHER_FAILURES: others}
    return {_RETRIEVE_URL: _NO_URL} | {
        tag: {"vr": "SQ", "Value": items} for tag, items in sequences.items() if items
    }


def _reference(intake: "Intake") -> Item:
    """Return the SOP Instance Reference Macro (PS3.3 table 10-11)."""
    return {
        _SOP_CLASS: {"vr": "UI", "Value": [intake.sop_class]},
        _SOP_INSTANCE: {"vr": "UI", "Value": [intake.sop_uid]},
    }


def _reason(intake: "Intake") -> Item:
    return {_FAILURE_REASON: {"vr": "US", "Value": [intake.reason]}}
