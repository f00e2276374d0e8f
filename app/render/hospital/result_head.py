"""What every DICOM result says of who made it and when."""

import logging
import warnings
from datetime import datetime
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DT

from app.model.card import Card

# It warns of a name that has one part only, and quotes it; it logs what it copies of a film, UIDs
# among it, by loggers below this one.
warnings.filterwarnings("ignore", module=r"highdicom\.")
logging.getLogger("highdicom").setLevel(logging.CRITICAL + 1)

_LONG_STRING: Final = 64  # characters of a value of VR LO


def head_of(card: Card, made_at: datetime) -> dict[str, Any]:
    """Return the arguments of highdicom's objects that SR and Secondary Capture have alike.

    Parameters
    ----------
    made_at : with a time zone; told in the machine's, as DICOM's times are where it names no other
    """
    here = made_at.astimezone()
    return {
        "instance_number": 1,
        "manufacturer": "Neumo",
        "manufacturer_model_name": card.name[:_LONG_STRING],
        "software_versions": card.version[:_LONG_STRING],
        "device_serial_number": card.sha256[:16],
        "content_date": here.date(),
        "content_time": here.time(),
        "transfer_syntax_uid": ExplicitVRLittleEndian,
    }


def stamp(result: Dataset, made_at: datetime) -> None:
    """Say `made_at` where highdicom has said the time of its own call."""
    result.InstanceCreationDate = result.ContentDate
    result.InstanceCreationTime = result.ContentTime
    for equipment in result.ContributingEquipmentSequence:
        equipment.ContributionDateTime = DT(made_at)
