"""The codes that results speak in: SNOMED CT and DICOM where one fits, and a scheme of Neumo's own.

`normal` gets a private code: every public one (no abnormality, normal) would claim health, and
Neumo looks for three findings only. Meanings are English, as those of SNOMED CT and DICOM are.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from app.model.labels import LabelId
from app.reading.judge import ReasonCode, Status
from app.reading.population import WarningCode


class Code(NamedTuple):
    """A coded concept (PS3.3 section 8); a meaning has at most 64 characters."""

    value: str
    scheme: str
    meaning: str


PRIVATE: Final = "99NEUMO"

FINDINGS: Final[Mapping[LabelId, Code]] = MappingProxyType(
    {
        "normal": Code("none-of-three", PRIVATE, "None of the three findings looked for"),
        "covid19": Code("840539006", "SCT", "COVID-19"),
        "bacterial_pneumonia": Code("53084003", "SCT", "Bacterial pneumonia"),
        "viral_pneumonia": Code("75570004", "SCT", "Viral pneumonia"),
    }
)

PROBABILITY: Final = Code("122157", "DCM", "Probability")
NO_UNITS: Final = Code("1", "UCUM", "no units")
FINDING: Final = Code("246188002", "SCT", "Finding")
CHEST: Final = Code("51185008", "SCT", "Chest")
PLAIN_CHEST_XRAY: Final = Code("399208008", "SCT", "Plain chest X-ray")
REPORT: Final = Code("126000", "DCM", "Imaging Measurement Report")
COMMENT: Final = Code("121106", "DCM", "Comment")
SALIENCY: Final = Code("130404", "DCM", "Saliency")
DERIVED_FROM: Final = Code("121322", "DCM", "Source image for image processing operation")
ENGLISH: Final = Code("en", "RFC5646", "English")
SPANISH: Final = Code("es", "RFC5646", "Spanish")

PROBABILITY_OF: Final = Code("probability-of", PRIVATE, "What the probability is of")
STATUS: Final = Code("status", PRIVATE, "Status of the reading")
REASON: Final = Code("reason", PRIVATE, "Reason for uncertainty")
WARNING: Final = Code("warning", PRIVATE, "What to know of this reading")
PICTURE: Final = Code("picture", PRIVATE, "The film as it was read")

STATUSES: Final[Mapping[Status, Code]] = MappingProxyType(
    {
        "ok": Code("ok", PRIVATE, "Label called"),
        "uncertain": Code("uncertain", PRIVATE, "Uncertain: no label called"),
    }
)
REASONS: Final[Mapping[ReasonCode, Code]] = MappingProxyType(
    {
        "low_confidence": Code("low_confidence", PRIVATE, "No label is likely enough"),
        "close_call": Code("close_call", PRIVATE, "Another label is too likely as well"),
        "pneumonia_kind_unknown": Code(
            "pneumonia_kind_unknown", PRIVATE, "Bacterial or viral can't be told"
        ),
        "age_outside_population": Code(
            "age_outside_population", PRIVATE, "Label known from other ages only"
        ),
        "view_outside_population": Code(
            "view_outside_population", PRIVATE, "View that the model has not learned"
        ),
    }
)
WARNINGS: Final[Mapping[WarningCode, Code]] = MappingProxyType(
    {
        "population_unknown": Code(
            "population_unknown", PRIVATE, "Age or population of the model not known"
        ),
        "age_outside_population": REASONS["age_outside_population"],
        "view_outside_population": REASONS["view_outside_population"],
        "site_not_validated": Code(
            "site_not_validated", PRIVATE, "Model not measured on this hospital's films"
        ),
        "tags_contradict": Code(
            "tags_contradict", PRIVATE, "Tags contradict each other or what was sent"
        ),
        "body_part_not_chest": Code(
            "body_part_not_chest", PRIVATE, "Tags name another part of the body"
        ),
        "modality_not_radiograph": Code(
            "modality_not_radiograph", PRIVATE, "Tags name another modality than CR or DX"
        ),
        "unknown_field": Code("unknown_field", PRIVATE, "A field of the request was not known"),
    }
)
