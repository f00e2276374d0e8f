"""What a service says of a film, as frozen dataclasses.

Members that this client does not know are left out; `raw` has the whole answer. Labels, reasons
and codes are plain strings: a newer service may have more of them.
"""

import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from neumo_client.errors import SchemaUnknown, UnexpectedAnswer

KNOWN_SCHEMA: Final = 1
"""The `schema_version` that these classes are written for: a later one changed a meaning."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Remark:
    """A reason or a warning: `code` to decide by, `message` for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class GreyWindow:
    """By what a DICOM file's values became grey."""

    rendering: str
    center: float | None = None
    width: float | None = None


@dataclass(frozen=True, slots=True)
class Dicom:
    """What is told of a DICOM file. `sop_instance_uid` only if it was asked for."""

    transfer_syntax: str
    transfer_syntax_name: str
    bits_stored: int
    photometric_interpretation: str
    window: GreyWindow
    windows: int
    sop_instance_uid: str | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """What the file says of itself; sides in pixels, as shown."""

    format: str
    width: int
    height: int
    bits: int
    sha256: str
    dicom: Dicom | None = None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The hospital's own measurement of the model."""

    site: str
    date: str
    images: int
    relied_on: bool


@dataclass(frozen=True, slots=True)
class ModelReference:
    """Which model answered; `Client.model` has its card."""

    name: str
    version: str
    sha256: str
    acceptance: Acceptance | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds in the service."""

    decode: float
    inference: float
    total: float


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom the film was taken to be of: by what was said, or by a DICOM file's tags."""

    age_years: float | None = None
    view: str | None = None


@dataclass(frozen=True, slots=True)
class ActivationMap:
    """Where the network found what speaks for a label: the mean of `cam` plus `bias` is `logit`."""

    label: str
    cam: tuple[tuple[float, ...], ...]
    bias: float
    logit: float


@dataclass(frozen=True, slots=True)
class Heatmap:
    """The map, and its picture as a PNG in base64."""

    map: ActivationMap
    png_base64: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the network says about one film.

    `label` is the most likely of the four. Rely on it only if `certain`: else the network does not
    know, and `reasons` say why. `normal` means none of the three others, not healthy.
    """

    request_id: str
    status: str
    reasons: tuple[Remark, ...]
    label: str
    display_label: str
    candidates: tuple[str, ...]
    probabilities: Mapping[str, float]
    abnormal: float
    non_covid_pneumonia: float
    warnings: tuple[Remark, ...]
    notice: str
    schema_version: int
    image: Image
    model: ModelReference
    timing_ms: Timing
    index: int | None = None
    heatmap: Heatmap | None = None
    subject: Subject | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def certain(self) -> bool:
        """Whether `status` is ok: the network stands by its label."""
        return self.status == "ok"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The class activation map of one label, as numbers, with what its Reading says.

    `outside_body` says that what the map marks most lies where the film shows no body, or at the
    border of a map of 7 x 7 cells: don't trust it then. It is None where an older service doesn't
    tell.
    """

    request_id: str
    display_label: str
    probability: float
    called: str
    status: str
    reasons: tuple[Remark, ...]
    warnings: tuple[Remark, ...]
    map: ActivationMap
    notice: str
    schema_version: int
    image: Image
    model: ModelReference
    outside_body: bool | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ResultReference:
    """One object that was made of a film that was stored: a report, a picture, FHIR, HL7."""

    kind: str
    uid: str
    media_type: str


@dataclass(frozen=True, slots=True)
class FilmReading:
    """A film that was stored by DICOM or DICOMweb, and what was read of it.

    `state` is waiting, read, refused or failed; a `reading` there is only once it is read.
    """

    id: str
    state: str
    received_at: str
    results: tuple[ResultReference, ...]
    code: str | None = None
    title: str | None = None
    reading: Reading | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def waits(self) -> bool:
        """Whether it is not read yet: ask again."""
        return self.state == "waiting"


def load_answer(kind: type[Answer], told: object) -> Answer:
    """Return a Reading, an Explanation or a FilmReading of what JSON tells.

    Raises
    ------
    SchemaUnknown
        If a newer service means something else by its members.
    UnexpectedAnswer
        If it isn't one.
    """
    if not isinstance(told, dict):
        raise UnexpectedAnswer("The answer is not a JSON object.")
    for each in (told, told.get("reading")):
        told_schema = each.get("schema_version") if isinstance(each, dict) else None
        if isinstance(told_schema, int) and told_schema > KNOWN_SCHEMA:
            raise SchemaUnknown(
                f"The service answers by schema {told_schema}, and this neumo-client knows "
                f"{KNOWN_SCHEMA}: members have changed their meaning. Install a newer one."
            )
    answer: Answer = _load(kind, told | {"raw": told}, kind.__name__)
    return answer


def _load(kind: Any, value: Any, where: str) -> Any:  # noqa: ANN401 - a type, and any JSON
    """Return `value` as `kind`, a type of the members above."""
    if is_dataclass(kind) and isinstance(value, dict):
        return _load_members(kind, value, where)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):  # of something and None
        return None if value is None else _load(inner[0], value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_load(inner[0], each, where) for each in value)
    if origin is Mapping and isinstance(value, dict):
        return {name: _load(inner[1], each, where) for name, each in value.items()}
    if kind is float and isinstance(value, int):
        return float(value)
    if kind is Any or (isinstance(kind, type) and isinstance(value, kind)):
        return value
    raise UnexpectedAnswer(f"The answer's member {where} is not what Neumo says there.")


def _load_members(kind: Any, told: dict[str, Any], where: str) -> Any:  # noqa: ANN401 - likewise
    members = {}
    for each in fields(kind):
        path = f"{where}.{each.name}"
        if each.name in told:
            members[each.name] = _load(_types_of(kind)[each.name], told[each.name], path)
        elif each.default is MISSING and each.default_factory is MISSING:
            raise UnexpectedAnswer(f"The answer lacks the member {path}.")
    return kind(**members)


@cache
def _types_of(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
