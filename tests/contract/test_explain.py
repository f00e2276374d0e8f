"""POST /explain and ?heatmap=true: maps that add up to the answer."""

import base64
import io
from pathlib import Path

import numpy as np
import onnx
import pytest
from fastapi.testclient import TestClient
from onnx import numpy_helper
from PIL import Image

from app.model.bundle import find_bundle, read_bundle
from app.model.labels import LABEL_IDS
from app.settings import Settings


@pytest.fixture(scope="module")
def chest(examples: dict[str, Path]) -> bytes:
    return examples["covid19"].read_bytes()


def test_the_map_of_the_label_called_comes_as_a_picture(client: TestClient, chest: bytes) -> None:
    response = client.post("/explain", files={"file": chest})
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert response.headers["cache-control"] == "no-store"
    picture = Image.open(io.BytesIO(response.content))
    assert picture.width == 768
    assert picture.height > 768  # the legend


def test_the_picture_of_the_label_called_is_the_one_of_that_label_asked_for(
    client: TestClient, chest: bytes
) -> None:
    default = client.post("/explain", files={"file": chest}).content
    assert client.post("/explain?label=covid19", files={"file": chest}).content == default
    assert client.post("/explain?label=normal", files={"file": chest}).content != default


@pytest.mark.parametrize("label", LABEL_IDS)
def test_the_maps_mean_and_the_heads_own_bias_are_the_logit(
    client: TestClient, chest: bytes, label: str
) -> None:
    response = client.post(f"/explain?label={label}&format=json", files={"file": chest})
    explanation = response.json()
    bundle = read_bundle(find_bundle(Settings().model))
    constants = onnx.load_from_string(bundle.graph).graph.initializer
    biases = {c.name: numpy_helper.to_array(c) for c in constants if c.name == "head_bias"}
    shown = explanation["map"]
    cam = np.array(shown["cam"])
    assert cam.shape == (7, 7)
    assert shown["label"] == label
    bias = biases["head_bias"][LABEL_IDS.index(label)]
    assert shown["bias"] == pytest.approx(bias, abs=1e-4)
    assert cam.mean() + bias == pytest.approx(shown["logit"], abs=1e-4)


def test_the_logits_give_the_probabilities_of_the_reading(client: TestClient, chest: bytes) -> None:
    card = read_bundle(find_bundle(Settings().model)).card
    reading = client.post("/predict", files={"file": chest}).json()
    shown = [
        client.post(f"/explain?label={label}&format=json", files={"file": chest}).json()
        for label in LABEL_IDS
    ]
    cooled = np.exp(np.array([each["map"]["logit"] for each in shown]) / card.temperature)
    expected = dict(zip(LABEL_IDS, cooled / cooled.sum(), strict=True))
    assert reading["probabilities"] == pytest.approx(expected, abs=1e-5)
    assert [each["probability"] for each in shown] == pytest.approx(
        list(reading["probabilities"].values()), abs=1e-6
    )


def test_a_reading_has_a_heatmap_only_if_asked_for(client: TestClient, chest: bytes) -> None:
    plain = client.post("/predict", files={"file": chest}).json()
    reading = client.post("/predict?heatmap=true", files={"file": chest}).json()
    explanation = client.post("/explain?format=json", files={"file": chest}).json()
    picture = client.post("/explain", files={"file": chest}).content

    assert "heatmap" not in plain
    assert reading["probabilities"] == plain["probabilities"]
    assert reading["heatmap"]["map"] == explanation["map"]
    assert base64.b64decode(reading["heatmap"]["png_base64"]) == picture


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("label=cat", "label"),
        ("alpha=2", "alpha"),
        ("alpha=DOE", "alpha"),
        ("format=gif", "format"),
    ],
)
def test_a_parameter_out_of_bounds_is_named_and_its_value_not_repeated(
    client: TestClient, chest: bytes, query: str, parameter: str
) -> None:
    response = client.post(f"/explain?{query}", files={"file": chest})
    assert response.status_code == 400
    problem = response.json()
    assert (problem["code"], problem["parameter"]) == ("invalid_parameter", parameter)
    assert query.partition("=")[2] not in problem["detail"]


def test_predict_names_a_wrong_parameter_too(client: TestClient, chest: bytes) -> None:
    problem = client.post("/predict?heatmap=perhaps", files={"file": chest}).json()
    assert (problem["code"], problem["parameter"]) == ("invalid_parameter", "heatmap")


def test_a_broken_file_is_refused_as_by_predict(client: TestClient) -> None:
    refused = client.post("/explain", files={"file": b"no image"})
    assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_media_type")
