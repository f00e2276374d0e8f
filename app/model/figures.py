"""The card's figures: what people read of a model, and serving does not.

Rates are from 0 to 1; `training.metrics` and `training.measure` work them out.
"""

from pydantic import BaseModel, ConfigDict

from app.model.labels import LabelId, Orientation


class Strict(BaseModel):
    """What is frozen, and knows all of its members."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Interval(Strict):
    """A figure with its 95 % interval, by patient; `Card.intervals` tells how they were made."""

    value: float
    low: float
    high: float


class Task(Strict):
    """Figures of telling two kinds of images apart, on those of the two kinds only."""

    images: int
    patients: int
    auroc: Interval
    accuracy: Interval
    sensitivity: Interval
    specificity: Interval


class Calibration(Strict):
    """How far probabilities can be believed: negative log-likelihood in nats, Brier score, ECE."""

    nll: float
    brier: float
    ece: float


class Metrics(Strict):
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


class Changed(Strict):
    """What is left when the images are changed; `lost` is accuracy lost, image by image."""

    accuracy: Interval
    lost: Interval
    macro_auroc: Interval


class Deletion(Strict):
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


class Audit(Strict):
    """Where the answers come from, and what changes them, on one split.

    `changed` holds fixed, mild changes of the images (`training.measure.stress`), `turned` the
    share of the images that is refused once they are turned or inverted. `lungs_hidden` and
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


class QuantisedFigures(Strict):
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


class Quantisation(Strict):
    """How the served graph was quantised: the method nearest to float32, and all tried."""

    method: str
    fp32_macro_auroc: float
    tried: dict[str, QuantisedFigures]
