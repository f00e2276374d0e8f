"""Leaving sources out in turn: folds trained, asked, measured; what they say written down."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import torch

from app.machine import count_cpus
from training.config import Config
from training.data.splits import Division
from training.files import write_whole
from training.fit.sampling import shift_to_priors
from training.holdout.fold_run import configure_fold, run_fold
from training.holdout.folds import Fold, hold_sources, list_sources
from training.holdout.held_answers import HeldAnswers
from training.holdout.record import RECORD_FILE, Record, chosen_by, limits_of
from training.holdout.source_figures import measure_sources
from training.holdout.threshold_choice import choose_thresholds, cool_by_validation
from training.meter import Shown, keep_showing, shown_now
from training.report.audit_plots import draw_trade_off
from training.report.plot_style import save_figure
from training.report.readme_holdout import describe_sources_held_out

TABLE_FILE = "README.md"
PLOT_FILE = "trade-off.png"


def hold_out(
    config: Config, division: Division, wanted: Sequence[Sequence[str]], jobs: int = 1
) -> Record:
    """Train the folds that aren't done, choose by all of them, and write what was found.

    `holdout.json` in the run's folder, a table and a plot in `holdout/` beside the folds.

    Parameters
    ----------
    division : of the data, other findings in it; its test split is not looked at
    wanted : the sources of each fold; none: each source with normal or COVID-19 by itself
    jobs : folds that are trained at once, each in a process of its own

    Raises
    ------
    DataError
        If a source is unknown.
    RunDiffers
        If a fold was started with other settings or images.
    """
    each = wanted or list_sources([*division.fit, *division.validation])
    folds = [hold_sources(division, sources, others=config.other == "uniform") for sources in each]
    answers = _run_folds(config, folds, jobs)
    own = config.temperature == "validation"
    if own:
        answers = [cool_by_validation(fold) for fold in answers]
    choice = choose_thresholds(
        answers,
        limits_of(config),
        config.children,
        config.weak_sets,
        1.0 if own else None,
        evenly=config.weigh == "groups",
        collections=config.collections,
    )
    record = Record(
        name=config.name,
        temperature=None if own else choice.temperature,
        operating_points=choice.operating_points,
        certainty=choice.certainty,
        distance_factor=choice.distance_factor,
        from_validation=choice.from_validation,
        sources=measure_sources(answers, choice),
        trade_off=choice.trade_off,
        **chosen_by(config),
    )
    folder = config.run_folder / "holdout"
    text = describe_sources_held_out(
        record.sources,
        record.certainty,
        record.from_validation,
        by_image=config.weigh == "images",
        collections=config.collections,
        weak_sets=config.weak_sets,
    )
    write_whole(folder / TABLE_FILE, ("\n\n".join(text) + "\n").encode())
    drawn = draw_trade_off(record.trade_off, record.certainty, choice.images)
    save_figure(drawn, folder / PLOT_FILE)
    content = record.model_dump_json(indent=1) + "\n"
    write_whole(config.run_folder / RECORD_FILE, content.encode())
    return record


def _run_folds(config: Config, folds: Sequence[Fold], jobs: int) -> list[HeldAnswers]:
    runs = [(configure_fold(config, fold), fold) for fold in folds]
    answers = _run(runs, jobs)
    shifts = [shift_to_priors(fold.fit, config) for fold in folds]
    return [
        replace(each, logits=each.logits + shift)
        for each, shift in zip(answers, shifts, strict=True)
    ]


def _run(runs: Sequence[tuple[Config, Fold]], jobs: int) -> list[HeldAnswers]:
    if jobs == 1:
        return [run_fold(*run) for run in runs]
    with ProcessPoolExecutor(
        jobs,
        mp_context=get_context("spawn"),
        initializer=_begin,
        # Bars of several processes would draw over one another.
        initargs=(max(1, count_cpus() // jobs), "lines" if shown_now() == "auto" else shown_now()),
    ) as pool:
        return list(pool.map(run_fold, *zip(*runs, strict=True)))


def _begin(threads: int, shown: Shown) -> None:
    torch.set_num_threads(threads)
    keep_showing(shown)
