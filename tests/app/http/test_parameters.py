"""app.http.parameters: what a form or a query says of the patient and the projection."""

import pytest

from app.errors import InvalidParameter
from app.http.parameters import read_subject, read_subjects
from app.reading.population import Subject


@pytest.mark.parametrize(
    ("fields", "subject"),
    [
        ({}, Subject()),
        ({"age_years": "", "view": " "}, Subject()),
        ({"age_years": "4"}, Subject(age_years=4)),
        ({"age_years": " 0.5 "}, Subject(age_years=0.5)),
        ({"age_years": "61,5"}, Subject(age_years=61.5)),
        ({"age_years": "061Y"}, Subject(age_years=61)),
        ({"age_years": "018M"}, Subject(age_years=1.5)),
        ({"age_years": "6m"}, Subject(age_years=0.5)),
        ({"age_years": "130", "view": "PA"}, Subject(age_years=130, view="PA")),
        ({"view": "ap"}, Subject(view="AP")),
        ({"view": "AP SUPINE"}, Subject(view="AP")),
        ({"view": "pa_erect"}, Subject(view="PA")),
        ({"view": "LATERAL"}, Subject(view="lateral")),
        ({"view": "LAT"}, Subject(view="lateral")),
        ({"view": "LL"}, Subject(view="lateral")),
        ({"view": "RL"}, Subject(view="lateral")),
        ({"view": "LLD"}, Subject(view="other")),
        ({"view": "RLO"}, Subject(view="other")),
        ({"name": "DOE^JOHN"}, Subject()),
    ],
)
def test_age_and_view_are_read(fields: dict[str, str], subject: Subject) -> None:
    assert read_subject(fields) == subject


def test_weeks_and_days_are_parts_of_a_year() -> None:
    assert read_subject({"age_years": "052W"}).age_years == pytest.approx(0.9966, abs=1e-4)
    assert read_subject({"age_years": "010D"}).age_years == pytest.approx(0.0274, abs=1e-4)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("age_years", "four"),
        ("age_years", "-1"),
        ("age_years", "131"),
        ("age_years", "131Y"),
        ("age_years", "nan"),
        ("age_years", "1e400"),
        ("age_years", "1e1"),
        ("age_years", "\u0664"),
        ("age_years", "061Z"),
        ("view", "oblique"),
        ("view", "_"),
        ("view", "__ _"),
        ("view", "AP DOE"),
    ],
)
def test_what_cant_be_read_is_refused_by_name_and_its_value_not_repeated(
    field: str, value: str
) -> None:
    with pytest.raises(InvalidParameter) as refusal:
        read_subject({field: value})
    assert refusal.value.facts["parameter"] == field
    assert value not in refusal.value.detail("en")


@pytest.mark.parametrize(("field", "takes"), [("age_years", "061Y"), ("view", "lateral")])
@pytest.mark.parametrize("language", ["en", "es"])
def test_a_wrong_value_is_told_what_is_taken(field: str, takes: str, language: str) -> None:
    with pytest.raises(InvalidParameter) as refusal:
        read_subject({field: "DOE"})
    assert takes in refusal.value.detail(language)  # type: ignore[arg-type]


def test_a_field_holds_for_all_files_or_for_each() -> None:
    old, young = Subject(61), Subject(4)
    assert read_subjects({"age_years": ["61"]}, 3) == [old, old, old]
    assert read_subjects({"age_years": ["61", "", "4"]}, 3) == [old, Subject(), young]
    assert read_subjects({"age_years": ["61", "4"], "view": ["PA"]}, 2) == [
        Subject(61, "PA"), Subject(4, "PA")
    ]  # fmt: skip
    assert read_subjects({}, 2) == [Subject(), Subject()]


@pytest.mark.parametrize("count", [1, 3])
def test_a_field_that_is_neither_given_once_nor_for_each_is_refused(count: int) -> None:
    with pytest.raises(InvalidParameter) as refusal:
        read_subjects({"view": ["PA", "AP"]}, count)
    assert refusal.value.facts == {"parameter": "view", "reason": "count"}
