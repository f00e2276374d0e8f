"""The card's figures: what people read of a model, and serving does not.

Rates are from 0 to 1; `training.metrics` and `training.measure` work them out.
"""

from pydantic import BaseModel, ConfigDict, Field

from app.model.labels import LabelId, Orientation


class Strict(BaseModel):
    """What is frozen, and knows all of its members."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Finite(Strict):
    """What serving reckons with: of its own numbers none is NaN or infinite."""

    model_config = ConfigDict(allow_inf_nan=False)


class Interval(Strict):
    """A figure with its 95 % interval, by patient; `Card.intervals` tells how they were made."""

    value: float = Field(description="Of all the images")
    low: float = Field(description="The interval's lower end")
    high: float = Field(description="The interval's upper end")


class Task(Strict):
    """Figures of telling two kinds of images apart, on those of the two kinds only."""

    images: int = Field(description="Number of images of the two kinds")
    patients: int = Field(description="Number of patients they are of")
    auroc: Interval = Field(description="Area under the ROC curve")
    accuracy: Interval = Field(description="Share told rightly")
    sensitivity: Interval = Field(description="Share of the first kind told rightly")
    specificity: Interval = Field(description="Share of the second kind told rightly")


class Calibration(Strict):
    """How far probabilities can be believed: negative log-likelihood in nats, Brier score, ECE."""

    nll: float = Field(description="Mean negative log-likelihood, nats")
    brier: float = Field(description="Brier score")
    ece: float = Field(description="Expected calibration error")


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

    images: int = Field(description="Number of images")
    patients: int = Field(description="Number of patients")
    accuracy: Interval = Field(description="Share of images called rightly")
    balanced_accuracy: Interval = Field(description="Mean of the labels' sensitivities")
    macro_auroc: Interval = Field(description="Mean of the labels' AUROCs")
    sensitivity: dict[LabelId, Interval] = Field(
        description="Share of a label's images called by it"
    )
    specificity: dict[LabelId, Interval] = Field(
        description="Share of all other images not called by it"
    )
    precision: dict[LabelId, Interval] = Field(
        {}, description="Share of the images called by a label that are of it"
    )
    auroc: dict[LabelId, Interval] = Field(
        description="Area under the ROC curve, a label against the rest"
    )
    nll: float = Field(description="Mean negative log-likelihood, nats")
    brier: float | None = Field(None, description="Brier score")
    ece: float | None = Field(None, description="Expected calibration error")
    ece_by_chance: float | None = Field(
        None, description="What perfectly calibrated answers would show on average"
    )
    ece_by_chance_95: float | None = Field(
        None, description="What those stay below 95 times in 100"
    )
    before_temperature: Calibration | None = Field(
        None, description="Calibration before the temperature"
    )
    confusion: list[list[int]] = Field(
        description="Counts, [truth][prediction], in the order of `labels`"
    )
    accuracy_by_source: dict[str, float] = Field(
        description="Accuracy on the images of each source"
    )
    sensitivity_by_source: dict[str, dict[LabelId, Interval]] = Field(
        {}, description="Sensitivity on the images of each source, by label"
    )
    tasks: dict[str, Task] = Field(
        {}, description="Telling two kinds of images apart, by the task's name"
    )
    refused: Interval | None = Field(None, description="Share of images taken for no chest X-ray")
    answered: Interval | None = Field(
        None, description="Share of images answered `ok`, not `uncertain`"
    )
    accuracy_answered: Interval | None = Field(None, description="Accuracy on those answered `ok`")
    aurc: float | None = Field(
        None, description="Mean error over all shares answered, the most confident first"
    )


class Changed(Strict):
    """What is left when the images are changed; `lost` is accuracy lost, image by image."""

    accuracy: Interval = Field(description="Accuracy on the changed images")
    lost: Interval = Field(description="Accuracy lost, image by image")
    macro_auroc: Interval = Field(description="Mean of the labels' AUROCs on the changed images")


class Deletion(Strict):
    """A test of the maps: what deleting parts of the image does to the label called.

    `shares` are shares of the image deleted; `marked` and `random` the mean probability that
    the label called keeps when what its map marks most, or as much at random, is deleted. `gap`
    is the mean of random less marked over the shares: over 0 if the maps mark what matters.
    """

    images: int = Field(description="Number of images")
    shares: list[float] = Field(description="Shares of the image deleted")
    marked: list[float] = Field(
        description="Probability kept when what the map marks most is deleted"
    )
    random: list[float] = Field(description="Probability kept when as much at random is deleted")
    gap: Interval = Field(
        description="Mean of random less marked: over 0 if maps mark what matters"
    )


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

    changed: dict[str, Changed] = Field(description="By the change, mild and fixed")
    turned: dict[Orientation, Interval] = Field(
        {}, description="Share refused once turned or inverted"
    )
    lungs_hidden: Changed = Field(description="With the lungs blacked out")
    lungs_only: Changed = Field(description="With all but the lungs blacked out")
    commonest: float = Field(description="Share of the commonest label: what a blind guess gives")
    source_auroc: Interval | None = Field(
        description="How well a probe tells the sources of normal images apart: 0.5 is not at all"
    )
    deletion: Deletion = Field(description="What deleting parts of the image does")


class QuantisedFigures(Strict):
    """What one way of setting the int8 ranges gave, on the validation split.

    `difference` is the mean absolute difference of probabilities from float32's,
    `cam_correlation` the mean correlation of the maps of the label float32 calls,
    `labels_kept` the share of labels kept on the `clear_images`, where float32's two best
    differ by more than 0.1.
    """

    macro_auroc: float = Field(description="Mean of the labels' AUROCs")
    nll: float = Field(description="Mean negative log-likelihood, nats")
    ece: float = Field(description="Expected calibration error")
    difference: float = Field(
        description="Mean absolute difference of probabilities from float32's"
    )
    cam_correlation: float = Field(
        description="Mean correlation with float32's map of the label it calls"
    )
    labels_kept: float = Field(description="Share of labels kept on the clear images")
    clear_images: int = Field(description="Images where float32's two best differ by more than 0.1")


class Quantisation(Strict):
    """How the served graph was quantised: the method nearest to float32, and all tried."""

    method: str = Field(description="The one that is served")
    fp32_macro_auroc: float = Field(description="Of the float32 graph, on validation")
    tried: dict[str, QuantisedFigures] = Field(description="All that were tried, by method")


class HeldOut(Strict):
    """What a network that was trained without a source answers for that source's images.

    Kinds are labels, sets of them (`bacterial_pneumonia|viral_pneumonia`: one of these, nobody
    said which) and `other`, a finding that is none of the four. A set is called rightly by any of
    its labels, `other` by `normal`, which means none of the three others. `auroc` tells COVID-19
    from normal by its probability, within this one network: one of the two kinds is this
    source's, the other that of the source named, which was held out with it or whose patients it
    was not trained on.
    """

    without: list[str] = Field(description="Sources that the network was trained without")
    untaught: list[str] = Field(
        [], description="Kinds that only these sources have: the network can't know them"
    )
    images: dict[str, int] = Field(description="Number of images by kind")
    patients: int = Field(description="Number of patients")
    called_covid19: dict[str, Interval] = Field(
        description="Share of a kind's images called COVID-19"
    )
    sure_covid19: dict[str, Interval] = Field(
        description="Share of a kind's images with more than 0.9 for COVID-19"
    )
    ok_covid19: dict[str, Interval] = Field(
        {}, description="Share of a kind's images answered `ok` as COVID-19"
    )
    ok_right: dict[str, Interval] = Field(
        {}, description="Share of a kind's images answered `ok`, and rightly"
    )
    wrong: Interval | None = Field(None, description="Share of its `ok` answers that are wrong")
    auroc: dict[str, Interval] = Field(
        description="COVID-19 against normal, by the source of the other kind"
    )
    nll: float | None = Field(
        description="Mean negative log-likelihood of images of one label, if taught, nats"
    )
    ece: float | None = Field(description="Expected calibration error on those images")
    refused: Interval = Field(description="Share of its images taken for no chest X-ray")


class TradeOff(Strict):
    """What would be answered, and how much of that wrong, at one floor for every label.

    Of the images that `Certainty` was chosen by, weighed as there.
    """

    floor: float = Field(description="Probability that the label called would have to reach")
    answered: float = Field(description="Share of the images answered `ok`")
    wrong: float = Field(description="Share of the `ok` answers that are wrong")
