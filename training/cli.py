"""The command ``neumo-train``: from labelled X-rays to a bundle."""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.errors import NeumoError
from training.config import Config, load_config
from training.data import load_images, read_samples, split_validation
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
    _check(config)
    splits = _load(config)
    begun = time.monotonic()
    fit(config, splits.fit, splits.validation)
    _release(config, splits, command, time.monotonic() - begun)


def _fit(config: Config, _: str) -> None:
    _check(config)
    splits = _load(config)
    fit(config, splits.fit, splits.validation)


def _export(config: Config, command: str) -> None:
    history = load_history(config)
    again = command.replace(" export", " run", 1)  # what makes the same bundle from nothing
    _release(config, _load(config), again, sum(epoch.seconds for epoch in history))


def _check(config: Config) -> None:
    """Let unusable data or weights show now, not after minutes of reading images."""
    read_samples(config.data)
    build_model(config)


def _load(config: Config) -> Splits:
    samples = read_samples(config.data)
    train = [sample for sample in samples if sample.split == "train"]
    test = [sample for sample in samples if sample.split == "test"]
    fitted, validation = split_validation(train, config.validation_share, config.seed)
    return Splits(
        fit=ImageSet(load_images(fitted, "fit"), fitted),
        validation=ImageSet(load_images(validation, "validation"), validation),
        test=ImageSet(load_images(test, "test"), test),
    )


def _release(config: Config, splits: Splits, command: str, duration_s: float) -> None:
    card = release(config, splits, command, duration_s)
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
