"""app.reading.population: what a DICOM file's tags say, beside what a caller says."""

import pytest

from app.image.grey_image import DicomTags
from app.reading.population import NOBODY, Subject, heed_tags

FRONTAL, SAGITTAL, UPSIDE_DOWN = ("L", "F"), ("P", "F"), ("R", "H")


def test_without_tags_all_is_as_it_was_said() -> None:
    assert heed_tags(Subject(61, "PA"), None) == (Subject(61, "PA"), [])
    assert heed_tags(Subject(61, "PA"), DicomTags()) == (Subject(61, "PA"), [])


def test_tags_say_what_nobody_else_does() -> None:
    tags = DicomTags(61, "AP", "chest", "DX", FRONTAL, "U")
    assert heed_tags(NOBODY, tags) == (Subject(61, "AP"), [])
    assert heed_tags(Subject(age_years=61.5), tags) == (Subject(61.5, "AP"), [])
    assert heed_tags(Subject(view="AP"), tags) == (Subject(61, "AP"), [])


@pytest.mark.parametrize(
    ("said", "tags", "of_whom"),
    [
        pytest.param(Subject(4), DicomTags(61), Subject(4), id="another age"),
        pytest.param(Subject(62.1), DicomTags(61), Subject(62.1), id="more than a year older"),
        pytest.param(
            Subject(view="PA"), DicomTags(view="AP"), Subject(view="PA"), id="another view"
        ),
        pytest.param(
            Subject(view="PA"), DicomTags(view="lateral"), Subject(view="PA"), id="of the side"
        ),
        pytest.param(
            Subject(view="PA"),
            DicomTags(patient_orientation=SAGITTAL),
            Subject(view="PA"),
            id="rows that lead to the back",
        ),
        pytest.param(
            NOBODY,
            DicomTags(view="PA", patient_orientation=SAGITTAL),
            Subject(view="PA"),
            id="tags among themselves, frontal",
        ),
        pytest.param(
            NOBODY,
            DicomTags(view="lateral", patient_orientation=FRONTAL),
            Subject(view="lateral"),
            id="tags among themselves, lateral",
        ),
        pytest.param(
            NOBODY, DicomTags(patient_orientation=UPSIDE_DOWN), NOBODY, id="columns that lead up"
        ),
    ],
)
def test_what_is_said_wins_and_a_contradiction_is_told(
    said: Subject, tags: DicomTags, of_whom: Subject
) -> None:
    assert heed_tags(said, tags) == (of_whom, ["tags_contradict"])


@pytest.mark.parametrize(
    ("said", "tags"),
    [
        (Subject(62), DicomTags(61)),
        (Subject(0.4), DicomTags(5 / 12)),
        (Subject(view="lateral"), DicomTags(patient_orientation=SAGITTAL)),
        (Subject(view="other"), DicomTags(view="other")),
        (NOBODY, DicomTags(view="PA", patient_orientation=("R", "F"))),
        (NOBODY, DicomTags(view="AP", patient_orientation=("L", "FP"))),
        (NOBODY, DicomTags(view="other", patient_orientation=("LA", "F"))),
    ],
)
def test_what_may_both_be_true_is_no_contradiction(said: Subject, tags: DicomTags) -> None:
    assert heed_tags(said, tags)[1] == []


def test_rows_that_lead_to_the_front_or_back_show_the_side() -> None:
    for row in ("A", "P", "AL"):
        tags = DicomTags(patient_orientation=(row, "F"))
        assert heed_tags(NOBODY, tags) == (Subject(view="lateral"), [])
    assert heed_tags(NOBODY, DicomTags(patient_orientation=FRONTAL)) == (NOBODY, [])


def test_another_part_of_the_body_and_another_modality_are_told() -> None:
    tags = DicomTags(body_part="other", modality="other")
    assert heed_tags(NOBODY, tags) == (NOBODY, ["body_part_not_chest", "modality_not_radiograph"])
    for modality in ("CR", "DX"):
        assert heed_tags(NOBODY, DicomTags(body_part="chest", modality=modality)) == (NOBODY, [])
