"""The words of the contract: labels, orientations, views. Their order is the graph's."""

from typing import Annotated, Final, Literal

from pydantic import Field

LabelId = Literal["normal", "covid19", "bacterial_pneumonia", "viral_pneumonia"]
LABEL_IDS: Final[tuple[LabelId, ...]] = (
    "normal",
    "covid19",
    "bacterial_pneumonia",
    "viral_pneumonia",
)

Orientation = Literal["upright", "upside_down", "turned_left", "turned_right", "inverted"]
ORIENTATIONS: Final[tuple[Orientation, ...]] = (
    "upright",
    "upside_down",
    "turned_left",
    "turned_right",
    "inverted",
)
"""The order of the output `orientation`. Inverted: bone dark, and upright."""

View = Literal["PA", "AP", "lateral"]
"""How the X-rays passed: back to front, front to back, from the side (DICOM (0018,5101))."""

Probability = Annotated[float, Field(ge=0, le=1)]
"""From 0 to 1."""
