"""app.render.hl7_message: HL7 v2.5.1 by hl7apy, strict, and field by field."""

from importlib import util

import pytest

from app.language import Language
from app.render.wording import NOTICE

if not (util.find_spec("hl7apy") and util.find_spec("highdicom")):
    pytest.skip("hl7apy or the extra hospital is not installed", allow_module_level=True)

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from app.render.hl7_message import make_hl7
from app.render.hospital.source_image import read_source_image
from tests.app.render.hospital.results import (
    COVID,
    DOUBT,
    LATER,
    MADE_AT,
    NORMAL,
    STUDY,
    film,
    read,
)

Segments = dict[str, list[list[str]]]


def message_of(
    probabilities: tuple[float, ...] = COVID, language: Language = "en", data: bytes | None = None
) -> str:
    data = data or film()
    made = make_hl7(read(data, probabilities), read_source_image(data), language, MADE_AT)
    return made.decode()


def segments_of(message: str) -> Segments:
    """Return the fields of each segment by its name; a field's number is its index."""
    found: Segments = {}
    for line in message.split("\r")[:-1]:
        name, *fields = line.split("|")
        found.setdefault(name, []).append([name, *fields])
    return found


def observed(message: str) -> dict[str, list[str]]:
    """Return what is observed, by the first component of OBX-3."""
    values: dict[str, list[str]] = {}
    for fields in segments_of(message)["OBX"]:
        values.setdefault(fields[3].partition("^")[0], []).append(fields[5])
    return values


def validate(message: str) -> None:
    parsed = parse_message(message, validation_level=VALIDATION_LEVEL.STRICT)
    parsed.validate()
    assert parsed.to_er7() + "\r" == message


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("probabilities", [COVID, NORMAL, DOUBT])
@pytest.mark.parametrize("lacking", [(), (0x00100010, 0x00100021, 0x00100030, 0x00080020),
                                     (0x00100020, 0x00080050)])  # fmt: skip
def test_it_is_valid(
    probabilities: tuple[float, ...], language: Language, lacking: tuple[int, ...]
) -> None:
    validate(message_of(probabilities, language, film(dict.fromkeys(lacking))))


def test_it_says_of_whom_and_of_which_film() -> None:
    found = segments_of(message_of())
    (head,), (patient,), (order,) = found["MSH"], found["PID"], found["OBR"]
    assert head[1:3] == ["^~\\&", "NEUMO"]
    assert head[6] == "20261128123015-0500"
    assert (head[8], head[10], head[11], head[17]) == (
        "ORU^R01^ORU_R01", "P", "2.5.1", "UNICODE UTF-8",
    )  # fmt: skip
    assert patient[3] == "MRN-4711^^^Hospital A"
    assert (patient[5], patient[7], patient[8]) == ("Doe^Jane", "19650102", "F")
    assert (order[3], order[18], order[7], order[25]) == ("ACC-77", "ACC-77", "20261127", "P")
    assert observed(message_of())["110180"] == [STUDY]


def test_every_probability_has_a_code_of_its_own_and_is_preliminary() -> None:
    message = message_of()
    assert [observed(message)[f"probability-{label}"] for label in (
        "normal", "covid19", "bacterial_pneumonia", "viral_pneumonia"
    )] == [["0.010000"], ["0.970000"], ["0.015000"], ["0.005000"]]  # fmt: skip
    rows = segments_of(message)["OBX"]
    assert [row[1] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
    assert {row[11] for row in rows} == {"P"}
    probability = rows[1]
    assert probability[2:4] == [
        "NM", "probability-covid19^Probability of COVID-19^99NEUMO^122157^Probability^DCM",
    ]  # fmt: skip
    assert (probability[6], probability[14], probability[19]) == (
        "1^no units^UCUM", "20261127", "20261128123015-0500",
    )  # fmt: skip


def test_only_an_ok_answer_calls_a_label() -> None:
    assert observed(message_of(COVID))["label"] == ["840539006^COVID-19^SCT"]
    doubt = observed(message_of(DOUBT))
    assert "label" not in doubt
    assert doubt["status"] == ["uncertain^Uncertain: no label called^99NEUMO"]
    assert doubt["reason"] == ["low_confidence^No label is likely enough^99NEUMO"]


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_notice_stands_in_it(language: Language) -> None:
    notes = segments_of(message_of(language=language))["NTE"]
    assert notes[-1][3] == NOTICE.render(language)


def test_separators_and_line_breaks_of_a_film_do_not_separate() -> None:
    hostile = film(
        {
            0x00100010: ("PN", "O^Con|nor&~^M^Dr^Jr"),
            0x00100020: ("LO", r"7|8^9&1~2"),
            0x00080050: ("SH", "A|B\r\nOBX|9"),
        }
    )
    message = message_of(data=hostile)
    validate(message)
    (patient,) = segments_of(message)["PID"]
    assert patient[3].startswith(r"7\F\8\S\9\T\1\R\2^^^")
    assert patient[5] == r"O^Con\F\nor\T\\R\^M^Jr^Dr"
    assert len(segments_of(message)["OBR"]) == 1
    assert len(segments_of(message)["OBX"]) == 9


def test_who_has_no_number_is_not_named() -> None:
    message = message_of(data=film({0x00100020: None}))
    assert "PID" not in segments_of(message)
    assert "Jane" not in message


def test_a_message_again_has_the_number_of_the_first() -> None:
    data = film()
    again = make_hl7(read(data), read_source_image(data), "es", LATER).decode()
    assert segments_of(again)["MSH"][0][9] == segments_of(message_of())["MSH"][0][9]
