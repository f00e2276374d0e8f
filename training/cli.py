"""The command ``neumo-train``: from labelled X-rays to a bundle."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.errors import NeumoError
from training.config import Config, load_config
from training.data import Division, Sample, divide, load_images
from training.fit import ImageSet, fit, load_history
from training.model import build_model
from training.release import Splits, release


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code (2: called wrongly, 3: it can't be done)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    overrides = {key: value for key, value in vars(options).items() if key in Config.model_fields}
    try:
        config = load_config(options.recipe, overrides)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            name = ".".join(map(str, fault["loc"]))
            sys.stderr.write(f"neumo-train: {name}: {fault['msg']}\n")
        return 2
    except (OSError, ValueError) as error:  # ValueError: not TOML, or not UTF-8
        sys.stderr.write(f"neumo-train: --recipe {options.recipe} can't be read: {error}\n")
        return 2
    try:
        options.run(config, shlex.join(["neumo-train", *given]))
    except NeumoError as error:
        sys.stderr.write(f"neumo-train: {error}\n")
        return 3
    except KeyboardInterrupt:
        sys.stderr.write(f"neumo-train: stopped; what is done lies in {config.run_folder}\n")
        return 130
    return 0


def _run(config: Config, command: str) -> None:
    division = divide(config.data, config.validation_share, config.seed)
    fitted, validation = _fit_division(config, division)
    _release(config, Splits(fitted, validation, _load(division.test, "test")), command)


def _fit(config: Config, _: str) -> None:
    _fit_division(config, divide(config.data, config.validation_share, config.seed))


def _export(config: Config, command: str) -> None:
    load_history(config)  # a missing run shows now, not after minutes of reading images
    division = divide(config.data, config.validation_share, config.seed)
    splits = Splits(
        _load(division.fit, "fit"),
        _load(division.validation, "validation"),
        _load(division.test, "test"),
    )
    again = command.replace(" export", " run", 1)  # what makes the same bundle from nothing
    _release(config, splits, again)


def _fit_division(config: Config, division: Division) -> tuple[ImageSet, ImageSet]:
    """Fit, and return the images it took: fit and validation."""
    build_model(config)  # unusable weights show now too
    fitted, validation = _load(division.fit, "fit"), _load(division.validation, "validation")
    fit(config, fitted, validation)
    return fitted, validation


def _load(samples: Sequence[Sample], what: str) -> ImageSet:
    return ImageSet(load_images(samples, what), samples)


def _release(config: Config, splits: Splits, command: str) -> None:
    card = release(config, splits, command)
    sys.stdout.write(f"{config.bundle_folder}\n")
    for split, figures in card.metrics.items():
        sys.stdout.write(
            f"{split:>12}: accuracy {figures.accuracy.value:.4f}, balanced accuracy "
            f"{figures.balanced_accuracy.value:.4f}, macro-AUROC {figures.macro_auroc.value:.4f}\n"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="neumo-train", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, text in (
        ("run", _run, "train, export, quantise, measure and write the bundle"),
        ("fit", _fit, "only train: write the best checkpoint to the run folder"),
        ("export", _export, "only the rest: make the bundle of a run that was fitted"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        command.add_argument("--recipe", type=Path, help="TOML file with any of these settings")
        _add_settings(command)
    return parser


def _add_settings(command: argparse.ArgumentParser) -> None:
    for name, field in Config.model_fields.items():
        if name == "limitations":
            continue  # sentences belong in a recipe
        flag: dict[str, Any] = {"help": f"{field.description} (default: {field.default})"}
        if field.is_required():
            flag["help"] = f"{field.description} (here or in the recipe)"
        command.add_argument("--" + name.replace("_", "-"), **flag)
