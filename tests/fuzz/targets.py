"""All targets, by name."""

from typing import Final

from tests.fuzz.dicom_films import Dicoms
from tests.fuzz.documents import Acceptances, Cards, Choices, Feedbacks, KeyFiles, SecretFiles
from tests.fuzz.pictures import Jpegs, Pngs
from tests.fuzz.stored import Stored
from tests.fuzz.target import Target
from tests.fuzz.tensors import Inferences
from tests.fuzz.wire import Wire
from tests.fuzz.words import Forms, Heads, JsonWebTokens, Parameters

_ALL: Final[tuple[Target, ...]] = (
    Parameters(), Heads(), JsonWebTokens(), KeyFiles(), SecretFiles(), Choices(), Cards(),
    Acceptances(), Feedbacks(), Forms(), Stored(), Inferences(), Wire(), Jpegs(), Pngs(), Dicoms(),
)  # fmt: skip
TARGETS: Final[dict[str, Target]] = {target.name: target for target in _ALL}
