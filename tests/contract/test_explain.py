"""POST /explain and ?heatmap=true: maps that add up to the answer."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw

from app.model.bundle import find_bundle, read_bundle
from app.model.labels import LABEL_IDS
from app.render.overlay import GAP_PX
from app.settings.settings import Settings
from tests.apps import served
from tests.images import encode
from tests.models import FakeModel, one_hot_cams

GREY = 100
STRONGEST = np.array([253, 231, 37])
"""Viridis' last colour, of the cell that speaks for a label the most."""
SHARES = dict(zip(LABEL_IDS, (0.1, 0.2, 0.3, 0.4), strict=True))


@pytest.fixture(scope="module")
def chest(examples: dict[str, Path]) -> bytes:
    return examples["covid19"].read_bytes()


def test_the_map_of_the_label_called_comes_as_a_picture(client: TestClient, chest: bytes) -> None:
    response = client.post("/explain", files={"file": chest})
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert response.headers["cache-control"] == "no-store"
    picture = Image.open(io.BytesIO(response.content))
    assert picture.width == 2 * 768 + GAP_PX  # the film, and the map over it
    assert picture.height > 768  # the legend


def test_the_picture_of_the_label_called_is_the_one_of_that_label_asked_for(
    client: TestClient, chest: bytes
) -> None:
    default = client.post("/explain", files={"file": chest}).content
    assert client.post("/explain?label=covid19", files={"file": chest}).content == default
    assert client.post("/explain?label=normal", files={"file": chest}).content != default


@pytest.fixture(scope="module")
def marked() -> Iterator[TestClient]:
    """An application whose map of the label i speaks in cell (2i, 2i) of 7 x 7, and only there."""
    with served(FakeModel(list(SHARES.values()), one_hot_cams())) as client:
        yield client


def draw(client: TestClient, query: str) -> Any:  # noqa: ANN401 - a pixel array
    """Return the overlay of a plain image of 7 x 7 cells, 64 pixels each, and the legend."""
    plain = encode(np.full((448, 448), GREY, np.uint8), "PNG")
    response = client.post(f"/explain?{query}", content=plain)
    assert response.status_code == 200
    return np.asarray(Image.open(io.BytesIO(response.content))).astype(int)[:, 448 + GAP_PX :]


@pytest.mark.parametrize("label", LABEL_IDS)
def test_colour_lies_where_the_label_asked_for_is_seen_and_nowhere_else(
    marked: TestClient, label: str
) -> None:
    picture = draw(marked, f"label={label}&alpha=1")
    for index, each in enumerate(LABEL_IDS):
        middle = picture[index * 128 + 32, index * 128 + 32]
        share = SHARES[label] if each == label else 0.0  # as strong as it is likely
        expected = share * STRONGEST + (1 - share) * GREY
        assert middle == pytest.approx(expected, abs=8), each


def test_without_a_label_colour_lies_where_the_label_called_is_seen(marked: TestClient) -> None:
    called, asked = draw(marked, "alpha=1"), draw(marked, "label=viral_pneumonia&alpha=1")
    assert called.tolist() == asked.tolist()


@pytest.mark.parametrize("alpha", [0, 0.25, 1])
def test_alpha_is_how_much_the_colours_hide(marked: TestClient, alpha: float) -> None:
    picture = draw(marked, f"label=normal&alpha={alpha}")
    cover = alpha * SHARES["normal"]
    expected = cover * STRONGEST + (1 - cover) * GREY
    assert picture[32, 32] == pytest.approx(expected, abs=8)
    assert picture[416, 416].tolist() == [GREY] * 3


def test_colours_hide_half_if_nothing_is_said_of_alpha(marked: TestClient) -> None:
    assert draw(marked, "label=normal").tolist() == draw(marked, "label=normal&alpha=0.5").tolist()


@pytest.mark.parametrize("label", LABEL_IDS)
def test_the_legend_names_the_label_asked_for_with_its_own_share(
    marked: TestClient, monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    written: list[str] = []
    text = ImageDraw.ImageDraw.text

    def write(pen: ImageDraw.ImageDraw, xy: Any, words: str, *more: Any, **most: Any) -> None:  # noqa: ANN401 - as Pillow's
        written.append(words)
        text(pen, xy, words, *more, **most)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", write)
    draw(marked, f"label={label}")
    (title,) = (words for words in written if "(" in words)
    called = "Not the label called, which is: VIRAL_PNEUMONIA." in " ".join(written)
    assert called == (label != "viral_pneumonia")
    assert title == f"What speaks for: {label.upper()} ({SHARES[label]:.1%})"


@pytest.mark.parametrize("label", LABEL_IDS)
def test_the_maps_mean_and_the_heads_own_bias_are_the_logit(
    client: TestClient, chest: bytes, label: str
) -> None:
    onnx = pytest.importorskip("onnx")
    response = client.post(f"/explain?label={label}&format=json", files={"file": chest})
    explanation = response.json()
    bundle = read_bundle(find_bundle(Settings().model))
    constants = onnx.load_from_string(bundle.graph).graph.initializer
    biases = {c.name: onnx.numpy_helper.to_array(c) for c in constants if c.name == "head_bias"}
    shown = explanation["map"]
    cam = np.array(shown["cam"])
    assert cam.shape == (5, 5)  # of the model that is shipped
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


def test_a_normal_film_comes_without_a_map_unless_it_is_asked_for() -> None:
    plain = encode(np.full((448, 448), GREY, np.uint8), "PNG")
    with served(FakeModel((0.97, 0.01, 0.01, 0.01), one_hot_cams())) as client:
        answers = [
            client.post(f"/explain{query}", content=plain) for query in ("", "?label=normal")
        ]
        numbers = client.post("/explain?format=json", content=plain).json()
        heatmap = client.post("/predict?heatmap=true", content=plain).json()["heatmap"]
    assert [answer.status_code for answer in answers] == [200, 200]
    widths = [Image.open(io.BytesIO(answer.content)).width for answer in answers]
    assert widths == [448, 2 * 448 + GAP_PX]
    assert (numbers["called"], numbers["map"]["label"]) == ("normal", "normal")
    assert heatmap["map"] == numbers["map"]
    assert base64.b64decode(heatmap["png_base64"]) == answers[0].content


def test_numbers_tell_whether_what_is_marked_most_lies_outside_the_body() -> None:
    plain = encode(np.tile(np.arange(0, 252, 9, dtype=np.uint8), (448, 16)), "PNG")
    with served(FakeModel((0.1, 0.2, 0.3, 0.4), one_hot_cams())) as client:
        told = {
            label: client.post(f"/explain?format=json&label={label}", content=plain).json()
            for label in LABEL_IDS
        }
    outside = [told[label]["outside_body"] for label in LABEL_IDS]
    assert outside == [True, False, False, True]  # the corners of 7 x 7 cells, and cells within


def test_a_graph_of_fewer_cells_is_explained_as_it_is() -> None:
    cams = np.zeros((4, 5, 5), np.float32)
    cams[1, 2, 3] = 1
    plain = encode(np.full((450, 450), GREY, np.uint8), "PNG")
    with served(FakeModel((0.0, 1.0, 0.0, 0.0), cams)) as client:
        numbers = client.post("/explain?format=json", content=plain).json()["map"]["cam"]
        picture = client.post("/explain?alpha=1", content=plain).content
    assert np.array(numbers).tolist() == cams[1].tolist()
    overlay = np.asarray(Image.open(io.BytesIO(picture))).astype(int)[:, 450 + GAP_PX :]
    assert overlay[225, 315] == pytest.approx(STRONGEST, abs=8)
    assert overlay[225, 45].tolist() == [GREY] * 3
