"""The command ``neumo-train``: from labelled X-rays to a bundle."""

import argparse
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NoReturn

import numpy as np
from pydantic import ValidationError

from app.errors import NeumoError
from app.language import Text
from app.model.bundle import find_bundle, read_bundle, read_fp32
from app.model.card import Card
from app.model.measured.figures import Interval, Metrics
from app.model.signature import SIGNATURE_FILE
from training.arguments import Run, build_parser
from training.compare.comparison import compare
from training.compare.comparison_page import render_page, render_terminal, to_json
from training.config import LABELS, Config, compile_pattern
from training.data.images import ImageSet, digest_images
from training.data.inventory import (
    inventory_to_json,
    refuse_unreadable,
    render_inventory,
    take_inventory,
)
from training.data.manifest import NO_PATIENTS, DataSets, lacks_patients, read_samples
from training.data.splits import Division, Splits, divide_data, load_set, load_splits
from training.devices.ranks import join_ranks, started_together
from training.export.restore import restore_weights
from training.files import write_whole
from training.fit.network import build_model
from training.fit.trainer import fit
from training.holdout.holdout import TABLE_FILE, hold_out
from training.holdout.record import RECORD_FILE, read_record
from training.html_report.films_part import Showing
from training.html_report.html_report import write_report
from training.html_report.material import Wanted
from training.measure.evaluation import describe_apart, evaluate_bundle
from training.meter import show
from training.metrics.reliability import LEAST_IMAGES, LEAST_PATIENTS, can_calibrate
from training.recipe import read_values
from training.release.film_reference import add_reference
from training.release.release import release
from training.release.remeasure import divide_again, remeasure
from training.run.checkpoint import RunFolder, RunUnfinished, save_whole
from training.run.history import finished

_CALLED_WRONGLY, _CANT_BE_DONE, _STOPPED = 2, 3, 130

_RESTORING_IMAGES: Final = 64  # of each label


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code (2: called wrongly, 3: it can't be done)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = build_parser(__doc__, _RUNS).parse_args(given)
    before = signal.signal(signal.SIGTERM, _stop)  # what ends a job of a scheduler
    try:
        with show("nothing" if options.quiet or not started_together().first else "auto"):
            if started_together().size > 1 and not hasattr(options, "peer_timeout"):
                raise _WrongCall("of its commands torchrun can start `run` and `fit` alone")
            options.run(options)
    except _WrongCall as error:
        sys.stderr.write("".join(f"neumo-train: {line}\n" for line in error.args))
        return _CALLED_WRONGLY
    except NeumoError as error:
        sys.stderr.write("".join(f"neumo-train: {line}\n" for line in str(error).splitlines()))
        return _CANT_BE_DONE
    except OSError as error:  # a folder that is not there, a full disk
        sys.stderr.write(f"neumo-train: {error}\n")
        return _CANT_BE_DONE
    except KeyboardInterrupt:
        kept = ""
        if hasattr(options, "resume"):
            kept = " If an epoch was finished, the same command with --resume goes on after it."
        elif hasattr(options, "trials"):
            kept = " The same command goes on with it."
        sys.stderr.write(f"\nneumo-train: stopped.{kept}\n")
        return _STOPPED
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


class ExtraMissing(NeumoError):
    """The extra that a sweep needs is not installed."""

    code = "extra_missing"
    title = Text("An extra is not installed", "Falta un extra")
    advice = Text(
        "A sweep needs Optuna: pip install 'neumo[sweep]'",
        "Un barrido necesita Optuna: pip install 'neumo[sweep]'",
    )


class _WrongCall(Exception):
    """What is wrong with the arguments, a line each."""


def _stop(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _run(options: argparse.Namespace) -> None:
    config = _config(options)
    read_record(config)  # what is wrong with it shows now
    division = _divide(config)
    if not started_together().first:
        _fit_division(config, division, options)
        return
    test = load_set(division.test, "test")  # unreadable images show now; measured once, at the end
    fitted, validation = _fit_division(config, division, options)
    splits = Splits(fitted, validation, test)
    _release(config, splits, options)


def _fit(options: argparse.Namespace) -> None:
    config = _config(options)
    division = _divide(config)
    _fit_division(config, division, options)


def _export(options: argparse.Namespace) -> None:
    config = _config(options)
    read_record(config)
    folder = RunFolder(config)
    folder.check_settings()  # what is wrong shows now, not after minutes of reading
    _check_finished(config, folder)
    division = _divide(config)
    splits = load_splits(division)
    folder.check_images(digest_images(splits.fit, splits.validation), folder.resume())
    _release(config, splits, options)


def _evaluate(options: argparse.Namespace) -> None:
    _check_pattern(options.patient_pattern)
    bundle = read_bundle(find_bundle(options.bundle))
    _warn_of_patients(options.data, options.patient_pattern)
    metrics, apart = evaluate_bundle(
        bundle, options.data, options.split, options.report, options.patient_pattern, options.root
    )
    sys.stdout.write(_summary(metrics) + describe_apart(apart) + f"{options.report}\n")


def _remeasure(options: argparse.Namespace) -> None:
    config = _config(options)
    bundle = read_bundle(config.bundle_folder)
    exact = read_fp32(config.bundle_folder, bundle)
    division = divide_again(config, bundle.card)
    _warn_of_patients(config.data, config.patient_pattern)
    _warn_of_few(division)
    _summarise(config, remeasure(config, bundle, exact, load_splits(division)))


def _reference(options: argparse.Namespace) -> None:
    config = _config(options)
    bundle = read_bundle(config.bundle_folder)
    division = divide_again(config, bundle.card)
    validation = load_set(division.validation, "validation").singly()
    reference = add_reference(config, bundle, validation).reference
    count = reference.images if reference else 0
    sys.stdout.write(f"reference of {count} images\n{config.bundle_folder}\n")
    if (config.bundle_folder / SIGNATURE_FILE).exists():
        sys.stderr.write("neumo-train: the card is another: sign the bundle anew\n")


def _hold_out(options: argparse.Namespace) -> None:
    config = _config(options)
    # Other findings are asked about also where they are not learned.
    division = _divide(config.model_copy(update={"other": "uniform"}))
    build_model(config)
    record = hold_out(config, division, options.fold, options.jobs)
    certainty = record.certainty
    sys.stdout.write(
        f"temperature {record.temperature or 'by validation'}, "
        f"distance factor {record.distance_factor:.2f}\n"
        f"ok: {_figure(certainty.answered)}, wrong of those: {_figure(certainty.wrong)}\n"
        f"{config.run_folder / RECORD_FILE}\n{config.run_folder / 'holdout' / TABLE_FILE}\n"
    )


def _sweep(options: argparse.Namespace) -> None:
    try:
        from training.sweep.search_space import read_space  # noqa: PLC0415 - of an extra
        from training.sweep.study import find_study, make_url  # noqa: PLC0415
        from training.sweep.sweep import BEST_FILE, Plan, run_sweep  # noqa: PLC0415
        from training.sweep.sweep_table import show_study  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise ExtraMissing from None
    values = _values(options)
    name, runs = str(values.get("name", "")), Path(str(values.get("runs", "runs")))
    if not name:
        raise _WrongCall("name: Field required")
    url, study = make_url(options.storage, runs / name / "sweep"), options.study or name
    if options.show:
        sys.stdout.write(show_study(find_study(url, study)))
        return
    if options.space is None or options.trials < 1:
        raise _WrongCall("sweep wants --space, and --trials of 1 or more")
    config = _config(options)
    build_model(config)  # unusable weights show now
    plan = Plan(values, read_space(options.space), options.fold, url, study, options.trials)
    _warn_of_patients(config.data, config.patient_pattern)
    try:
        told = run_sweep(plan, options.workers)
    except ValidationError as error:  # of a bound of the space
        raise _WrongCall(*_faults(error)) from None
    sys.stdout.write(f"{show_study(told)}{plan.folder / BEST_FILE}\n")


def _weights(options: argparse.Namespace) -> None:
    _check_pattern(options.patient_pattern)
    bundle = read_bundle(find_bundle(options.bundle))
    samples = read_samples(options.data, ("train",), options.patient_pattern, options.root)
    train = [sample for sample in samples if sample.split == "train"]
    few = [
        sample
        for label in range(len(LABELS))
        for sample in [each for each in train if each.label == label][:_RESTORING_IMAGES]
    ]
    state = restore_weights(bundle.graph, load_set(few, "train").images)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_whole(options.out, state)
    sys.stdout.write(f"{options.out}\n")


def _report(options: argparse.Namespace) -> None:
    _check_pattern(options.patient_pattern)
    wanted = Wanted(
        target=options.target,
        data=options.data or (),
        root=options.root,
        patient_pattern=options.patient_pattern,
        split=options.split,
        runs=options.runs,
        run=options.run_folder,
        bundle=options.bundle,
        holdout=options.holdout,
    )
    showing = Showing(films=not options.no_films, licences=frozenset(options.show_licence))
    path, found = write_report(wanted, showing, options.out)
    for each in found.missing:
        sys.stderr.write(f"neumo-train: missing: {each.what}\n  {each.command}\n")
    sys.stdout.write(f"{path}\n")


def _compare(options: argparse.Namespace) -> None:
    _check_pattern(options.patient_pattern)
    told = compare(
        options.first,
        options.second,
        options.split,
        options.data or (),
        options.patient_pattern,
        options.root,
    )
    for path, content in ((options.json, to_json), (options.html, render_page)):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content(told).encode())
    sys.stdout.write(render_terminal(told))


def _check_data(options: argparse.Namespace) -> None:
    _check_pattern(options.patient_pattern)
    inventory = take_inventory(options.data, options.patient_pattern, options.root)
    sys.stdout.write(render_inventory(inventory))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        write_whole(options.json, inventory_to_json(inventory).encode())
    refuse_unreadable(inventory)


def _config(options: argparse.Namespace) -> Config:
    try:
        return Config.model_validate(_values(options))
    except ValidationError as error:
        raise _WrongCall(*_faults(error)) from None


def _faults(error: ValidationError) -> list[str]:
    faults = error.errors(include_url=False)
    said = [fault["msg"].removeprefix("Value error, ") for fault in faults]
    places = [".".join(map(str, fault["loc"])) for fault in faults]
    return [": ".join(filter(None, pair)) for pair in zip(places, said, strict=True)]


def _values(options: argparse.Namespace) -> dict[str, object]:
    overrides = {key: value for key, value in vars(options).items() if key in Config.model_fields}
    try:
        return read_values(options.recipe, overrides)
    except (OSError, ValueError) as error:  # ValueError: not TOML, or not UTF-8
        raise _WrongCall(f"--recipe {options.recipe} can't be read: {error}") from None


def _divide(config: Config) -> Division:
    division = divide_data(config)
    _warn_of_patients(config.data, config.patient_pattern)
    _warn_of_few(division)
    return division


def _warn_of_patients(data: DataSets, patient_pattern: str | None) -> None:
    if started_together().first and lacks_patients(data, patient_pattern):
        sys.stderr.write(f"neumo-train: warning: {NO_PATIENTS}\n")


def _warn_of_few(division: Division) -> None:
    held = [sample for sample in division.validation if sample.label is not None]
    labels = np.array([sample.label for sample in held], np.int64)
    if started_together().first and not can_calibrate(labels, [sample.patient for sample in held]):
        sys.stderr.write(
            f"neumo-train: warning: validation has fewer than {LEAST_IMAGES} images, or than "
            f"{LEAST_PATIENTS} patients of a label: probabilities won't be calibrated, and there "
            "will be no operating points. --validation-share takes more for it\n"
        )


def _check_pattern(pattern: str | None) -> None:
    try:
        compile_pattern(pattern or "()")
    except ValueError as error:
        raise _WrongCall(f"patient_pattern: {error}") from None


def _fit_division(
    config: Config, division: Division, options: argparse.Namespace
) -> tuple[ImageSet, ImageSet]:
    """Fit, together with the processes that were started for it; return the images it took."""
    build_model(config)  # unusable weights show now too
    fitted, validation = load_set(division.fit, "fit"), load_set(division.validation, "validation")
    with join_ranks(options.peer_timeout):
        fit(config, fitted, validation, resume=options.resume)
    return fitted, validation


def _check_finished(config: Config, folder: RunFolder) -> None:
    """Make sure that a run has all its epochs, or has run out of patience."""
    history = folder.read_history()
    if not finished(history, config):
        raise RunUnfinished(
            folder=str(folder.path), done=str(len(history)), epochs=str(config.epochs)
        )


def _release(config: Config, splits: Splits, options: argparse.Namespace) -> None:
    _summarise(config, release(config, splits, _reproduction(config, options)))


def _summarise(config: Config, card: Card) -> None:
    for split, figures in card.metrics.items():
        sys.stdout.write(f"{split}\n{_summary(figures)}")
    sys.stdout.write(f"{config.bundle_folder}\n")


def _reproduction(config: Config, options: argparse.Namespace) -> str:
    """Return the command that makes the bundle from nothing: no --resume, nobody's folders.

    With the weights that the run was started from, given here or not.
    """
    weights = RunFolder(config).starting_weights()
    shown = vars(options) | {"out": None, "runs": None, "data": _show_data(options.data or [])}
    if options.root:
        shown["root"] = "DATA"
    if options.holdout:
        shown["holdout"] = f"RUNS/{config.name}/{RECORD_FILE}"
    if options.weights or weights != config.weights:
        shown["weights"] = Path(weights).name
    flags = [
        f"--{name.replace('_', '-')} {shlex.quote(str(value))}"
        for name in Config.model_fields
        if (values := shown.get(name)) is not None
        for value in (values if isinstance(values, list) else [values])
    ]
    recipe = [f"--recipe {shlex.quote(options.recipe.name)}"] if options.recipe else []
    return " ".join(["neumo-train run", *recipe, *flags])


def _show_data(given: Sequence[Path]) -> list[str]:
    """Name data sets without the folders above: one by its name, several by their folder's too."""
    names = [path.name if len(given) == 1 else "/".join(path.parts[-2:]) for path in given]
    return [f"DATA/{name}" for name in names]


def _summary(metrics: Metrics) -> str:
    rows = {
        "accuracy": metrics.accuracy,
        "balanced accuracy": metrics.balanced_accuracy,
        "macro-AUROC": metrics.macro_auroc,
    } | {f"{name} AUROC": task.auroc for name, task in metrics.tasks.items()}
    return "".join(f"  {name:<26} {_figure(value)}\n" for name, value in rows.items())


def _figure(interval: Interval) -> str:
    return f"{interval.value:.4f} ({interval.low:.4f} to {interval.high:.4f})"


_RUNS: Final[Mapping[str, Run]] = MappingProxyType(
    {
        "run": _run,
        "fit": _fit,
        "export": _export,
        "remeasure": _remeasure,
        "reference": _reference,
        "holdout": _hold_out,
        "sweep": _sweep,
        "evaluate": _evaluate,
        "report": _report,
        "compare": _compare,
        "weights": _weights,
        "data check": _check_data,
    }
)
