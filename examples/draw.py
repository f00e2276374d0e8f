"""Draw the example X-rays of this folder: pictures that look like radiographs and show no patient.

``python examples/draw.py --data DATA/manifest.csv`` fits a statistical model (mean and principal
components) to each class's training images, draws from it, and writes one JPEG a class. Only the
fitted statistics reach a drawing: every coefficient is a fresh random number.

What keeps patients out
-----------------------
- One image a patient is fitted, so a series can't make a component of its own.
- Thin bright strokes (burned-in dates, arrows) are removed by a median filter, and the border,
  where letters and names stand, is blurred, before anything is fitted.
- A component is left out if one patient makes up more than ``--max-share`` of it.
- A drawing is kept only if no training image, of any class, is closer to it than that class's
  images are to their own nearest neighbour from another patient (the median of these).

Among the drawings that pass, the first that the model recognises is kept, so the examples show
the service's normal answer. They say nothing about how good the model is.
"""

import argparse
import io
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from a checkout, uninstalled

from app.imaging import SIDE_PX, decode, resize
from training.config import LABELS
from training.data import load_images, read_samples

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Recognise = Callable[[bytes], dict[str, float]]

STROKE_PX: Final = 5  # median filter: removes strokes up to half as wide, keeps ribs
BORDER_PX: Final = (12, 36)  # detail fades out from the second to the first distance to the edge
LETTER_PX: Final = 14  # median filter of the border
EXPORT_PX: Final = 1024
JPEG_QUALITY: Final = 88
GRAIN: Final = 5.0  # standard deviation, grey levels

log = logging.getLogger("draw")


@dataclass(frozen=True, slots=True)
class Statistics:
    """What is kept of a class's images: `mean` [P], `components` [K, P], `deviations` [K]."""

    mean: Floats
    components: Floats
    deviations: Floats
    images: int
    left_out: int
    largest_share: float


@dataclass(frozen=True, slots=True)
class Closeness:
    """Highest correlation with a training image: whole pictures, and their detail only."""

    whole: NDArray[np.float32]
    detail: NDArray[np.float32]


def fit(
    images: Bytes, patients: Sequence[str], components: int, near_share: float, patient_share: float
) -> Statistics:
    """Fit mean and principal components to one class's images, one a patient.

    Parameters
    ----------
    images : uint8 [N, 224, 224]
    patients : whom each shows
    components : number of components
    near_share : share of the images, those nearest their own mean, that are fitted
    patient_share : a component that rests on one patient for more than this is left out
    """
    _, first = np.unique(patients, return_index=True)
    images = images[first]
    unit = _unit(images.reshape(len(images), -1).astype(np.float32))
    near = np.arange(len(images))
    for _ in range(3):  # the mean of the nearest is sharper than the mean of all, and so on
        nearness = unit @ _unit(unit[near].mean(0, keepdims=True))[0]
        near = np.argsort(-nearness)[: round(near_share * len(images))]
    pixels = np.stack([_prepare(image) for image in images[near]])
    mean = pixels.mean(0)
    centred = pixels - mean
    variances, weights = np.linalg.eigh(centred @ centred.T)  # [N], [N, N]: small side of the SVD
    order = np.argsort(-variances)[: len(near) - 1]
    shares = (weights[:, order] ** 2).max(0)  # of a component's variance, by its chief patient
    passing = np.flatnonzero(shares <= patient_share)[:components]
    usable = order[passing]
    basis = (weights[:, usable] / np.sqrt(variances[usable])).T @ centred
    basis *= np.sign(basis.sum(1, keepdims=True))  # eigenvectors have no sign of their own
    return Statistics(
        mean=mean,
        components=basis,
        deviations=np.sqrt(variances[usable] / (len(near) - 1)),
        images=len(near),
        left_out=int(passing[-1]) + 1 - len(passing),
        largest_share=float(shares[passing].max()),
    )


def draw(statistics: Statistics, limit: float, rng: np.random.Generator) -> Bytes:
    """Draw one image, uint8 [224, 224]; coefficients stay within `limit` deviations."""
    normal = rng.standard_normal(len(statistics.deviations)).clip(-limit, limit)
    pixels = statistics.mean + (normal * statistics.deviations) @ statistics.components
    low, high = np.percentile(pixels, (1, 99.5))
    stretched = (pixels - low) * (235 / (high - low)) + 8
    return np.rint(stretched).clip(0, 255).astype(np.uint8).reshape(SIDE_PX, SIDE_PX)


def export(pixels: Bytes, rng: np.random.Generator) -> bytes:
    """Enlarge, sharpen, add film grain and encode as a grey JPEG, as an archive would export."""
    large = Image.fromarray(pixels).resize((EXPORT_PX, EXPORT_PX), Image.Resampling.BICUBIC)
    large = large.filter(ImageFilter.UnsharpMask(radius=8, percent=90, threshold=0))
    grain = rng.normal(0, GRAIN, (EXPORT_PX, EXPORT_PX))
    film = (np.asarray(large) + grain).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(film).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def describe(images: Bytes) -> tuple[Floats, Floats]:
    """Turn images [N, 224, 224] into unit vectors whose dot products are correlations.

    The first compares whole pictures; the second what is left without the mean of every
    16 x 16 block: ribs, vessels and edges rather than the shape all chests share.
    """
    halves = images.reshape(len(images), SIDE_PX // 2, 2, SIDE_PX // 2, 2).mean((2, 4), np.float32)
    blocks = halves.reshape(len(images), SIDE_PX // 16, 8, SIDE_PX // 16, 8)
    detail = blocks - blocks.mean((2, 4), keepdims=True)
    return _unit(halves.reshape(len(images), -1)), _unit(detail.reshape(len(images), -1))


def nearest_other_patient(images: Bytes, patients: list[str]) -> Closeness:
    """Correlate each image with its nearest neighbour from another patient."""
    who = np.asarray(patients)
    same = who[:, None] == who
    whole, detail = (np.where(same, -1, unit @ unit.T).max(1) for unit in describe(images))
    return Closeness(whole, detail)


def _prepare(image: Bytes) -> Floats:
    """Remove thin strokes everywhere, letters near the border: float32 [P]."""
    picture = Image.fromarray(image)
    half = picture.reduce(2).filter(ImageFilter.MedianFilter(LETTER_PX // 2))
    inner = np.asarray(picture.filter(ImageFilter.MedianFilter(STROKE_PX)), np.float32)
    outer = np.asarray(half.resize(picture.size, Image.Resampling.BICUBIC), np.float32)
    to_edge = np.minimum(np.arange(SIDE_PX), np.arange(SIDE_PX)[::-1])
    inside = np.minimum(to_edge[:, None], to_edge)
    share = ((inside - BORDER_PX[0]) / (BORDER_PX[1] - BORDER_PX[0])).clip(0, 1).astype(np.float32)
    return (outer + share * (inner - outer)).ravel()


def _unit(vectors: Floats) -> Floats:
    centred = vectors - vectors.mean(1, keepdims=True)
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)
