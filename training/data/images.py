"""Images in memory, as the network reads them."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from app.errors import RequestError
from app.image.decode import decode
from app.image.grey_image import GreyImage, Limits
from app.image.resize import SIDE_PX, resize
from training.data.faults import DataError
from training.data.manifest import Sample
from training.data.targets import mask_targets
from training.meter import track

UNREADABLE: Final = (OSError, RequestError)
"""What `read_image` raises for an image that can't be used."""

_MIN_SIDE_PX: Final = 32  # training images may be smaller than serving accepts
_BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images in memory, uint8 [N, 1, 224, 224], with their samples."""

    images: NDArray[np.uint8]
    samples: Sequence[Sample]

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class indices, int64 [N], of images that have one label each: of `singly`.

        Raises
        ------
        ValueError
            If one is known only as one of several labels, or has another finding.
        """
        labels = [sample.label for sample in self.samples if sample.label is not None]
        if len(labels) < len(self.samples):
            raise ValueError("not every image has one label")
        return np.array(labels, np.int64)

    @property
    def targets(self) -> NDArray[np.float32]:
        """The labels that each image may have, float32 [N, 4]: 1 or 0; other findings none."""
        return mask_targets([sample.targets for sample in self.samples])

    @property
    def patients(self) -> list[str]:
        """Of each image, N names."""
        return [sample.patient for sample in self.samples]

    def singly(self) -> "ImageSet":
        """Return the images that have one label each: what figures and class means are of."""
        rows = [row for row, sample in enumerate(self.samples) if sample.label is not None]
        if len(rows) == len(self.samples):
            return self
        return ImageSet(self.images[rows], [self.samples[row] for row in rows])


def read_image(sample: Sample) -> GreyImage:
    """Decode one image through serving's own code.

    Raises
    ------
    OSError, RequestError
        That is, any of `UNREADABLE`.
    """
    return decode(sample.path.read_bytes(), Limits(min_side_px=_MIN_SIDE_PX))


def load_images(samples: Sequence[Sample], what: str) -> NDArray[np.uint8]:
    """Decode and resize through serving's own code: uint8 [N, 1, 224, 224].

    Held in memory: 50 kB an image.

    Raises
    ------
    DataError
        Naming every image that can't be read.
    """
    images = np.empty((len(samples), 1, SIDE_PX, SIDE_PX), np.uint8)
    unreadable: list[str] = []
    for index, sample in enumerate(track(samples, f"reading {what}", "image")):
        try:
            images[index] = resize(read_image(sample))
        except UNREADABLE as error:
            unreadable.append(f"{sample.path}: {error}")
    if unreadable:
        raise DataError(reason=f"{len(unreadable)} unreadable image(s):\n" + "\n".join(unreadable))
    return images


def digest_images(*sets: ImageSet) -> str:
    """Return the sha256 of each set's images, labels and sources, in order.

    Another, if one changed.
    """
    digests = []
    for part in sets:
        digest = hashlib.sha256(part.images.tobytes())
        told = [f"{sample.named}\t{sample.source}" for sample in part.samples]
        digest.update("\n".join(told).encode())
        digests.append(digest.hexdigest())
    return " ".join(digests)


def shrink(images: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Return uint8 images [N, 1, side, side], antialiased; the same array if they are no larger.

    What `training.export.input_rule.take_images` puts in front of a graph, to one grey level.
    """
    if images.shape[-1] <= side_px:
        return images
    size = (side_px, side_px)
    parts = [
        F.interpolate(torch.from_numpy(part).float(), size, mode="bilinear", antialias=True)
        .round()
        .to(torch.uint8)
        for part in np.array_split(images, math.ceil(len(images) / _BATCH))
    ]
    return torch.cat(parts).numpy()
