"""The answer to a v2 inference: JSON, and behind it the tensors that were asked for as bytes."""

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.http.v2.infer_request import InferRequest
from app.reading.reading import Reading
from app.render.reading_tensors import OUTPUTS, FloatTensor, TextTensor, make_tensors

JSON_LENGTH: Final = "Inference-Header-Content-Length"
"""The header that says where the JSON of a body ends, and its tensors begin."""


def render_infer_response(
    readings: Sequence[Reading], request: InferRequest, name: str, request_id: str
) -> tuple[bytes, dict[str, str]]:
    """Return the body of an answer, and the headers that tell what it is.

    Parameters
    ----------
    name : of the model, as it was asked for
    request_id : of Neumo's, beside the caller's
    """
    card = readings[0].card
    tensors = make_tensors(readings, request.outputs)
    behind = {
        output: _to_bytes(tensor) for output, tensor in tensors.items() if request.outputs[output]
    }
    answer: dict[str, Any] = {
        "model_name": name,
        "model_version": card.version,
        "parameters": {
            "request_id": request_id,
            "model": card.name,
            "sha256": card.sha256,
            "labels": " ".join(label.id for label in card.labels),
        },
        "outputs": [_describe(output, tensors[output], behind) for output in tensors],
    }
    if request.id is not None:
        answer["id"] = request.id
    head = json.dumps(answer, separators=(",", ":"), allow_nan=False).encode()
    if not behind:
        return head, {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", JSON_LENGTH: str(len(head))}
    return b"".join((head, *behind.values())), headers


def _describe(
    name: str, tensor: FloatTensor | TextTensor, behind: Mapping[str, bytes]
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": name,
        "datatype": OUTPUTS[name].datatype,
        "shape": list(tensor.shape),
    }
    if name in behind:
        return told | {"parameters": {"binary_data_size": len(behind[name])}}
    values = tensor.values
    return told | {"data": values if isinstance(values, list) else values.ravel().tolist()}


def _to_bytes(tensor: FloatTensor | TextTensor) -> bytes:
    if isinstance(tensor, FloatTensor):
        return tensor.values.astype("<f4").tobytes()
    texts = [text.encode() for text in tensor.values]
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)
