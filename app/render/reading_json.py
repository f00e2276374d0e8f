"""The JSON that Neumo answers with. `SCHEMA_VERSION` counts up when a member changes meaning."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.model.labels import LabelId
from app.reading.judge import Status

SCHEMA_VERSION: Final = 1

Share = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(ge=0)]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Image(_Answer):
    """What the file says of itself."""

    format: Literal["JPEG", "PNG"]
    width: int = Field(description="Pixels, as shown (after EXIF rotation)")
    height: int = Field(description="Pixels, as shown (after EXIF rotation)")
    bits: int = Field(description="Bits of one sample")
    sha256: str = Field(description="Of the uploaded bytes")


class ModelReference(_Answer):
    """Which model answered; /model has its card."""

    name: str
    version: str
    sha256: str = Field(description="Of model.onnx")


class Timing(_Answer):
    """Milliseconds: decoding and resizing, the network, and all since the request came."""

    decode: Milliseconds
    inference: Milliseconds
    total: Milliseconds


class Caution(_Answer):
    """Something the reader of this Reading must know."""

    code: str
    message: str


class ActivationMap(_Answer):
    """Where in the image the network found what speaks for a label."""

    label: LabelId
    cam: list[list[float]] = Field(
        description="7 x 7 cells of the image, row by row from the top left; "
        "their mean plus `bias` is `logit`"
    )
    bias: float
    logit: float = Field(description="Before temperature and softmax")


class Heatmap(_Answer):
    """The map with its picture."""

    map: ActivationMap
    png_base64: str = Field(description="The map laid over the image, a legend below")


class Reading(_Answer):
    """What the network says about one image.

    `normal` means none of the three other labels, not healthy.
    """

    request_id: str
    status: Status = Field(description="uncertain: the network does not know; see `candidates`")
    label: LabelId = Field(description="The most likely label")
    display_label: str = Field(description="In the language asked for by Accept-Language (en, es)")
    candidates: list[LabelId] = Field(
        description="The two most likely labels of an uncertain answer; else none"
    )
    probabilities: dict[LabelId, Share] = Field(description="Calibrated; they sum to 1")
    abnormal: Share = Field(description="1 - normal")
    non_covid_pneumonia: Share = Field(description="bacterial_pneumonia + viral_pneumonia")
    warnings: list[Caution]
    notice: str = Field(description="What this Reading is and isn't")
    schema_version: int
    image: Image
    model: ModelReference
    timing_ms: Timing
    heatmap: Heatmap | None = Field(None, description="Of the label called; with ?heatmap=true")


class Explanation(_Answer):
    """The class activation map of one label, as numbers."""

    request_id: str
    display_label: str = Field(description="In the language asked for by Accept-Language (en, es)")
    probability: Share = Field(description="Of this label, calibrated")
    status: Status = Field(description="Of the Reading: uncertain: the network does not know")
    warnings: list[Caution] = Field(description="Of the Reading: what to know of it; may be empty")
    map: ActivationMap
    notice: str = Field(description="What this is and isn't")
    schema_version: int
    image: Image
    model: ModelReference


class Problem(_Answer):
    """Why a call can't be answered (RFC 9457). Some codes add members of their own."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = Field(examples=["urn:problem-type:neumo:image_truncated"])
    title: str
    status: int
    detail: str = Field(description="What happened and what to do next")
    code: str = Field(description="Stable; decide by this", examples=["image_truncated"])
    request_id: str


class BatchAnswer(_Answer):
    """One result a file, in the files' order: a Reading, or a Problem (it has a `code`)."""

    request_id: str
    schema_version: int
    results: list[Reading | Problem]


class Health(_Answer):
    """The state of this process."""

    status: Literal["ok"]
