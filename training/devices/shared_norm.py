"""Batch normalisation by the statistics of a whole batch that several ranks hold parts of.

As `torch.nn.SyncBatchNorm` does, which computes on GPUs alone; this does so anywhere, and takes a
part of no images.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.devices.ranks import this_rank

_SPACE = (0, 2, 3)


class SharedBatchNorm2d(nn.BatchNorm2d):
    """A `torch.nn.BatchNorm2d` whose batch lies on several ranks; alike where it doesn't train."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch calls it so
        """Normalise features [N, C, H, W], N this rank's part of the batch."""
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(input)
        output, mean, variance, count = _Normalise.apply(  # type: ignore[no-untyped-call]
            input, self.weight, self.bias, self.eps
        )
        with torch.no_grad():
            factor = 0.1 if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, factor)
            self.running_var.lerp_(variance * (count / (count - 1)), factor)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        result: Tensor = output
        return result


def share_norms(model: nn.Module) -> None:
    """Let every batch norm of a network see the whole batch; its parameters stay what they are."""
    for part in model.modules():
        if type(part) is nn.BatchNorm2d:
            part.__class__ = SharedBatchNorm2d


class _Normalise(torch.autograd.Function):
    """Ioffe and Szegedy 2015, "Batch Normalization", with sums over all ranks."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        channels = features.shape[1]
        own = torch.zeros(3, channels, device=features.device)
        if len(features):
            own[0], own[1] = reversed(torch.var_mean(features.float(), _SPACE, correction=0))
            own[2] = features.numel() // channels
        means, variances, counts = this_rank().gather(own).unbind(1)
        count = counts.sum(0)
        mean = (means * counts).sum(0) / count
        variance = ((variances + (means - mean) ** 2) * counts).sum(0) / count
        ctx.save_for_backward(features, weight, mean, (variance + eps).rsqrt(), count)
        ctx.mark_non_differentiable(mean, variance, count)
        output = F.batch_norm(features, mean, variance, weight, bias, training=False, eps=eps)
        return output, mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        features, weight, mean, deviation, count = ctx.saved_tensors
        gradient = gradients[0].float()
        shape = (1, -1, 1, 1)
        centred = features.float() - mean.view(shape)
        own = torch.stack([gradient.sum(_SPACE), (gradient * centred).sum(_SPACE)])
        plain, along = this_rank().sum(own) / count
        along = along * deviation**2
        of_features = gradient - plain.view(shape) - centred * along.view(shape)
        of_features *= (deviation * weight).view(shape)
        return of_features.to(features.dtype), own[1] * deviation, own[0], None
