"""Triton's and KServe's clients ask a service; run with a Python that has both.

Arguments: which client (triton, kserve), the service's address and key, an image file, and its
pixels in a .npy file. Prints what it was told, as JSON.
"""

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

MODEL = "neumo-r18-3"
WANTED = ("labels", "status", "probabilities", "distance")


def ask_as_triton(url: str, key: str, image: bytes, pixels: Any) -> dict[str, Any]:  # noqa: ANN401
    """Ask by tritonclient.http."""
    from tritonclient import http  # noqa: PLC0415 - not where the tests run
    from tritonclient.utils import InferenceServerException  # noqa: PLC0415

    headers = {"X-API-Key": key}
    client = http.InferenceServerClient(url.removeprefix("http://"))
    said: dict[str, Any] = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready(MODEL, headers=headers),
        "version_ready": client.is_model_ready(MODEL, "3", headers=headers),
        "other_ready": client.is_model_ready("other", headers=headers),
        "server": client.get_server_metadata(headers=headers),
        "model": client.get_model_metadata(MODEL, headers=headers),
    }

    def infer(tensor: Any, name: str = MODEL, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        # It writes the length of its JSON into the headers that it is given.
        result = client.infer(name, [tensor], headers=dict(headers), **more)
        texts = [
            each.decode() if isinstance(each, bytes) else each for each in result.as_numpy("labels")
        ]
        told = {name: result.as_numpy(name) for name in ("probabilities", "cam", "distance")}
        return {
            "labels": texts,
            "id": result.get_response().get("id"),
            "model": result.get_response()["parameters"]["model"],
            **{name: None if each is None else each.tolist() for name, each in told.items()},
        }

    two = http.InferInput("file", [2], "BYTES")
    two.set_data_from_numpy(np.array([image, image], np.object_))
    said["files"] = infer(two, request_id="7", timeout=5)
    said["active"] = infer(two, "neumo")
    encoded = http.InferInput("file", [1], "BYTES")
    text = base64.b64encode(image).decode()
    encoded.set_data_from_numpy(np.array([text], np.object_), binary_data=False)
    outputs = [
        http.InferRequestedOutput("labels", binary_data=False),
        http.InferRequestedOutput("probabilities"),
    ]
    said["json"] = infer(encoded, outputs=outputs, model_version="3")
    tensor = http.InferInput("image", [1, 1, 224, 224], "UINT8")
    tensor.set_data_from_numpy(pixels)
    said["pixels"] = infer(tensor)
    broken = http.InferInput("file", [1], "BYTES")
    broken.set_data_from_numpy(np.array([image[:500]], np.object_))
    for name, asked in (("error", MODEL), ("unknown", "other")):
        try:
            client.infer(asked, [broken], headers=dict(headers))
        except InferenceServerException as error:
            said[name] = [error.status(), error.message()]
    try:
        client.infer(MODEL, [broken])
    except InferenceServerException as error:
        said["without_key"] = [error.status(), error.message()]
    return said


async def ask_as_kserve(url: str, key: str, image: bytes, pixels: Any) -> dict[str, Any]:  # noqa: ANN401
    """Ask by KServe's REST client."""
    import httpx  # noqa: PLC0415
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig  # noqa: PLC0415
    from kserve.protocol.infer_type import RequestedOutput  # noqa: PLC0415

    headers = {"X-API-Key": key}
    client = InferenceRESTClient(RESTConfig(protocol="v2", retries=0, timeout=30))
    said: dict[str, Any] = {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model_ready": await client.is_model_ready(url, MODEL, headers=headers),
        "other_ready": await client.is_model_ready(url, "other", headers=headers),
    }

    async def infer(tensor: Any, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        request = InferRequest(MODEL, [tensor], **more)
        answer = await client.infer(url, request, model_name=MODEL, headers=dict(headers))
        told = {output.name: output.as_numpy() for output in answer.outputs}
        return {
            "id": answer.id,
            "model": answer.model_name,
            "outputs": list(told),
            "labels": [
                each.decode() if isinstance(each, bytes) else str(each) for each in told["labels"]
            ],
            "probabilities": told["probabilities"].tolist(),
        }

    files = InferInput("file", [2], "BYTES")
    files.set_data_from_numpy(np.array([image, image], np.object_))
    said["files"] = await infer(files, parameters={"binary_data_output": True}, request_id="7")
    encoded = InferInput("file", [1], "BYTES", data=[base64.b64encode(image).decode()])
    asked = [RequestedOutput("labels"), RequestedOutput("probabilities", {"binary_data": True})]
    said["json"] = await infer(encoded, request_outputs=asked)
    tensor = InferInput("image", [1, 1, 224, 224], "UINT8")
    tensor.set_data_from_numpy(pixels)
    said["pixels"] = await infer(tensor)
    broken = InferInput("file", [1], "BYTES")
    broken.set_data_from_numpy(np.array([image[:500]], np.object_))
    try:
        await infer(broken)
    except httpx.HTTPStatusError as error:
        said["error"] = [error.response.status_code, str(error)]
    await client.close()
    return said


def main() -> None:
    """Ask, and print."""
    which, url, key, path, pixels_path = sys.argv[1:]
    image, pixels = Path(path).read_bytes(), np.load(pixels_path)
    if which == "triton":
        said = ask_as_triton(url, key, image, pixels)
    else:
        said = asyncio.run(ask_as_kserve(url, key, image, pixels))
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
