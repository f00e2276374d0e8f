"""The images that are sent: one drawn radiograph in six formats, with grain.

An enlarged image compresses, and so decodes, better than any detector's; grain mends that.
"""

import io
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

EXAMPLE: Final = Path(__file__).parents[1] / "examples" / "covid19.jpg"
FORMATS: Final = {  # name: (format, pixels a side, bits)
    "JPEG 1024": ("JPEG", 1024, 8),
    "JPEG 2500": ("JPEG", 2500, 8),
    "PNG 1024": ("PNG", 1024, 8),
    "PNG 2048": ("PNG", 2048, 8),
    "PNG 1024, 16 bit": ("PNG", 1024, 16),
    "PNG 2048, 16 bit": ("PNG", 2048, 16),
}
_GRAIN: Final = 2.5  # grey levels, a deviation
_TWELVE_BITS: Final = 4095 / 255


def encode(image_format: str, side: int, bits: int) -> bytes:
    """Return a file; 16 bit holds 12, as detectors write it."""
    with Image.open(EXAMPLE) as file:
        large = file.convert("L").resize((side, side), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).normal(0, _GRAIN, (side, side))
    grey = (np.asarray(large) + grain).clip(0, 255)
    deep = bits > 8  # noqa: PLR2004 - of a byte
    samples = (grey * _TWELVE_BITS).astype(np.uint16) if deep else grey.astype(np.uint8)
    buffer = io.BytesIO()
    options = {"quality": 92} if image_format == "JPEG" else {}
    Image.fromarray(samples).save(buffer, image_format, **options)
    return buffer.getvalue()


def write_all(folder: Path) -> dict[str, Path]:
    """Write every image once; return their paths by name."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name.replace(', ', '-').replace(' ', '-')}.img" for name in FORMATS}
    for name, path in paths.items():
        if not path.exists():
            path.write_bytes(encode(*FORMATS[name]))
    return paths
