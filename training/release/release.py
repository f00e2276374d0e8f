"""A release: the checkpoint of a run becomes a bundle, its graph, hash and card together."""

import base64
import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from PIL import Image

from app.image.resize import PREPROCESSING
from app.machine import count_cpus
from app.model.bundle import FP32_FILE
from app.model.card import (
    BUNDLE_FORMAT,
    KNOWN_SIDE_PX,
    Card,
    DataSource,
    Exact,
    KnownAnswer,
    Training,
)
from app.model.figures import Quantisation, QuantisedFigures
from app.model.session import Network, Outputs, enlarge_known_pixels
from training.config import LABELS, Config
from training.data.images import ImageSet
from training.data.splits import Splits, describe_sources
from training.export.calibration import (
    UPRIGHT_THRESHOLD,
    fit_distance_threshold,
    fit_operating_points,
    fit_temperature,
    label_priors,
)
from training.export.graph import Tail, answer, take_images
from training.export.onnx_export import export_fp32, quantise
from training.fit.checkpoint import RunFolder, best_epoch
from training.fit.environment import commit, package_versions
from training.fit.trainer import load_best
from training.measure.audit import audit_graph
from training.measure.evaluation import Refusal, evaluate, run_core, run_network
from training.measure.quantisation import check_gate, choose, compare, methods_to_try
from training.metrics.metrics import macro_auroc
from training.release.bundle_writer import write_bundle
from training.release.features import fit_features

_SAID_ELSEWHERE: Final = {"data", "weights", "out", "runs"} | {
    "licence",
    "intended_use",
    "limitations",
    "population",
}
_KNOWN_TOLERANCE: Final = 0.05
_CARICATURE: Final = 4


def release(config: Config, splits: Splits, command: str) -> Card:
    """Write the bundle of a trained run to ``config.bundle_folder``; return its card.

    The folder appears whole: it is built beside and moved into place. ``model.fp32.onnx``,
    the graph before quantisation, lies in it too.
    """
    model = load_best(config)
    core = export_fp32(model, splits.validation.images[:16])
    bias = model.resnet.fc.bias.detach().numpy()
    exact = take_images(core)
    temperature = _fit_temperature(exact, bias, splits.validation)
    tail = Tail(bias, temperature, *fit_features(exact, splits.fit))
    exact_graph = answer(exact, tail).SerializeToString()
    reference = Network(exact_graph, count_cpus())
    validated_fp32 = run_network(reference, splits.validation.images, "validation, fp32")
    choice = _quantise_best(config, core, tail, splits, validated_fp32)
    check_gate(choice.quantisation.fp32_macro_auroc, choice.figures)
    graph = choice.graph.SerializeToString()
    network = Network(graph, count_cpus())
    validated = run_network(network, splits.validation.images, "validation")
    points = fit_operating_points(validated.probabilities, splits.validation.labels)
    refusal = Refusal(fit_distance_threshold(validated.distance), UPRIGHT_THRESHOLD)
    tested = run_network(network, splits.test.images, "test")
    tested_fp32 = run_network(reference, splits.test.images, "test, fp32")
    known = _ask_known(network, splits.fit)
    card = Card(
        bundle_format=BUNDLE_FORMAT,
        name=config.name,
        version=config.version,
        licence=config.licence,
        intended_use=config.intended_use,
        limitations=config.limitations,
        labels=list(LABELS),
        sha256=hashlib.sha256(graph).hexdigest(),
        preprocessing=PREPROCESSING,
        temperature=choice.temperature,
        operating_points=points,
        distance_threshold=refusal.distance_threshold,
        upright_threshold=refusal.upright_threshold,
        priors=label_priors(splits.validation.labels),
        population=config.population,
        training=_training(config, splits, command),
        metrics={
            "validation": evaluate(validated, splits.validation, points, refusal),
            "validation_fp32": evaluate(validated_fp32, splits.validation),
            "test": evaluate(tested, splits.test, points, refusal),
            "test_fp32": evaluate(tested_fp32, splits.test),
        },
        quantisation=choice.quantisation,
        audit={
            "validation": audit_graph(graph, splits.validation, validated, refusal, config.seed),
            "test": audit_graph(graph, splits.test, tested, refusal, config.seed),
        },
        known_answers=known,
        known_answer_tolerance=_KNOWN_TOLERANCE,
        fp32=_describe_fp32(exact_graph, reference, known),
    )
    graphs = {"model.onnx": graph, FP32_FILE: exact_graph}
    write_bundle(config.bundle_folder, card, graphs, splits.test.labels, tested.probabilities)
    return card


@dataclass(frozen=True, slots=True)
class _Int8:
    """The int8 graph that was chosen, and what else was tried."""

    graph: onnx.ModelProto
    temperature: float
    figures: QuantisedFigures
    quantisation: Quantisation


def _quantise_best(
    config: Config,
    core: onnx.ModelProto,
    tail: Tail,
    splits: Splits,
    exact: Outputs,
) -> _Int8:
    """Try every method with float32's `tail` at its own temperature; give the best its own."""
    calibration = _class_balanced(splits.fit, config.calibration_images, config.seed)
    labels = splits.validation.labels
    tried: dict[str, QuantisedFigures] = {}
    made: dict[str, tuple[onnx.ModelProto, Tail]] = {}
    for method in methods_to_try(config):
        bare = take_images(quantise(core, calibration, method))
        temperature = _fit_temperature(bare, tail.bias, splits.validation)
        cooled = replace(tail, temperature=temperature)
        network = Network(answer(bare, cooled).SerializeToString(), count_cpus())
        answers = run_network(network, splits.validation.images, f"validation, {method}")
        tried[method] = compare(labels, exact, answers)
        made[method] = bare, cooled
    best = choose(tried)
    bare, cooled = made[best]
    features = fit_features(bare, splits.fit)
    graph = answer(bare, Tail(cooled.bias, cooled.temperature, *features))
    fp32_macro_auroc = macro_auroc(labels, exact.probabilities)
    record = Quantisation(method=best, fp32_macro_auroc=fp32_macro_auroc, tried=tried)
    return _Int8(graph, cooled.temperature, tried[best], record)


def _fit_temperature(
    model: onnx.ModelProto, bias: NDArray[np.float32], validation: ImageSet
) -> float:
    """Calibrate a core that takes images by its own outputs."""
    cam, _ = run_core(model, validation.images)
    return fit_temperature(cam.mean((2, 3)) + bias, validation.labels)


def _class_balanced(images: ImageSet, count: int, seed: int) -> NDArray[np.uint8]:
    """Draw `count` / 4 images of each label, fewer where there are fewer."""
    generator = np.random.default_rng(seed)
    rows = [
        generator.permutation(np.flatnonzero(images.labels == index))[: count // len(LABELS)]
        for index in range(len(LABELS))
    ]
    # Mixed, as the calibrators' histograms take their bins from the first batch.
    chosen: NDArray[np.uint8] = images.images[generator.permutation(np.concatenate(rows))]
    return chosen


def _ask_known(network: Network, images: ImageSet) -> list[KnownAnswer]:
    """Ask the network about a caricature of each label: its mean image, differences enlarged.

    Means over hundreds of patients, so of none. Without the caricature all four look normal.
    """
    means = [images.images[images.labels == index].mean(0)[0] for index in range(len(LABELS))]
    common = np.mean(means, axis=0)
    answers = []
    for mean in means:
        drawn = (common + _CARICATURE * (mean - common)).clip(0, 255).astype(np.uint8)
        small = np.asarray(
            Image.fromarray(drawn).resize((KNOWN_SIDE_PX, KNOWN_SIDE_PX), Image.Resampling.BOX)
        )
        pixels = base64.b64encode(small.tobytes()).decode()
        told = network.run(enlarge_known_pixels(pixels)).probabilities[0]
        answers.append(KnownAnswer(pixels=pixels, probabilities=[float(value) for value in told]))
    return answers


def _describe_fp32(graph: bytes, network: Network, known: list[KnownAnswer]) -> Exact:
    """Say of the float32 graph what serving checks before it trusts it."""
    told = [network.run(enlarge_known_pixels(each.pixels)).probabilities[0] for each in known]
    return Exact(
        sha256=hashlib.sha256(graph).hexdigest(),
        known_probabilities=[[float(value) for value in values] for values in told],
    )


def _training(config: Config, splits: Splits, command: str) -> Training:
    folder = RunFolder(config)
    history = folder.read_history()
    return Training(
        strategy=config.strategy,
        starting_weights=Path(folder.starting_weights()).name,
        epochs=len(history),
        best_epoch=best_epoch(history).epoch,
        seed=config.seed,
        data=_sources(splits),
        command=command,
        settings=config.model_dump(mode="json", exclude=_SAID_ELSEWHERE),
        commit=commit(),
        date=datetime.now(UTC).date().isoformat(),
        environment={"fitted with": folder.fitted_with()} | package_versions(),
        duration_s=sum(epoch.seconds for epoch in history),
    )


def _sources(splits: Splits) -> list[DataSource]:
    return describe_sources([*splits.fit.samples, *splits.validation.samples])
