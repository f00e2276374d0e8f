"""What a run shows of itself: a line an epoch, TensorBoard events, curves as PNG."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib import pyplot as plt
from tensorboardX import SummaryWriter
from tqdm import tqdm

from training.report.plots import save_figure
from training.run.history import Epoch


class Journal:
    """Writes a run's progress to its folder; epochs known at the start are written again."""

    def __init__(self, folder: Path, history: Sequence[Epoch]) -> None:
        self._folder = folder
        for old in folder.glob("events.*"):
            old.unlink()
        self._events = SummaryWriter(str(folder), flush_secs=10)
        for epoch in history:
            self._add_events(epoch)
        if history:
            plot_curves(history, folder / "curves.png")

    def close(self) -> None:
        """Finish the events file."""
        self._events.close()

    def write(self, history: Sequence[Epoch]) -> None:
        """Report the last epoch of the history."""
        epoch = history[-1]
        self._add_events(epoch)
        plot_curves(history, self._folder / "curves.png")
        tqdm.write(
            f"epoch {epoch.epoch}: {epoch.side_px} px, loss {epoch.train_loss:.4f}, validation "
            f"loss {epoch.validation_loss:.4f}, accuracy {epoch.validation_accuracy:.4f}, "
            f"macro-AUROC {epoch.validation_macro_auroc:.4f}, {epoch.seconds:.0f} s"
        )

    def _add_events(self, epoch: Epoch) -> None:
        for name, value in asdict(epoch).items():
            if name != "epoch":
                self._events.add_scalar(name, value, epoch.epoch)
        self._events.flush()


def plot_curves(history: Sequence[Epoch], path: Path) -> None:
    """Draw losses, and validation accuracy and macro-AUROC, by epoch."""
    epochs = [epoch.epoch for epoch in history]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    left.plot(
        epochs,
        [epoch.train_loss for epoch in history],
        "o-",
        label="training (weighted, augmented)",
    )
    left.plot(epochs, [epoch.validation_loss for epoch in history], "o-", label="validation")
    left.set_ylabel("loss (nats)")
    right.plot(epochs, [epoch.validation_accuracy for epoch in history], "o-", label="accuracy")
    right.plot(
        epochs, [epoch.validation_macro_auroc for epoch in history], "o-", label="macro-AUROC"
    )
    right.set_ylabel("validation")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
        axes.grid(alpha=0.3)
    save_figure(figure, path)
