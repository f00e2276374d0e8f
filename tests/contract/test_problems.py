"""Every failure: problem+json with a stable code, a status, and nothing of what was sent."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from app.errors import NotReady
from app.main import create_app
from app.model.session import Model, Outputs, Pixels
from app.service.service import load_model_from
from app.settings.settings import Settings
from tests.conftest import wait_until_ready
from tests.images import bomb_png, encode
from tests.server import multipart


def check_problem(response: Response, status: int, code: str) -> dict[str, Any]:
    """Hold a response against RFC 9457 and Neumo's own members; below /v2, `error` too."""
    assert response.status_code == status, response.text
    problem: dict[str, Any] = response.json()
    of_v2 = response.url.path.startswith("/v2")
    media_type = "application/json" if of_v2 else "application/problem+json"
    assert response.headers["content-type"] == media_type
    assert ("error" in problem) == of_v2
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["type"] == f"urn:problem-type:neumo:{code}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == response.headers["x-request-id"]
    return problem


def post(client: TestClient, content: bytes, name: str = "chest.png") -> Response:
    return client.post("/predict", files={"file": (name, content)})


def test_an_empty_file(client: TestClient) -> None:
    check_problem(post(client, b""), 400, "empty_upload")


def test_an_empty_body(client: TestClient) -> None:
    check_problem(client.post("/predict"), 400, "empty_upload")


def test_text_renamed_png(client: TestClient) -> None:
    check_problem(post(client, b"no image at all" * 100), 415, "unsupported_media_type")


@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_jpeg(client: TestClient, progressive: bool) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8)
    whole = encode(noise, "JPEG", progressive=progressive)
    check_problem(post(client, whole[: len(whole) // 2]), 422, "image_truncated")


def test_a_damaged_png(client: TestClient) -> None:
    whole = bytearray(encode(np.eye(100, dtype=np.uint8), "PNG"))
    whole[16:24] = b"\xff" * 8  # a size that no checksum vouches for
    check_problem(post(client, bytes(whole)), 422, "image_undecodable")


def test_one_pixel(client: TestClient) -> None:
    problem = check_problem(
        post(client, encode(np.zeros((1, 1), np.uint8), "PNG")), 422, "image_too_small"
    )
    assert problem["min_side_px"] == 64


def test_a_png_bomb_of_20000_by_20000(client: TestClient) -> None:
    bomb = bomb_png(20_000)
    assert len(bomb) < 2_000_000
    problem = check_problem(post(client, bomb), 422, "image_too_many_pixels")
    assert problem["max_pixels"] == 50_000_000


def test_two_files(client: TestClient, jpeg: bytes) -> None:
    files = [("file", ("a.jpg", jpeg)), ("file", ("b.jpg", jpeg))]
    problem = check_problem(client.post("/predict", files=files), 400, "too_many_files")
    assert problem["max_files"] == 1


def test_the_wrong_field(client: TestClient, jpeg: bytes) -> None:
    problem = check_problem(
        client.post("/predict", files={"image": ("a.jpg", jpeg)}), 400, "missing_file"
    )
    assert problem["field"] == "file"


def test_text_in_the_right_field(client: TestClient) -> None:
    response = client.post("/predict", data={"file": "chest.jpg"}, files={"x": b""})
    check_problem(response, 400, "missing_file")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"no boundary in here"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n"),
    ],
)
def test_a_broken_form(client: TestClient, content_type: str, body: bytes) -> None:
    response = client.post("/predict", content=body, headers={"Content-Type": content_type})
    assert response.json()["code"] in ("malformed", "missing_file")
    check_problem(response, 400, response.json()["code"])


def test_a_charset_means_nothing_to_a_form(client: TestClient, jpeg: bytes) -> None:
    body, headers = multipart(("file", "a.jpg", jpeg))
    headers["Content-Type"] += "; charset=undefined"  # a codec of Python's that always fails
    assert client.post("/predict", content=body, headers=headers).status_code == 200


@pytest.mark.parametrize(("path", "files"), [("/predict", 1), ("/predict/batch", 2)])
def test_a_form_that_ends_within_its_last_file(
    client: TestClient, jpeg: bytes, path: str, files: int
) -> None:
    body, headers = multipart(*[("file", "a.jpg", jpeg)] * files)
    assert client.post(path, content=body, headers=headers).status_code == 200
    check_problem(client.post(path, content=body[:-200], headers=headers), 400, "malformed")


def test_a_batch_without_a_field_of_the_contract(client: TestClient, jpeg: bytes) -> None:
    check_problem(client.post("/predict/batch", files={"images": jpeg}), 400, "missing_file")


def test_the_wrong_method(client: TestClient) -> None:
    response = client.get("/predict")
    check_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"
    assert client.post("/health/live").headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/health/live", "/metrics", "/model"])
def test_what_can_be_got_can_be_asked_for_its_head(client: TestClient, path: str) -> None:
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == client.get(path).headers["content-type"]


def test_an_unknown_path(client: TestClient) -> None:
    problem = check_problem(client.get("/patients/doe-john"), 404, "not_found")
    assert "doe" not in str(problem)


@pytest.mark.parametrize("path", ["/predict/", "/predict/batch/", "/health/ready/"])
def test_a_slash_too_many_is_not_redirected(client: TestClient, path: str) -> None:
    response = client.post(path, headers={"Host": "elsewhere.test"}, follow_redirects=False)
    check_problem(response, 404, "not_found")
    assert "location" not in response.headers


def test_problems_speak_spanish_where_asked(client: TestClient) -> None:
    response = client.post("/predict", headers={"Accept-Language": "es"})
    assert response.headers["content-language"] == "es"
    assert check_problem(response, 400, "empty_upload")["title"] == "Archivo vacío"


@pytest.fixture(scope="module")
def narrow() -> Iterator[TestClient]:
    """An application that takes bodies of 4,096 bytes."""
    app = create_app(Settings(max_body_bytes=4096, max_batch_body_bytes=8192))
    with TestClient(app, raise_server_exceptions=False) as client:
        wait_until_ready(client)
        yield client


def test_a_body_over_the_limit_by_its_declared_length(narrow: TestClient) -> None:
    problem = check_problem(narrow.post("/predict", content=b"x" * 4097), 413, "body_too_large")
    assert problem["max_body_bytes"] == 4096


@pytest.mark.parametrize(
    ("declared", "status"),
    [("0" * 5000 + "4", 415), ("0" * 5000 + "4097", 413), ("9" * 5000, 413), ("999", 415)],
)
def test_a_declared_length_of_any_number_of_digits(
    narrow: TestClient, declared: str, status: int
) -> None:
    response = narrow.post("/predict", content=b"xxxx", headers={"Content-Length": declared})
    assert response.status_code == status


def test_a_body_over_the_limit_that_declares_no_length(narrow: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(5):
            yield b"x" * 1000

    problem = check_problem(narrow.post("/predict", content=chunks()), 413, "body_too_large")
    assert problem["max_body_bytes"] == 4096


def test_a_form_over_the_limit_that_declares_no_length(narrow: TestClient) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(5):
            yield b"x" * 1000

    response = narrow.post(
        "/predict", content=chunks(), headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    check_problem(response, 413, "body_too_large")


def test_a_body_at_the_limit_is_read(narrow: TestClient) -> None:
    check_problem(narrow.post("/predict", content=b"x" * 4096), 415, "unsupported_media_type")


def test_a_batch_has_a_limit_of_its_own(narrow: TestClient) -> None:
    inside = narrow.post("/predict/batch", files=[("file", ("a", b"x" * 5000))])
    assert inside.status_code == 200
    outside = narrow.post("/predict/batch", files=[("file", ("a", b"x" * 9000))])
    assert check_problem(outside, 413, "body_too_large")["max_body_bytes"] == 8192


class Broken:
    """A model whose runs fail with words that must stay inside."""

    def __init__(self, model: Model) -> None:
        self.card = model.card
        self.card_json = model.card_json

    def run(self, _: object) -> None:
        raise RuntimeError("DOE^JOHN 1970-01-01")


@pytest.fixture(scope="module")
def broken() -> Iterator[TestClient]:
    """An application whose network fails at every run."""
    app = create_app(Settings(), load_model=lambda settings: Broken(load_model_from(settings)))  # type: ignore[arg-type, return-value]
    with TestClient(app, raise_server_exceptions=False) as client:
        wait_until_ready(client)
        yield client


def test_neumos_own_failure_says_nothing_of_its_inside(
    broken: TestClient, jpeg: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    problem = check_problem(post(broken, jpeg), 500, "internal_error")
    assert "DOE" not in str(problem)
    assert [record.name for record in caplog.records if record.levelname == "ERROR"] == [
        "neumo.request"
    ]


def test_one_failing_file_does_not_cost_a_batch_its_other_answers(
    broken: TestClient, jpeg: bytes
) -> None:
    files = [("file", ("a.jpg", jpeg)), ("file", ("b.jpg", b""))]
    results = broken.post("/predict/batch", files=files).json()["results"]
    assert [result["code"] for result in results] == ["internal_error", "empty_upload"]


def test_before_the_model_is_loaded_a_reading_can_not_be_had(jpeg: bytes) -> None:
    def fail(_: Settings) -> Model:
        raise NotReady

    with TestClient(create_app(Settings(), load_model=fail)) as client:
        for path in ("/predict", "/predict/batch"):
            response = client.post(path, files={"file": jpeg})
            check_problem(response, 503, "not_ready")
            assert response.headers["retry-after"] == "1"
        check_problem(client.get("/model"), 503, "not_ready")


def test_what_can_not_be_read_in_time_is_refused_and_all_else_is_answered(jpeg: bytes) -> None:
    app = create_app(Settings())
    with TestClient(app) as client:
        wait_until_ready(client)
        admission = app.state.service.admission
        admission._pending, admission._service_s = 500, 0.1
        for path in ("/predict", "/predict/batch", "/explain", "/preview"):
            response = client.post(path, files={"file": jpeg})
            check_problem(response, 503, "overloaded")
            assert int(response.headers["retry-after"]) >= 10
        for path in ("/health/live", "/health/ready", "/metrics", "/model", "/docs"):
            assert client.get(path).status_code == 200
        admission._pending = 0
        assert post(client, jpeg).status_code == 200
        assert admission.idle


class Slow:
    """A model that takes its time over each image."""

    def __init__(self, model: Model, seconds: float) -> None:
        self.card = model.card
        self.card_json = model.card_json
        self._model = model
        self._seconds = seconds

    def run(self, pixels: Pixels) -> Outputs:
        time.sleep(self._seconds)
        return self._model.run(pixels)


def test_what_was_not_read_in_time_is_answered_504(jpeg: bytes) -> None:
    app = create_app(
        Settings(deadline_s=0.5, threads=1),
        load_model=lambda _: Slow(load_model_from(Settings()), 1),
    )
    with TestClient(app) as client:
        wait_until_ready(client)
        check_problem(post(client, jpeg), 504, "deadline_exceeded")
        for _ in range(200):
            if app.state.service.admission.idle:
                break
            time.sleep(0.01)
        assert app.state.service.admission.idle


def test_a_file_of_a_batch_that_was_not_read_in_time_has_its_504_in_its_place(jpeg: bytes) -> None:
    app = create_app(
        Settings(deadline_s=0.5, threads=1),
        load_model=lambda _: Slow(load_model_from(Settings()), 1),
    )
    with TestClient(app) as client:
        wait_until_ready(client)
        files = [("file", ("a.jpg", jpeg)), ("file", ("b.jpg", b""))]
        results = client.post("/predict/batch", files=files).json()["results"]
        assert results[0]["code"] == "deadline_exceeded"
