"""The body of a v2 inference: JSON, and behind it the tensors that came as bytes.

By the Open Inference Protocol's REST part and its binary tensor extension, which Triton brought:
`Inference-Header-Content-Length` says where the JSON ends. 0 means there is none: the whole body
is the one input.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.errors import InferenceMalformed, TooManyFiles
from app.http.parameters import SUBJECT_FIELDS, read_subjects
from app.http.v2.given_tensor import GivenTensor, read_shape
from app.image.png import encode_grey
from app.image.resize import SIDE_PX
from app.reading.population import NOBODY, Subject
from app.render.reading_tensors import OUTPUTS

FILES: Final = "file"
"""The input of image files: BYTES [n], as the form's field."""
PIXELS: Final = "image"
"""The input of pixels as the graph takes them: UINT8 [n, 1, 224, 224]."""

_DATATYPES: Final = {FILES: "BYTES", PIXELS: "UINT8", **dict.fromkeys(SUBJECT_FIELDS, "BYTES")}
_MOST_DIGITS: Final = 18
_MOST_ID: Final = 256
_VALUES_A_FILM: Final = SIDE_PX * (SIDE_PX + 1) + 4  # a comma each, a bracket each row
_OTHER_VALUES: Final = 4096
_MOST_MEMBERS: Final = 1024


@dataclass(frozen=True, slots=True)
class InferRequest:
    """What is to be read, and how it is to be answered.

    Parameters
    ----------
    id : the caller's, for its answer alone
    outputs : by name, whether as bytes behind the JSON
    """

    files: list[bytes]
    subjects: list[Subject]
    outputs: Mapping[str, bool]
    id: str | None = None


def read_infer_request(body: bytes, json_length: str | None, max_files: int) -> InferRequest:
    """Read a body.

    Parameters
    ----------
    json_length : the header Inference-Header-Content-Length; None: the body is JSON
    max_files : images of one call

    Raises
    ------
    InferenceMalformed, TooManyFiles, InvalidParameter
    """
    length = len(body) if json_length is None else _read_length(json_length, len(body))
    if json_length is not None and length == 0:
        return InferRequest([body], [NOBODY], dict.fromkeys(OUTPUTS, False))
    given = _load(body[:length], max_files)
    inputs = _read_inputs(given.get("inputs"), memoryview(body)[length:])
    files = _read_files(inputs, max_files)
    texts: dict[str, list[str]] = {}
    for name in SUBJECT_FIELDS:
        if name in inputs:
            if inputs[name].count > max_files:
                raise InferenceMalformed(reason="shape")
            texts[name] = inputs[name].read_texts()
    return InferRequest(
        files=files,
        subjects=read_subjects(texts, len(files)),
        outputs=_read_outputs(given),
        id=_read_id(given.get("id")),
    )


def _read_length(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS) or int(text) > most:
        raise InferenceMalformed(reason="header_length")
    return int(text)


def _load(text: bytes, max_files: int) -> dict[str, Any]:
    """Parse JSON that has no more values than its films need: each takes memory of its own."""
    most = max_files * _VALUES_A_FILM + _OTHER_VALUES
    if sum(map(text.count, (b",", b"["))) > most or text.count(b":") > _MOST_MEMBERS:
        raise InferenceMalformed(reason="too_many_values")
    try:
        given = json.loads(text.decode())
    except (ValueError, RecursionError):
        raise InferenceMalformed(reason="json") from None
    return _object(given, "json")


def _read_inputs(given: object, behind: memoryview) -> dict[str, GivenTensor]:
    inputs: dict[str, GivenTensor] = {}
    for each in _list(given, "inputs"):
        tensor = _object(each, "inputs")
        name, datatype = tensor.get("name"), tensor.get("datatype")
        if not isinstance(name, str) or name not in _DATATYPES or name in inputs:
            raise InferenceMalformed(reason="inputs")
        if datatype != _DATATYPES[name]:
            raise InferenceMalformed(reason="datatype")
        shape = read_shape(tensor.get("shape"))
        parameters = _object(tensor.get("parameters") or {}, "parameters")
        content: list[Any] | memoryview
        if "binary_data_size" in parameters:
            size = parameters["binary_data_size"]
            if type(size) is not int or not 0 <= size <= len(behind) or "data" in tensor:
                raise InferenceMalformed(reason="binary_size")
            content, behind = behind[:size], behind[size:]
        else:
            content = _list(tensor.get("data"), "data")
        is_base64 = parameters.get("content_type") == "base64"
        inputs[name] = GivenTensor(name, datatype, shape, content, is_base64)
    if len(behind):
        raise InferenceMalformed(reason="binary_size")
    return inputs


def _read_files(inputs: Mapping[str, GivenTensor], max_files: int) -> list[bytes]:
    if (FILES in inputs) == (PIXELS in inputs):
        raise InferenceMalformed(reason="inputs")
    tensor = inputs.get(FILES) or inputs[PIXELS]
    wanted = ((), (1,)) if tensor.name == FILES else ((1, SIDE_PX, SIDE_PX),)
    if tensor.shape[1:] not in wanted:
        raise InferenceMalformed(reason="shape")
    if tensor.shape[0] > max_files:
        raise TooManyFiles(max_files=max_files, reason="tensor")
    if tensor.name == FILES:
        return tensor.read_bytes()
    return [encode_grey(film[0]) for film in tensor.read_pixels()]


def _read_outputs(given: Mapping[str, Any]) -> dict[str, bool]:
    """Return which outputs are asked for, in order; all if none is named."""
    parameters = _object(given.get("parameters") or {}, "parameters")
    binary = parameters.get("binary_data_output", False)
    asked = given.get("outputs")
    outputs: dict[str, bool] = {}
    for each in [] if asked is None else _list(asked, "outputs"):
        output = _object(each, "outputs")
        name, told = output.get("name"), _object(output.get("parameters") or {}, "parameters")
        if not isinstance(name, str) or name not in OUTPUTS or name in outputs:
            raise InferenceMalformed(reason="outputs")
        if "classification" in told or "shared_memory_region" in told:
            raise InferenceMalformed(reason="extension")
        outputs[name] = _flag(told.get("binary_data", binary))
    return outputs or dict.fromkeys(OUTPUTS, _flag(binary))


def _read_id(given: object) -> str | None:
    if given is None or (isinstance(given, str) and len(given) <= _MOST_ID):
        return given
    raise InferenceMalformed(reason="id")


def _flag(given: object) -> bool:
    if not isinstance(given, bool):
        raise InferenceMalformed(reason="parameters")
    return given


def _object(given: object, reason: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise InferenceMalformed(reason=reason)
    return given


def _list(given: object, reason: str) -> list[Any]:
    if not isinstance(given, list):
        raise InferenceMalformed(reason=reason)
    return given
