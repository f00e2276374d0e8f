"""Fine-tuning: epochs over the training images, the best kept by validation macro-AUROC."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from app.errors import NeumoError
from app.language import Text
from training.augmentation import augment
from training.config import LABELS, Config
from training.data import Sample
from training.metrics import macro_auroc
from training.model import GreyResNet, build_model, parameter_groups, set_training_mode


class RunMissing(NeumoError):
    """There is no fitted run to go on from."""

    code = "run_missing"
    title = Text("The run is missing", "Falta el entrenamiento")
    advice = Text(
        "{folder} holds no fitted run. First run `neumo-train fit` with this --name and --runs.",
        "{folder} no contiene ningún entrenamiento. Ejecute antes `neumo-train fit` con estos "
        "--name y --runs.",
    )


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the history. Losses are mean cross-entropies, in nats."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    validation_macro_auroc: float
    seconds: float


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images in memory, uint8 [N, 1, 224, 224], with their samples."""

    images: NDArray[np.uint8]
    samples: Sequence[Sample]

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class indices, int64 [N]."""
        return np.array([sample.label for sample in self.samples], np.int64)


def fit(config: Config, train: ImageSet, validation: ImageSet) -> list[Epoch]:
    """Train, writing ``best.pt``, ``history.json`` and ``config.json`` to the run folder.

    Every file appears whole or not at all. Returns the history.
    """
    torch.manual_seed(config.seed)
    generator = torch.Generator().manual_seed(config.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_model(config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(parameter_groups(model, config))
    steps = config.epochs * math.ceil(len(train.samples) / config.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, _warmup_cosine(config, steps))
    class_weights = _balanced_weights(train.labels).to(device)
    config.run_folder.mkdir(parents=True, exist_ok=True)
    _write(config.run_folder / "config.json", config.model_dump_json(indent=2).encode())
    history: list[Epoch] = []
    for number in range(1, config.epochs + 1):
        started = time.monotonic()
        train_loss = _train_one_epoch(
            model, train, optimiser, schedule, class_weights, generator, config, number
        )
        logits = predict(model, validation.images, config)
        epoch = _summarise(number, train_loss, logits, validation.labels, started)
        if not history or epoch.validation_macro_auroc > max(
            past.validation_macro_auroc for past in history
        ):
            _save(model, config.run_folder / "best.pt")
        history.append(epoch)
        lines = json.dumps([asdict(line) for line in history], indent=2)
        _write(config.run_folder / "history.json", lines.encode())
        tqdm.write(
            f"epoch {number}/{config.epochs}: loss {epoch.train_loss:.4f}, validation loss "
            f"{epoch.validation_loss:.4f}, accuracy {epoch.validation_accuracy:.4f}, "
            f"macro-AUROC {epoch.validation_macro_auroc:.4f}, {epoch.seconds:.0f} s"
        )
    return history


def load_best(config: Config) -> GreyResNet:
    """Return the best checkpoint of a run, on the CPU, in evaluation mode."""
    state = torch.load(config.run_folder / "best.pt", map_location="cpu", weights_only=True)
    model = build_model(config.model_copy(update={"weights": "random"}))
    model.resnet.load_state_dict(state)
    return model.eval()


def load_history(config: Config) -> list[Epoch]:
    """Return the history of a run.

    Raises
    ------
    RunMissing
        If none was fitted.
    """
    try:
        lines = json.loads((config.run_folder / "history.json").read_text(encoding="utf-8"))
    except OSError:
        raise RunMissing(folder=str(config.run_folder)) from None
    return [Epoch(**line) for line in lines]


@torch.inference_mode()
def predict(model: GreyResNet, images: NDArray[np.uint8], config: Config) -> Tensor:
    """Return logits, float32 [N, 4], for uint8 images [N, 1, 224, 224]."""
    model.eval()
    device = next(model.parameters()).device
    outputs = []
    for start in range(0, len(images), 64):
        batch = torch.from_numpy(images[start : start + 64]).to(device).float()
        with _autocast(config, device):
            outputs.append(model(batch.contiguous(memory_format=torch.channels_last)).float().cpu())
    return torch.cat(outputs)


def _train_one_epoch(
    model: GreyResNet,
    train: ImageSet,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    class_weights: Tensor,
    generator: torch.Generator,
    config: Config,
    number: int,
) -> float:
    set_training_mode(model, config.strategy)
    device = class_weights.device
    labels = torch.from_numpy(train.labels)
    order = torch.randperm(len(labels), generator=generator)
    batches = [batch for batch in torch.split(order, config.batch_size) if len(batch) > 1]
    total = 0.0
    progress = tqdm(batches, desc=f"epoch {number}/{config.epochs}", unit="batch", leave=False)
    for done, batch in enumerate(progress, start=1):
        images = augment(torch.from_numpy(train.images[batch.numpy()]), generator).to(device)
        with _autocast(config, device):
            logits = model(images.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits.float(), labels[batch].to(device), weight=class_weights)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        total += float(loss.detach())
        progress.set_postfix(loss=f"{total / done:.3f}", rate=f"{schedule.get_last_lr()[0]:.1e}")
    return total / len(batches)


def _autocast(config: Config, device: torch.device) -> torch.autocast:
    native = device.type == "cuda" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    enabled = config.precision == "bf16" or (config.precision == "auto" and native)
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def _warmup_cosine(config: Config, steps: int) -> Any:  # noqa: ANN401 - LambdaLR's own type
    warmup = max(1, round(config.warmup_share * steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))

    return factor


def _balanced_weights(labels: NDArray[np.int64]) -> Tensor:
    """Weigh each class by 1/sqrt(its share), mean 1 over the images: float32 [4]."""
    counts = np.bincount(labels, minlength=len(LABELS))
    weights = 1 / np.sqrt(counts)
    weights *= counts.sum() / (weights * counts).sum()
    return torch.from_numpy(weights.astype(np.float32))


def _summarise(
    number: int, train_loss: float, logits: Tensor, labels: NDArray[np.int64], started: float
) -> Epoch:
    truth = torch.from_numpy(labels)
    return Epoch(
        epoch=number,
        train_loss=train_loss,
        validation_loss=float(F.cross_entropy(logits, truth)),
        validation_accuracy=float((logits.argmax(1) == truth).float().mean()),
        validation_macro_auroc=macro_auroc(labels, logits.softmax(1).numpy()),
        seconds=time.monotonic() - started,
    )


def _save(model: GreyResNet, path: Path) -> None:
    partial = path.with_suffix(".partial")
    torch.save(model.resnet.state_dict(), partial)
    partial.replace(path)


def _write(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)
