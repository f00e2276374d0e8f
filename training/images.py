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
from tqdm import tqdm

from app.errors import RequestError
from app.imaging import SIDE_PX, Limits, decode, resize
from training.manifest import MIN_SIDE_PX, DataError, Sample

_BATCH: Final = 64


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images in memory, uint8 [N, 1, 224, 224], with their samples."""

    images: NDArray[np.uint8]
    samples: Sequence[Sample]

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class indices, int64 [N]."""
        return np.array([sample.label for sample in self.samples], np.int64)

    def digest(self) -> str:
        """Return the sha256 of the images and their labels, in order."""
        return hashlib.sha256(self.images.tobytes() + self.labels.tobytes()).hexdigest()


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
    for index, sample in enumerate(tqdm(samples, desc=f"reading {what}", unit="image")):
        try:
            images[index] = resize(
                decode(sample.path.read_bytes(), Limits(min_side_px=MIN_SIDE_PX))
            )
        except (OSError, RequestError) as error:
            unreadable.append(f"{sample.path}: {error}")
    if unreadable:
        raise DataError(reason=f"{len(unreadable)} unreadable image(s):\n" + "\n".join(unreadable))
    return images


def shrink(images: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Return uint8 images [N, 1, side, side], antialiased; the same array if they are no larger."""
    if images.shape[-1] <= side_px:
        return images
    parts = [
        F.interpolate(torch.from_numpy(part), (side_px, side_px), mode="bilinear", antialias=True)
        for part in np.array_split(images, math.ceil(len(images) / _BATCH))
    ]
    return torch.cat(parts).numpy()
