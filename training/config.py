"""The settings of a training run, and the labels that it learns."""

import re
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from app.image.resize import SIDE_PX
from app.model.card import Label, Population

LABELS = (
    Label(id="normal", en="Normal", es="Normal"),
    Label(id="covid19", en="COVID-19", es="COVID-19"),
    Label(id="bacterial_pneumonia", en="Bacterial pneumonia", es="Neumonía bacteriana"),
    Label(id="viral_pneumonia", en="Viral pneumonia", es="Neumonía vírica"),
)
"""The order of the graph's outputs."""


_LEARNING_RATES: Final = {"finetune": 4e-4, "frozen": 4e-3}

Augmentation = Literal["basic", "closer", "full", "hospital"]
Keep = Literal["best", "last"]
Other = Literal["uniform", "leave_out"]
CalibrationName = Literal["minmax", "entropy", "percentile"]


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile the regular expression whose one group is a patient's name.

    Raises
    ------
    ValueError
        If it is none, or has no group or several.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    if compiled.groups != 1:
        raise ValueError(f"{pattern!r} has {compiled.groups} groups; one has to hold the patient")
    return compiled


class Config(BaseModel):
    """One run. Learning rates are of AdamW; shares are from 0 to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*-\d+$", description="The bundle's name")
    data: list[Path] = Field(
        min_length=1, description="manifest.csv, or a folder of <split>/<label>/<file>; or several"
    )
    root: Path | None = Field(
        default=None,
        description="Folder that the manifests' paths are relative to, or absolute in; else each "
        "manifest's own",
    )
    patient_pattern: str | None = Field(
        default=None,
        description="Of folders: a regular expression whose one group is the patient in a file's "
        "name, as (person[0-9]+)_",
    )
    weights: str = Field(
        default="IMAGENET1K_V1",
        description="IMAGENET1K_V1 (torchvision, downloaded), a state dict's path, or 'random'",
    )
    strategy: Literal["frozen", "finetune"] = Field(
        default="finetune",
        description="frozen: new head on a frozen backbone; finetune: all weights",
    )
    out: Path = Field(default=Path("models"), description="Folder that holds the bundles")
    runs: Path = Field(default=Path("runs"), description="Folder that holds checkpoints and logs")
    epochs: int = Field(default=6, ge=1, le=1000, description="Passes over the training images")
    side_px: int = Field(
        default=SIDE_PX,
        ge=64,
        le=SIDE_PX,
        multiple_of=32,
        description="Side at which the network sees images, in training and in service",
    )
    small_epochs: int = Field(
        default=0, ge=0, le=1000, description="The first so many epochs see smaller, cheaper images"
    )
    small_side_px: int = Field(
        default=160, ge=64, le=SIDE_PX, description="Side of those smaller images"
    )
    patience: int = Field(
        default=0, ge=0, le=1000, description="Stop after so many epochs without gain; 0: never"
    )
    keep: Keep = Field(
        default="best",
        description="The epoch kept: best by validation macro-AUROC, or the last",
    )
    augmentation: Augmentation = Field(
        default="full",
        description="basic: geometry, exposure, noise; closer: enlarging more; full: also blur, "
        "kernel, JPEG, edges, text; hospital: also tone, more text, wedges, borders",
    )
    augmented_share: float = Field(
        default=0.6, ge=0, le=1, description="Share of the images an epoch changes so"
    )
    amplitude_mixing: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the images whose coarse Fourier amplitudes are mixed with another's",
    )
    sampling_power: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="A group (label and source) of n images has a share of n to this power of an "
        "epoch; 1: every image as often as the others, 0: every group as often",
    )
    label_power: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Evens the labels that images have alone, after the groups: their shares of an "
        "epoch to this power; 0: as often as each other",
    )
    priors: Literal["sampled", "even"] = Field(
        default="sampled",
        description="How common the answers take each label to be: sampled, as an epoch showed "
        "them; even, as each other",
    )
    epoch_images: int = Field(
        default=0, ge=0, description="Images an epoch; 0: as many as the training images"
    )
    other: Other = Field(
        default="uniform",
        description="Images of another finding: learned as equally likely of every label, or not",
    )
    class_weights: Literal["none", "sqrt", "balanced"] = Field(
        default="sqrt", description="Loss weight of a class: 1, or 1 over (the root of) its share"
    )
    label_smoothing: float = Field(
        default=0.0, ge=0, lt=1, description="Share of the truth spread over all labels"
    )
    ema_decay: float = Field(
        default=0.0, ge=0, lt=1, description="Keep an average of the weights, this slow; 0: none"
    )
    teachers: int = Field(
        default=0,
        ge=0,
        le=100,
        description="First train so many networks like it, and learn their mean answers; 0: labels",
    )
    teacher_bundle: Path | None = Field(
        default=None, description="A bundle, by name or folder, whose answers are learned too"
    )
    teacher_share: float = Field(
        default=0.5, gt=0, le=1, description="Share of the loss that the bundle's answers have"
    )
    teacher_sources: list[str] = Field(
        default=[], description="Sources whose images the bundle is asked about"
    )
    batch_size: int = Field(
        default=32,
        ge=2,
        le=1024,
        description="Images that pass the network at once, on all devices",
    )
    accumulate: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="Batches whose gradients an optimiser's step sums: memory of one, learning of "
        "all; batch norm sees one",
    )
    learning_rate: float = Field(
        default=_LEARNING_RATES["finetune"],
        gt=0,
        le=1,
        description="Of the backbone, or the head if frozen: then 4e-3 unless given",
    )
    head_factor: float = Field(
        default=5, ge=1, le=100, description="Head's learning rate over the backbone's (finetune)"
    )
    weight_decay: float = Field(default=0.02, ge=0, le=1, description="AdamW's")
    warmup_share: float = Field(
        default=0.1, ge=0, lt=1, description="Share of the steps spent warming up"
    )
    validation_share: float = Field(
        default=0.125,
        gt=0,
        lt=0.5,
        description="Share of the training images held out, by patient; one n-th: 0.3 is a third",
    )
    precision: Literal["auto", "bf16", "fp32"] = Field(
        default="auto", description="auto: bf16 where the processor has it"
    )
    subset: str | None = Field(
        default=None, description="Train only on rows with a 1 in this column of the manifest"
    )
    leave_out: list[str] = Field(
        default=[], description="Training images to leave out: paths as in the manifest"
    )
    unlearned_sources: list[str] = Field(
        default=[],
        description="Sources that nothing is learned from; the hold-out may ask about them",
    )
    seed: int = Field(default=0, ge=0, description="Of the split, the head, the order, the noise")
    calibration_images: int = Field(
        default=400, ge=4, description="Training images that set the int8 ranges, class-balanced"
    )
    calibration_method: Literal["auto", "minmax", "entropy", "percentile"] = Field(
        default="auto", description="Sets the int8 ranges; auto: what is nearest to float32"
    )
    holdout: Path | None = Field(
        default=None,
        description="What `neumo-train holdout` wrote, the file or its folder: temperature and "
        "thresholds come from there; else from validation",
    )
    risk: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="Share of the `ok` answers of a label that may be wrong",
    )
    risk_healthy: float = Field(
        default=0.01,
        gt=0,
        le=1,
        description="Share of healthy adults that may be answered `ok` as COVID-19",
    )
    risk_pneumonia: float = Field(
        default=0.12,
        gt=0,
        le=1,
        description="Share of adults with another pneumonia that may be answered `ok` as COVID-19",
    )
    least_floor: float = Field(
        default=0.0, ge=0, lt=1, description="Probability that no floor of `ok` goes below"
    )
    children: list[str] = Field(
        default=[], description="Sources of children, whom the last two don't count"
    )
    collections: list[str] = Field(
        default=[],
        description="Sources that are many hospitals' films, a few of each: patients of validation "
        "speak for them, not a network that was trained without all of them",
    )
    weigh: Literal["groups", "images"] = Field(
        default="groups",
        description="What counts alike where floors are chosen: groups, a source's images of one "
        "kind; or images, as a hospital of mostly normal ones has them",
    )
    weak_sets: list[str] = Field(
        default=[],
        description="Sources whose sets of labels nobody read a film for: called normal, such an "
        "image proves nothing; called COVID-19 it counts",
    )
    temperature: Literal["holdout", "validation"] = Field(
        default="holdout",
        description="With holdout: whose answers choose the temperature, held-out sources' or "
        "validation's",
    )
    licence: str = Field(default="not stated", description="Of the weights, for the card")
    intended_use: str = Field(default="not stated", description="For the card")
    limitations: list[str] = Field(default=[], description="For the card")
    population: Population | None = Field(
        default=None, description="For the card: whom each label is known from"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_learning_rate(cls, values: dict[str, object]) -> dict[str, object]:
        strategy = str(values.get("strategy", "finetune"))
        return {
            "learning_rate": _LEARNING_RATES.get(strategy, _LEARNING_RATES["finetune"])
        } | values

    @field_validator("data", mode="before")
    @classmethod
    def _list_data(cls, data: object) -> object:
        return [data] if isinstance(data, str | Path) else data

    @field_validator("patient_pattern")
    @classmethod
    def _check_pattern(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            compile_pattern(pattern)
        return pattern

    @model_validator(mode="after")
    def _check_epochs(self) -> Self:
        if self.small_epochs > self.epochs:
            raise ValueError("small_epochs is more than epochs")
        if self.small_epochs and self.small_side_px > self.side_px:
            raise ValueError("small_side_px is more than side_px")
        return self

    @model_validator(mode="after")
    def _check_teachers(self) -> Self:
        if (self.teacher_bundle is None) != (not self.teacher_sources):
            raise ValueError("teacher_bundle and teacher_sources need one another")
        if self.teacher_bundle is not None and self.teachers:
            raise ValueError("teachers and teacher_bundle exclude one another")
        return self

    @property
    def version(self) -> str:
        """The number at the end of the name."""
        return self.name.rpartition("-")[2]

    @property
    def run_folder(self) -> Path:
        """Where this run's checkpoint and history lie."""
        return self.runs / self.name

    @property
    def as_teachers(self) -> "list[Config]":
        """The runs of this run's teachers: other seeds, all epochs, in folders inside its own."""
        return [
            self.model_copy(
                update={
                    "name": f"teacher-{number}",
                    "runs": self.run_folder,
                    "seed": self.seed + 1000 * number,
                    "teachers": 0,
                    "patience": 0,
                }
            )
            for number in range(1, self.teachers + 1)
        ]

    @property
    def bundle_folder(self) -> Path:
        """Where this run's bundle goes."""
        return self.out / self.name
