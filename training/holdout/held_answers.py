"""What one fold's network answered, and the file that keeps it, ``answers.npz``."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from training.data.manifest import Sample
from training.data.targets import mask_targets
from training.files import write_whole
from training.holdout.folds import Fold

ANSWERS_FILE = "answers.npz"


@dataclass(frozen=True, slots=True)
class HeldAnswers:
    """Answers of a network for images that it was not trained on, a row an image.

    Parameters
    ----------
    without : the sources that it was trained without
    paths, sources, patients : [N], text
    targets : bool [N, 4], the labels that each image may have; none: another finding
    held : bool [N], whether the image is of a source in `without`
    learned : bool [N], whether the network was taught what the image shows: of a label that
        none of its training images had it can't know anything
    logits : float32 [N, 4], of the float32 graph, before any temperature; in the file at the
        priors that were sampled, from `hold_out` on at those of the run
    distance : float32 [N], to the fold's own training images, as serving measures it
    """

    without: NDArray[np.str_]
    paths: NDArray[np.str_]
    sources: NDArray[np.str_]
    patients: NDArray[np.str_]
    targets: NDArray[np.bool_]
    held: NDArray[np.bool_]
    learned: NDArray[np.bool_]
    logits: NDArray[np.float32]
    distance: NDArray[np.float32]

    def matches(self, fold: Fold) -> bool:
        """Whether these are the answers for the very images of a fold."""
        samples = [*fold.held, *fold.validation]
        return (
            list(fold.sources) == self.without.tolist()
            and [str(sample.path) for sample in samples] == self.paths.tolist()
            and [sample.source for sample in samples] == self.sources.tolist()
            and [sample.patient for sample in samples] == self.patients.tolist()
            and bool(
                (mask_targets([s.targets for s in samples]) > 0).tolist() == self.targets.tolist()
            )
        )

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        content = io.BytesIO()
        np.savez_compressed(
            content, **{each.name: getattr(self, each.name) for each in fields(self)}
        )
        write_whole(path, content.getvalue())


def read_answers(path: Path) -> HeldAnswers | None:
    """Read what a fold answered; None if there is no such file, or not a whole one."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            return HeldAnswers(**{each.name: stored[each.name] for each in fields(HeldAnswers)})
    except (OSError, KeyError, ValueError, BadZipFile):
        return None


def find_learned(asked: Sequence[Sample], fitted: Sequence[Sample]) -> NDArray[np.bool_]:
    """Tell which images show what a network was taught by others: bool [N].

    A label was, by images of it alone; a set, by itself or by all of its labels; another finding
    needs no teaching: it is none of the four.
    """
    taught = {sample.targets for sample in fitted}
    return np.array(
        [
            sample.targets in taught or all(frozenset([own]) in taught for own in sample.targets)
            for sample in asked
        ],
        bool,
    )
