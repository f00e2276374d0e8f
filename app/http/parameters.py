"""Parameters of a query and fields of a form: what they say of the patient, and of the answer."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from pydantic import TypeAdapter, ValidationError

from app.errors import InvalidParameter
from app.reading.population import NOBODY, Subject
from app.reading.subject_words import read_age_years, read_view

SUBJECT_FIELDS: Final = ("age_years", "view")
IMAGE_PARAMETERS: Final = ("window", "include")
"""What a query may say of the image, on each call that answers with facts of it."""
MOST_WINDOWS: Final = 9999
_NUMBER: Final = re.compile(r"[1-9]\d{0,3}", re.ASCII)
_FLAG: Final = TypeAdapter(bool)


def read_subject(fields: Mapping[str, str]) -> Subject:
    """Read ``age_years`` and ``view``; empty is not given.

    Raises
    ------
    InvalidParameter
        Without the value: it may say who the patient is.
    """
    if not fields:
        return NOBODY
    age_years, view = (fields.get(name, "").strip() for name in SUBJECT_FIELDS)
    return Subject(
        age_years=read_age_years(age_years) if age_years else None,
        view=read_view(view) if view else None,
    )


def read_subjects(fields: Mapping[str, list[str]], count: int) -> list[Subject]:
    """Read the same for each of `count` files: a field once holds for all, or once for each.

    Raises
    ------
    InvalidParameter
    """
    for name, values in fields.items():
        if len(values) not in (1, count):
            raise InvalidParameter(parameter=name, reason="count")
    return [
        read_subject(
            {name: values[index if len(values) > 1 else 0] for name, values in fields.items()}
        )
        for index in range(count)
    ]


def read_flag(given: Mapping[str, str], name: str) -> bool:
    """Read a parameter that is true or false; false if it isn't given.

    Raises
    ------
    InvalidParameter
    """
    if name not in given:
        return False
    try:
        return _FLAG.validate_python(given[name])
    except ValidationError:
        raise InvalidParameter(parameter=name) from None


def read_number(given: Mapping[str, str], name: str) -> int | None:
    """Read a parameter that is a number from 1 to 9999; None if it isn't given.

    Raises
    ------
    InvalidParameter
    """
    text = given.get(name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise InvalidParameter(parameter=name)
    return int(text)


def read_window(given: Mapping[str, str]) -> int | None:
    """Read which VOI LUT or window of a DICOM file is meant: callers count from 1, Neumo from 0.

    Raises
    ------
    InvalidParameter
    """
    number = read_number(given, "window")
    return None if number is None else number - 1


def read_with_uid(given: Mapping[str, str]) -> bool:
    """Read whether the answer is to include a DICOM file's SOP Instance UID: ``include=uid``.

    Raises
    ------
    InvalidParameter
    """
    if given.get("include", "uid") != "uid":
        raise InvalidParameter(parameter="include")
    return "include" in given


def has_unknown(given: Collection[str], known: Collection[str]) -> bool:
    """Whether a query has a parameter that the call does not know."""
    return any(name not in known for name in given)
