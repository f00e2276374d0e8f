"""The Open Inference Protocol (v2): its calls, tensors in and out, and what is refused."""

import base64
import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from app.http.route_scopes import ROUTE_SCOPES
from app.image.decode import decode
from app.image.resize import resize
from app.model.card import Card
from app.reading.reading import Reading
from app.service.active.shadow import Comparison
from app.service.service import Service
from app.service.witness import Origin
from tests.apps import served, wait_until
from tests.conftest import ROOT
from tests.contract import test_models as several
from tests.models import FakeModel, one_hot_cams

MODEL = "neumo-r18-3"
INFER = f"/v2/models/{MODEL}/infer"
OUTPUTS = [
    "probabilities", "labels", "status", "reasons", "warnings", "logits", "distance", "cam",
]  # fmt: skip
PIXELS = np.arange(224 * 224, dtype=np.uint32).astype(np.uint8).reshape(1, 1, 224, 224)


@pytest.fixture(scope="module")
def seeing() -> FakeModel:
    return FakeModel((0.5, 0.25, 0.125, 0.125), one_hot_cams())


@pytest.fixture(scope="module")
def fake(seeing: FakeModel) -> Iterator[TestClient]:
    """A model that keeps what it was shown; at most 4 images a call, bodies of 1 MB."""
    with served(seeing, max_batch_files=4, max_batch_body_bytes=2**20) as client:
        yield client


def file_tensor(*files: bytes) -> dict[str, Any]:
    """Return the input of image files, in JSON."""
    data = [base64.b64encode(each).decode() for each in files]
    return {"name": "file", "datatype": "BYTES", "shape": [len(files)], "data": data}


def packed(*elements: bytes) -> bytes:
    """Return the elements of BYTES as binary data."""
    return b"".join(struct.pack("<I", len(each)) + each for each in elements)


def binary(head: dict[str, Any] | bytes, *behind: bytes) -> dict[str, Any]:
    """Return a call's body and headers, with tensors behind the JSON."""
    told = head if isinstance(head, bytes) else json.dumps(head).encode()
    headers = {"Inference-Header-Content-Length": str(len(told))}
    return {"content": b"".join((told, *behind)), "headers": headers}


def outputs_of(answer: Any) -> dict[str, dict[str, Any]]:  # noqa: ANN401 - a response
    assert answer.status_code == 200, answer.text
    return {output["name"]: output for output in answer.json()["outputs"]}


def split(answer: Any) -> dict[str, bytes]:  # noqa: ANN401 - a response
    """Return the binary outputs of an answer."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/octet-stream"
    at = int(answer.headers["Inference-Header-Content-Length"])
    found = {}
    for output in json.loads(answer.content[:at])["outputs"]:
        if "parameters" in output:
            size = output["parameters"]["binary_data_size"]
            found[output["name"]] = answer.content[at : at + size]
            at += size
    assert at == len(answer.content)
    return found


def reason_of(answer: Any) -> str:  # noqa: ANN401 - a response
    assert answer.status_code == 400, (answer.status_code, answer.text)
    assert answer.json()["code"] == "inference_malformed"
    return str(answer.json()["reason"])


def test_the_server_says_what_it_is(client: TestClient) -> None:
    answer = client.get("/v2").json()
    assert answer["name"] == "neumo"
    assert answer["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}


@pytest.mark.parametrize("path", [f"/v2/models/{MODEL}", f"/v2/models/{MODEL}/versions/3"])
def test_a_model_tells_its_tensors(client: TestClient, path: str) -> None:
    told = client.get(path).json()
    assert (told["name"], told["versions"], told["platform"]) == (MODEL, ["3"], "onnxruntime_onnx")
    inputs = {each["name"]: (each["datatype"], each["shape"]) for each in told["inputs"]}
    assert inputs["file"] == ("BYTES", [-1])
    assert inputs["image"] == ("UINT8", [-1, 1, 224, 224])
    assert [each["name"] for each in told["outputs"]] == OUTPUTS
    assert client.get(f"{path}/ready").json() == {"name": MODEL, "ready": True}


def test_an_image_in_base64_is_read_as_predict_reads_it(client: TestClient, jpeg: bytes) -> None:
    said = client.post("/predict", content=jpeg).json()
    answer = client.post(INFER, json={"id": "film 7", "inputs": [file_tensor(jpeg)]})
    outputs = outputs_of(answer)
    body = answer.json()
    assert list(outputs) == OUTPUTS
    assert (body["id"], body["model_name"], body["model_version"]) == ("film 7", MODEL, "3")
    assert body["parameters"]["request_id"] == answer.headers["X-Request-ID"]
    assert body["parameters"]["sha256"] == said["model"]["sha256"]
    assert body["parameters"]["labels"].split() == list(said["probabilities"])
    assert outputs["probabilities"]["data"] == list(said["probabilities"].values())
    assert outputs["labels"]["data"] == [said["label"]]
    assert outputs["status"]["data"] == [said["status"]]
    assert outputs["warnings"]["data"][0].split() == [each["code"] for each in said["warnings"]]
    assert outputs["cam"]["shape"][:2] == [1, 4]


def test_files_as_bytes_behind_the_json_give_the_same(
    client: TestClient, examples: dict[str, Path]
) -> None:
    files = [path.read_bytes() for path in examples.values()]
    wanted = outputs_of(client.post(INFER, json={"inputs": [file_tensor(*files)]}))
    data = packed(*files)
    tensor = {"name": "file", "datatype": "BYTES", "shape": [len(files)]}
    head = {
        "inputs": [tensor | {"parameters": {"binary_data_size": len(data)}}],
        "parameters": {"binary_data_output": True},
    }
    found = split(client.post(INFER, **binary(head, data)))
    assert list(found) == OUTPUTS
    shares = np.frombuffer(found["probabilities"], "<f4").reshape(len(files), 4)
    expected = np.array(wanted["probabilities"]["data"], np.float32).reshape(shares.shape)
    assert np.array_equal(shares, expected)
    assert found["labels"] == packed(*(label.encode() for label in wanted["labels"]["data"]))
    assert {"normal", "covid19"} <= set(wanted["labels"]["data"])


def test_a_body_that_is_an_image_is_read_where_the_header_says_that_no_json_comes(
    client: TestClient, jpeg: bytes
) -> None:
    answer = client.post(INFER, content=jpeg, headers={"Inference-Header-Content-Length": "0"})
    assert outputs_of(answer)["labels"]["shape"] == [1]


@pytest.mark.parametrize("nested", ["flat", "nested", "binary"])
def test_pixels_reach_the_network_as_they_are(
    fake: TestClient, seeing: FakeModel, nested: str
) -> None:
    tensor: dict[str, Any] = {"name": "image", "datatype": "UINT8", "shape": [1, 1, 224, 224]}
    call: dict[str, Any]
    if nested == "binary":
        head = {"inputs": [tensor | {"parameters": {"binary_data_size": PIXELS.size}}]}
        call = binary(head, PIXELS.tobytes())
    else:
        pixels: NDArray[np.uint8] = PIXELS.ravel() if nested == "flat" else PIXELS
        call = {"json": {"inputs": [tensor | {"data": pixels.tolist()}]}}
    seeing.seen.clear()
    outputs = outputs_of(fake.post(INFER, **call))
    assert np.array_equal(seeing.seen[0], PIXELS)
    assert outputs["probabilities"]["data"] == [0.5, 0.25, 0.125, 0.125]
    assert outputs["cam"]["shape"] == [1, 4, 7, 7]
    assert np.array_equal(np.reshape(outputs["cam"]["data"], (4, 7, 7)), one_hot_cams())


def test_outputs_come_as_they_are_asked_for_each_in_its_form(fake: TestClient, jpeg: bytes) -> None:
    asked = [
        {"name": "labels", "parameters": {"binary_data": False}},
        {"name": "distance"},
        {"name": "status", "parameters": {"binary_data": True}},
    ]
    body = {
        "inputs": [file_tensor(jpeg, jpeg)],
        "outputs": asked,
        "parameters": {"binary_data_output": True, "priority": 3},
    }
    answer = fake.post(INFER, json=body)
    found = split(answer)
    assert list(found) == ["distance", "status"]
    assert np.frombuffer(found["distance"], "<f4").tolist() == [0, 0]
    head = json.loads(answer.content[: int(answer.headers["Inference-Header-Content-Length"])])
    assert head["outputs"][0] == {
        "name": "labels", "datatype": "BYTES", "shape": [2], "data": ["normal", "normal"],
    }  # fmt: skip


def test_what_is_said_of_each_patient_is_heeded(client: TestClient, jpeg: bytes) -> None:
    body = {
        "inputs": [
            file_tensor(jpeg, jpeg),
            {"name": "age_years", "datatype": "BYTES", "shape": [2], "data": ["061Y", ""]},
            {"name": "view", "datatype": "BYTES", "shape": [1], "data": ["lateral"]},
        ]
    }
    outputs = outputs_of(client.post(INFER, json=body))
    assert all("view_outside_population" in each for each in outputs["reasons"]["data"])
    said = client.post("/predict?age_years=61&view=lateral", content=jpeg).json()
    assert outputs["reasons"]["data"][0].split() == [each["code"] for each in said["reasons"]]
    body["inputs"][1]["data"] = ["61", "no age"]
    answer = client.post(INFER, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_parameter")
    assert "no age" not in answer.text


def test_an_error_is_told_as_v2_clients_look_for_it(client: TestClient, jpeg: bytes) -> None:
    answer = client.post(INFER, json={"inputs": [file_tensor(jpeg, jpeg[:999])]})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["error"] == f"{body['code']}: {body['detail']}"
    assert (body["code"], body["index"]) == ("image_truncated", 1)
    assert body["request_id"] == answer.headers["X-Request-ID"]


def test_elsewhere_an_error_is_a_problem_still(client: TestClient) -> None:
    for path in ("/v2x", "/nothing", "/v20/models"):
        answer = client.get(path)
        assert answer.headers["content-type"] == "application/problem+json"
        assert "error" not in answer.json()
    assert client.get("/v2/nothing").json()["error"].startswith("not_found: ")


@pytest.mark.parametrize(
    "path",
    ["/v2/models/other", "/v2/models/other/ready", f"/v2/models/{MODEL}/versions/2",
     f"/v2/models/{MODEL}/versions/2/ready", f"/v2/models/{MODEL}%2F..%2F/ready"],
)  # fmt: skip
def test_a_model_or_version_that_is_not_held_is_not_found(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404
    assert client.post(f"{path.removesuffix('/ready')}/infer", json={}).status_code == 404


def test_each_model_that_is_loaded_answers_by_its_name(jpeg: bytes) -> None:
    body = {"inputs": [file_tensor(jpeg)], "outputs": [{"name": "labels"}]}
    with several.served(several.make_models()) as client:

        def ask(name: str) -> str:
            answer = client.post(f"/v2/models/{name}/infer", json=body)
            assert answer.json()["model_name"] == name
            label = outputs_of(answer)["labels"]["data"][0]
            return f"{answer.json()['parameters']['model']} {label}"

        a, b = f"{several.A} normal", f"{several.B} covid19"
        assert (ask(several.A), ask(several.B), ask("neumo")) == (a, b, a)
        assert client.post(f"/admin/models/{several.B}/activate").status_code == 200
        assert (ask(several.A), ask(several.B), ask("neumo")) == (a, b, b)
        assert client.get(f"/v2/models/{several.B}/ready").status_code == 200
        answer = client.get(f"/v2/models/{several.BAD}/ready")
        assert (answer.status_code, answer.json()["code"]) == (409, "model_not_usable")
        refused = client.post(f"/v2/models/{several.BAD}/infer", json=body)
        assert "bundle_hash_mismatch" in refused.json()["error"]


class Recorder:
    """A witness that keeps what it is told."""

    def __init__(self) -> None:
        self.read: list[tuple[Origin, str, str]] = []
        self.refused: list[tuple[Origin, str]] = []

    def check(self) -> None: ...

    def saw_reading(self, origin: Origin, reading: Reading) -> None:
        self.read.append((origin, reading.card.name, reading.facts.sha256))

    def saw_refusal(self, origin: Origin, code: str, _: str | None, __: Card) -> None:
        self.refused.append((origin, code))


def test_each_image_is_told_to_the_audit_trail_with_the_model_that_read_it(jpeg: bytes) -> None:
    with several.served(several.make_models()) as client:
        service: Service = client.app.state.service  # type: ignore[attr-defined]
        service.witness = recorder = Recorder()
        path = f"/v2/models/{several.B}/infer"
        answer = client.post(path, json={"inputs": [file_tensor(jpeg, jpeg)]})
        request_id = answer.headers["X-Request-ID"]
        sha256 = hashlib.sha256(jpeg).hexdigest()
        assert [(name, said) for _, name, said in recorder.read] == [(several.B, sha256)] * 2
        assert {origin.index for origin, _, _ in recorder.read} == {0, 1}
        call = "/v2/models/{model_name}/infer"
        assert {(origin.request_id, origin.call) for origin, _, _ in recorder.read} == {
            (request_id, call)
        }
        client.post(path, json={"inputs": [file_tensor(jpeg[:999])]})
        assert [code for _, code in recorder.refused] == ["image_truncated"]
        metrics = client.get("/metrics").text
        assert f'neumo_requests_total{{method="POST",route="{call}",status="200"}} 1.0' in metrics
        assert 'neumo_refusals_total{code="image_truncated"} 1.0' in metrics


def test_a_shadow_is_compared_with_the_active_model_alone(jpeg: bytes) -> None:
    third = "neumo-c-1"
    held = several.make_models() | {third: FakeModel(several.NORMAL, card={"name": third})}
    with several.served(held, models=f"{several.B},{third}", shadow=several.B) as client:
        body = {"inputs": [file_tensor(jpeg)]}
        compared: list[Comparison] = []
        client.app.state.service.models.listeners.append(compared.append)  # type: ignore[attr-defined]
        for name in (third, several.A):
            assert client.post(f"/v2/models/{name}/infer", json=body).status_code == 200
        wait_until(lambda: bool(compared))
        assert [each.active.name for each in compared] == [several.A]


def test_a_service_that_drains_is_not_ready_and_answers_still(jpeg: bytes) -> None:
    with served(FakeModel()) as client:
        client.app.state.service.drain()  # type: ignore[attr-defined]
        answer = client.get("/v2/health/ready")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert answer.json()["error"].startswith("not_ready: ")
        assert client.post(INFER, json={"inputs": [file_tensor(jpeg)]}).status_code == 200
        client.app.state.service.stop()  # type: ignore[attr-defined]
        assert client.post(INFER, json={"inputs": [file_tensor(jpeg)]}).status_code == 503
        assert client.get("/v2/health/live").status_code == 200


def test_a_dicom_file_is_read_with_its_tags(client: TestClient) -> None:
    film = (ROOT / "examples" / "normal.dcm").read_bytes()
    said = client.post("/predict", content=film).json()
    outputs = outputs_of(client.post(INFER, json={"inputs": [file_tensor(film)]}))
    assert outputs["labels"]["data"] == [said["label"]] == ["normal"]
    assert outputs["warnings"]["data"][0].split() == [each["code"] for each in said["warnings"]]
    answer = client.post(f"{INFER}?window=9", json={"inputs": [file_tensor(film)]})
    assert (answer.status_code, answer.json()["reason"]) == (400, "window")


def test_elements_that_came_as_bytes_may_be_said_to_be_in_base64(
    client: TestClient, jpeg: bytes
) -> None:
    data = packed(base64.encodebytes(jpeg))
    parameters = {"binary_data_size": len(data), "content_type": "base64"}
    tensor = {"name": "file", "datatype": "BYTES", "shape": [1, 1], "parameters": parameters}
    assert outputs_of(client.post(INFER, **binary({"inputs": [tensor]}, data)))


def test_only_its_health_is_open_to_anybody() -> None:
    scopes = {path: scope for path, scope in ROUTE_SCOPES.items() if path.startswith("/v2")}
    assert len(scopes) == 9
    assert {path for path, scope in scopes.items() if scope is None} == {
        "/v2/health/live", "/v2/health/ready",
    }  # fmt: skip
    assert set(scopes.values()) == {None, "predict"}


def test_more_images_than_a_call_takes_are_refused(fake: TestClient, jpeg: bytes) -> None:
    answer = fake.post(INFER, json={"inputs": [file_tensor(*[jpeg] * 5)]})
    assert (answer.status_code, answer.json()["code"]) == (400, "too_many_files")
    assert "at most 4 images" in answer.json()["error"]


def test_a_body_over_the_limit_of_batches_is_refused_at_its_head(fake: TestClient) -> None:
    path = f"/v2/models/{MODEL}/versions/3/infer"
    for each in (path, INFER):
        answer = fake.post(each, content=b" " * (2**20 + 1))
        assert (answer.status_code, answer.json()["max_body_bytes"]) == (413, 2**20)
    assert "error" in answer.json()


def test_a_compressed_body_is_refused(fake: TestClient) -> None:
    answer = fake.post(INFER, content=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["reason"]) == (415, "content_encoding")


FILE = {"name": "file", "datatype": "BYTES", "shape": [1], "data": ["/9j/"]}
IMAGE = {"name": "image", "datatype": "UINT8", "shape": [1, 1, 224, 224]}


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (None, "inputs"),
        ({}, "inputs"),
        ([], "inputs"),
        ([7], "inputs"),
        ([FILE, FILE], "inputs"),
        ([FILE, IMAGE | {"data": [0]}], "inputs"),
        ([FILE | {"name": "../file"}], "inputs"),
        ([FILE | {"name": ["file"]}], "inputs"),
        ([FILE | {"datatype": "FP32"}], "datatype"),
        ([FILE | {"datatype": None}], "datatype"),
        ([FILE | {"shape": [0]}], "shape"),
        ([FILE | {"shape": [-1]}], "shape"),
        ([FILE | {"shape": [True]}], "shape"),
        ([FILE | {"shape": [1.0]}], "shape"),
        ([FILE | {"shape": [float("nan")]}], "shape"),
        ([FILE | {"shape": "1"}], "shape"),
        ([FILE | {"shape": []}], "shape"),
        ([FILE | {"shape": [1] * 1000}], "shape"),
        ([FILE | {"shape": [10**400]}], "shape"),
        ([FILE | {"shape": [1, 2]}], "shape"),
        ([IMAGE | {"shape": [1, 3, 224, 224], "data": [0]}], "shape"),
        ([IMAGE | {"shape": [1, 1, 2**31 - 1, 2**31 - 1], "data": [0]}], "shape"),
        ([FILE | {"data": []}], "count"),
        ([FILE | {"data": ["/9j/", "/9j/"]}], "count"),
        ([IMAGE | {"data": [0]}], "count"),
        ([FILE | {"data": None}], "data"),
        ([{key: FILE[key] for key in ("name", "datatype", "shape")}], "data"),
        ([FILE | {"data": [7]}], "base64"),
        ([FILE | {"data": ["not base64!"]}], "base64"),
        ([FILE | {"data": ["\ud800"]}], "base64"),
        ([IMAGE | {"data": [256] + [0] * 50175}], "elements"),
        ([IMAGE | {"data": [-1] + [0] * 50175}], "elements"),
        ([IMAGE | {"data": [0.5] + [0] * 50175}], "elements"),
        ([IMAGE | {"data": [float("nan")] + [0] * 50175}], "elements"),
        ([IMAGE | {"data": [10**300] + [0] * 50175}], "elements"),
        ([IMAGE | {"data": [[0], 0]}], "elements"),
        ([FILE | {"parameters": []}], None),
        ([FILE | {"parameters": "x"}], "parameters"),
        ([FILE, {"name": "view", "datatype": "BYTES", "shape": [2**31 - 1], "data": []}], "shape"),
        ([FILE, {"name": "view", "datatype": "BYTES", "shape": [1], "data": [7]}], "elements"),
    ],
)
def test_inputs_that_are_none_are_refused(
    fake: TestClient, inputs: object, reason: str | None
) -> None:
    answer = fake.post(INFER, content=json.dumps({"inputs": inputs}))
    if reason is None:  # empty parameters are none: it comes to the image itself
        assert answer.json()["code"] == "image_undecodable"
    else:
        assert reason_of(answer) == reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "json"),
        (b"[]", "json"),
        (b"\xff\xfe", "json"),
        (b'{"inputs": [', "json"),
        (json.dumps({"inputs": [FILE]}).encode("utf-16"), "json"),
        (b"[" * 100_000, "json"),
        (b'{"a":' * 1000, "json"),
        (b'{"a": ' + b"9" * 5000 + b"}", "json"),
        (b'{"inputs": [' + b"[]," * 300_000, "too_many_values"),
        (b'{"inputs": [' + b"0," * 300_000, "too_many_values"),
        (b'{"a": {' + b'"a":0,' * 2000 + b'"b":0}}', "too_many_values"),
    ],
)
def test_what_is_no_json_object_is_refused(fake: TestClient, content: bytes, reason: str) -> None:
    assert reason_of(fake.post(INFER, content=content)) == reason


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"outputs": {}}, "outputs"),
        ({"outputs": [{"name": "other"}]}, "outputs"),
        ({"outputs": [{"name": None}]}, "outputs"),
        ({"outputs": [{"name": "cam"}, {"name": "cam"}]}, "outputs"),
        ({"outputs": [{"name": "cam", "parameters": {"classification": 2}}]}, "extension"),
        ({"outputs": [{"name": "cam", "parameters": {"binary_data": "yes"}}]}, "parameters"),
        ({"parameters": {"binary_data_output": 1}}, "parameters"),
        ({"parameters": [1]}, "parameters"),
        ({"id": 7}, "id"),
        ({"id": "x" * 257}, "id"),
    ],
)
def test_what_is_asked_wrongly_is_refused(
    fake: TestClient, jpeg: bytes, more: dict[str, Any], reason: str
) -> None:
    body = {"inputs": [file_tensor(jpeg)]} | more
    assert reason_of(fake.post(INFER, json=body)) == reason


@pytest.mark.parametrize(
    "length", ["-1", "+5", "1e3", "999999999", "9" * 400, " ", "0x10", "٣", "5, 5"]
)
def test_a_length_of_the_json_that_lies_is_refused(
    fake: TestClient, jpeg: bytes, length: str
) -> None:
    body = json.dumps({"inputs": [file_tensor(jpeg)]}).encode()
    headers = {b"inference-header-content-length": length.encode()}
    assert reason_of(fake.post(INFER, content=body, headers=headers)) == "header_length"


@pytest.mark.parametrize(
    ("size", "behind", "reason"),
    [
        (-1, b"", "binary_size"),
        (2.0, b"ab", "binary_size"),
        (True, b"a", "binary_size"),
        (10**30, b"abcd", "binary_size"),
        (4, b"abcdef", "binary_size"),
        (3, b"abc", "binary_elements"),
        (4, b"\xff\xff\xff\xff", "binary_elements"),
        (6, b"\x03\x00\x00\x00ab", "binary_elements"),
        (0, b"", "count"),
        (8, b"\x00" * 8, "count"),
    ],
)
def test_binary_data_that_lies_is_refused(
    fake: TestClient, size: object, behind: bytes, reason: str
) -> None:
    tensor = {"name": "file", "datatype": "BYTES", "shape": [1]}
    head = {"inputs": [tensor | {"parameters": {"binary_data_size": size}}]}
    assert reason_of(fake.post(INFER, **binary(head, behind))) == reason


def test_what_is_damaged_on_the_way_is_never_neumos_fault(fake: TestClient, jpeg: bytes) -> None:
    data = packed(jpeg[:2000])
    tensor = {"name": "file", "datatype": "BYTES", "shape": [1]}
    head = {"inputs": [tensor | {"parameters": {"binary_data_size": len(data)}}]}
    sound = binary(head, data)
    random = np.random.default_rng(7)
    seen = set()
    for _ in range(400):
        body = bytearray(sound["content"])
        for at in random.integers(0, 200, random.integers(1, 4)):
            body[at] = random.choice((0, 34, 44, 48, 57, 91, 93, 123, 125, 255, body[at] ^ 1))
        length = int(sound["headers"]["Inference-Header-Content-Length"])
        length += int(random.choice((0, 0, 0, -1, 1, 4, 10**6)))
        headers = {"Inference-Header-Content-Length": str(length)}
        answer = fake.post(INFER, content=bytes(body), headers=headers)
        assert answer.status_code < 500, bytes(body)
        seen.add(answer.json().get("reason") or answer.json()["code"])
    assert {"json", "header_length", "inputs", "datatype", "binary_size"} <= seen


def test_pixels_of_as_many_films_as_a_call_takes_fit_into_json_nested(fake: TestClient) -> None:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [4, 1, 224, 224]}
    films = np.ones((4, 1, 224, 224), np.uint8).tolist()
    answer = fake.post(INFER, json={"inputs": [tensor | {"data": films}]})
    assert outputs_of(answer)["labels"]["shape"] == [4]


def test_pixels_made_by_the_same_rules_give_what_the_file_gives(
    client: TestClient, jpeg: bytes
) -> None:
    """In a body so large that it is parsed on a thread, which tells too what is wrong with it."""
    said = client.post("/predict", content=jpeg).json()
    films = np.tile(resize(decode(jpeg)), (8, 1, 1, 1))
    tensor = {"name": "image", "datatype": "UINT8", "shape": [8, 1, 224, 224]}
    body = json.dumps({"inputs": [tensor | {"data": films.ravel().tolist()}]})
    assert len(body) > 2**20
    outputs = outputs_of(client.post(INFER, content=body))
    assert outputs["probabilities"]["data"] == list(said["probabilities"].values()) * 8
    assert reason_of(client.post(INFER, content=body.replace("224, 224]", "224, 225]"))) == "shape"


def test_an_element_without_bytes_is_an_empty_upload(fake: TestClient) -> None:
    answer = fake.post(INFER, json={"inputs": [FILE | {"data": [""]}]})
    assert (answer.status_code, answer.json()["code"]) == (400, "empty_upload")


def test_nothing_of_a_caller_is_quoted_in_an_error(fake: TestClient) -> None:
    body = {"id": "MARIA", "inputs": [FILE | {"name": "MARIA", "data": ["MARIA!"]}]}
    for path in (INFER, "/v2/models/MARIA/infer"):
        assert "MARIA" not in fake.post(path, json=body).text
