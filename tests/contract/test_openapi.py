"""The OpenAPI page, and what it tells: all that a client's author or generator goes by."""

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from openapi_spec_validator import validate
from pydantic import ValidationError

from app.errors import InvalidParameter
from app.main import create_app
from app.reading.subject_words import AGE_PATTERN, VIEW_WORDS, read_age_years, read_view
from app.settings.settings import Settings

OPERATIONS = {
    "/predict": "predict", "/predict/batch": "predict_batch", "/explain": "explain",
    "/preview": "preview",
    "/health/live": "live", "/health/ready": "ready", "/health/startup": "startup",
    "/model": "model", "/metrics": "metrics",
    "/models": "models", "/admin/models/{name}/activate": "activate_model",
    "/admin/models/rollback": "roll_back_model",
    "/feedback/{request_id}": "feedback", "/performance": "performance",
    "/dicomweb/studies": "store_instances",
    "/dicomweb/studies/{study_uid}": "store_instances_of_study", "/readings/{id}": "film_reading",
}  # fmt: skip
PROBLEM = {"$ref": "#/components/schemas/Problem"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """What /openapi.json holds."""
    return create_app(Settings()).openapi()


def calls(document: dict[str, Any]) -> dict[str, Any]:
    """Return each path's one call."""
    return {path: next(iter(methods.values())) for path, methods in document["paths"].items()}


def test_the_document_is_valid_and_every_reference_leads_somewhere(
    client: TestClient, document: dict[str, Any]
) -> None:
    assert client.get("/openapi.json").json() == document
    validate(document)
    references = set(re.findall(r"'\$ref': '([^']+)'", str(document)))
    assert "#/components/schemas/Caution" in references
    assert {name.removeprefix("#/components/schemas/") for name in references} <= set(
        document["components"]["schemas"]
    )
    assert "$defs" not in str(document)


def test_it_begins_with_what_neumo_is_not(document: dict[str, Any]) -> None:
    assert document["info"]["description"].startswith(
        "**Not a medical device.** The weights that come with Neumo are for research use only."
    )


def test_calls_have_names_that_a_program_would_give_them(document: dict[str, Any]) -> None:
    assert {path: call["operationId"] for path, call in calls(document).items()} == OPERATIONS


def test_every_member_of_every_schema_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert {"Reading", "Problem", "Explanation", "Card", "Metrics", "Health"} <= set(schemas)
    bare = [
        f"{name}.{member}"
        for name, schema in schemas.items()
        for member, described in schema.get("properties", {}).items()
        if not described.get("description")
    ]
    assert bare == []
    assert [name for name in schemas if not schemas[name].get("description")] == ["JsonValue"]


def test_warnings_have_listed_codes(document: dict[str, Any]) -> None:
    assert document["components"]["schemas"]["Caution"]["properties"]["code"]["enum"] == [
        "population_unknown", "age_outside_population", "view_outside_population",
        "site_not_validated", "tags_contradict", "body_part_not_chest", "modality_not_radiograph",
        "unknown_field",
    ]  # fmt: skip


def test_reasons_have_listed_codes(document: dict[str, Any]) -> None:
    assert document["components"]["schemas"]["Reason"]["properties"]["code"]["enum"] == [
        "low_confidence", "close_call", "pneumonia_kind_unknown", "age_outside_population",
        "view_outside_population",
    ]  # fmt: skip


def test_every_problem_is_the_one_schema_with_an_example_a_code(document: dict[str, Any]) -> None:
    told = 0
    for call in calls(document).values():
        for status, response in call["responses"].items():
            if status.startswith("2"):
                continue
            if "application/dicom+json" in response["content"]:  # STOW-RS: which, and why
                continue
            (content,) = response["content"].items()
            assert content[0] == "application/problem+json"
            assert content[1]["schema"] == PROBLEM
            assert re.findall(r"`(\w+)`", response["description"]) == list(content[1]["examples"])
            for code, example in content[1]["examples"].items():
                told += 1
                assert (example["value"]["code"], example["value"]["status"]) == (code, int(status))
    assert told > 50


def test_the_examples_of_problems_are_what_is_answered(
    client: TestClient, document: dict[str, Any], jpeg: bytes, examples: dict[str, Path]
) -> None:
    answers = calls(document)["/predict"]["responses"]
    file = {"file": jpeg}
    real = [
        client.post("/predict", content=examples["normal"].read_bytes()[:9000]),
        client.post("/predict", files={"file": ("x.jpg", b"")}),
        client.post("/predict", data={"age_years": "61"}, files={"other": jpeg}),
        client.post("/predict", files=file, data={"age_years": "200"}),
        client.post("/predict", files=[("file", jpeg), ("file", jpeg)]),
        client.post("/predict", content=b"%PDF-1.7"),
    ]
    assert [answer.status_code for answer in real] == [422, 400, 400, 400, 400, 415]
    for answer in real:
        problem = answer.json()
        told = answers[str(answer.status_code)]["content"]["application/problem+json"]["examples"]
        assert told[problem["code"]]["value"] | {"request_id": problem["request_id"]} == problem
    (example,) = document["components"]["schemas"]["Problem"]["examples"]
    assert example | {"request_id": real[0].json()["request_id"]} == real[0].json()


def test_it_tells_how_to_post_and_which_codes_may_come(document: dict[str, Any]) -> None:
    predict, batch = (calls(document)[path] for path in ("/predict", "/predict/batch"))
    assert set(predict["requestBody"]["content"]) == {
        "multipart/form-data", "image/jpeg", "image/png", "application/dicom",
        "application/octet-stream",
    }  # fmt: skip
    queries = [each["name"] for each in predict["parameters"]]
    assert queries == ["age_years", "view", "window", "include", "heatmap"]
    queries = [each["name"] for each in calls(document)["/preview"]["parameters"]]
    assert queries == ["age_years", "view", "window", "max_px"]
    assert "`image_truncated`" in predict["responses"]["422"]["description"]
    assert "`body_too_large`" in predict["responses"]["413"]["description"]
    for call in (predict, batch):
        assert {"400", "408", "413", "415", "431", "500", "503"} <= call["responses"].keys()
        assert "`invalid_parameter`" in call["responses"]["400"]["description"]
    assert "`deadline_exceeded`" in predict["responses"]["504"]["description"]


def test_explain_answers_with_a_picture_or_an_explanation(document: dict[str, Any]) -> None:
    content = calls(document)["/explain"]["responses"]["200"]["content"]
    assert {kind: described["schema"] for kind, described in content.items()} == {
        "image/png": {"type": "string", "format": "binary"},
        "application/json": {"$ref": "#/components/schemas/Explanation"},
    }


def test_a_file_alone_may_not_be_empty_and_one_of_a_batch_may(document: dict[str, Any]) -> None:
    def file_of(path: str) -> dict[str, Any]:
        form = calls(document)[path]["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert list(form["properties"]) == ["file", "age_years", "view"]
        described: dict[str, Any] = form["properties"]["file"]
        return described

    assert file_of("/predict")["minLength"] == 1
    assert file_of("/predict/batch")["minItems"] == 1
    assert "minLength" not in file_of("/predict/batch")["items"]


def is_taken(read: Any, word: str) -> bool:  # noqa: ANN401 - any reader
    try:
        read(word)
    except InvalidParameter:
        return False
    return True


def test_ages_are_described_as_they_are_taken() -> None:
    numbers = [str(number) for number in range(1200)] + [f"{number:03}" for number in range(140)]
    words = [
        number + unit
        for number in numbers
        for unit in ("", ".", ".5", ",25", ".0", "D", "w", "M", "Y", "y", "X", "e1", " ")
    ]
    words += ["-1", "one", "0061", "1301", "Y", "6 1"]
    told = {word for word in words if re.search(AGE_PATTERN, word)}
    taken = {word for word in words if is_taken(read_age_years, word)}
    assert told == taken
    assert {"0", "007", "61.5", "61,25", "130", "130.0", "061Y", "999D", "130Y"} <= told
    assert not {"131", "130.5", "131Y", "1000", "61 "} & told
    assert re.search(AGE_PATTERN, "")


def test_views_are_described_as_they_are_taken(document: dict[str, Any]) -> None:
    form = calls(document)["/predict"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["view"]["enum"] == ["", *VIEW_WORDS]
    assert [word for word in VIEW_WORDS if not is_taken(read_view, word)] == []


def test_the_openapi_page_names_no_other_host(client: TestClient) -> None:
    page = client.get("/docs").text
    assets = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(assets) >= 3
    for asset in assets:
        assert asset.startswith("/"), asset
        assert client.get(asset).status_code == 200
    assert not re.findall(r"url\(\s*['\"]?https?:", page)


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_head_answers_as_get_does_without_a_body(client: TestClient, path: str) -> None:
    got, head = client.get(path), client.head(path)
    assert (got.status_code, head.status_code, head.content) == (200, 200, b"")
    for name in ("content-type", "content-length"):
        assert head.headers[name] == got.headers[name]


@pytest.mark.parametrize("root_path", ["neumo", "/neumo/", "/a b", "https://neumo.test"])
def test_a_root_path_that_is_none_is_no_setting(root_path: str) -> None:
    with pytest.raises(ValidationError):
        Settings(root_path=root_path)


def test_without_a_root_path_no_server_is_named(document: dict[str, Any]) -> None:
    assert "servers" not in document
