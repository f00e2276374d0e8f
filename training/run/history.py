"""The history of a run: a line an epoch, and which of them is kept."""

from collections.abc import Sequence
from dataclasses import dataclass

from training.config import Config, Keep


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the history. Losses are mean cross-entropies, in nats."""

    epoch: int
    side_px: int
    learning_rate: float
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    validation_macro_auroc: float
    seconds: float


def best_epoch(history: Sequence[Epoch]) -> Epoch:
    """Return the epoch of highest validation macro-AUROC, among those of the last image side.

    Of equals, that of the least validation loss.

    Smaller images give other figures, and their weights are not yet fit for full ones.
    """
    final = [epoch for epoch in history if epoch.side_px == history[-1].side_px]
    return max(final, key=lambda epoch: (epoch.validation_macro_auroc, -epoch.validation_loss))


def kept_epoch(history: Sequence[Epoch], keep: Keep) -> Epoch:
    """Return the epoch whose weights are kept: the best, or the last.

    Where weights are averaged over epochs, or the learning rate ends at nothing, the last is the
    one that was aimed at, and no choice by validation flatters it.
    """
    return history[-1] if keep == "last" else best_epoch(history)


def finished(history: Sequence[Epoch], config: Config) -> bool:
    """Whether a run has all its epochs, or is out of patience."""
    return len(history) >= config.epochs or _stalled(history, config)


def _stalled(history: Sequence[Epoch], config: Config) -> bool:
    """Whether patience is at an end; it starts with the first epoch of full images."""
    if not config.patience or len(history) <= config.small_epochs:
        return False
    return history[-1].epoch - best_epoch(history).epoch >= config.patience
