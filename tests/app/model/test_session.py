"""The session: what it answers, and that a model that answers wrongly is not served."""

import base64
import dataclasses

import numpy as np
import pytest

from app.errors import GraphUnusable, KnownAnswerWrong
from app.model.bundle import Bundle, find_bundle, read_bundle
from app.model.card import KnownAnswer
from app.model.session import Network, OnnxModel, enlarge_known_pixels
from app.settings.settings import Settings


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(find_bundle(Settings().model))


def test_outputs_have_the_contracts_shapes_and_types(bundle: Bundle) -> None:
    outputs = Network(bundle.graph).run(np.zeros((3, 1, 224, 224), np.uint8))
    shapes = {name: getattr(outputs, name).shape for name in outputs.__slots__}
    assert shapes == {
        "probabilities": (3, 4), "logits": (3, 4), "cam": (3, 4, 5, 5), "distance": (3,),
        "orientation": (3, 5),
    }  # fmt: skip
    assert all(getattr(outputs, name).dtype == np.float32 for name in shapes)


def test_a_batch_answers_as_its_images_alone_do(bundle: Bundle) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 224, 224), np.uint8)
    network = Network(bundle.graph)
    together = network.run(images).logits
    alone = np.concatenate([network.run(image[None]).logits for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_the_shipped_model_gives_its_known_answers(bundle: Bundle) -> None:
    OnnxModel(bundle).check_known_answers()


def with_known(bundle: Bundle, probabilities: list[float]) -> Bundle:
    first = bundle.card.known_answers[0]
    changed = KnownAnswer(pixels=first.pixels, probabilities=probabilities)
    card = bundle.card.model_copy(update={"known_answers": [changed]})
    return dataclasses.replace(bundle, card=card)


def test_a_wrong_known_answer_is_not_served(bundle: Bundle) -> None:
    right = bundle.card.known_answers[0].probabilities
    wrong = [right[1], right[0], right[2], right[3]]
    with pytest.raises(KnownAnswerWrong) as caught:
        OnnxModel(with_known(bundle, wrong)).check_known_answers()
    assert caught.value.facts["difference"] == pytest.approx(abs(right[0] - right[1]), abs=0.01)


def test_an_answer_that_is_no_number_is_wrong(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = OnnxModel(bundle)
    outputs = model.run(np.zeros((1, 1, 224, 224), np.uint8))
    broken = dataclasses.replace(outputs, probabilities=np.full((1, 4), np.nan, np.float32))
    monkeypatch.setattr(model, "run", lambda _: broken)
    with pytest.raises(KnownAnswerWrong):
        model.check_known_answers()


def test_bytes_that_are_no_graph_are_refused() -> None:
    with pytest.raises(GraphUnusable, match="does not load"):
        Network(b"not a graph")


def test_known_pixels_are_repeated_8_by_8() -> None:
    small = np.arange(784, dtype=np.uint16).astype(np.uint8).reshape(28, 28)
    image = enlarge_known_pixels(base64.b64encode(small.tobytes()).decode())
    assert image.shape == (1, 1, 224, 224)
    assert image[0, 0, 223, 0] == small[27, 0]
    assert (image[0, 0, 8:16, 16:24] == small[1, 2]).all()
