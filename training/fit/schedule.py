"""What changes over the steps of a run: the learning rate, and the average of the weights."""

import math
from collections.abc import Callable

from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from training.config import Config
from training.fit.network import GreyResNet


def warmup_cosine(config: Config, steps: int) -> Callable[[int], float]:
    """Return the factor of a step, up to 1: a line up, then half a cosine down to 0."""
    warmup = max(1, round(config.warmup_share * steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return factor


def average_weights(model: GreyResNet, decay: float) -> AveragedModel | None:
    """Average weights and batch-norm statistics exponentially, faster at the start."""
    if not decay:
        return None

    def average(kept: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        slowness = min(decay, (1 + int(count)) / (10 + int(count)))
        return kept * slowness + new * (1 - slowness)

    return AveragedModel(model, avg_fn=average, use_buffers=True)
