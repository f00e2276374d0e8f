"""A Reading as JSON. `SCHEMA_VERSION` counts up when a member changes meaning."""

import base64
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from app.image.file_format import Format
from app.image.grey_image import Rendering
from app.language import Language
from app.model.labels import LabelId
from app.model.measured.acceptance_file import AcceptanceSummary
from app.reading import reading as domain
from app.reading.judge import ReasonCode, Status
from app.reading.population import NOBODY, SaidView, WarningCode
from app.render.overlay import lies_outside
from app.render.problem import Problem
from app.render.wording import NOTICE, REASONS, WARNINGS

SCHEMA_VERSION: Final = 1
_DECIMALS: Final = 6

Share = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(ge=0)]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class GreyWindow(_Answer):
    """By what a DICOM file's values became grey (PS3.3 C.11.2)."""

    rendering: Rendering = Field(
        description="A window (linear, linear_exact, sigmoid), a VOI LUT (voi_lut); without either "
        "the values that the film uses (by_values) or the full range of its bits (full); or the "
        "luma of colours (colour)"
    )
    center: float | None = Field(None, description="Of the window, in values after rescaling")
    width: float | None = Field(None, description="Of the window, in values after rescaling")


class Dicom(_Answer):
    """What is told of a DICOM file; nothing that names a patient."""

    transfer_syntax: str = Field(description="UID of how it is encoded")
    transfer_syntax_name: str = Field(description="The same as PS3.6 names it")
    bits_stored: int = Field(description="(0028,0101)")
    photometric_interpretation: str = Field(
        description="(0028,0004); MONOCHROME1 was inverted, as it has to be"
    )
    window: GreyWindow = Field(description="What was used")
    windows: int = Field(
        description="VOI LUTs and windows in the file, which ?window= chooses from"
    )
    sop_instance_uid: str | None = Field(None, description="(0008,0018), with ?include=uid only")


class Image(_Answer):
    """What the file says of itself."""

    format: Format = Field(description="Known by the content")
    width: int = Field(description="Pixels, as shown (after EXIF rotation)")
    height: int = Field(description="Pixels, as shown (after EXIF rotation)")
    bits: int = Field(description="Bits of one sample")
    sha256: str = Field(description="Of the uploaded bytes")
    dicom: Dicom | None = Field(None, description="Of a DICOM file")


class Subject(_Answer):
    """Whom the film was taken to be of: as was sent, or as a DICOM file's tags say."""

    age_years: float | None = Field(None, ge=0, le=130, description="Years")
    view: SaidView | None = Field(None, description="How the X-rays passed")


class ModelReference(_Answer):
    """Which model answered; /model has its card."""

    name: str = Field(description="Of the bundle")
    version: str = Field(description="Of the bundle")
    sha256: str = Field(description="Of model.onnx")
    acceptance: AcceptanceSummary | None = Field(
        None, description="The hospital's own measurement; absent without one"
    )


class Timing(_Answer):
    """Milliseconds: decoding and resizing, the network, and all since the request came."""

    decode: Milliseconds = Field(description="Decoding and resizing")
    inference: Milliseconds = Field(description="The network")
    total: Milliseconds = Field(description="All since the request came")


class Caution(_Answer):
    """Something the reader of this Reading must know."""

    code: WarningCode = Field(description="Stable; decide by this")
    message: str = Field(description="In the language asked for by Accept-Language")


class Reason(_Answer):
    """Why an answer is uncertain."""

    code: ReasonCode = Field(description="Stable; decide by this")
    message: str = Field(description="In the language asked for by Accept-Language")


class ActivationMap(_Answer):
    """Where in the image the network found what speaks for a label."""

    label: LabelId = Field(description="What the map speaks for")
    cam: list[list[float]] = Field(
        description="Cells of the image, row by row from the top left, as many as the model makes "
        "(7 x 7 or 5 x 5); their mean plus `bias` is `logit`"
    )
    bias: float = Field(description="Of the network's last layer")
    logit: float = Field(description="Before temperature and softmax")


class Heatmap(_Answer):
    """The map with its picture."""

    map: ActivationMap = Field(description="The numbers")
    png_base64: str = Field(
        description="The film, beside it the map laid over it, and a legend: as of /explain, so "
        "without a map if the label called is normal"
    )


class Reading(_Answer):
    """What the network says about one image.

    `normal` means none of the three other labels, not healthy.
    """

    index: int | None = Field(None, description="In a batch: the file's place, from 0")
    request_id: str = Field(description="Also in the header X-Request-ID and the log")
    status: Status = Field(description="uncertain: the network does not know; `reasons` say why")
    reasons: list[Reason] = Field(description="Why the answer is uncertain; none if it is ok")
    label: LabelId = Field(description="The most likely label")
    display_label: str = Field(description="In the language asked for by Accept-Language (en, es)")
    candidates: list[LabelId] = Field(
        description="The labels in doubt, the likeliest first: mostly two; none of an ok answer, "
        "nor if only age or view are the doubt"
    )
    probabilities: dict[LabelId, Share] = Field(description="Calibrated; they sum to 1")
    abnormal: Share = Field(description="1 - normal")
    non_covid_pneumonia: Share = Field(description="bacterial_pneumonia + viral_pneumonia")
    warnings: list[Caution] = Field(description="What to know of this Reading; may be empty")
    notice: str = Field(description="What this Reading is and isn't")
    schema_version: int = Field(description="Counts up when a member changes meaning")
    image: Image = Field(description="What the file says of itself")
    subject: Subject | None = Field(
        None, description="Whom it was taken to be of; absent if nothing is known"
    )
    model: ModelReference = Field(description="Which model answered")
    timing_ms: Timing = Field(description="Where the time went, milliseconds")
    heatmap: Heatmap | None = Field(None, description="Of the label called; with ?heatmap=true")


class Explanation(_Answer):
    """The class activation map of one label, as numbers."""

    request_id: str = Field(description="Also in the header X-Request-ID and the log")
    display_label: str = Field(description="In the language asked for by Accept-Language (en, es)")
    probability: Share = Field(description="Of this label, calibrated")
    called: LabelId = Field(description="The label called, whichever the map is of")
    status: Status = Field(description="Of the Reading: uncertain: the network does not know")
    reasons: list[Reason] = Field(description="Of the Reading: why it is uncertain")
    warnings: list[Caution] = Field(description="Of the Reading: what to know of it; may be empty")
    map: ActivationMap = Field(description="The numbers")
    outside_body: bool = Field(
        description="Whether what the map marks most lies where the film shows no body, or at the "
        "border of a map of 7 x 7 cells"
    )
    notice: str = Field(description="What this is and isn't")
    schema_version: int = Field(description="Counts up when a member changes meaning")
    image: Image = Field(description="What the file says of itself")
    model: ModelReference = Field(description="Which model answered")


class BatchAnswer(_Answer):
    """One result a file, in the files' order: a Reading, or a Problem (it has a `code`)."""

    request_id: str = Field(description="Also in the header X-Request-ID and the log")
    schema_version: int = Field(description="Counts up when a member changes meaning")
    results: list[Reading | Problem] = Field(description="One for each file, each with its `index`")


def render_reading(
    reading: domain.Reading,
    request_id: str,
    language: Language,
    total_ms: float,
    *,
    index: int | None = None,
    remarks: Sequence[WarningCode] = (),
    with_uid: bool = False,
    overlay_png: bytes | None = None,
) -> Reading:
    """Render a Reading.

    Parameters
    ----------
    total_ms : milliseconds since the request came
    index : in a batch, the file's place, from 0
    remarks : warnings of the request, beside those of the Reading
    with_uid : whether a DICOM file's SOP Instance UID is told
    overlay_png : what `app.render.overlay` drew of the label called, if the answer is to hold it
    """
    judgement = reading.judgement
    heatmap = None
    if overlay_png is not None:
        picture = base64.b64encode(overlay_png).decode()
        heatmap = Heatmap(map=_map(reading, judgement.label), png_base64=picture)
    return Reading(
        index=index,
        request_id=request_id,
        status=judgement.status,
        reasons=_reasons(reading, language),
        label=judgement.label,
        display_label=reading.card.display(judgement.label, language),
        candidates=judgement.candidates,
        probabilities=judgement.probabilities,
        abnormal=judgement.abnormal,
        non_covid_pneumonia=judgement.non_covid_pneumonia,
        warnings=_cautions(reading, remarks, language),
        notice=NOTICE.render(language),
        schema_version=SCHEMA_VERSION,
        image=_image(reading, with_uid=with_uid),
        subject=None if reading.subject == NOBODY else Subject(**asdict(reading.subject)),
        model=_model(reading),
        timing_ms=Timing(
            decode=reading.decode_ms, inference=reading.inference_ms, total=round(total_ms, 3)
        ),
        heatmap=heatmap,
    )


def render_explanation(
    reading: domain.Reading,
    request_id: str,
    language: Language,
    label: LabelId | None = None,
    *,
    remarks: Sequence[WarningCode] = (),
    with_uid: bool = False,
) -> Explanation:
    """Render the class activation map of `label`, or of the label called, as numbers.

    Parameters
    ----------
    remarks, with_uid : as of `render_reading`
    """
    judgement = reading.judgement
    label = label or judgement.label
    return Explanation(
        request_id=request_id,
        display_label=reading.card.display(label, language),
        probability=judgement.probabilities[label],
        called=judgement.label,
        status=judgement.status,
        reasons=_reasons(reading, language),
        warnings=_cautions(reading, remarks, language),
        map=_map(reading, label),
        outside_body=lies_outside(reading.image, reading.outputs.cam[label]),
        notice=NOTICE.render(language),
        schema_version=SCHEMA_VERSION,
        image=_image(reading, with_uid=with_uid),
        model=_model(reading),
    )


def render_batch(request_id: str, results: Sequence[Reading | Problem]) -> BatchAnswer:
    """Put the results of a batch's files together, in their order."""
    return BatchAnswer(request_id=request_id, schema_version=SCHEMA_VERSION, results=list(results))


def _image(reading: domain.Reading, *, with_uid: bool) -> Image:
    facts = reading.facts
    if facts.dicom is not None and not with_uid:
        facts = replace(facts, dicom=replace(facts.dicom, sop_instance_uid=None))
    return Image(**asdict(facts))


def _model(reading: domain.Reading) -> ModelReference:
    card, acceptance = reading.card, reading.acceptance
    return ModelReference(
        name=card.name,
        version=card.version,
        sha256=card.sha256,
        acceptance=acceptance.summary if acceptance else None,
    )


def _reasons(reading: domain.Reading, language: Language) -> list[Reason]:
    return [
        Reason(code=code, message=REASONS[code].render(language))
        for code in reading.judgement.reasons
    ]


def _cautions(
    reading: domain.Reading, remarks: Sequence[WarningCode], language: Language
) -> list[Caution]:
    return [
        Caution(code=code, message=WARNINGS[code].render(language))
        for code in (*reading.judgement.warnings, *remarks)
    ]


def _map(reading: domain.Reading, label: LabelId) -> ActivationMap:
    cam = reading.outputs.cam[label].astype(float)
    logit = reading.outputs.logits[label]
    return ActivationMap(
        label=label,
        cam=cam.round(_DECIMALS).tolist(),
        bias=round(logit - float(cam.mean()), _DECIMALS),
        logit=round(logit, _DECIMALS),
    )
