"""Films with a patient, and Readings of them by a model that says what it is told to."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
from PIL import Image

from app.image.grey_image import Limits
from app.reading.reader import Reader
from app.reading.reading import Reading
from tests import dicoms
from tests.app.cli.readings import NAMES
from tests.conftest import ROOT
from tests.dicoms import Value
from tests.models import FakeModel, one_hot_cams

COVID = (0.01, 0.97, 0.015, 0.005)
NORMAL = (0.9, 0.05, 0.03, 0.02)
DOUBT = (0.1, 0.2, 0.3, 0.4)
MADE_AT = datetime(2026, 11, 28, 12, 30, 15, tzinfo=timezone(timedelta(hours=-5)))
LATER = datetime(2026, 12, 1, tzinfo=UTC)

STUDY, SERIES, INSTANCE = "1.2.826.0.1.7.1", "1.2.826.0.1.7.2", "1.2.826.0.1.7.3"
PATIENT: dict[int, tuple[str, str]] = {
    0x00080020: ("DA", "20261127"),
    0x00080030: ("TM", "081530.5"),
    0x00080050: ("SH", "ACC-77"),
    0x00080090: ("PN", "Referrer^Rita"),
    0x00081030: ("LO", "Chest PA"),
    0x00100010: ("PN", "Doe^Jane"),
    0x00100020: ("LO", "MRN-4711"),
    0x00100021: ("LO", "Hospital A"),
    0x00100030: ("DA", "19650102"),
    0x00100040: ("CS", "F"),
    0x00101010: ("AS", "061Y"),
    0x0020000D: ("UI", STUDY),
    0x0020000E: ("UI", SERIES),
    0x00200010: ("SH", "S1"),
    0x00200020: ("CS", "L\\F"),
}
"""Of a clean film: VR and value by tag."""


def film(
    changes: dict[int, tuple[str, bytes | str] | None] | None = None,
    syntax: str = dicoms.EXPLICIT,
    **more: Value,
) -> bytes:
    """Write a film of a patient; `changes` lay other values over `PATIENT`, None takes one away."""
    grey = np.asarray(Image.open(ROOT / "examples" / "normal.jpg").convert("L").resize((128, 160)))
    pixels = grey.astype(np.uint16) * 16
    said = {**PATIENT, **(changes or {})}
    written = {
        tag: dicoms.elements({tag: value}, syntax)
        for tag, value in dicoms.header(pixels, 12, x00080018=INSTANCE, **more).items()
    }
    for tag, element in said.items():
        if element is None:
            written.pop(tag, None)
            continue
        vr, value = element
        encoded = value.encode() if isinstance(value, str) else value
        written[tag] = dicoms.element(tag, vr, encoded, syntax)
    body = b"".join(element for _, element in sorted(written.items()))
    shown = dicoms.element(0x7FE00010, "OW", pixels.astype("<u2").tobytes(), syntax)
    return dicoms.file_meta(syntax) + body + shown


def read(data: bytes, probabilities: Sequence[float] = COVID) -> Reading:
    """Read a film with a model that answers so; what is likelier than a half is ok."""
    points = dict.fromkeys((name["id"] for name in NAMES), 0.5)
    card = {"labels": NAMES, "operating_points": points}
    model = FakeModel(probabilities, one_hot_cams(), card=card)
    return Reader(model, Limits()).read(data)
