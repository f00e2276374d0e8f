"""The arguments of ``neumo-train``: a flag for each setting, and what else a command takes."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from training.config import Config
from training.data.manifest import SPLITS

Run = Callable[[argparse.Namespace], None]

_DATA: Final = "manifest.csv, or a folder"
_OF_RECIPES: Final = (
    *("limitations", "leave_out", "unlearned_sources", "population"),
    *("teacher_sources", "children", "weak_sets", "collections"),
)
"""Lists and tables: no flags."""

_RECIPE: Final = "TOML file with any of these settings, or the name of one that comes with neumo"


def build_parser(description: str | None, runs: Mapping[str, Run]) -> argparse.ArgumentParser:
    """Return the parser; what it parses has in `run` the function of the command called.

    Parameters
    ----------
    runs : run, fit, export, remeasure, reference, holdout, sweep, evaluate, report, compare,
        weights, and data check
    """
    parser = argparse.ArgumentParser(
        prog="neumo-train", description=description, allow_abbrev=False
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text in (
        ("run", "train, export, quantise, measure and write the bundle"),
        ("fit", "only train: write the best checkpoint to the run folder"),
        ("export", "only the rest: make the bundle of a run that was fitted"),
        ("remeasure", "fit refusal and measure a bundle anew; the network stays"),
        ("reference", "write into a bundle's card how validation's films lie, to tell drift"),
        ("holdout", "train without each source in turn; choose thresholds by what that answers"),
    ):
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.set_defaults(run=runs[name])
        command.add_argument("--recipe", type=Path, help=_RECIPE)
        _add_settings(command)
        _add_quiet(command)
        if name in ("run", "fit"):
            resume = "go on after the last whole epoch of this run"
            command.add_argument("--resume", action="store_true", help=resume)
            _add_peers(command)
        if name == "holdout":
            _add_folds(command)
            _add_jobs(command)
    _add_sweep(commands, runs["sweep"])
    _add_evaluate(commands, runs["evaluate"])
    _add_report(commands, runs["report"])
    _add_compare(commands, runs["compare"])
    _add_weights(commands, runs["weights"])
    _add_data(commands, runs["data check"])
    return parser


def _add_quiet(command: argparse.ArgumentParser) -> None:
    text = "Show no progress: only what was found, warnings and errors"
    command.add_argument("--quiet", action="store_true", help=text)


def _add_peers(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--peer-timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="Under torchrun: how long a process may be silent until the others give up "
        "(default: 600)",
    )


def _add_folds(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--fold",
        action="append",
        type=lambda text: [name.strip() for name in text.split(",")],
        default=[],
        metavar="SOURCE[,SOURCE...]",
        help="Sources to leave out together; give it once a fold (default: each source with "
        "normal or COVID-19 images by itself)",
    )


def _add_jobs(command: argparse.ArgumentParser) -> None:
    text = "Folds that are trained at once, in processes (default: 1)"
    command.add_argument(
        "--jobs", type=int, choices=range(1, 65), default=1, metavar="N", help=text
    )


def _add_settings(command: argparse.ArgumentParser) -> None:
    for name, field in Config.model_fields.items():
        if name in _OF_RECIPES:
            continue
        flag: dict[str, Any] = {"help": f"{field.description} (default: {field.default})"}
        if field.is_required():
            flag["help"] = f"{field.description} (here or in the recipe)"
        if name == "data":
            flag |= {"action": "append", "type": Path}
        command.add_argument("--" + name.replace("_", "-"), **flag)


def _add_sweep(commands: Any, run: Run) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    text = "search for a recipe's settings, trial by trial; write the best as a recipe"
    command = commands.add_parser("sweep", help=text, description=text, allow_abbrev=False)
    command.set_defaults(run=run)
    command.add_argument("--recipe", type=Path, help=_RECIPE)
    command.add_argument(
        "--space",
        type=Path,
        help="TOML file of what is searched for, or the name of one that comes with neumo",
    )
    command.add_argument(
        "--trials",
        type=int,
        default=20,
        metavar="N",
        help="How many there are to be in the study in the end (default: 20)",
    )
    command.add_argument(
        "--workers",
        type=int,
        choices=range(1, 65),
        default=1,
        metavar="N",
        help="Trials that run at once, in processes (default: 1)",
    )
    command.add_argument(
        "--storage",
        metavar="FILE|URL",
        help="The study's database: a file, sqlite:/// or postgresql:// (default: "
        "RUNS/NAME/sweep/study.db)",
    )
    command.add_argument("--study", metavar="NAME", help="In that database (default: the run's)")
    shown = "Show the trials so far, and run none"
    command.add_argument("--show", action="store_true", help=shown)
    _add_folds(command)
    _add_settings(command)
    _add_quiet(command)


def _add_evaluate(commands: Any, run: Run) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    text = "measure a bundle through ONNX Runtime; write evaluation.json and plots"
    command = commands.add_parser("evaluate", help=text, description=text)
    command.set_defaults(run=run)
    command.add_argument("--bundle", required=True, help="A bundle's name or folder")
    _add_data_set(command)
    command.add_argument("--split", choices=SPLITS, default="test", help="(default: test)")
    command.add_argument(
        "--report", type=Path, default=Path("report"), help="Folder to write to (default: report)"
    )


def _add_report(commands: Any, run: Run) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    text = "show a run or a bundle on one page of HTML, and write predictions.csv beside it"
    command = commands.add_parser("report", help=text, description=text, allow_abbrev=False)
    command.set_defaults(run=run)
    command.add_argument("target", metavar="RUN|BUNDLE", help="By folder or by name")
    _add_data_set(command, required=False)
    _add_measured_split(command)
    command.add_argument("--out", type=Path, help="File to write (default: NAME-report.html)")
    command.add_argument("--no-films", action="store_true", help="Leave all films out")
    command.add_argument(
        "--show-licence",
        action="append",
        default=[],
        metavar="LICENCE",
        help="Show films of this licence too, as the manifest writes it; others than Creative "
        "Commons BY, BY-SA, CC0 and the public domain stay out",
    )
    command.add_argument(
        "--runs", type=Path, default=Path("runs"), help="Folder that holds the runs (default: runs)"
    )
    command.add_argument(
        "--run", type=Path, dest="run_folder", help="The bundle's run (default: RUNS/NAME)"
    )
    command.add_argument("--bundle", type=Path, help="The run's bundle (default: by its settings)")
    command.add_argument(
        "--holdout", type=Path, help="What `neumo-train holdout` wrote (default: the card's)"
    )


def _add_compare(commands: Any, run: Run) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    text = "compare two models on images that neither was fitted to, paired by patient"
    command = commands.add_parser("compare", help=text, description=text, allow_abbrev=False)
    command.set_defaults(run=run)
    for name in ("first", "second"):
        told = "A bundle, by folder or name, or a predictions.csv"
        command.add_argument(name, metavar="A" if name == "first" else "B", help=told)
    _add_data_set(command, required=False)
    _add_measured_split(command)
    command.add_argument("--json", type=Path, help="File to write all figures to")
    command.add_argument("--html", type=Path, help="File to write a page to")


def _add_measured_split(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--split",
        choices=("validation", "test"),
        default="validation",
        help="What is asked: what training held out, or the test split, which chooses nothing "
        "only while nobody reads it (default: validation)",
    )


def _add_weights(commands: Any, run: Run) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    text = "make a bundle's int8 graph a state dict that --weights takes, its head included"
    command = commands.add_parser("weights", help=text, description=text)
    command.set_defaults(run=run)
    command.add_argument("--bundle", required=True, help="A bundle's name or folder")
    _add_data_set(command)
    command.add_argument("--out", type=Path, required=True, help="File to write")


def _add_data(commands: Any, run: Run) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    text = "look at a data set"
    parts = commands.add_parser("data", help=text, description=text)
    kinds = parts.add_subparsers(required=True, metavar="COMMAND")
    text = "count it; find unreadable and repeated images, and labels that the source gives away"
    command = kinds.add_parser("check", help=text, description=text)
    command.set_defaults(run=run)
    _add_data_set(command)
    command.add_argument("--json", type=Path, help="File to write the whole inventory to")


def _add_data_set(command: argparse.ArgumentParser, *, required: bool = True) -> None:
    command.add_argument(
        "--data", type=Path, action="append", required=required, help=f"{_DATA}; may be repeated"
    )
    command.add_argument("--root", type=Path, help=Config.model_fields["root"].description)
    pattern = Config.model_fields["patient_pattern"].description
    command.add_argument("--patient-pattern", help=pattern)
    _add_quiet(command)
