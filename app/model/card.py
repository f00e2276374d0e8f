"""The model card, ``card.json``: what a bundle says of itself.

The contract between `training`, which writes it, and `app`. Rates are from 0 to 1.
"""

import base64
from collections.abc import Mapping, Set
from typing import Annotated, Final, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from app.image.resize import PREPROCESSING
from app.language import Language, Text
from app.model.labels import LABEL_IDS, LabelId, Probability, View
from app.model.measured.figures import (
    Audit,
    Finite,
    HeldOut,
    Interval,
    Metrics,
    Quantisation,
    TradeOff,
)
from app.model.measured.reference import Reference

BUNDLE_FORMAT: Final = 4
"""The newest: since 2, graphs tell `orientation`; cards may tell `certainty` since 3, `reference`
since 4."""

READABLE_FORMATS: Final = (1, 2, 3, BUNDLE_FORMAT)
_ORIENTED_FORMAT: Final = 2
KNOWN_SIDE_PX: Final = 28
Precision = Literal["auto", "int8", "fp32"]
"""Which of a bundle's graphs is served; `app.model.load` knows what auto is."""


class Label(Finite):
    """One class, in the order of the graph's outputs."""

    id: LabelId = Field(description="As in answers")
    en: str = Field(description="Name in English")
    es: str = Field(description="Name in Spanish")

    def display(self, language: Language) -> str:
        """Return the name that people read."""
        return Text(self.en, self.es).render(language)


class KnownAnswer(Finite):
    """A golden input with the output it must give.

    `pixels` is base64 of 28 x 28 grey bytes, row by row; every pixel is repeated 8 x 8 to
    make the 224 x 224 input. `probabilities` is what the graph answered when it was measured.
    """

    pixels: str = Field(description="Base64 of 28 x 28 grey bytes")
    probabilities: Annotated[list[Probability], Field(min_length=4, max_length=4)] = Field(
        description="What the graph answers, in the order of `labels`"
    )

    @field_validator("pixels")
    @classmethod
    def _check_pixels(cls, pixels: str) -> str:
        if len(base64.b64decode(pixels, validate=True)) != KNOWN_SIDE_PX**2:
            raise ValueError(f"not {KNOWN_SIDE_PX} x {KNOWN_SIDE_PX} bytes")
        return pixels


class Exact(Finite):
    """The float32 graph beside (``model.fp32.onnx``), for CPUs where int8 does not pay.

    `known_probabilities` is what it answers to the known answers' pixels, in their order.
    """

    sha256: str = Field(description="Of model.fp32.onnx")
    known_probabilities: list[Annotated[list[Probability], Field(min_length=4, max_length=4)]] = (
        Field(description="Its answers to the known answers' pixels")
    )


class DataSource(Finite):
    """One origin of training images."""

    source: str = Field(description="Its name")
    licence: str = Field(description="Of its images")
    images: dict[str, int] = Field(description="Number of images of each label")


class Training(Finite):
    """How the bundle was made; enough to make it again.

    `epochs` and `duration_s` are of the network itself, without its teachers if it had any.
    """

    strategy: Literal["frozen", "finetune"] = Field(description="frozen: only the head was trained")
    starting_weights: str = Field(description="What training began from")
    epochs: int = Field(description="Passes over the data")
    best_epoch: int = Field(description="The epoch that was kept, by validation")
    seed: int = Field(description="Of all that is random")
    data: list[DataSource] = Field(description="Where the images are from")
    command: str = Field(description="Makes the bundle again")
    settings: dict[str, JsonValue] = Field(
        default_factory=dict, description="All settings of the run"
    )
    commit: str = Field(description="Of the code")
    date: str = Field(description="Day of the run")
    environment: dict[str, str] = Field(description="Versions of the libraries")
    duration_s: float = Field(description="Seconds that it took")


class AgeRange(Finite):
    """Ages in years, both ends included."""

    low: float = Field(ge=0, le=130, description="Youngest, years")
    high: float = Field(ge=0, le=130, description="Oldest, years")

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low ({self.low:g}) is more than high ({self.high:g})")
        return self

    def holds(self, age_years: float) -> bool:
        """Whether an age lies within."""
        return self.low <= age_years <= self.high


class KnownTogether(Finite):
    """Labels that some patients are known with only as a set: one of them, nobody said which."""

    labels: Annotated[list[LabelId], Field(min_length=2)] = Field(description="The set")
    age_years: list[AgeRange] = Field(description="Ranges of age of those patients")


class Population(Finite):
    """Whom the network knows each label from, and in which views: a matrix of label and age.

    At an age of `age_years` a label is known by itself; at one of `together` only as a set.
    """

    age_years: dict[LabelId, list[AgeRange]] = Field(
        description="Ranges of age that each label is known from"
    )
    together: list[KnownTogether] = Field(
        [], description="Labels known from some ages only as a set"
    )
    views: list[View] = Field(description="Views that it is known from")

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if sorted(self.age_years) != sorted(LABEL_IDS):
            raise ValueError("age_years has not one entry for each label")
        return self


Doubt = Literal["low_confidence", "close_call"]
"""Why probabilities don't let a label be answered `ok`."""

Basis = Literal["bound", "no_error_seen", "never"]
"""How far it is proven that a label's `ok` answers are wrong as seldom as a card says."""


class Certainty(Finite):
    """What `ok` asks for: the label called reaches its floor, and leads by the margin.

    Both were chosen so that at most `risk` of the `ok` answers are wrong where they were chosen;
    `wrong` is what was wrong there. `basis` tells how far that is proven of each label: by a 95 %
    upper bound under `risk`; by no error above its floor, of too few answers for a bound; or not
    at all, so that it is never `ok`: its floor is 1.
    """

    floors: dict[LabelId, Probability] = Field(
        description="Probability that the label called has to reach"
    )
    margin: Probability = Field(description="Probability that it has to be ahead of the next by")
    chosen_on: Literal["held_out_sources", "validation", "site"] = Field(
        description="Whose images chose them: sources that training left out, or patients it did"
    )
    risk: Probability = Field(description="Share of `ok` answers that may be wrong")
    answered: Interval = Field(description="Share of those images answered `ok`")
    wrong: Interval = Field(description="Share of the `ok` answers that were wrong")
    basis: dict[LabelId, Basis] = Field({}, description="How far each label's floor is proven")
    wrong_by_label: dict[LabelId, Interval] = Field(
        {}, description="Share of the `ok` answers of each label that were wrong"
    )

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if sorted(self.floors) != sorted(LABEL_IDS):
            raise ValueError("floors has not one entry for each label")
        return self

    def find_doubts(
        self,
        claimed: Set[LabelId],
        probabilities: Mapping[LabelId, float],
        operating_points: Mapping[LabelId, float] | None = None,
    ) -> list[Doubt]:
        """Return what of the probabilities speaks against `ok` for the labels claimed: one, a set.

        What is claimed has to reach its floor and operating point (of a set, its sum the highest
        of theirs) and to lead over the next label by the margin. A floor of 1 is never reached,
        also where a probability is rounded to it; of a set it doesn't count beside a lower one:
        it says that the label can't be told from the others of the set, which nobody claims.
        `training.metrics.doubt.find_answered` is the same rule for many images at once.
        """
        points = operating_points or {}
        share = sum(probabilities[label] for label in claimed)
        floors = [self.floors[label] for label in claimed]
        floor = max((own for own in floors if own < 1), default=1.0)
        least = max(floor, *(points.get(label, 0.0) for label in claimed))
        others = [own for label, own in probabilities.items() if label not in claimed]
        doubts: list[Doubt] = []
        if floor >= 1 or share < least:
            doubts.append("low_confidence")
        if share - max(others, default=0.0) < self.margin:
            doubts.append("close_call")
        return doubts


class Card(Finite):
    """What a bundle says of itself (``card.json``).

    A picture whose `distance` is over `distance_threshold` is refused, and one that is upright
    with less than the probability `upright_threshold`. An answer is `ok` if
    the label called is the only one whose probability reaches its operating point; with
    `certainty`, if it reaches its operating point and what `certainty` asks for. `priors` are
    the shares of the labels among the images that the probabilities were calibrated on. `intervals`
    are a bootstrap's percentiles, of no width at 0 and 1, or by `training.metrics.intervals`.
    """

    bundle_format: int = Field(description="Version of this contract")
    name: str = Field(description="Of the bundle")
    version: str = Field(description="Of the bundle")
    licence: str = Field(description="Of the weights; the code has another")
    intended_use: str = Field(description="What it is for, and not for")
    limitations: list[str] = Field(description="What is known to be wrong or unknown")
    labels: list[Label] = Field(description="The classes, in the order of the graph's outputs")
    sha256: str = Field(description="Of model.onnx")
    preprocessing: str = Field(description="How an image becomes the graph's input")
    temperature: float = Field(gt=0, description="Divides the logits, for calibration")
    operating_points: dict[LabelId, Probability] | None = Field(
        description="Probability that a label has to reach for `ok`"
    )
    certainty: Certainty | None = Field(
        None, description="What `ok` asks for beyond the operating points"
    )
    distance_threshold: float | None = Field(description="Over this distance a picture is refused")
    upright_threshold: Probability | None = Field(
        None, description="Under this probability of being upright it is refused"
    )
    priors: dict[LabelId, Annotated[float, Field(gt=0, lt=1)]] | None = Field(
        None, description="Shares of the labels that the probabilities hold for"
    )
    population: Population | None = Field(
        None, description="Whom the network knows each label from"
    )
    training: Training = Field(description="How it was made")
    intervals: Literal["percentile", "score"] = Field(
        "percentile", description="How the figures' intervals were worked out"
    )
    metrics: dict[str, Metrics] = Field(description="Figures by split")
    reference: Reference | None = Field(
        None, description="How validation's films lay, to tell drift in service"
    )
    quantisation: Quantisation | None = Field(None, description="How int8 was made")
    audit: dict[str, Audit] = Field(
        default_factory=dict, description="Where the answers come from, by split"
    )
    holdout: dict[str, HeldOut] = Field(
        {}, description="What networks answered for sources that they were not trained on"
    )
    trade_off: list[TradeOff] = Field(
        [], description="Of `ok` answers, share answered against share wrong, strictest first"
    )
    known_answers: list[KnownAnswer] = Field(description="What the graph must answer, to be served")
    known_answer_tolerance: float = Field(
        gt=0, le=0.5, description="Most that a probability may differ from a known one"
    )
    fp32: Exact | None = Field(None, description="The float32 graph, if one goes with it")

    @model_validator(mode="after")
    def _check_contract(self) -> Self:
        if self.bundle_format not in READABLE_FORMATS:
            raise ValueError(f"bundle_format is none of {', '.join(map(str, READABLE_FORMATS))}")
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
