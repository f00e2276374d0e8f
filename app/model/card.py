"""The model card, ``card.json``: what a bundle says of itself.

The contract between `training`, which writes it, and `app`. Rates are from 0 to 1.
"""

import base64
from typing import Annotated, Final, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from app.image.resize import PREPROCESSING
from app.language import Language, Text
from app.model.figures import Audit, Metrics, Quantisation, Strict
from app.model.labels import LABEL_IDS, LabelId, Probability, View

BUNDLE_FORMAT: Final = 2
"""The newest: since 2, graphs have the output `orientation`."""

READABLE_FORMATS: Final = (1, BUNDLE_FORMAT)
_ORIENTED_FORMAT: Final = 2
KNOWN_SIDE_PX: Final = 28
Precision = Literal["auto", "int8", "fp32"]
"""Which of a bundle's graphs is served; `app.model.load` knows what auto is."""


class Label(Strict):
    """One class, in the order of the graph's outputs."""

    id: LabelId
    en: str
    es: str

    def display(self, language: Language) -> str:
        """Return the name that people read."""
        return Text(self.en, self.es).render(language)


class KnownAnswer(Strict):
    """A golden input with the output it must give.

    `pixels` is base64 of 28 x 28 grey bytes, row by row; every pixel is repeated 8 x 8 to
    make the 224 x 224 input. `probabilities` is what the graph answered when it was measured.
    """

    pixels: str
    probabilities: Annotated[list[Probability], Field(min_length=4, max_length=4)]

    @field_validator("pixels")
    @classmethod
    def _check_pixels(cls, pixels: str) -> str:
        if len(base64.b64decode(pixels, validate=True)) != KNOWN_SIDE_PX**2:
            raise ValueError(f"not {KNOWN_SIDE_PX} x {KNOWN_SIDE_PX} bytes")
        return pixels


class Exact(Strict):
    """The float32 graph beside (``model.fp32.onnx``), for CPUs where int8 does not pay.

    `known_probabilities` is what it answers to the known answers' pixels, in their order.
    """

    sha256: str
    known_probabilities: list[Annotated[list[Probability], Field(min_length=4, max_length=4)]]


class DataSource(Strict):
    """One origin of training images."""

    source: str
    licence: str
    images: dict[str, int]


class Training(Strict):
    """How the bundle was made; enough to make it again.

    `epochs` and `duration_s` are of the network itself, without its teachers if it had any.
    """

    strategy: Literal["frozen", "finetune"]
    starting_weights: str
    epochs: int
    best_epoch: int
    seed: int
    data: list[DataSource]
    command: str
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    commit: str
    date: str
    environment: dict[str, str]
    duration_s: float


class AgeRange(Strict):
    """Ages in years, both ends included."""

    low: float = Field(ge=0, le=130)
    high: float = Field(ge=0, le=130)

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low ({self.low:g}) is more than high ({self.high:g})")
        return self

    def holds(self, age_years: float) -> bool:
        """Whether an age lies within."""
        return self.low <= age_years <= self.high


class Population(Strict):
    """Whom the network knows each label from, and in which views."""

    age_years: dict[LabelId, list[AgeRange]]
    views: list[View]

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if sorted(self.age_years) != sorted(LABEL_IDS):
            raise ValueError("age_years has not one entry for each label")
        return self


class Card(Strict):
    """What a bundle says of itself (``card.json``).

    A picture whose `distance` is over `distance_threshold` is refused, and one that is upright
    with less than the probability `upright_threshold`. An answer is `ok` if
    the label called is the only one whose probability reaches its operating point. `priors` are
    the shares of the labels among the images that the probabilities were calibrated on. `intervals`
    are a bootstrap's percentiles, of no width at 0 and 1, or by `training.metrics.intervals`.
    """

    bundle_format: int
    name: str
    version: str
    licence: str
    intended_use: str
    limitations: list[str]
    labels: list[Label]
    sha256: str
    preprocessing: str
    temperature: float = Field(gt=0)
    operating_points: dict[LabelId, Probability] | None
    distance_threshold: float | None
    upright_threshold: Probability | None = None
    priors: dict[LabelId, Annotated[float, Field(gt=0, lt=1)]] | None = None
    population: Population | None = None
    training: Training
    intervals: Literal["percentile", "score"] = "percentile"
    metrics: dict[str, Metrics]
    quantisation: Quantisation | None = None
    audit: dict[str, Audit] = Field(default_factory=dict)
    known_answers: list[KnownAnswer]
    known_answer_tolerance: float = Field(gt=0, le=0.5)
    fp32: Exact | None = None

    @model_validator(mode="after")
    def _check_contract(self) -> Self:
        if self.bundle_format not in READABLE_FORMATS:
            raise ValueError(f"bundle_format is not {' or '.join(map(str, READABLE_FORMATS))}")
        if self.upright_threshold is not None and self.bundle_format < _ORIENTED_FORMAT:
            raise ValueError("upright_threshold needs a graph that tells orientation")
        if self.preprocessing != PREPROCESSING:
            raise ValueError(f"preprocessing is not {PREPROCESSING}")
        if sorted(label.id for label in self.labels) != sorted(LABEL_IDS):
            raise ValueError("labels are not the four of this contract")
        self._check_labels()
        if not self.known_answers:
            raise ValueError("no known answers")
        if self.fp32 and len(self.fp32.known_probabilities) != len(self.known_answers):
            raise ValueError("fp32 has other known answers")
        return self

    def _check_labels(self) -> None:
        of_labels = {"operating_points": self.operating_points, "priors": self.priors}
        for name, values in of_labels.items():
            if values is not None and sorted(values) != sorted(LABEL_IDS):
                raise ValueError(f"{name} has not one entry for each label")

    def of_fp32(self) -> Self | None:
        """Return the card as it is of the float32 graph; None if it knows none."""
        if self.fp32 is None:
            return None
        pairs = zip(self.known_answers, self.fp32.known_probabilities, strict=True)
        known = [answer.model_copy(update={"probabilities": told}) for answer, told in pairs]
        return self.model_copy(update={"sha256": self.fp32.sha256, "known_answers": known})

    def display(self, label: LabelId, language: Language) -> str:
        """Return the name of a label that people read."""
        return next(own for own in self.labels if own.id == label).display(language)
