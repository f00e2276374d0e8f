"""One fold: its network trained, and asked."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from training.config import Config
from training.data.images import ImageSet
from training.data.manifest import Sample
from training.data.splits import load_set
from training.export.calibration import fit_distance
from training.export.input_rule import take_images
from training.export.onnx_export import export_fp32
from training.fit.trainer import fit, load_best
from training.holdout.folds import Fold
from training.holdout.held_answers import ANSWERS_FILE, HeldAnswers, find_learned, read_answers
from training.measure.evaluation import run_core
from training.run.checkpoint import RunDiffers, RunFolder

Floats = NDArray[np.float32]
Load = Callable[[Sequence[Sample], str], ImageSet]


def run_fold(config: Config, fold: Fold, load: Load = load_set) -> HeldAnswers:
    """Train the recipe without a fold's sources, and ask the network about them.

    Training goes on where it was stopped; a fold that is done is not done again.

    Parameters
    ----------
    config : of the fold, its run folder the fold's: `configure_fold`
    load : returns the images of samples, whose name is shown meanwhile

    Raises
    ------
    RunDiffers
        If the fold's folder is of other settings or images.
    """
    folder = RunFolder(config)
    done = read_answers(folder.path / ANSWERS_FILE)
    if done is not None:
        folder.check_settings()
        if not done.matches(fold):
            raise RunDiffers(folder=str(folder.path), names="data (its images changed)")
        return done
    fitted = load(fold.fit, f"fit, without {fold.name}")
    validation = load(fold.validation, "validation")
    fit(config, fitted, validation, resume=(folder.path / "last.pt").exists())
    held = load(fold.held, f"held out, {fold.name}")
    answers = ask_fold(config, fold, fitted, [held, validation])
    answers.write(folder.path / ANSWERS_FILE)
    return answers


def configure_fold(config: Config, fold: Fold) -> Config:
    """Return the settings of a fold's run: the recipe's, in a folder inside the run's own."""
    return config.model_copy(update={"name": fold.name, "runs": config.run_folder / "holdout"})


def ask_fold(config: Config, fold: Fold, fitted: ImageSet, asked: list[ImageSet]) -> HeldAnswers:
    """Answer by the float32 graph of a fold's network, as serving would, for held and validation.

    Parameters
    ----------
    asked : the images of `fold.held`, and of `fold.validation`
    """
    model = load_best(config)
    bare = take_images(export_fp32(model, asked[1].images[:16], config.side_px))
    bias = model.resnet.fc.bias.detach().numpy()
    known = fitted.singly()
    whitening, centres = fit_distance(run_core(bare, known.images)[1], known.labels)
    parts = [run_core(bare, images.images) for images in asked]
    cam, pooled = (np.concatenate(column) for column in zip(*parts, strict=True))
    samples = [sample for images in asked for sample in images.samples]
    return HeldAnswers(
        without=np.array(fold.sources),
        paths=np.array([str(sample.path) for sample in samples]),
        sources=np.array([sample.source for sample in samples]),
        patients=np.array([sample.patient for sample in samples]),
        targets=np.concatenate([images.targets for images in asked]) > 0,
        held=np.arange(len(samples)) < len(fold.held),
        learned=find_learned(samples, fold.fit),
        logits=(cam.mean((2, 3)) + bias).astype(np.float32),
        distance=_measure_distance(pooled @ whitening, centres),
    )


def _measure_distance(whitened: Floats, centres: Floats) -> Floats:
    """Return squared distances [N] of features [N, 512] to the nearest centre, [labels, 512]."""
    distances = np.stack([((whitened - centre) ** 2).sum(1) for centre in centres])
    return np.asarray(distances.min(0), np.float32)
