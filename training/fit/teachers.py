"""Networks whose answers are learned: of the run's own recipe, or of a bundle that is there."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from app.image.resize import SIDE_PX
from app.model.bundle import Bundle, find_bundle, read_bundle
from app.model.session import Network
from training.config import LABELS, Config


class BundleTeacher:
    """A bundle's graph, asked on one thread about the very images that are learned.

    Parameters
    ----------
    asked : of each training image, whether it is asked about, bool [N]
    share : of an image's loss that the answer has; the labels have the rest
    """

    def __init__(self, bundle: Bundle, asked: NDArray[np.bool_], share: float) -> None:
        self._network = Network(bundle.graph)
        names = [label.id for label in bundle.card.labels]
        self._columns = [names.index(label.id) for label in LABELS]
        self._asked = asked
        self._share = share

    def mix(
        self,
        losses: Tensor,
        logits: Tensor,
        images: Tensor,
        rows: Tensor,
        count: int | None = None,
    ) -> Tensor:
        """Return the losses of a batch, [N], where it is asked mixed with that of its answers.

        Parameters
        ----------
        losses : of the labels, their sum the batch's loss
        logits : float32 [N, 4], images : float32 [N, 1, H, W] from 0 to 255
        rows : int64 [N], which training images they come from
        count : images of the whole batch, where these are a part of it
        """
        asked = torch.from_numpy(self._asked[rows.numpy()]).to(losses.device)
        if not asked.any():
            return losses
        answers = self.answer(images[asked]).to(losses.device)
        learned = -(answers * F.log_softmax(logits[asked], 1)).sum(1) / (count or len(losses))
        mixed = losses.clone()
        mixed[asked] = (1 - self._share) * losses[asked] + self._share * learned
        return mixed

    def answer(self, images: Tensor) -> Tensor:
        """Return probabilities, float32 [N, 4], for images [N, 1, H, W] from 0 to 255."""
        size = (SIDE_PX, SIDE_PX)
        whole = F.interpolate(images.detach().float(), size, mode="bilinear")
        pixels = whole.round().clamp(0, 255).to(torch.uint8).cpu().numpy()
        return torch.from_numpy(self._network.run(pixels).probabilities[:, self._columns].copy())


def find_teacher(config: Config, sources: Sequence[str]) -> BundleTeacher | None:
    """Return the bundle that a run learns from, if it does.

    Parameters
    ----------
    sources : of each training image

    Raises
    ------
    BundleError
        If the bundle can't be read.
    """
    if config.teacher_bundle is None:
        return None
    bundle = read_bundle(find_bundle(str(config.teacher_bundle)))
    asked = np.isin(np.array(sources), config.teacher_sources)
    return BundleTeacher(bundle, asked, config.teacher_share)
