"""app.render.hospital.secondary_capture: the picture that every viewer shows."""

import io

import numpy as np
import pytest
from PIL import Image

from app.language import Language
from app.render.hospital.secondary_capture import make_sc
from app.render.hospital.source_image import read_source_image
from app.render.overlay import render_overlay
from tests.app.render.hospital.results import (
    COVID,
    DOUBT,
    INSTANCE,
    LATER,
    MADE_AT,
    NORMAL,
    STUDY,
    film,
    read,
)  # fmt: skip


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("probabilities", [COVID, NORMAL, DOUBT])
def test_its_pixels_are_those_of_explain(
    probabilities: tuple[float, ...], language: Language
) -> None:
    data = film()
    reading = read(data, probabilities)
    picture = make_sc(reading, read_source_image(data), language, MADE_AT)
    shown = np.asarray(Image.open(io.BytesIO(render_overlay(reading, language))))
    assert (picture.Rows, picture.Columns, picture.SamplesPerPixel) == shown.shape
    assert np.array_equal(picture.pixel_array, shown)


def test_it_lies_in_the_study_of_the_film_and_says_what_it_is() -> None:
    data = film()
    picture = make_sc(read(data), read_source_image(data), "en", MADE_AT)
    assert picture.SOPClassUID.name == "Secondary Capture Image Storage"
    assert (picture.StudyInstanceUID, picture.PatientID) == (STUDY, "MRN-4711")
    assert (picture.Modality, picture.BodyPartExamined) == ("OT", "CHEST")
    assert list(picture.ImageType) == ["DERIVED", "SECONDARY"]
    assert list(picture.PatientOrientation) == ["L", "F"]
    (source,) = picture.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == INSTANCE
    assert (picture.Manufacturer, picture.ManufacturerModelName) == ("Neumo", "neumo-test-1")


@pytest.mark.parametrize(("said", "kept"), [("YES", "YES"), ("NO", "NO"), (None, None)])
def test_burned_in_text_of_the_film_stays_told_and_none_is_denied(
    said: str | None, kept: str | None
) -> None:
    data = film({0x00280301: None if said is None else ("CS", said)})
    picture = make_sc(read(data), read_source_image(data), "en", MADE_AT)
    assert picture.get("BurnedInAnnotation") == kept


def test_an_orientation_that_is_not_known_is_not_made_up() -> None:
    data = film({0x00200020: None})
    picture = make_sc(read(data), read_source_image(data), "en", MADE_AT)
    assert "PatientOrientation" in picture
    assert not picture.PatientOrientation


def test_the_same_film_and_model_give_the_same_object() -> None:
    data = film()
    source = read_source_image(data)
    first = make_sc(read(data), source, "en", MADE_AT)
    again = make_sc(read(data), source, "es", LATER)
    other = film({0x00080018: ("UI", "1.2.3")})
    elsewhere = make_sc(read(other), read_source_image(other), "en", MADE_AT)
    assert first.SOPInstanceUID == again.SOPInstanceUID
    assert first.SeriesInstanceUID == again.SeriesInstanceUID
    assert elsewhere.SOPInstanceUID != first.SOPInstanceUID
