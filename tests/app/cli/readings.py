"""Results for tests of how they are told: Readings of a model that says what it is told to."""

from collections.abc import Sequence
from pathlib import Path

from app.cli.read.film_files import FilmFile
from app.cli.read.film_results import Result
from app.errors import NeumoError
from app.image.grey_image import Limits
from app.reading.population import NOBODY, Subject
from app.reading.reader import Reader
from tests.models import FakeModel

NAMES = [
    {"id": "normal", "en": "Normal", "es": "Normal"},
    {"id": "covid19", "en": "COVID-19", "es": "COVID-19"},
    {"id": "bacterial_pneumonia", "en": "Bacterial pneumonia", "es": "Neumonía bacteriana"},
    {"id": "viral_pneumonia", "en": "Viral pneumonia", "es": "Neumonía vírica"},
]
SURE = (0.01, 0.97, 0.015, 0.005)
UNSURE = (0.1, 0.2, 0.3, 0.4)


def read(
    data: bytes,
    path: str = "film.jpg",
    probabilities: Sequence[float] = SURE,
    subject: Subject = NOBODY,
) -> Result:
    """Return the result of a film that the model answers with `probabilities`.

    What is likelier than a half is ok.
    """
    points = dict.fromkeys((name["id"] for name in NAMES), 0.5)
    model = FakeModel(probabilities, card={"labels": NAMES, "operating_points": points})
    reading = Reader(model, Limits()).read(data, subject)
    return Result(FilmFile(Path(path)), reading, None, 12.5)


def failed(error: NeumoError, path: str = "film.jpg") -> Result:
    """Return the result of a film that was not read."""
    return Result(FilmFile(Path(path)), None, error, 1.0)
