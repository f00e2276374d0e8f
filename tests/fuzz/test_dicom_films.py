"""The DICOM files that are damaged."""

from app.image.decode import decode
from tests.fuzz.dicom_films import seeds


def test_the_files_that_are_damaged_are_whole_before() -> None:
    assert len([decode(data) for data in seeds()]) == 14
