"""A short run of `tests.fuzz_dicom`; `python -m tests.fuzz_dicom` is the long one."""

from app.image.decode import decode
from tests.fuzz_dicom import fuzz, seeds

INPUTS = 1500


def test_the_files_that_are_damaged_are_whole_before() -> None:
    assert len([decode(data) for data in seeds()]) == 14


def test_damaged_files_are_read_or_refused_and_nothing_else() -> None:
    ends, slow = fuzz(INPUTS, threads=2)
    assert ends.total() == INPUTS
    assert {end for end in ends if end.startswith("FAILED")} == set()
    assert {"read", "image_undecodable", "image_truncated", "dicom_unsupported"} <= set(ends)
    assert len(slow) <= 2  # the machine may pause
