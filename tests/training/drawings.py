"""Data sets for tests: manifests, and synthetic radiographs that a network tells apart at once."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.model.labels import LABEL_IDS

COLUMNS = ("path", "label", "patient", "split", "source", "licence")
Row = dict[str, str]

_SIDE = 96


def make_rows() -> list[Row]:
    """One image and one patient for each split and label, all of source "a"."""
    return [
        make_row(f"{split}-{label}.png", split, label)
        for split in ("train", "test")
        for label in LABEL_IDS
    ]


def make_row(path: str, split: str, label: str) -> Row:
    """Make a row whose patient is called as its image is."""
    patient = path.rpartition(".")[0]
    return dict(zip(COLUMNS, (path, label, patient, split, "a", "CC0"), strict=True))


def write_manifest(
    folder: Path, rows: list[Row], columns: tuple[str, ...] = COLUMNS, encoding: str = "utf-8"
) -> Path:
    """Write ``manifest.csv`` into a folder; return its path."""
    path = folder / "manifest.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def draw(label: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Draw 96 x 96 pixels: nothing, the left half, the top half or all of it bright."""
    image = generator.integers(20, 60, (_SIDE, _SIDE))
    rows = slice(0, _SIDE // 2) if label == LABEL_IDS.index("bacterial_pneumonia") else slice(None)
    columns = slice(0, _SIDE // 2) if label == LABEL_IDS.index("covid19") else slice(None)
    if label != LABEL_IDS.index("normal"):
        image[rows, columns] += generator.integers(120, 170)
    return image.astype(np.uint8)


def write_data_set(folder: Path, train: int, test: int, seed: int = 0) -> Path:
    """Write a manifest with `train` and `test` JPEGs a label; return its path.

    Every fourth patient has two images. Even patients come from source "a", odd ones from "b".
    """
    generator = np.random.default_rng(seed)
    rows = []
    for split, count in (("train", train), ("test", test)):
        for index, label in enumerate(LABEL_IDS):
            for number in range(count):
                patient = number - (number % 4 == 1)
                path = f"{split}-{label}-{number}.jpg"
                Image.fromarray(draw(index, generator)).save(folder / path, quality=90)
                source = "ab"[patient // 2 % 2]
                row = make_row(path, split, label)
                rows.append(row | {"patient": f"{split}-{label}-{patient}", "source": source})
    return write_manifest(folder, rows)
