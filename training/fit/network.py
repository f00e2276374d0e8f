"""The network: torchvision's ResNet-18 with a four-class head, reading grey images."""

import pickle
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from app.errors import NeumoError
from app.language import Text
from training.config import LABELS, Config
from training.fit.torchvision_compat import import_torchvision

INPUT_ZERO: Final = 122
"""The grey level that becomes 0: zero padding and this grey agree (mean = 122/255 = 0.478)."""

INPUT_SCALE: Final = 255 * 0.24
"""Grey levels to one unit of the network's input (deviation 0.24 for all channels)."""


_UNUSABLE: Final = (
    OSError,  # no such file, no connection
    EOFError,  # an empty file
    pickle.UnpicklingError,  # no checkpoint
    RuntimeError,  # another network's, or a broken archive
    ValueError,
    LookupError,  # a text file, taken for a pickle
    AttributeError,  # no flat dict of tensors
    TypeError,
)


class WeightsError(NeumoError):
    """The starting weights can't be had."""

    code = "weights_unusable"
    title = Text("The starting weights can't be used", "No se pueden usar los pesos iniciales")
    advice = Text("{reason}", "{reason}")


class GreyResNet(nn.Module):
    """ResNet-18 behind the input rule of serving: grey levels in, logits out.

    The one grey channel is normalised by one mean and one deviation and repeated over the
    three input channels, so the weights stay a plain torchvision state dict.
    `training.export.onnx_export` folds the three input filters into one.
    """

    resnet: Any  # torchvision ships no types

    def __init__(self, resnet: nn.Module) -> None:
        super().__init__()
        self.resnet = resnet

    def forward(self, images: Tensor) -> Tensor:
        """Map grey levels, float [N, 1, side, side] from 0 to 255, to logits [N, 4]."""
        normalised = (images - INPUT_ZERO) / INPUT_SCALE
        logits: Tensor = self.resnet(normalised.expand(-1, 3, -1, -1))
        return logits


def build_model(config: Config) -> GreyResNet:
    """Build the network with its starting weights and a fresh head.

    Raises
    ------
    WeightsError
        If the weights are no ResNet-18 state dict, or can't be read or downloaded.
    """
    models = import_torchvision()
    try:
        if config.weights == "random":
            resnet = models.resnet18(weights=None)
        elif config.weights == "IMAGENET1K_V1":
            resnet = models.resnet18(weights=models.ResNet18_Weights.IMAGENET1K_V1)
        else:
            resnet = models.resnet18(weights=None)
            state = torch.load(Path(config.weights), map_location="cpu", weights_only=True)
            backbone = {n: value.float() for n, value in state.items() if not n.startswith("fc.")}
            own_head = {f"fc.{n}": value for n, value in resnet.fc.state_dict().items()}
            resnet.load_state_dict(backbone | own_head)  # any head: it is replaced below
    except _UNUSABLE as error:
        reason = (
            f"{config.weights}: {type(error).__name__}. Give --weights the path of a "
            "torchvision ResNet-18 state dict, or a connection to download IMAGENET1K_V1."
        )
        raise WeightsError(reason=reason) from error
    resnet.fc = nn.Linear(resnet.fc.in_features, len(LABELS))
    model = GreyResNet(resnet)
    if config.strategy == "frozen":
        for name, parameter in model.named_parameters():
            parameter.requires_grad = name.startswith("resnet.fc.")
    return model


def set_training_mode(model: GreyResNet, strategy: str) -> None:
    """Switch to training; a frozen backbone keeps its batch-norm statistics too."""
    if strategy == "frozen":
        model.eval()
    else:
        model.train()


def parameter_groups(model: GreyResNet, config: Config) -> list[dict[str, object]]:
    """Group the trainable parameters: backbone and head, weights decayed, biases and norms not."""
    factor = config.head_factor if config.strategy == "finetune" else 1.0
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name.startswith("resnet.fc."), parameter.ndim > 1), []).append(
                parameter
            )
    return [
        {
            "params": parameters,
            "lr": config.learning_rate * (factor if head else 1.0),
            "weight_decay": config.weight_decay if decayed else 0.0,
        }
        for (head, decayed), parameters in groups.items()
    ]
