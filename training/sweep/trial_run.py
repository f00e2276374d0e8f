"""One trial: a recipe trained, and the figure that it is judged by.

``holdout``: the recipe is trained without each fold's sources, and asked about them: the AUROC of
COVID-19 against normal, one of the two of the hospital held out. That is what goes wrong at a
hospital that a network has never seen (its healthy adults called COVID-19), and unlike the share of
`ok` answers it needs neither temperature nor thresholds, which all folds together choose: so it is
known after each fold, and few images change it little.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import softmax

from app.model.labels import LABEL_IDS
from training.config import Config
from training.data.images import ImageSet
from training.data.manifest import Sample
from training.data.splits import Division, load_set
from training.fit.sampling import shift_to_priors
from training.fit.trainer import fit
from training.holdout.fold_run import configure_fold, run_fold
from training.holdout.folds import hold_sources
from training.holdout.held_answers import HeldAnswers
from training.holdout.source_figures import list_pairs
from training.metrics.bootstrap import auroc
from training.run.history import Epoch, kept_epoch

Report = Callable[[float, int], None]
"""Told a figure so far, and its number from 0; raises where the trial is to be cut short."""

_COVID = LABEL_IDS.index("covid19")


@dataclass(frozen=True, slots=True)
class Images:
    """All images of a division but its test split, read once for all trials."""

    everything: ImageSet
    rows: dict[Path, int]

    @classmethod
    def read(cls, division: Division) -> "Images":
        """Read them."""
        samples = [*division.fit, *division.validation]
        rows = {sample.path: row for row, sample in enumerate(samples)}
        return cls(load_set(samples, "all that is trained on"), rows)

    def take(self, samples: Sequence[Sample], _: str = "") -> ImageSet:
        """Return the images of some samples, as `training.data.splits.load_set` does."""
        rows = [self.rows[sample.path] for sample in samples]
        return ImageSet(self.everything.images[rows], samples)


def judge_held_out(
    config: Config,
    division: Division,
    images: Images,
    folds: Sequence[Sequence[str]],
    report: Report,
) -> float:
    """Train the folds one by one; return the mean of their figures, telling it after each."""
    figures: list[float] = []
    for number, sources in enumerate(folds):
        fold = hold_sources(division, sources, others=config.other == "uniform")
        answers = run_fold(configure_fold(config, fold), fold, images.take)
        figure = measure_pairs(answers, shift_to_priors(fold.fit, config))
        if not np.isnan(figure):
            figures.append(figure)
            report(float(np.mean(figures)), number)
    return float(np.mean(figures))


def judge_validation(config: Config, division: Division, images: Images, report: Report) -> float:
    """Train once; return validation's macro-AUROC of the epoch kept, telling it of each."""
    told = 0

    def watch(history: Sequence[Epoch]) -> None:
        nonlocal told
        for epoch in history[told:]:
            told = epoch.epoch
            report(epoch.validation_macro_auroc, epoch.epoch - 1)

    fitted = [sample for sample in division.fit if sample.targets or config.other == "uniform"]
    history = fit(
        config,
        images.take(fitted),
        images.take(division.validation),
        resume=(config.run_folder / "last.pt").exists(),
        watch=watch,
    )
    return kept_epoch(history, config.keep).validation_macro_auroc


def measure_pairs(
    answers: HeldAnswers, shift: np.ndarray[tuple[int], np.dtype[np.float32]]
) -> float:
    """Return the mean AUROC of COVID-19 against normal, over the pairs of a fold's sources.

    NaN, if they have neither.
    """
    scores = softmax(answers.logits + shift, axis=1)[:, _COVID]
    areas = []
    for source in answers.without.tolist():
        own = answers.held & (answers.sources == source)
        for _, sick, well in list_pairs(answers, own):
            rows = sick | well
            areas.append(auroc(sick[rows], scores[rows], np.ones((1, int(rows.sum()))))[0])
    return float(np.mean(areas)) if areas else float("nan")
