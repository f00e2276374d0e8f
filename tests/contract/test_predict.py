"""POST /predict and /predict/batch: what a Reading holds, and how it may be asked for."""

import hashlib
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.model.bundle import find_bundle, read_bundle
from app.model.labels import LABEL_IDS
from app.settings.settings import Settings

ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def test_a_multipart_file_is_answered_with_a_reading(client: TestClient, jpeg: bytes) -> None:
    response = client.post("/predict", files={"file": ("chest.jpg", jpeg)})

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    reading = response.json()
    assert set(reading) == {
        "request_id", "status", "reasons", "label", "display_label", "candidates", "probabilities",
        "abnormal", "non_covid_pneumonia", "warnings", "notice", "schema_version", "image", "model",
        "timing_ms",
    }  # fmt: skip
    assert reading["status"] == "ok"
    assert reading["schema_version"] == 1
    assert reading["image"] == {
        "format": "JPEG",
        "width": 512,
        "height": 400,
        "bits": 8,
        "sha256": hashlib.sha256(jpeg).hexdigest(),
    }


def test_probabilities_sum_to_one_and_the_derived_figures_follow(
    client: TestClient, jpeg: bytes
) -> None:
    reading = client.post("/predict", files={"file": jpeg}).json()
    shares = reading["probabilities"]

    assert set(shares) == set(LABEL_IDS)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    assert reading["label"] == max(shares, key=shares.__getitem__)
    assert reading["abnormal"] == pytest.approx(1 - shares["normal"], abs=2e-6)
    assert reading["non_covid_pneumonia"] == pytest.approx(
        shares["bacterial_pneumonia"] + shares["viral_pneumonia"], abs=2e-6
    )


def test_the_reading_names_the_model_that_answered(client: TestClient, jpeg: bytes) -> None:
    card = read_bundle(find_bundle(Settings().model)).card
    reading = client.post("/predict", files={"file": jpeg}).json()
    assert reading["model"] == {
        "name": card.name, "version": card.version, "sha256": card.sha256
    }  # fmt: skip


def test_the_raw_body_gives_the_same_reading_as_the_form(client: TestClient, jpeg: bytes) -> None:
    form = client.post("/predict", files={"file": jpeg}).json()
    raw = client.post("/predict", content=jpeg, headers={"Content-Type": "image/jpeg"}).json()
    assert raw["probabilities"] == form["probabilities"]
    assert raw["image"] == form["image"]


def test_a_wrong_content_type_or_name_does_not_matter(client: TestClient, jpeg: bytes) -> None:
    form = client.post("/predict", files={"file": ("scan.png", jpeg, "image/png")})
    raw = client.post("/predict", content=jpeg, headers={"Content-Type": "text/plain"})
    assert form.json()["image"]["format"] == "JPEG"
    assert raw.json()["image"]["format"] == "JPEG"


@pytest.mark.parametrize(
    ("asked", "language", "name"),
    [
        ("es", "es", "Neumonía bacteriana"),
        ("es-MX,es;q=0.9,en;q=0.8", "es", "Neumonía bacteriana"),
        ("en-CA", "en", "Bacterial pneumonia"),
        ("fr", "en", "Bacterial pneumonia"),
    ],
)
def test_the_label_is_shown_in_the_language_asked_for(
    client: TestClient, examples: dict[str, Path], asked: str, language: str, name: str
) -> None:
    response = client.post(
        "/predict",
        files={"file": examples["bacterial_pneumonia"].read_bytes()},
        headers={"Accept-Language": asked},
    )
    assert response.headers["content-language"] == language
    assert response.json()["label"] == "bacterial_pneumonia"
    assert response.json()["display_label"] == name


def test_the_reading_says_what_normal_does_not_mean(client: TestClient, jpeg: bytes) -> None:
    notice = client.post("/predict", files={"file": jpeg}).json()["notice"]
    assert notice.startswith("Not a medical device. ")
    assert "research use only" in notice
    assert "not a diagnosis" in notice
    assert "not healthy" in notice
    spanish = client.post("/predict", files={"file": jpeg}, headers={"Accept-Language": "es"})
    assert "No es un producto sanitario" in spanish.json()["notice"]
    assert "no es un diagnóstico" in spanish.json()["notice"]


def test_times_are_those_of_the_stages(client: TestClient, jpeg: bytes) -> None:
    times = client.post("/predict", files={"file": jpeg}).json()["timing_ms"]
    assert set(times) == {"decode", "inference", "total"}
    assert 0 < times["decode"] < times["total"]
    assert 0 < times["inference"] < times["total"]
    assert times["decode"] + times["inference"] <= times["total"]


def test_each_request_gets_an_id_of_its_own(client: TestClient, jpeg: bytes) -> None:
    first, second = (client.post("/predict", files={"file": jpeg}) for _ in range(2))
    assert ULID.fullmatch(first.json()["request_id"])
    assert first.headers["x-request-id"] == first.json()["request_id"]
    assert first.json()["request_id"] != second.json()["request_id"]


@pytest.mark.parametrize(
    "given", ["01J9ZQ5W3N8Q6T4Y2B7C1D0E9F", "9f1c1b52-7a3e-4c55-8f0e-0d9b5a0f8a11"]
)
def test_a_callers_uuid_or_ulid_is_kept(client: TestClient, jpeg: bytes, given: str) -> None:
    response = client.post("/predict", files={"file": jpeg}, headers={"X-Request-ID": given})
    assert response.json()["request_id"] == given


@pytest.mark.parametrize("given", ["DOE^JOHN", "1234567", "01J9ZQ5W3N8Q6T4Y2B7C1D0E9F-smith"])
def test_any_other_id_of_a_caller_is_replaced(client: TestClient, jpeg: bytes, given: str) -> None:
    response = client.post("/predict", files={"file": jpeg}, headers={"X-Request-ID": given})
    assert ULID.fullmatch(response.json()["request_id"])


def test_other_form_fields_are_let_pass(client: TestClient, jpeg: bytes) -> None:
    response = client.post("/predict", files={"file": jpeg}, data={"age_years": "4", "view": "AP"})
    assert response.status_code == 200


def test_a_batch_answers_each_file_in_order(client: TestClient, jpeg: bytes) -> None:
    files = [
        ("file", ("a.jpg", jpeg)),
        ("file", ("b.png", b"no image")),
        ("file", ("c.jpg", b"")),
        ("file", ("d.jpg", jpeg)),
    ]
    response = client.post("/predict/batch", files=files)

    assert response.status_code == 200
    answer = response.json()
    assert answer["request_id"] == response.headers["x-request-id"]
    first, second, third, fourth = answer["results"]
    assert first["image"]["sha256"] == hashlib.sha256(jpeg).hexdigest()
    assert (second["code"], second["status"]) == ("unsupported_media_type", 415)
    assert (third["code"], third["status"]) == ("empty_upload", 400)
    single = client.post("/predict", files={"file": jpeg}).json()
    assert fourth["probabilities"] == first["probabilities"] == single["probabilities"]


def test_a_batch_takes_32_files_and_no_more(client: TestClient, jpeg: bytes) -> None:
    files = [("file", (f"{index}.jpg", jpeg)) for index in range(33)]
    assert len(client.post("/predict/batch", files=files[:32]).json()["results"]) == 32
    refused = client.post("/predict/batch", files=files)
    assert (refused.status_code, refused.json()["code"]) == (400, "too_many_files")
    assert refused.json()["max_files"] == 32


def test_a_batch_takes_the_field_files_too(client: TestClient, jpeg: bytes) -> None:
    answer = client.post("/predict/batch", files=[("files", jpeg), ("file", jpeg)]).json()
    assert [result["status"] for result in answer["results"]] == ["ok", "ok"]


def test_a_batch_of_raw_bytes_is_refused(client: TestClient, jpeg: bytes) -> None:
    refused = client.post("/predict/batch", content=jpeg, headers={"Content-Type": "image/jpeg"})
    assert (refused.status_code, refused.json()["code"]) == (400, "missing_file")
