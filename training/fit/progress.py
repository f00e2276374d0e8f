"""What a run shows of itself: a line an epoch, TensorBoard events, curves as PNG."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tensorboardX import SummaryWriter
from tqdm import tqdm

from training.fit.checkpoint import Epoch
from training.report.plots import plot_curves


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
