"""Forms as clients really send them: taken where it is clear, else told what is wrong."""

import gzip

import pytest
from fastapi.testclient import TestClient

from tests.contract.test_problems import check_problem
from tests.server import multipart

PATHS = ["/predict", "/predict/batch"]


def sent(client: TestClient, path: str, body: bytes, content_type: str) -> dict[str, object]:
    response = client.post(path, content=body, headers={"Content-Type": content_type})
    assert response.status_code == 200, response.text
    answer = response.json()
    first: dict[str, object] = answer["results"][0] if path.endswith("batch") else answer
    return first


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("field", ["file", "files", "file[]", "files[]"])
def test_every_name_for_files_is_taken_on_both_routes(
    client: TestClient, jpeg: bytes, path: str, field: str
) -> None:
    body, headers = multipart((field, "a.jpg", jpeg))
    assert sent(client, path, body, headers["Content-Type"])["label"] == "normal"


@pytest.mark.parametrize("path", PATHS)
def test_a_part_without_a_filename_is_taken(client: TestClient, jpeg: bytes, path: str) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"\r\nContent-Type: image/jpeg\r\n\r\n'
    body = head + jpeg + b"\r\n--b--\r\n"
    assert sent(client, path, body, "multipart/form-data; boundary=b")["label"] == "normal"


@pytest.mark.parametrize("path", PATHS)
def test_a_second_input_left_empty_costs_nothing(
    client: TestClient, jpeg: bytes, path: str
) -> None:
    body, headers = multipart(("file", "a.jpg", jpeg), ("file", "", b""))
    response = client.post(path, content=body, headers=headers)
    assert response.status_code == 200
    if path.endswith("batch"):
        assert len(response.json()["results"]) == 1


def test_fields_beside_the_image_are_passed_over_and_told(client: TestClient, jpeg: bytes) -> None:
    fields = {f"0010{tag:04d}": "x" * 5000 for tag in range(20)} | {"age": "61"}
    reading = client.post("/predict", files={"file": jpeg}, data=fields).json()
    codes = [warning["code"] for warning in reading["warnings"]]
    assert codes == ["population_unknown", "site_not_validated", "unknown_field"]
    raw = client.post("/predict?age=61&heatmap=false", content=jpeg).json()
    assert [warning["code"] for warning in raw["warnings"]] == codes


def test_known_fields_bring_no_such_warning(client: TestClient, jpeg: bytes) -> None:
    fields = {"age_years": "061Y", "view": "AP SUPINE"}
    reading = client.post("/predict?heatmap=1", files={"file": jpeg}, data=fields).json()
    assert [warning["code"] for warning in reading["warnings"]] == ["site_not_validated"]
    url = "/explain?format=json&alpha=0.2&label=normal&age_years=061Y"
    explained = client.post(url, files={"file": jpeg}).json()
    assert [warning["code"] for warning in explained["warnings"]] == ["site_not_validated"]


def test_text_in_the_files_field_is_told_what_it_needs(client: TestClient) -> None:
    response = client.post("/predict", data={"file": "x" * 9000}, files={"x": b""})
    assert "filename" in check_problem(response, 400, "missing_file")["detail"]


@pytest.mark.parametrize("path", PATHS)
def test_a_content_type_without_boundary_is_named(
    client: TestClient, jpeg: bytes, path: str
) -> None:
    body, _ = multipart(("file", "a.jpg", jpeg))
    response = client.post(path, content=body, headers={"Content-Type": "multipart/form-data"})
    assert "boundary" in check_problem(response, 400, "malformed")["detail"]


@pytest.mark.parametrize("path", PATHS)
def test_a_compressed_body_is_told_to_come_as_it_is(
    client: TestClient, jpeg: bytes, path: str
) -> None:
    headers = {"Content-Type": "image/jpeg", "Content-Encoding": "gzip"}
    response = client.post(path, content=gzip.compress(jpeg), headers=headers)
    problem = check_problem(response, 415, "unsupported_media_type")
    assert response.headers["accept-encoding"] == "identity"
    assert "Content-Encoding" in problem["detail"]


def test_a_form_that_can_not_hold_a_file_is_named(client: TestClient) -> None:
    response = client.post("/predict", data={"file": "chest.jpg"})
    assert "multipart" in check_problem(response, 415, "unsupported_media_type")["detail"]


def test_a_batch_has_an_age_and_a_view_for_each_file(client: TestClient, jpeg: bytes) -> None:
    files = [("file", jpeg)] * 3
    fields = {"age_years": ["30", "", "10"], "view": ["PA", "PA", "lateral"]}
    results = client.post("/predict/batch", files=files, data=fields).json()["results"]
    assert [result["index"] for result in results] == [0, 1, 2]
    codes = [[warning["code"] for warning in result["warnings"]] for result in results]
    assert codes == [
        ["site_not_validated"],
        ["population_unknown", "site_not_validated"],
        ["age_outside_population", "view_outside_population", "site_not_validated"],
    ]


def test_a_batch_whose_ages_do_not_fit_its_files_is_refused(
    client: TestClient, jpeg: bytes
) -> None:
    response = client.post(
        "/predict/batch", files=[("file", jpeg)] * 3, data={"age_years": ["30", "10"]}
    )
    problem = check_problem(response, 400, "invalid_parameter")
    assert (problem["parameter"], problem["reason"]) == ("age_years", "count")


def test_a_refused_file_of_a_batch_carries_its_index(client: TestClient, jpeg: bytes) -> None:
    files = [("file", jpeg), ("file", b"no image"), ("file", jpeg)]
    results = client.post("/predict/batch", files=files).json()["results"]
    assert [(result["index"], result.get("code")) for result in results] == [
        (0, None), (1, "unsupported_media_type"), (2, None)
    ]  # fmt: skip


def test_a_single_reading_has_no_index(client: TestClient, jpeg: bytes) -> None:
    assert "index" not in client.post("/predict", files={"file": jpeg}).json()


def test_a_form_as_dotnet_writes_it(client: TestClient, jpeg: bytes) -> None:
    # Names without quotes, the boundary in some, and the file's name twice (RFC 6266).
    body = (
        b"--g-1\r\nContent-Disposition: form-data; name=file; filename=film; "
        b"filename*=utf-8''film\r\n\r\n" + jpeg + b"\r\n--g-1\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Disposition: form-data; name=age_years\r\n\r\n61\r\n--g-1--\r\n"
    )
    headers = {"Content-Type": 'multipart/form-data; boundary="g-1"'}
    answer = client.post("/predict", content=body, headers=headers).json()
    assert answer["label"] == "normal"
    assert [warning["code"] for warning in answer["warnings"]] == ["site_not_validated"]
