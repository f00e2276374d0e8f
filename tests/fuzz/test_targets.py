"""A short run of every target; `make fuzz` is the long one. And the corpus of what once went wrong.

`tests/fuzz/corpus/TARGET/` holds an input a file, named by what it is.
"""

import os
from pathlib import Path

import pytest

from tests.fuzz.driver import fuzz, run_again
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
INPUTS = int(os.environ.get("NEUMO_TEST_FUZZ_INPUTS", "500"))

EXPECTED = {
    "query": {"read", "invalid_parameter"},
    "head": {"en taken", "en refused"},
    "token": {"known", "token"},
    "keys": {"read", "keys_unusable"},
    "secrets": {"read", "keys_unusable"},
    "choice": {"read", "choice_unusable"},
    "card": {"read", "refused"},
    "acceptance": {"read", "acceptance_malformed"},
    "feedback": {"read", "refused"},
    "form": {"read", "malformed"},
    "related": {"read", "malformed", "unsupported_media_type", "too_many_files"},
    "inference": {"read", "inference_malformed"},
    "wire": {"200", "unauthenticated", "forbidden", "malformed"},
    "jpeg": {"read", "image_undecodable", "image_truncated"},
    "png": {"read", "image_undecodable"},
    "dicom": {"read", "image_undecodable", "image_truncated", "dicom_unsupported"},
}
"""Ends that every run has to see: else the inputs reach nothing."""


@pytest.mark.parametrize("name", TARGETS)
def test_none_fails_crashes_hangs_grows_or_quotes(name: str) -> None:
    tally = fuzz(TARGETS[name], INPUTS)
    assert tally.wrong() == []
    assert tally.ends.total() == INPUTS
    assert EXPECTED[name] <= set(tally.ends)


def test_every_target_has_a_corpus() -> None:
    assert {path.name for path in CORPUS.iterdir() if path.is_dir()} == set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_what_once_went_wrong_goes_well(name: str) -> None:
    files = sorted((CORPUS / name).iterdir())
    ends = run_again(TARGETS[name], [file.read_bytes() for file in files])
    # A file's name says what has to come of it, behind the last dash.
    said = [file.stem.rpartition("-")[2] for file in files]
    assert [end.split(" ")[0] for end in ends] == said
