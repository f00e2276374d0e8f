"""Measuring a bundle anew: card and graphs as this version writes them, the network as it is.

For a bundle from before a figure, a rule or a limitation was known, or one whose operating
points a hospital wants from its own patients.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from app.errors import NeumoError
from app.language import Text
from app.model.bundle import FP32_FILE, Bundle
from app.model.card import BUNDLE_FORMAT, Card, DataSource, Exact, KnownAnswer
from app.model.labels import LabelId
from app.model.measured.figures import Metrics
from training.config import Config
from training.data.faults import name_some
from training.data.images import ImageSet
from training.data.manifest import read_samples
from training.data.splits import Division, Splits, describe_sources, divide_data
from training.export.calibration import label_priors
from training.export.graph import Tail, answer, cut_tail
from training.export.input_rule import read_blocks
from training.holdout.record import read_record
from training.measure.predictions import PREDICTIONS_FILE, write_predictions
from training.release.bundle_writer import write_bundle
from training.release.known_answers import ask_again, describe_fp32
from training.release.measurement import measure_bundle
from training.release.tail import fit_features
from training.report.limitations import LASTING, NOT_CALIBRATED, state_limitations

_DIVIDES: Final = (
    *("seed", "validation_share", "subset", "leave_out", "patient_pattern", "other"),
    "unlearned_sources",
)
_TEXTS: Final = ("licence", "intended_use", "limitations", "population")


class SplitDiffers(NeumoError):
    """Validation would hold images that the network was fitted to."""

    code = "split_differs"
    title = Text("The validation split would be another", "La validación sería otra")
    advice = Text(
        "{bundle} was fitted with {settings}: with another value, images that it learned from "
        "would count as validation. Give the same, or none: then the card's is taken.",
        "{bundle} se ajustó con {settings}: con otro valor, imágenes de las que aprendió contarían "
        "como validación. Indique el mismo, o ninguno: entonces se toma el de la ficha.",
    )


class SourcesDiffer(NeumoError):
    """Images of a source that was fitted, but not those that were."""

    code = "sources_differ"
    title = Text("The data set is partly the bundle's", "Los datos son en parte los del modelo")
    advice = Text(
        "{bundle} was fitted to images of {sources}, but this data set trains on others of that "
        "name, so what was held out can't be told. Give the data set of the run, or one whose "
        "training images come from other sources.",
        "{bundle} se ajustó con imágenes de {sources}, pero estos datos entrenan con otras de ese "
        "nombre, y no se puede saber cuáles se reservaron. Indique los datos del entrenamiento, u "
        "otros cuyas imágenes de entrenamiento procedan de otras fuentes.",
    )


def divide_again(config: Config, card: Card) -> Division:
    """Divide the data set; if the network was fitted to it, then as its run did, by the card.

    Of a data set that shares no source with the card's nothing was fitted: it is divided as
    `config` says. A card without `settings` tells the seed alone; the rest is `config`'s then.

    Raises
    ------
    SplitDiffers
        If a setting that decides the division was given, and is not the card's.
    SourcesDiffer
        If the data set shares a source with the card's, but not its images.
    DataError
        As `divide` does.
    """
    samples = read_samples(config.data, patient_pattern=config.patient_pattern, root=config.root)
    here = {sample.source for sample in samples if sample.split == "train"}
    shared = sorted(here & {source.source for source in card.training.data})
    if shared:
        config = _as_fitted(config, card)
    division = divide_data(config)
    trained = describe_sources([*division.fit, *division.validation])
    if shared and _count(trained) != _count(card.training.data):
        raise SourcesDiffer(bundle=card.name, sources=", ".join(shared))
    return division


def _as_fitted(config: Config, card: Card) -> Config:
    known = {"seed": card.training.seed} | {
        name: value for name, value in card.training.settings.items() if name in _DIVIDES
    }
    wrong = [
        name
        for name, value in known.items()
        if name in config.model_fields_set and getattr(config, name) != value
    ]
    if wrong:
        settings = ", ".join(_show(name, known[name]) for name in wrong)
        raise SplitDiffers(bundle=card.name, settings=settings)
    return config.model_copy(update=known)


def _show(name: str, value: Any) -> str:  # noqa: ANN401 - of JSON
    if value in (None, []):
        return f"no {name}"
    return f"{name} {name_some(value) if isinstance(value, list) else value}"


def _count(sources: Iterable[DataSource]) -> Counter[tuple[str, str]]:
    """Count images by source and label; licences may have been told otherwise."""
    counts: Counter[tuple[str, str]] = Counter()
    for source in sources:
        for label, images in source.images.items():
            counts[source.source, label] += images
    return counts


def remeasure(config: Config, int8: Bundle, fp32: Bundle | None, splits: Splits) -> Card:
    """Fit distance and orientation, choose, and measure anew; write ``config.bundle_folder``.

    And ``predictions.csv``, into the folder of the runs' that bears the bundle's name.

    The network stays, so the priors do too, and how it was quantised; its temperature also, unless
    sources held out gave another; texts and population are the card's where `config` was given no
    others. `fp32` is the float32 graph
    beside, as `app.model.bundle.read_fp32` gives it: its distance is fitted and its figures are
    measured anew as well. Where there is none, the card no longer vouches for one, and keeps its
    figures only of the images that are measured here, and that have one label each.
    """
    card = int8.card
    singly = splits.singly()
    held_out = read_record(config)
    temperature = held_out.temperature if held_out else None
    graph = _refit(int8, singly.fit, temperature)
    exact = _refit(fp32, singly.fit, temperature) if fp32 else None
    measured = measure_bundle(graph, exact, singly, card.labels, card.training.seed, config)
    known = ask_again(graph, card.known_answers) if held_out else card.known_answers
    told = {name: getattr(config, name) for name in _TEXTS if name in config.model_fields_set}
    made = {
        "bundle_format": BUNDLE_FORMAT,
        "sha256": _hash(graph),
        "temperature": temperature or card.temperature,
        "known_answers": known,
        "priors": card.priors or _priors(card, splits),
        "intervals": "score",
        **measured.members(),
        "metrics": measured.metrics if exact else _keep_fp32(measured.metrics, card.metrics),
        "fp32": _tell_exact(card, exact, known, asked=held_out is not None),
    }
    points = measured.operating_points is not None
    limits = {"limitations": _limit(config, card, operating_points=points)}
    card = Card.model_validate(dict(card) | told | made | limits)
    folder = config.bundle_folder
    graphs = {path.name: path.read_bytes() for path in folder.glob("model*.onnx")}
    graphs |= {"model.onnx": graph} | ({FP32_FILE: exact} if exact else {})
    write_bundle(folder, card, graphs, singly.test.labels, measured.tested)
    write_predictions(config.run_folder / PREDICTIONS_FILE, measured.predictions)
    return card


def _tell_exact(
    card: Card, graph: bytes | None, known: list[KnownAnswer], *, asked: bool
) -> Exact | None:
    """Return what the card tells of the float32 graph, asked anew at another temperature."""
    if not (graph and card.fp32):
        return None
    if asked:
        return describe_fp32(graph, known)
    return card.fp32.model_copy(update={"sha256": _hash(graph)})


def _refit(bundle: Bundle, fitted: ImageSet, temperature: float | None) -> bytes:
    """Return the bundle's graph, distance and orientation fitted to these images.

    At the temperature given, or its own.
    """
    bare, bias, own = cut_tail(bundle.graph)
    bare = read_blocks(bare)
    tail = Tail(bias, temperature or own, *fit_features(bare, fitted))
    graph: bytes = answer(bare, tail).SerializeToString()
    return graph


def _keep_fp32(now: dict[str, Metrics], before: dict[str, Metrics]) -> dict[str, Metrics]:
    """Put beside each split the float32 graph's figures of before, if of the same images."""
    rows = {}
    for split, figures in now.items():
        rows[split] = figures
        exact = before.get(f"{split}_fp32")
        if exact and _same_images(exact, figures):
            rows[f"{split}_fp32"] = exact
    return rows


def _same_images(ours: Metrics, theirs: Metrics) -> bool:
    """Whether two rows are of the same images, as far as their counts tell."""

    def counts(row: Metrics) -> tuple[object, ...]:
        labels = [sum(called) for called in row.confusion]
        return row.images, row.patients, labels, row.accuracy_by_source.keys()

    return counts(ours) == counts(theirs)


def _priors(card: Card, splits: Splits) -> dict[LabelId, float] | None:
    """Return what an older card does not tell; None if others were calibrated on."""
    trained = describe_sources([*splits.fit.samples, *splits.validation.samples])
    if _count(trained) != _count(card.training.data) or NOT_CALIBRATED in card.limitations:
        return None
    return label_priors(splits.validation.singly().labels)


def _limit(config: Config, card: Card, *, operating_points: bool) -> list[str]:
    """Return the limitations given or kept, and what stays true of how the network was fitted."""
    given = "limitations" in config.model_fields_set
    stated = config.limitations if given else card.limitations
    lasting = [line for line in card.limitations if line in LASTING and line not in stated]
    return state_limitations(
        config, [*stated, *lasting], calibrated=True, operating_points=operating_points
    )


def _hash(graph: bytes) -> str:
    return hashlib.sha256(graph).hexdigest()
