"""app.http.upload.read_subject: what a form says of the patient and the projection."""

import pytest

from app.errors import InvalidParameter
from app.http.upload import read_subject
from app.reading.population import Subject


@pytest.mark.parametrize(
    ("fields", "subject"),
    [
        ({}, Subject()),
        ({"age_years": "", "view": " "}, Subject()),
        ({"age_years": "4"}, Subject(age_years=4)),
        ({"age_years": " 0.5 "}, Subject(age_years=0.5)),
        ({"age_years": "130", "view": "PA"}, Subject(age_years=130, view="PA")),
        ({"view": "ap"}, Subject(view="AP")),
        ({"view": "LATERAL"}, Subject(view="lateral")),
        ({"name": "DOE^JOHN"}, Subject()),
    ],
)
def test_age_and_view_are_read(fields: dict[str, str], subject: Subject) -> None:
    assert read_subject(fields) == subject


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("age_years", "four"),
        ("age_years", "-1"),
        ("age_years", "131"),
        ("age_years", "nan"),
        ("age_years", "1e400"),
        ("view", "oblique"),
    ],
)
def test_what_cant_be_read_is_refused_by_name_and_its_value_not_repeated(
    field: str, value: str
) -> None:
    with pytest.raises(InvalidParameter) as refusal:
        read_subject({field: value})
    assert refusal.value.facts == {"parameter": field}
    assert value not in refusal.value.detail("en")
