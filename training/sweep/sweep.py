"""A sweep: trials until there are enough, in one process or several; the best one's recipe."""

import hashlib
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, NoReturn

import optuna
import torch
from optuna.study import Study
from optuna.trial import Trial, TrialState
from pydantic import ValidationError

from app.errors import NeumoError
from app.language import Text
from app.machine import count_cpus
from app.model.labels import LABEL_IDS
from training.config import Config
from training.data.faults import DataError
from training.data.splits import Division, divide_data
from training.fit.trainer import Diverged
from training.holdout.folds import hold_sources, list_sources
from training.meter import Shown, keep_showing, shown_now
from training.sweep import study as studies
from training.sweep.best_recipe import write_recipe
from training.sweep.search_space import SearchSpace
from training.sweep.study import REASON, count_begun, list_trials, open_study
from training.sweep.sweep_table import find_best
from training.sweep.trial_run import Images, judge_held_out, judge_validation

BEST_FILE: Final = "best.toml"
_TELLING: Final = (LABEL_IDS.index("normal"), LABEL_IDS.index("covid19"))
_OF_A_PLACE: Final = {"name", "data", "root", "out", "runs", "weights", "teacher_bundle"}


class WorkersLost(NeumoError):
    """A process of the sweep ended before it was done."""

    code = "workers_lost"
    title = Text("A worker ended early", "Un proceso terminó antes de tiempo")
    advice = Text(
        "{count} of {workers} workers ended early; what they said stands above. The same command "
        "goes on: trials that were killed are taken up a minute later.",
        "{count} de {workers} procesos terminaron antes de tiempo; lo que dijeron consta arriba. "
        "La misma orden continúa: las pruebas interrumpidas se retoman al cabo de un minuto.",
    )


class _Ended(Exception):
    """A trial that is over without a figure."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep is of.

    Parameters
    ----------
    values : the settings that are not searched for, as a recipe and the command line give them
    wanted : the sources of each fold; none: each source with normal or COVID-19 by itself
    url, study : of the database, and the study's name in it
    trials : how many there are to be in the end
    """

    values: Mapping[str, Any]
    space: SearchSpace
    wanted: Sequence[Sequence[str]]
    url: str
    study: str
    trials: int

    @property
    def config(self) -> Config:
        """The settings that are not searched for."""
        return Config.model_validate(dict(self.values))

    @property
    def folder(self) -> Path:
        """Where the trials' runs lie, and the best one's recipe."""
        return self.config.run_folder / "sweep"


def run_sweep(plan: Plan, workers: int) -> Study:
    """Run trials until there are as many as planned, and write the best one's settings.

    Raises
    ------
    StorageUnusable, StudyDiffers
        As `open_study` does.
    WorkersLost
        If a worker ended early.
    """
    plan.space.check(plan.values)
    _divide(plan)  # what is wrong with the data shows now
    plan.folder.mkdir(parents=True, exist_ok=True)
    study = _open(plan)
    if workers == 1:
        _work(plan, 0)
    else:
        _work_together(plan, workers)
    return study


def _work_together(plan: Plan, workers: int) -> None:
    context = get_context("spawn")
    threads = max(1, count_cpus() // workers)
    shown = "lines" if shown_now() == "auto" else shown_now()  # bars would draw over one another
    processes = [
        context.Process(target=_begin, args=(plan, number, threads, shown))
        for number in range(workers)
    ]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join()
    except KeyboardInterrupt:
        for process in processes:
            if process.is_alive():
                process.terminate()
        for process in processes:
            process.join()
        raise
    lost = sum(process.exitcode != 0 for process in processes)
    if lost:
        raise WorkersLost(count=str(lost), workers=str(workers))


def _begin(plan: Plan, number: int, threads: int, shown: Shown) -> None:
    signal.signal(signal.SIGTERM, _stop)
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        torch.cuda.set_device(number % torch.cuda.device_count())
    keep_showing(shown)
    try:
        _work(plan, number)
    except KeyboardInterrupt:
        sys.exit(1)  # its parent says so
    except (NeumoError, OSError) as error:
        sys.stderr.write(f"neumo-train: worker {number}: {error}\n")
        sys.exit(1)


def _stop(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _open(plan: Plan) -> Study:
    config, division = plan.config, _divide(plan)
    settings = config.model_dump(mode="json", exclude=_OF_A_PLACE)
    samples = sorted(
        f"{sample.path.name}\t{sample.named}\t{sample.source}\t{sample.patient}"
        for sample in (*division.fit, *division.validation)
    )
    told = settings | {
        "objective": plan.space.objective,
        "space": plan.space.model_dump(mode="json")["space"],
        "folds": [sorted(fold) for fold in _folds(plan, division)],
        "data": hashlib.sha256("\n".join(samples).encode()).hexdigest(),
    }
    return open_study(plan.url, plan.study, told, config.seed, plan.space.prune_after)


def _divide(plan: Plan) -> Division:
    # Other findings are asked about also where they are not learned.
    division = divide_data(plan.config.model_copy(update={"other": "uniform"}))
    if plan.space.objective == "holdout":
        folds = [hold_sources(division, sources) for sources in _folds(plan, division)]
        if not any(sample.label in _TELLING for fold in folds for sample in fold.held):
            reason = "no fold has COVID-19 or normal images to judge by: name others by --fold"
            raise DataError(reason=reason)
    return division


def _folds(plan: Plan, division: Division) -> Sequence[Sequence[str]]:
    if plan.space.objective == "validation":
        return []
    return plan.wanted or list_sources([*division.fit, *division.validation])


def _work(plan: Plan, number: int) -> None:
    """Run trials one after the other until there are enough; say how each ended."""
    study, division = _open(plan), _divide(plan)
    images: Images | None = None
    with studies.quietly():
        while True:
            studies.take_up_stopped(study)
            ended, running = count_begun(list_trials(study))
            if ended + running >= plan.trials:
                break
            images = images or Images.read(division)
            judge = _Judge(plan, study, division, images)
            study.optimize(judge, n_trials=1, catch=(_Ended,))
            _write_best(plan, study)
    _write_best(plan, study)
    if running and number == 0:
        sys.stderr.write(
            f"neumo-train: {running} trial(s) are running elsewhere, or were killed less than "
            f"{studies.GRACE_S} s ago: the same command takes those up\n"
        )


class _Judge:
    """Runs a trial of a study, and returns its figure."""

    def __init__(self, plan: Plan, study: Study, division: Division, images: Images) -> None:
        self._plan, self._study = plan, study
        self._division, self._images = division, images

    def __call__(self, trial: Trial) -> float:
        """Run one; what ends it without a figure stands in its `REASON`."""
        before = [each for each in list_trials(self._study) if each.number < trial.number]
        if len([each for each in before if each.state != TrialState.WAITING]) >= self._plan.trials:
            raise _Ended  # another worker's was the last: this one never was
        number = studies.first_number(self._study.get_trials(deepcopy=False)[trial.number])
        params = self._plan.space.suggest(trial)
        for each in before:
            if each.state == TrialState.COMPLETE and each.params == trial.params:
                return float(each.value or 0)  # to the bit
        folder = self._plan.folder / f"trial-{number}"
        try:
            figure = self._run(trial, number, params)
        except KeyboardInterrupt:
            studies.put_back(self._study, trial.number)
            raise  # what was trained stays, for who takes it up
        except optuna.TrialPruned:
            _drop_weights(folder)
            raise
        except (Diverged, ValidationError, torch.OutOfMemoryError) as error:
            _drop_weights(folder)
            trial.set_user_attr(REASON, _say(error))
            raise _Ended from error
        _drop_weights(folder)
        return figure

    def _run(self, trial: Trial, number: int, params: Mapping[str, object]) -> float:
        own = {"name": f"trial-{number}", "runs": self._plan.folder}
        config = Config.model_validate({**self._plan.values, **params, **own})

        def report(figure: float, step: int) -> None:
            trial.report(figure, step)
            if trial.should_prune():
                raise optuna.TrialPruned

        division, images = self._division, self._images
        if self._plan.space.objective == "validation":
            return judge_validation(config, division, images, report)
        folds = _folds(self._plan, division)
        return judge_held_out(config, division, images, folds, report)


def _say(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
    return "out of memory" if isinstance(error, torch.OutOfMemoryError) else "diverged"


def _drop_weights(folder: Path) -> None:
    """Remove what only going on with a trial needs: 200 MB a fold."""
    for path in folder.rglob("*.pt"):
        path.unlink()
    for path in folder.rglob("teacher-*"):
        shutil.rmtree(path, ignore_errors=True)


def _write_best(plan: Plan, study: Study) -> None:
    best = find_best(study)
    if best is None:
        return
    ended, _ = count_begun(list_trials(study))
    judged = "hospitals held out" if plan.space.objective == "holdout" else "validation"
    remarks = (
        f"The best of {ended} trials of the study {plan.study} (trial {best.number}), by "
        f"{judged}: {best.value:.4f}.\n"
        "The best of many flatters itself: judge it by images that chose nothing.\n"
        "  neumo-train run --recipe THIS_FILE"
    )
    write_recipe(plan.folder / BEST_FILE, {**plan.values, **best.params}, remarks)
