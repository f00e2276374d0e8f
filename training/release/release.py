"""A release: the checkpoint of a run becomes a bundle, its graph, hash and card together."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import torch

from app.image.resize import PREPROCESSING
from app.model.bundle import FP32_FILE
from app.model.card import (
    BUNDLE_FORMAT,
    Card,
    DataSource,
    Training,
)
from app.model.labels import LABEL_IDS, LabelId
from training.config import LABELS, Config
from training.data.splits import Splits, describe_sources
from training.export.calibration import label_priors
from training.export.graph import Tail, answer
from training.export.input_rule import take_images
from training.export.onnx_export import export_fp32
from training.fit.sampling import share_labels, shift_to_priors
from training.fit.trainer import load_best
from training.holdout.record import read_record
from training.measure.predictions import PREDICTIONS_FILE, write_predictions
from training.metrics.reliability import can_calibrate
from training.release.bundle_writer import write_bundle
from training.release.known_answers import ask_known, describe_fp32
from training.release.measurement import measure_bundle
from training.release.quantisation import quantise_best
from training.release.tail import calibrate, fit_features
from training.report.limitations import state_limitations
from training.run.checkpoint import RunFolder
from training.run.environment import commit, package_versions
from training.run.history import kept_epoch

_SAID_ELSEWHERE: Final = {"data", "root", "weights", "out", "runs", "holdout"} | {
    "licence",
    "intended_use",
    "limitations",
    "population",
}
_KNOWN_TOLERANCE: Final = 0.05


def release(config: Config, splits: Splits, command: str) -> Card:
    """Write the bundle of a trained run to ``config.bundle_folder``; return its card.

    The folder appears whole: it is built beside and moved into place. ``model.fp32.onnx``,
    the graph before quantisation, lies in it too. What it answers for each image of validation and
    test lies in the run's folder, ``predictions.csv``: a bundle names nobody's files.

    Where validation is too small to choose by, the card claims no calibration and has no operating
    points. All is chosen and measured by images that have one label each, but for what the sources
    held out decide, where `config.holdout` names what they gave.
    """
    held_out = read_record(config)
    temperature = held_out.temperature if held_out else None
    model = load_best(config)
    every, splits = splits, splits.singly()
    model.resnet.fc.bias.data += torch.from_numpy(shift_to_priors(every.fit.samples, config))
    core = export_fp32(model, splits.validation.images[:16], config.side_px)
    bias = model.resnet.fc.bias.detach().numpy()
    bare = take_images(core)
    uncalibrated = Tail(bias, 1.0, *fit_features(bare, splits.fit))
    tail, validated = calibrate(bare, uncalibrated, splits.validation, "fp32", temperature)
    fp32: bytes = answer(bare, tail).SerializeToString()
    int8 = quantise_best(config, core, tail, splits, validated, temperature)
    measured = measure_bundle(int8.graph, fp32, splits, LABELS, config.seed, config)
    known = ask_known(int8.graph, splits.fit)
    enough = can_calibrate(splits.validation.labels, splits.validation.patients)
    card = Card(
        bundle_format=BUNDLE_FORMAT,
        name=config.name,
        version=config.version,
        licence=config.licence,
        intended_use=config.intended_use,
        limitations=state_limitations(
            config,
            config.limitations,
            calibrated=enough or held_out is not None,
            operating_points=measured.operating_points is not None,
        ),
        labels=list(LABELS),
        sha256=hashlib.sha256(int8.graph).hexdigest(),
        preprocessing=PREPROCESSING,
        temperature=int8.temperature,
        priors=_priors(config, every) if enough else None,
        population=config.population,
        training=_training(config, every, command),
        quantisation=int8.record,
        known_answers=known,
        known_answer_tolerance=_KNOWN_TOLERANCE,
        fp32=describe_fp32(fp32, known),
        intervals="score",
        **measured.members(),
    )
    graphs = {"model.onnx": int8.graph, FP32_FILE: fp32}
    write_bundle(config.bundle_folder, card, graphs, splits.test.labels, measured.tested)
    write_predictions(config.run_folder / PREDICTIONS_FILE, measured.predictions)
    return card


def _priors(config: Config, splits: Splits) -> dict[LabelId, float]:
    """Return how common each label is to the answers."""
    if config.priors == "even":
        return dict.fromkeys(LABEL_IDS, 1 / len(LABEL_IDS))
    if config.sampling_power == config.label_power == 1:
        return label_priors(splits.validation.singly().labels)
    return share_labels(splits.fit.samples, config)


def _training(config: Config, splits: Splits, command: str) -> Training:
    folder = RunFolder(config)
    history = folder.read_history()
    return Training(
        strategy=config.strategy,
        starting_weights=Path(folder.starting_weights()).name,
        epochs=len(history),
        best_epoch=kept_epoch(history, config.keep).epoch,
        seed=config.seed,
        data=_sources(splits),
        command=command,
        settings=_settings(config),
        commit=commit(),
        date=datetime.now(UTC).date().isoformat(),
        environment={"fitted with": folder.fitted_with()} | package_versions(),
        duration_s=sum(epoch.seconds for epoch in history),
    )


def _settings(config: Config) -> dict[str, Any]:
    """Return the settings of a run, without whose folders they name."""
    told = config.model_dump(mode="json", exclude=_SAID_ELSEWHERE)
    teacher = config.teacher_bundle
    return told | {"teacher_bundle": teacher.name if teacher else None}


def _sources(splits: Splits) -> list[DataSource]:
    return describe_sources([*splits.fit.samples, *splits.validation.samples])
