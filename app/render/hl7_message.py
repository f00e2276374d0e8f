"""A Reading as an HL7 v2.5.1 message ORU^R01, preliminary: for interface engines without FHIR.

Each probability is an OBX of a code of Neumo's own, beside (122157, DCM), since receivers file by
OBX-3. Only the label that an `ok` answer calls is told as one.
"""

import re
from datetime import datetime
from typing import Final

from app.language import Language
from app.reading.reading import Reading
from app.render import wording
from app.render.hospital import result_codes
from app.render.hospital.result_codes import FINDINGS, Code
from app.render.hospital.result_uid import result_uuid
from app.render.hospital.source_image import SourceImage

_HEAD: Final = r"MSH|^~\&"
_CHEST_XRAY: Final = Code("30745-4", "LN", "Radiology XR Chest Views")
_STUDY: Final = Code("110180", "DCM", "Study Instance UID")
_LABEL: Final = Code("label", result_codes.PRIVATE, "Label called")
_PRELIMINARY: Final = "P"  # tables 0085 and 0123
_NAME_UNKNOWN: Final = "^^^^^^U"  # table 0200
_MOST_ID: Final = 20  # characters of MSH-10
_ESCAPES: Final = str.maketrans(
    {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}
)
_BREAKS: Final = re.compile(r"[\x00-\x1f\x7f]+")


def make_hl7(reading: Reading, source: SourceImage, language: Language, made_at: datetime) -> bytes:
    """Return the message of one film, in UTF-8, its segments ended by CR.

    Parameters
    ----------
    source : the film
    language : of the texts for people; codes have their English meanings
    made_at : with a time zone
    """
    card = reading.card
    number = result_uuid("hl7", source.sop_instance_uid, card.sha256).hex[:_MOST_ID]
    made = made_at.strftime("%Y%m%d%H%M%S%z")
    segments = [
        f"{_HEAD}|NEUMO||||{made}||ORU^R01^ORU_R01|{number}|P|2.5.1||||||UNICODE UTF-8",
        f"SFT|Neumo|{_escape(card.version)}|{_escape(card.name)}|{card.sha256[:16]}",
        *_patient(source),
        _order(source, made),
        *(f"NTE|{at}|O|{_escape(text)}" for at, text in enumerate(_texts(reading, language), 1)),
    ]
    observed = [
        *((code, "NM", value, "1^no units^UCUM") for code, value in _probabilities(reading)),
        *((code, "CE", _coded(value), "") for code, value in _answers(reading)),
        (_coded(_STUDY), "ST", source.study_uid, ""),
    ]
    taken = source.attributes.get("StudyDate", "")
    segments += [
        f"OBX|{at}|{kind}|{code}||{value}|{unit}|||||{_PRELIMINARY}|||{taken}|||||{made}"
        for at, (code, kind, value, unit) in enumerate(observed, 1)
    ]
    return "".join(f"{segment}\r" for segment in segments).encode()


def _patient(source: SourceImage) -> list[str]:
    """Return PID, which needs the patient's number; nothing of who has none."""
    said = source.attributes
    if "PatientID" not in said:
        return []
    number = f"{_escape(said['PatientID'])}^^^{_escape(said.get('IssuerOfPatientID', ''))}"
    name = _name(said.get("PatientName", "")) or _NAME_UNKNOWN
    born, sex = said.get("PatientBirthDate", ""), said.get("PatientSex", "")
    return [f"PID|1||{number.rstrip('^')}||{name}||{born}|{sex}"]


def _name(name: str) -> str:
    """Return a DICOM name (PS3.5 section 6.2.1) as XPN: prefix and suffix change places."""
    group = next((group for group in name.split("=") if group), "")
    family, given, middle, prefix, suffix = map(_escape, (group.split("^") + [""] * 5)[:5])
    return "^".join((family, given, middle, suffix, prefix)).rstrip("^")


def _order(source: SourceImage, made: str) -> str:
    """Return OBR: the accession number both as the filler's and where IHE has it, in OBR-18."""
    number = _escape(source.attributes.get("AccessionNumber", ""))
    taken = source.attributes.get("StudyDate", "")
    fields = [""] * 26
    for at, value in {
        1: "1", 3: number, 4: _coded(_CHEST_XRAY), 7: taken, 18: number, 22: made, 24: "RAD",
        25: _PRELIMINARY,
    }.items():  # fmt: skip
        fields[at] = value
    return f"OBR{'|'.join(fields)}"


def _probabilities(reading: Reading) -> list[tuple[str, str]]:
    standard = _coded(result_codes.PROBABILITY)
    told = []
    for label, share in reading.judgement.probabilities.items():
        meaning = f"Probability of {FINDINGS[label].meaning}"
        own = _coded(Code(f"probability-{label}", result_codes.PRIVATE, meaning))
        told.append((f"{own}^{standard}", f"{share:.6f}"))
    return told


def _answers(reading: Reading) -> list[tuple[str, Code]]:
    judgement = reading.judgement
    told = [(result_codes.STATUS, result_codes.STATUSES[judgement.status])]
    if judgement.status == "ok":
        told.append((_LABEL, FINDINGS[judgement.label]))
    told += [(result_codes.REASON, result_codes.REASONS[code]) for code in judgement.reasons]
    told += [(result_codes.WARNING, result_codes.WARNINGS[code]) for code in judgement.warnings]
    return [(_coded(name), value) for name, value in told]


def _texts(reading: Reading, language: Language) -> list[str]:
    judgement = reading.judgement
    return [
        *(wording.REASONS[code].render(language) for code in judgement.reasons),
        *(wording.WARNINGS[code].render(language) for code in judgement.warnings),
        wording.NOTICE.render(language),
    ]


def _coded(code: Code) -> str:
    return f"{_escape(code.value)}^{_escape(code.meaning)}^{code.scheme}"


def _escape(text: str) -> str:
    """Return a text that no separator stands in (HL7 v2.5.1 section 2.7), on one line."""
    return _BREAKS.sub(" ", text).translate(_ESCAPES)
