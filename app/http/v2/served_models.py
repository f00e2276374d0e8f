"""``GET /v2``, its health, and what it tells of each model."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from app import __version__
from app.errors import ModelUnknown, NotReady
from app.http.body.upload import service_of
from app.http.parameters import SUBJECT_FIELDS
from app.http.v2.infer_request import FILES, PIXELS
from app.image.resize import SIDE_PX
from app.reading.reader import Reader
from app.render.reading_tensors import OUTPUTS
from app.service.service import Phase

ACTIVE: Final = "neumo"
"""The name of whichever model is active, beside those of the bundles."""

_MODEL: Final = "/v2/models/{model_name}"
_VERSION: Final = _MODEL + "/versions/{model_version}"
_INPUTS: Final = (
    {"name": FILES, "datatype": "BYTES", "shape": [-1]},
    {"name": PIXELS, "datatype": "UINT8", "shape": [-1, 1, SIDE_PX, SIDE_PX]},
    *({"name": name, "datatype": "BYTES", "shape": [-1]} for name in SUBJECT_FIELDS),
)

# The protocol has a description of its own, so /docs has none of it.
router = APIRouter(include_in_schema=False)


@router.head("/v2")
@router.get("/v2")
async def server_metadata() -> Response:
    """Answer with what this server is, and which extensions it has."""
    return JSONResponse(
        {"name": "neumo", "version": __version__, "extensions": ["binary_tensor_data"]}
    )


@router.head("/v2/health/live")
@router.get("/v2/health/live")
async def server_live() -> Response:
    """Answer 200 while the event loop turns."""
    return JSONResponse({"live": True})


@router.head("/v2/health/ready")
@router.get("/v2/health/ready")
async def server_ready(request: Request) -> Response:
    """Answer 200 where /health/ready does."""
    if service_of(request).phase is not Phase.READY:
        raise NotReady
    service_of(request).witness.check()
    return JSONResponse({"ready": True})


@router.head(f"{_MODEL}/ready")
@router.get(f"{_MODEL}/ready")
@router.head(f"{_VERSION}/ready")
@router.get(f"{_VERSION}/ready")
async def model_ready(request: Request) -> Response:
    """Answer 200 while the model can read."""
    reader_of(request)
    service_of(request).witness.check()
    return JSONResponse({"name": request.path_params["model_name"], "ready": True})


@router.head(_MODEL)
@router.get(_MODEL)
@router.head(_VERSION)
@router.get(_VERSION)
async def model_metadata(request: Request) -> Response:
    """Answer with the model's inputs and outputs."""
    card = reader_of(request).model.card
    outputs = [
        {"name": name, "datatype": output.datatype, "shape": output.shape}
        for name, output in OUTPUTS.items()
    ]
    return JSONResponse(
        {
            "name": request.path_params["model_name"],
            "versions": [card.version],
            "platform": "onnxruntime_onnx",
            "inputs": _INPUTS,
            "outputs": outputs,
        }
    )


def reader_of(request: Request) -> Reader:
    """Return the reader of the model, and version, that a path names.

    Raises
    ------
    ModelUnknown, ModelNotUsable, NotReady
    """
    service, name = service_of(request), request.path_params["model_name"]
    reader = service.reader  # before all else: is any model ready?
    if name != ACTIVE or service.models.holds(ACTIVE):
        reader = service.models.find_reader(name)
    version = request.path_params.get("model_version")
    if version not in (None, reader.model.card.version):
        raise ModelUnknown(reason="version")
    return reader
