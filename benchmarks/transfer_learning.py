"""What transfer learning buys with few images.

    python -m benchmarks.transfer_learning --data DIR/manifest.csv --weights FILE

Trains a new head on frozen weights, all of the starting weights, and random weights, with three
seeds each, on the training images marked in one column of the manifest (seed133: 133 a label).
A seed decides the validation patients, the head, the order and the augmentation. The epoch is
chosen on validation; every run is measured on the same whole test split, in PyTorch. Runs that
are finished in --runs with the same settings are not repeated, those that were stopped go on.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score

from app.errors import NeumoError
from training.config import Config
from training.data.images import ImageSet, load_images
from training.data.manifest import read_samples
from training.data.splits import divide_data
from training.files import write_whole
from training.fit.inference import predict
from training.fit.trainer import fit, load_best
from training.metrics.metrics import accuracy, macro_auroc
from training.run.checkpoint import RunFolder
from training.run.history import best_epoch

STARTS: dict[str, dict[str, object]] = {
    "frozen": {"strategy": "frozen"},
    "finetune": {"strategy": "finetune"},
    "random weights": {"strategy": "finetune", "learning_rate": 1e-3, "head_factor": 1.0},
}
SEEDS = (0, 1, 2)
FIGURES = ("accuracy", "balanced accuracy", "macro-AUROC")


def main() -> None:
    """Train, measure and print the table."""
    options = parse()
    tested = [sample for sample in read_samples(options.data) if sample.split == "test"]
    test = ImageSet(load_images(tested, "test"), tested)
    results: dict[str, list[dict[str, float]]] = {}
    for start in options.starts:
        for seed in SEEDS:
            weights = "random" if start == "random weights" else options.weights
            config = Config.model_validate(
                {
                    "name": f"{start.replace(' ', '-')}-{seed}",
                    "data": options.data,
                    "runs": options.runs,
                    "weights": weights,
                    "seed": seed,
                    "subset": options.subset,
                    "epochs": options.epochs,
                    "small_epochs": options.small_epochs,
                    "small_side_px": options.small_side_px,
                    "side_px": options.side_px,
                    "augmentation": options.augmentation,
                    "ema_decay": options.ema_decay,
                    **STARTS[start],
                }
            )
            results.setdefault(start, []).append(_train_and_measure(config, test))
            print(start, seed, results[start][-1], flush=True)
    print(_table(results))


def _train_and_measure(config: Config, test: ImageSet) -> dict[str, float]:
    done = config.run_folder / "test.json"
    settings = config.model_dump(mode="json", exclude={"runs"})
    if done.is_file():
        before = json.loads(done.read_text(encoding="utf-8"))
        if before["settings"] == settings:
            return dict(before["figures"])
    parts = divide_data(config)
    fitted = ImageSet(load_images(parts.fit, "fit"), parts.fit)
    validation = ImageSet(load_images(parts.validation, "validation"), parts.validation)
    started = time.monotonic()
    history = fit(config, fitted, validation, resume=_can_resume(config))
    minutes = (time.monotonic() - started) / 60
    probabilities = softmax(predict(load_best(config), test.images, config).numpy(), axis=1)
    figures = {
        "accuracy": accuracy(test.labels, probabilities),
        "balanced accuracy": balanced_accuracy_score(test.labels, probabilities.argmax(1)),
        "macro-AUROC": macro_auroc(test.labels, probabilities),
        "validation macro-AUROC": best_epoch(history).validation_macro_auroc,
        "images": len(fitted.samples),
        "minutes": minutes,
    }
    write_whole(done, json.dumps({"settings": settings, "figures": figures}, indent=1).encode())
    return figures


def _can_resume(config: Config) -> bool:
    try:
        RunFolder(config).resume()
    except NeumoError:
        return False
    return True


def _table(results: dict[str, list[dict[str, float]]]) -> str:
    lines = [f"| start | {' | '.join(FIGURES)} |", "|---|---|---|---|"]
    for start, runs in results.items():
        cells = []
        for figure in FIGURES:
            values = np.array([run[figure] for run in runs])
            each = ", ".join(f"{value:.3f}" for value in values)
            cells.append(f"{values.mean():.3f} ± {values.std(ddof=1):.3f} ({each})")
        lines.append(f"| {start} | {' | '.join(cells)} |")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", default="IMAGENET1K_V1")
    parser.add_argument("--runs", type=Path, default=Path("runs/transfer-learning"))
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS))
    parser.add_argument("--subset", default="seed133")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--small-epochs", type=int, default=0)
    parser.add_argument("--small-side-px", type=int, default=160)
    parser.add_argument("--side-px", type=int, default=224)
    parser.add_argument("--augmentation", default="full")
    parser.add_argument("--ema-decay", type=float, default=0.0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
