"""What a run shows of itself: a line an epoch, TensorBoard events, curves as PNG."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure
from tensorboardX import SummaryWriter

from training.meter import Meter
from training.report.plot_style import FAINT, save_figure, styled
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

    def write(self, history: Sequence[Epoch], meter: Meter) -> None:
        """Report the last epoch of the history; its line is the meter's to show."""
        epoch = history[-1]
        self._add_events(epoch)
        plot_curves(history, self._folder / "curves.png")
        line = (
            f"epoch {epoch.epoch}: {epoch.side_px} px, loss {epoch.train_loss:.4f}, validation "
            f"loss {epoch.validation_loss:.4f}, accuracy {epoch.validation_accuracy:.4f}, "
            f"macro-AUROC {epoch.validation_macro_auroc:.4f}, {epoch.seconds:.0f} s"
        )
        meter.say(", ".join(filter(None, (line, meter.left()))))

    def _add_events(self, epoch: Epoch) -> None:
        for name, value in asdict(epoch).items():
            if name != "epoch":
                self._events.add_scalar(name, value, epoch.epoch)
        self._events.flush()


def plot_curves(history: Sequence[Epoch], path: Path) -> None:
    """Draw losses, and validation accuracy and macro-AUROC, by epoch."""
    save_figure(draw_curves(history), path)


@styled()
def draw_curves(history: Sequence[Epoch], kept: int | None = None) -> Figure:
    """Draw losses, and validation accuracy and macro-AUROC, by epoch.

    Parameters
    ----------
    kept : the epoch whose weights were kept, to mark it
    """
    epochs = [epoch.epoch for epoch in history]
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    curves = (
        (left, "training (weighted, augmented)", "train_loss"),
        (left, "validation", "validation_loss"),
        (right, "accuracy", "validation_accuracy"),
        (right, "macro-AUROC", "validation_macro_auroc"),
    )
    for axes, name, figures in curves:
        axes.plot(epochs, [getattr(epoch, figures) for epoch in history], "o-", label=name)
    left.set(title="Loss by epoch", ylabel="nats")
    right.set(title="Validation by epoch", ylabel="share; area")
    for axes in (left, right):
        if kept is not None:
            axes.axvline(kept, color=FAINT, linewidth=0.8, linestyle="--", label="epoch kept")
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
        axes.grid(visible=True)
    return figure
