"""The model card, ``card.json``: what a bundle says of itself.

The contract between `training`, which writes it, and `app`. Rates are from 0 to 1.
"""

import base64
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from app.imaging import PREPROCESSING
from app.language import Language, Text

BUNDLE_FORMAT: Final = 2
"""The newest: since 2, graphs have the output `orientation`."""

READABLE_FORMATS: Final = (1, BUNDLE_FORMAT)
_ORIENTED_FORMAT: Final = 2
KNOWN_SIDE_PX: Final = 28
LabelId = Literal["normal", "covid19", "bacterial_pneumonia", "viral_pneumonia"]
LABEL_IDS: Final[tuple[LabelId, ...]] = (
    "normal",
    "covid19",
    "bacterial_pneumonia",
    "viral_pneumonia",
)

Orientation = Literal["upright", "upside_down", "turned_left", "turned_right", "inverted"]
ORIENTATIONS: Final[tuple[Orientation, ...]] = (
    "upright",
    "upside_down",
    "turned_left",
    "turned_right",
    "inverted",
)
"""The order of the output `orientation`. Inverted: bone dark, and upright."""

View = Literal["PA", "AP", "lateral"]
"""How the X-rays passed: back to front, front to back, from the side (DICOM (0018,5101))."""

Precision = Literal["auto", "int8", "fp32"]
"""Which of a bundle's graphs is served; `app.precision` knows what auto is."""

Probability = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Label(_Strict):
    """One class, in the order of the graph's outputs."""

    id: LabelId
    en: str
    es: str

    def display(self, language: Language) -> str:
        """Return the name that people read."""
        return Text(self.en, self.es).render(language)


class Interval(_Strict):
    """A figure with its 95 % interval, bootstrapped by patient."""

    value: float
    low: float
    high: float


class Task(_Strict):
    """Figures of telling two kinds of images apart, on those of the two kinds only."""

    images: int
    patients: int
    auroc: Interval
    accuracy: Interval
    sensitivity: Interval
    specificity: Interval


class Calibration(_Strict):
    """How far probabilities can be believed: negative log-likelihood in nats, Brier score, ECE."""

    nll: float
    brier: float
    ece: float


class Metrics(_Strict):
    """Figures on one split, through ONNX Runtime. Rates from 0 to 1.

    `confusion` is [truth][prediction] counts; `sensitivity`, `specificity`, `precision` and
    `auroc` are one label against the rest. `ece_by_chance` is the calibration error that
    perfectly calibrated answers of the same confidence would show on so many images, on
    average, `ece_by_chance_95` what they stay below 95 times in 100. `refused` is
    the share of images taken for no chest X-ray (all other figures count them), `answered`
    the share of images that get an `ok`, not an `uncertain`, `accuracy_answered` the accuracy
    on those; `aurc` is the mean error over all shares answered, the most confident first.
    """

    images: int
    patients: int
    accuracy: Interval
    balanced_accuracy: Interval
    macro_auroc: Interval
    sensitivity: dict[LabelId, Interval]
    specificity: dict[LabelId, Interval]
    precision: dict[LabelId, Interval] = {}
    auroc: dict[LabelId, Interval]
    nll: float
    brier: float | None = None
    ece: float | None = None
    ece_by_chance: float | None = None
    ece_by_chance_95: float | None = None
    before_temperature: Calibration | None = None
    confusion: list[list[int]]
    accuracy_by_source: dict[str, float]
    sensitivity_by_source: dict[str, dict[LabelId, Interval]] = {}
    tasks: dict[str, Task] = {}
    refused: Interval | None = None
    answered: Interval | None = None
    accuracy_answered: Interval | None = None
    aurc: float | None = None


class Changed(_Strict):
    """What is left when the images are changed; `lost` is accuracy lost, image by image."""

    accuracy: Interval
    lost: Interval
    macro_auroc: Interval


class Deletion(_Strict):
    """A test of the maps: what deleting parts of the image does to the label called.

    `shares` are shares of the image deleted; `marked` and `random` the mean probability that
    the label called keeps when what its map marks most, or as much at random, is deleted. `gap`
    is the mean of random less marked over the shares: over 0 if the maps mark what matters.
    """

    images: int
    shares: list[float]
    marked: list[float]
    random: list[float]
    gap: Interval


class Audit(_Strict):
    """Where the answers come from, and what changes them, on one split.

    `changed` holds fixed, mild changes of the images (training.stress), `turned` the share of
    the images that is refused once they are turned or inverted. `lungs_hidden` and
    `lungs_only` black out the lungs, or all but the lungs, by one template for all: what is right
    without lungs was never in them. `commonest` is the share of the commonest label, what
    a blind guess gives. `source_auroc` is how well a linear probe tells the sources of normal
    images apart by the network's pooled features, by patients it was not fitted on: 0.5 if the
    network has not noticed.
    """

    changed: dict[str, Changed]
    turned: dict[Orientation, Interval] = {}
    lungs_hidden: Changed
    lungs_only: Changed
    commonest: float
    source_auroc: Interval | None
    deletion: Deletion


class KnownAnswer(_Strict):
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


class Exact(_Strict):
    """The float32 graph beside (``model.fp32.onnx``), for CPUs where int8 does not pay.

    `known_probabilities` is what it answers to the known answers' pixels, in their order.
    """

    sha256: str
    known_probabilities: list[Annotated[list[Probability], Field(min_length=4, max_length=4)]]


class DataSource(_Strict):
    """One origin of training images."""

    source: str
    licence: str
    images: dict[str, int]


class Training(_Strict):
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
    settings: dict[str, JsonValue] = {}
    commit: str
    date: str
    environment: dict[str, str]
    duration_s: float


class QuantisedFigures(_Strict):
    """What one way of setting the int8 ranges gave, on the validation split.

    `difference` is the mean absolute difference of probabilities from float32's,
    `cam_correlation` the mean correlation of the maps of the label float32 calls,
    `labels_kept` the share of labels kept on the `clear_images`, where float32's two best
    differ by more than 0.1.
    """

    macro_auroc: float
    nll: float
    ece: float
    difference: float
    cam_correlation: float
    labels_kept: float
    clear_images: int


class Quantisation(_Strict):
    """How the served graph was quantised: the method nearest to float32, and all tried."""

    method: str
    fp32_macro_auroc: float
    tried: dict[str, QuantisedFigures]


class AgeRange(_Strict):
    """Ages in years, both ends included."""

    low: float = Field(ge=0, le=130)
    high: float = Field(ge=0, le=130)

    def holds(self, age_years: float) -> bool:
        """Whether an age lies within."""
        return self.low <= age_years <= self.high


class Population(_Strict):
    """Whom the network knows each label from, and in which views."""

    age_years: dict[LabelId, list[AgeRange]]
    views: list[View]


class Card(_Strict):
    """What a bundle says of itself (``card.json``).

    A picture whose `distance` is over `distance_threshold` is refused, and one that is upright
    with less than the probability `upright_threshold`. An answer is `ok` if
    the label called is the only one whose probability reaches its operating point. `priors` are
    the shares of the labels among the images that the probabilities were calibrated on.
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
    metrics: dict[str, Metrics]
    quantisation: Quantisation | None = None
    audit: dict[str, Audit] = {}
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
        ages = self.population and self.population.age_years
        of_labels = {
            "operating_points": self.operating_points,
            "priors": self.priors,
            "population.age_years": ages,
        }
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

    def index(self, label: LabelId) -> int:
        """Return the label's column in the graph's outputs."""
        return [own.id for own in self.labels].index(label)
