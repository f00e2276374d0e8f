"""The command ``neumo-train``: from labelled X-rays to a bundle."""

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
from pydantic import ValidationError

from app.errors import NeumoError
from app.model.bundle import find_bundle, read_bundle, read_fp32
from app.model.card import Card
from app.model.figures import Interval, Metrics
from training.config import Config, compile_pattern, load_config
from training.data.images import ImageSet, digest_images
from training.data.inventory import (
    inventory_to_json,
    refuse_unreadable,
    render_inventory,
    take_inventory,
)
from training.data.manifest import NO_PATIENTS, SPLITS, lacks_patients
from training.data.splits import Division, Splits, divide, load_set, load_splits
from training.files import write_whole
from training.fit.checkpoint import RunFolder, RunUnfinished
from training.fit.network import build_model
from training.fit.trainer import finished, fit
from training.measure.evaluation import evaluate_bundle
from training.metrics.reliability import LEAST_IMAGES, LEAST_PATIENTS, can_calibrate
from training.release.release import release
from training.release.remeasure import divide_again, remeasure

_CALLED_WRONGLY, _CANT_BE_DONE, _STOPPED = 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code (2: called wrongly, 3: it can't be done)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    before = signal.signal(signal.SIGTERM, _stop)  # what ends a job of a scheduler
    try:
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
        kept = " If an epoch was finished, the same command with --resume goes on after it."
        sys.stderr.write(f"\nneumo-train: stopped.{kept if hasattr(options, 'resume') else ''}\n")
        return _STOPPED
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


class _WrongCall(Exception):
    """What is wrong with the arguments, a line each."""


def _stop(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _run(options: argparse.Namespace) -> None:
    config = _config(options)
    division = _divide(config)
    test = load_set(division.test, "test")  # unreadable images show now; measured once, at the end
    fitted, validation = _fit_division(config, division, resume=options.resume)
    splits = Splits(fitted, validation, test)
    _release(config, splits, options)


def _fit(options: argparse.Namespace) -> None:
    config = _config(options)
    division = _divide(config)
    _fit_division(config, division, resume=options.resume)


def _export(options: argparse.Namespace) -> None:
    config = _config(options)
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
    metrics = evaluate_bundle(
        bundle, options.data, options.split, options.report, options.patient_pattern
    )
    sys.stdout.write(_summary(metrics) + f"{options.report}\n")


def _remeasure(options: argparse.Namespace) -> None:
    config = _config(options)
    bundle = read_bundle(config.bundle_folder)
    exact = read_fp32(config.bundle_folder, bundle)
    division = divide_again(config, bundle.card)
    _warn_of_patients(config.data, config.patient_pattern)
    _warn_of_few(division)
    _summarise(config, remeasure(config, bundle, exact, load_splits(division)))


def _check_data(options: argparse.Namespace) -> None:
    _check_pattern(options.patient_pattern)
    inventory = take_inventory(options.data, options.patient_pattern)
    sys.stdout.write(render_inventory(inventory))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        write_whole(options.json, inventory_to_json(inventory).encode())
    refuse_unreadable(inventory)


def _config(options: argparse.Namespace) -> Config:
    overrides = {key: value for key, value in vars(options).items() if key in Config.model_fields}
    try:
        return load_config(options.recipe, overrides)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        said = [fault["msg"].removeprefix("Value error, ") for fault in faults]
        places = [".".join(map(str, fault["loc"])) for fault in faults]
        lines = [": ".join(filter(None, pair)) for pair in zip(places, said, strict=True)]
        raise _WrongCall(*lines) from None
    except (OSError, ValueError) as error:  # ValueError: not TOML, or not UTF-8
        raise _WrongCall(f"--recipe {options.recipe} can't be read: {error}") from None


def _divide(config: Config) -> Division:
    division = divide(
        config.data,
        config.validation_share,
        config.seed,
        config.leave_out,
        config.subset,
        config.patient_pattern,
    )
    _warn_of_patients(config.data, config.patient_pattern)
    _warn_of_few(division)
    return division


def _warn_of_patients(data: Path, patient_pattern: str | None) -> None:
    if lacks_patients(data, patient_pattern):
        sys.stderr.write(f"neumo-train: warning: {NO_PATIENTS}\n")


def _warn_of_few(division: Division) -> None:
    held = division.validation
    labels = np.array([sample.label for sample in held], np.int64)
    if not can_calibrate(labels, [sample.patient for sample in held]):
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


def _fit_division(config: Config, division: Division, *, resume: bool) -> tuple[ImageSet, ImageSet]:
    """Fit, and return the images it took: fit and validation."""
    build_model(config)  # unusable weights show now too
    fitted, validation = load_set(division.fit, "fit"), load_set(division.validation, "validation")
    fit(config, fitted, validation, resume=resume)
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
    shown = vars(options) | {"out": None, "runs": None}
    if options.data:
        shown["data"] = f"DATA/{Path(options.data).name}"
    if options.weights or weights != config.weights:
        shown["weights"] = Path(weights).name
    flags = [
        f"--{name.replace('_', '-')} {shlex.quote(str(shown[name]))}"
        for name in Config.model_fields
        if shown.get(name) is not None
    ]
    recipe = [f"--recipe {shlex.quote(options.recipe.name)}"] if options.recipe else []
    return " ".join(["neumo-train run", *recipe, *flags])


def _summary(metrics: Metrics) -> str:
    rows = {
        "accuracy": metrics.accuracy,
        "balanced accuracy": metrics.balanced_accuracy,
        "macro-AUROC": metrics.macro_auroc,
    } | {f"{name} AUROC": task.auroc for name, task in metrics.tasks.items()}
    return "".join(f"  {name:<26} {_figure(value)}\n" for name, value in rows.items())


def _figure(interval: Interval) -> str:
    return f"{interval.value:.4f} ({interval.low:.4f} to {interval.high:.4f})"


_RECIPE: Final = "TOML file with any of these settings, or the name of one that comes with neumo"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="neumo-train", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, text in (
        ("run", _run, "train, export, quantise, measure and write the bundle"),
        ("fit", _fit, "only train: write the best checkpoint to the run folder"),
        ("export", _export, "only the rest: make the bundle of a run that was fitted"),
        ("remeasure", _remeasure, "fit refusal and measure a bundle anew; the network stays"),
    ):
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.set_defaults(run=run)
        command.add_argument("--recipe", type=Path, help=_RECIPE)
        _add_settings(command)
        if run in (_run, _fit):
            resume = "go on after the last whole epoch of this run"
            command.add_argument("--resume", action="store_true", help=resume)
    _add_evaluate(commands)
    _add_data(commands)
    return parser


def _add_settings(command: argparse.ArgumentParser) -> None:
    for name, field in Config.model_fields.items():
        if name in ("limitations", "leave_out", "population"):
            continue  # lists and tables belong in a recipe
        flag: dict[str, Any] = {"help": f"{field.description} (default: {field.default})"}
        if field.is_required():
            flag["help"] = f"{field.description} (here or in the recipe)"
        command.add_argument("--" + name.replace("_", "-"), **flag)


def _add_evaluate(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    text = "measure a bundle through ONNX Runtime; write evaluation.json and plots"
    command = commands.add_parser("evaluate", help=text, description=text)
    command.set_defaults(run=_evaluate)
    command.add_argument("--bundle", required=True, help="A bundle's name or folder")
    _add_data_set(command)
    command.add_argument("--split", choices=SPLITS, default="test", help="(default: test)")
    command.add_argument(
        "--report", type=Path, default=Path("report"), help="Folder to write to (default: report)"
    )


def _add_data(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    text = "look at a data set"
    parts = commands.add_parser("data", help=text, description=text)
    kinds = parts.add_subparsers(required=True, metavar="COMMAND")
    text = "count it; find unreadable and repeated images, and labels that the source gives away"
    command = kinds.add_parser("check", help=text, description=text)
    command.set_defaults(run=_check_data)
    _add_data_set(command)
    command.add_argument("--json", type=Path, help="File to write the whole inventory to")


def _add_data_set(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", type=Path, required=True, help="manifest.csv, or a folder")
    pattern = Config.model_fields["patient_pattern"].description
    command.add_argument("--patient-pattern", help=pattern)
