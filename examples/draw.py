"""Draw this folder's example X-rays: pictures that look like radiographs and show no patient.

A statistical model (a mean and principal components) is fitted to each class's training images,
and images are drawn from it with random coefficients. What keeps patients out:

- One image a patient is fitted, so a series of images makes no component of its own.
- Thin strokes (burned-in dates, arrows) and, near the border, letters are removed before fitting.
- A component that rests on one patient for more than `PATIENT_SHARE` is left out.
- A drawing is refused if a training image of any class is closer to it than the median real image
  of its class is to its nearest neighbour from another patient.

Of the drawings left, in their fixed order, the first that the model recognises is kept: the
examples show what an answer looks like, and say nothing of how good the model is. The normal one is
written as DICOM too, by `write_dicom`.
"""

import argparse
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from app.errors import NotAChestXray
from app.image.decode import decode
from app.image.resize import SIDE_PX, resize
from app.model.bundle import find_bundle, read_bundle
from app.model.session import OnnxModel
from app.reading.judge import judge
from app.reading.refusal import refuse_unlike
from examples.write_dicom import write_dicom
from training.config import LABELS
from training.data.images import load_images
from training.data.manifest import read_samples

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Recognise = Callable[[Pixels], dict[str, float]]
"""Probability of each label for an image uint8 [1, 224, 224]; 0 where serving is in doubt."""

NEAR_SHARE: Final = 0.75  # of a class's patients, nearest its mean, are fitted: the rest blur it
COMPONENTS: Final = 150
PATIENT_SHARE: Final = 0.03
LIMIT: Final = 1.75  # coefficients stay within so many standard deviations
STROKE_PX: Final = 7  # median filter: removes strokes less than half as wide, keeps ribs
LETTER_PX: Final = 14  # the same near the border, where letters stand
BORDER_PX: Final = (12, 36)  # distances to the edge between which one gives way to the other
EXPORT_PX: Final = 1024
JPEG_QUALITY: Final = 88
GRAIN: Final = 5.0  # standard deviation in grey levels
COLUMNS: Final = (
    *("image", "images fitted", "components (left out)", "candidate", "probability"),
    *("nearest", "among real images", "nearest in detail", "among real images, in detail"),
)


@dataclass(frozen=True, slots=True)
class Statistics:
    """All that is kept of a class's images: `mean` [P], `components` [K, P], `deviations` [K]."""

    mean: Floats
    components: Floats
    deviations: Floats
    images: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Unit vectors of N images, whose dot products are correlations.

    `whole` compares pictures; `detail` what is left without the mean of every 16 x 16 block:
    ribs, vessels and edges rather than the shape all chests share.
    """

    whole: Floats
    detail: Floats

    def nearest(self, others: "Descriptors", excluded: NDArray[np.bool_] | bool = False) -> Floats:
        """Return [2, N]: highest correlation, whole and in detail, with any of `others`."""
        pairs = ((self.whole, others.whole), (self.detail, others.detail))
        return np.stack([np.where(excluded, -1, a @ b.T).max(1) for a, b in pairs])


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing as it is saved, and what was measured on these very bytes."""

    jpeg: bytes
    number: int
    closeness: Floats
    probability: float


def fit(images: Pixels, patients: Sequence[str]) -> Statistics:
    """Fit mean and principal components to one class's images, uint8 [N, 224, 224]."""
    _, first = np.unique(patients, return_index=True)
    images = images[first]
    unit = _unit(images.astype(np.float32))
    near = np.arange(len(images))
    for _ in range(3):  # the mean of the nearest is sharper than the mean of all, and so on
        nearness = unit @ _unit(unit[near].mean(0, keepdims=True))[0]
        near = np.argsort(-nearness)[: round(NEAR_SHARE * len(images))]
    pixels = np.stack([_clean(image) for image in images[near]])
    mean = pixels.mean(0)
    centred = pixels - mean
    variances, weights = np.linalg.eigh(centred @ centred.T)  # the SVD from its small side
    order = np.argsort(-variances)[: len(near) - 1]
    shares = (weights[:, order] ** 2).max(0)  # of each component's variance, by its chief patient
    passing = np.flatnonzero(shares <= PATIENT_SHARE)[:COMPONENTS]
    weights, variances = weights[:, order[passing]], variances[order[passing]]
    components = (weights / np.sqrt(variances)).T @ centred
    components *= np.sign(components.sum(1, keepdims=True))  # an eigenvector has no sign of its own
    deviations = np.sqrt(variances / (len(near) - 1))
    left_out = int(passing[-1]) + 1 - len(passing)
    return Statistics(mean, components, deviations, len(near), left_out)


def draw(statistics: Statistics, rng: np.random.Generator) -> Pixels:
    """Draw an image, uint8 [224, 224], with the contrast stretched as a viewer would."""
    normal = rng.standard_normal(len(statistics.deviations)).clip(-LIMIT, LIMIT)
    pixels = statistics.mean + (normal * statistics.deviations) @ statistics.components
    low, high = np.percentile(pixels, (1, 99.5))
    stretched = (pixels - low) * (235 / (high - low)) + 8
    grey: Pixels = np.rint(stretched).clip(0, 255).astype(np.uint8)
    return grey.reshape(SIDE_PX, SIDE_PX)


def export(pixels: Pixels, rng: np.random.Generator) -> bytes:
    """Enlarge, sharpen, add film grain and encode as a grey JPEG, as an archive exports them."""
    large = Image.fromarray(pixels).resize((EXPORT_PX, EXPORT_PX), Image.Resampling.BICUBIC)
    large = large.filter(ImageFilter.UnsharpMask(radius=12, percent=150, threshold=0))
    film = np.asarray(large) + rng.normal(0, GRAIN, (EXPORT_PX, EXPORT_PX))
    file = io.BytesIO()
    Image.fromarray(film.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def describe(images: Pixels) -> Descriptors:
    """Describe images, uint8 [N, 224, 224], at half their size."""
    halves = np.stack([np.asarray(Image.fromarray(image).reduce(2)) for image in images])
    blocks = halves.astype(np.float32).reshape(-1, SIDE_PX // 16, 8, SIDE_PX // 16, 8)
    return Descriptors(_unit(blocks), _unit(blocks - blocks.mean((2, 4), keepdims=True)))


def draw_candidates(
    statistics: Statistics, label: int, seed: int, everyone: Descriptors, recognise: Recognise
) -> Iterator[Drawing]:
    """Draw one class without end, always in the same order, measuring each drawing."""
    for number in count():
        rng = np.random.default_rng([seed, label, number])
        jpeg = export(draw(statistics, rng), rng)
        pixels = resize(decode(jpeg))
        closeness = describe(pixels).nearest(everyone)[:, 0]
        yield Drawing(jpeg, number, closeness, recognise(pixels)[LABELS[label].id])


def select(drawings: Iterable[Drawing], bounds: Floats, min_probability: float) -> Drawing | None:
    """Return the first drawing that is far enough from every patient, and recognised."""
    for drawing in drawings:
        if (drawing.closeness <= bounds).all() and drawing.probability >= min_probability:
            return drawing
    return None


def main() -> None:
    """Draw one image a class and print, as a Markdown table, what was measured."""
    args = _parse()
    samples = [sample for sample in read_samples(args.data) if sample.split == "train"]
    images = load_images(samples, "training images")[:, 0]
    labels = np.array([sample.label for sample in samples])
    patients = np.array([sample.patient for sample in samples])
    everyone = describe(images)
    recognise = _load(args.model)
    args.out.mkdir(parents=True, exist_ok=True)
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for index, label in enumerate(LABELS):
        mask = labels == index
        statistics = fit(images[mask], patients[mask].tolist())
        own = Descriptors(everyone.whole[mask], everyone.detail[mask])
        real = own.nearest(own, patients[mask, None] == patients[mask])
        low, median, high = np.percentile(real, (5, 50, 95), axis=1)
        candidates = draw_candidates(statistics, index, args.seed, everyone, recognise)
        drawing = select(islice(candidates, args.candidates), median, args.min_probability)
        if drawing is None:
            sys.exit(f"None of {args.candidates} candidates for {label.id} will do.")
        (args.out / f"{label.id}.jpg").write_bytes(drawing.jpeg)
        if label.id == "normal":
            (args.out / "normal.dcm").write_bytes(write_dicom(drawing.jpeg))
        cells = [f"`{label.id}.jpg`", f"{statistics.images}"]
        cells += [f"{len(statistics.deviations)} ({statistics.left_out})", f"{drawing.number}"]
        cells += [f"{drawing.probability:.2f}"]
        for i, closest in enumerate(drawing.closeness):
            cells += [f"{closest:.3f}", f"{median[i]:.3f} ({low[i]:.3f} to {high[i]:.3f})"]
        lines.append(f"| {' | '.join(cells)} |")
    sys.stdout.write("\n".join(lines) + "\n")


def _clean(image: Pixels) -> Floats:
    """Remove thin strokes everywhere, letters near the border: float32 [P]."""
    picture = Image.fromarray(image)
    half = picture.reduce(2).filter(ImageFilter.MedianFilter(LETTER_PX // 2))
    inner = np.asarray(picture.filter(ImageFilter.MedianFilter(STROKE_PX)), np.float32)
    outer = np.asarray(half.resize(picture.size, Image.Resampling.BICUBIC), np.float32)
    to_edge = np.minimum(np.arange(SIDE_PX), np.arange(SIDE_PX)[::-1])
    inside = np.minimum(to_edge[:, None], to_edge)
    share = ((inside - BORDER_PX[0]) / (BORDER_PX[1] - BORDER_PX[0])).clip(0, 1).astype(np.float32)
    cleaned: Floats = outer + share * (inner - outer)
    return cleaned.ravel()


def _unit(arrays: Floats) -> Floats:
    vectors = arrays.reshape(len(arrays), -1)
    centred = vectors - vectors.mean(1, keepdims=True)
    unit: Floats = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    return unit


def _load(name: str) -> Recognise:
    model = OnnxModel(read_bundle(find_bundle(name)), threads=2)
    unknown = dict.fromkeys((label.id for label in LABELS), 0.0)

    def recognise(pixels: Pixels) -> dict[str, float]:
        outputs = model.run(pixels[np.newaxis]).one([label.id for label in model.card.labels])
        try:
            refuse_unlike(model, pixels[np.newaxis], outputs)
        except NotAChestXray:
            return unknown
        judgement = judge(outputs, model.card)
        return unknown | judgement.probabilities if judgement.status == "ok" else unknown

    return recognise


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Draw example X-rays that show no patient.")
    option = parser.add_argument
    option("--data", type=Path, required=True, help="the training images' manifest.csv")
    option("--out", type=Path, default=Path("examples"), help="folder to write to")
    option("--model", default="neumo-r18-3", help="bundle that must recognise the drawings")
    option("--min-probability", type=float, default=0.85, help="of the drawn class")
    option("--candidates", type=int, default=500, help="drawings of a class to try")
    option("--seed", type=int, default=0, help="of every drawing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
