"""The part of a report about where all this comes from: hashes, seed, versions, command."""

import hashlib
import json
import shlex
from collections.abc import Sequence
from typing import Any, Final

from training.config import Config
from training.data.manifest import Sample
from training.html_report.html_elements import Html, command, items, paragraph, section, table
from training.html_report.material import Material

_PLACES: Final = ("data", "root", "out", "runs", "weights", "holdout")
_NO_FLAGS: Final = (
    *("licence", "intended_use", "limitations", "population", "leave_out", "unlearned_sources"),
    *("teacher_sources", "children", "weak_sets", "collections"),
)


def describe_limits(found: Material) -> Html:
    """Write out what it is for, and what is known to be wrong: of a bundle, by its card."""
    if not found.bundle:
        return ""
    card = found.bundle.card
    return section(
        "limits",
        "Use and limits",
        [
            paragraph(card.intended_use),
            items(card.limitations),
            paragraph(f"Licence of the weights: {card.licence}", "faint"),
        ],
    )


def describe_origin(found: Material) -> Html:
    """Write out hashes, seed, versions and settings, and the command that makes it again."""
    rows: list[list[object]] = []
    line, settings, environment = "", {}, {}
    if found.run:
        config, environment = found.run.config, dict(found.run.environment)
        line = _command(config)
        settings = json.loads(config.model_dump_json(exclude=set(_PLACES) | set(_NO_FLAGS)))
        rows += [["seed", config.seed], ["strategy", config.strategy]]
    if found.bundle:
        card = found.bundle.card
        training = card.training
        line = training.command
        settings = dict(training.settings) or settings
        environment |= {"packages": training.environment, "commit": training.commit}
        rows = [
            ["model.onnx, sha256", f"`{card.sha256}`"],
            ["model.fp32.onnx, sha256", f"`{card.fp32.sha256}`" if card.fp32 else "none"],
            ["seed", training.seed],
            ["strategy", training.strategy],
            ["starting weights", training.starting_weights],
            ["made on", training.date],
        ]
    if found.samples:
        rows.append(["data, sha256 over all files in order", f"`{digest_files(found.samples)}`"])
    rows += [
        [name, ", ".join(f"{key} {each}" for key, each in value.items())]
        if isinstance(value, dict)
        else [name, str(value)]
        for name, value in environment.items()
        if name != "seed"
    ]
    told = table(["setting", "value"], [[name, _show(value)] for name, value in settings.items()])
    return section(
        "origin",
        "Making it again",
        [
            command(line),
            table(["what", "is"], rows),
            f"<details><summary>All settings</summary>{told}</details>",
        ],
    )


def digest_files(samples: Sequence[Sample]) -> str:
    """Return the sha256 over the sha256 of each image's file, its label, split and patient."""
    whole = hashlib.sha256()
    for sample in samples:
        content = hashlib.sha256(sample.path.read_bytes()).hexdigest()
        told = (content, sample.named, sample.split, sample.patient, sample.source)
        whole.update(("\t".join(told) + "\n").encode())
    return whole.hexdigest()


def _command(config: Config) -> str:
    """Return the command of a run, nobody's folders in it; what has no flag is said apart."""
    given = {
        name: value
        for name, value in config.model_dump(mode="json").items()
        if value != Config.model_fields[name].default and name not in (*_PLACES, *_NO_FLAGS, "name")
    }
    flags = [
        f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in given.items()
    ]
    data = " ".join(f"--data DATA/{path.name}" for path in config.data)
    weights = config.weights.rpartition("/")[2]
    lists = [name for name in _NO_FLAGS[4:] if getattr(config, name)]
    recipe = f"  # and, in a recipe: {', '.join(lists)}" if lists else ""
    return (
        " ".join(["neumo-train run", f"--name {config.name}", data, f"--weights {weights}", *flags])
        + recipe
    )


def _show(value: Any) -> str:  # noqa: ANN401 - of JSON
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
