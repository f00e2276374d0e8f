"""What a report is made of: a run, its bundle, its data, what was answered; and what is missing."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from app.errors import NeumoError
from app.language import Text
from app.model.bundle import Bundle, find_bundle, read_bundle
from app.model.card import Certainty
from app.model.measured.figures import HeldOut, TradeOff
from training.asking.asking import Asked, ask_bundle, ask_checkpoint, read_back
from training.config import Config
from training.data.inventory import Inventory, take_inventory
from training.data.manifest import Sample, read_samples
from training.holdout.record import RECORD_FILE, Record
from training.measure.predictions import PREDICTIONS_FILE, Places
from training.run.checkpoint import RunFolder, RunMissing
from training.run.history import Epoch, finished

VALIDATION: Final = "validation"


class ReportMissing(NeumoError):
    """What is to be reported on is not there."""

    code = "report_missing"
    title = Text("There is nothing to report on", "No hay de qué informar")
    advice = Text(
        "{target} is neither a bundle (card.json) nor a run (config.json), by folder or by name. A "
        "run's name is looked up in --runs.",
        "{target} no es un modelo (card.json) ni un entrenamiento (config.json), por carpeta o por "
        "nombre. El nombre de un entrenamiento se busca en --runs.",
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a report is asked for: the arguments of the command.

    Parameters
    ----------
    target : a bundle or a run, by folder or by name
    data, root, patient_pattern : as of `read_samples`; no data: the run's own, if they are there
    split : validation, or test
    runs : folder that holds the runs
    run, bundle, holdout : what belongs to the target, where it is not found by itself
    """

    target: str
    data: Sequence[Path] = ()
    root: Path | None = None
    patient_pattern: str | None = None
    split: str = VALIDATION
    runs: Path = Path("runs")
    run: Path | None = None
    bundle: Path | None = None
    holdout: Path | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder, read."""

    config: Config
    environment: dict[str, Any]
    history: list[Epoch]

    @property
    def finished(self) -> bool:
        """Whether it has all its epochs, or ran out of patience."""
        return finished(self.history, self.config)


@dataclass(frozen=True, slots=True)
class Missing:
    """What a report can't show, and the command that brings it."""

    what: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class Material:
    """All that there is to show; None or nothing for what there isn't."""

    name: str
    bundle: Bundle | None = None
    bundle_folder: Path | None = None
    run: Run | None = None
    samples: Sequence[Sample] = ()
    inventory: Inventory | None = None
    asked: Asked | None = None
    held_out: dict[str, HeldOut] = field(default_factory=dict)
    trade_off: Sequence[TradeOff] = ()
    certainty: Certainty | None = None
    missing: Sequence[Missing] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    """What to call an image, by its path here: nobody's folders."""


def gather(wanted: Wanted) -> Material:
    """Find what belongs together; look at the data; ask the model about one split.

    Raises
    ------
    ReportMissing, RunMissing
        If the target is neither, or its folder can't be read.
    DataError, SplitDiffers, SourcesDiffer
        If the data can't be used, or validation can't be told for this bundle.
    """
    bundle, folder, run = _find_both(wanted)
    found = Material(
        name=bundle.card.name if bundle else run.config.name if run else wanted.target,
        bundle=bundle,
        bundle_folder=folder,
        run=run,
    )
    found = _add_held_out(found, wanted)
    data = list(wanted.data) or _own_data(run)
    if data:
        given = replace(
            wanted, data=data, root=_root(wanted, data, run), patient_pattern=_pattern(wanted, run)
        )
        samples = read_samples(data, patient_pattern=given.patient_pattern, root=given.root)
        places = Places(data, given.root)
        found = replace(
            found,
            samples=samples,
            inventory=take_inventory(data, given.patient_pattern, given.root),
            asked=_ask(found, given),
            places={str(sample.path): "/".join(places.find(sample)) for sample in samples},
        )
    elif run and bundle:
        answers = run.config.run_folder / PREDICTIONS_FILE
        found = replace(found, asked=read_back(answers, bundle.card, wanted.split))
    return replace(found, missing=list(_list_missing(found, wanted)))


def _find_both(wanted: Wanted) -> tuple[Bundle | None, Path | None, Run | None]:
    """Return the bundle, its folder and the run; at least one of bundle and run."""
    target = Path(wanted.target)
    named_run = wanted.runs / wanted.target
    if (target / "card.json").is_file() or not target.exists():
        folder = find_bundle(wanted.target)
        if (folder / "card.json").is_file():
            bundle = read_bundle(folder)
            path = wanted.run or wanted.runs / bundle.card.name
            run = _read_run(path) if (path / "config.json").is_file() else None
            if wanted.run and run is None:
                raise RunMissing(folder=str(path))
            return bundle, folder, run if run and (wanted.run or _made(run, bundle)) else None
    path = target if (target / "config.json").is_file() else named_run
    if not (path / "config.json").is_file():
        raise ReportMissing(target=wanted.target)
    run = _read_run(path)
    folder = wanted.bundle or run.config.out / run.config.name
    if wanted.bundle or (folder / "card.json").is_file():
        bundle = read_bundle(folder)
        if wanted.bundle or _made(run, bundle):
            return bundle, folder, run
    return None, None, run


def _read_run(path: Path) -> Run:
    try:
        config = Config.model_validate_json((path / "config.json").read_bytes())
        environment = json.loads((path / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # ValidationError is one
        raise RunMissing(folder=str(path)) from None
    # Wherever it was trained, it lies here.
    config = config.model_copy(update={"name": path.resolve().name, "runs": path.resolve().parent})
    return Run(config, environment, RunFolder(config).read_history())


def _made(run: Run, bundle: Bundle) -> bool:
    """Tell whether a run made a bundle, as far as its card tells."""
    training = bundle.card.training
    settings = {"side_px", "learning_rate", "batch_size", "strategy"} & training.settings.keys()
    return (training.seed, training.epochs) == (run.config.seed, len(run.history)) and all(
        getattr(run.config, name) == training.settings[name] for name in settings
    )


def _add_held_out(found: Material, wanted: Wanted) -> Material:
    card = found.bundle.card if found.bundle else None
    if card and (card.holdout or not wanted.holdout):
        return replace(
            found, held_out=card.holdout, trade_off=card.trade_off, certainty=card.certainty
        )
    path = wanted.holdout or (found.run.config.run_folder if found.run else None)
    if path is None:
        return found
    path = path / RECORD_FILE if path.is_dir() else path
    try:
        record = Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        if wanted.holdout:
            raise ReportMissing(target=str(path)) from None
        return found
    return replace(
        found, held_out=record.sources, trade_off=record.trade_off, certainty=record.certainty
    )


def _own_data(run: Run | None) -> list[Path]:
    """Return the data sets that a run was started with, if all of them are still there."""
    data = run.config.data if run else []
    return data if data and all(path.exists() for path in data) else []


def _root(wanted: Wanted, data: Sequence[Path], run: Run | None) -> Path | None:
    own = run.config.root if run and list(data) == list(run.config.data) else None
    return wanted.root or own


def _pattern(wanted: Wanted, run: Run | None) -> str | None:
    own = run.config.patient_pattern if run else None
    return wanted.patient_pattern or own


def _ask(found: Material, wanted: Wanted) -> Asked:
    root, pattern = wanted.root, wanted.patient_pattern
    if found.bundle:
        return ask_bundle(found.bundle, wanted.data, wanted.split, pattern, root)
    assert found.run is not None  # noqa: S101 - one of the two is there
    given = {"data": list(wanted.data), "root": root, "patient_pattern": pattern}
    return ask_checkpoint(found.run.config.model_copy(update=given), wanted.split)


def _list_missing(found: Material, wanted: Wanted) -> Iterator[Missing]:
    call = f"neumo-train report {wanted.target}"
    run = found.run
    if found.bundle is None and run:
        name = run.config.name
        same = f"neumo-train {{}} --name {name} --data DATA/manifest.csv  # and its other settings"
        if not run.finished:
            yield Missing(
                f"The run is not finished: {len(run.history)} of {run.config.epochs} epochs.",
                same.format("fit --resume"),
            )
        yield Missing(
            "There is no bundle of this run yet: so no int8 graph, no calibration, no rule for "
            "`ok`, no refusal, no audit, no test figures. What stands here is of the checkpoint.",
            same.format("export"),
        )
    if run is None:
        yield Missing(
            "No run folder was found that made this bundle: so no learning curves.",
            f"{call} --run RUNS/{found.name}",
        )
    if found.asked is None:
        yield Missing(
            "No answers of single images: so curves only as the bundle's own plots have them, "
            "and no mistakes.",
            f"{call} --data DATA/manifest.csv",
        )
    elif found.asked.images is None:
        yield Missing(
            "The films were not read: so no maps of the mistakes, and no look at the data.",
            f"{call} --data DATA/manifest.csv",
        )
    if not found.held_out:
        yield Missing(
            "No hospital was held out: of patients elsewhere nothing is known.",
            f"neumo-train holdout --name {found.name} --data DATA/manifest.csv",
        )
