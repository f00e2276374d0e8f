"""One preprocessing for training and serving, and an answer that does not hang on its details."""

import inspect
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import training.data.images
from app.image import decode as decoding
from app.image import resize as resizing
from app.model.bundle import find_bundle, read_bundle
from app.model.session import OnnxModel
from app.settings.settings import Settings
from tests.images import encode

KERNELS = [
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.HAMMING,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
]


@pytest.fixture(scope="module")
def model() -> OnnxModel:
    return OnnxModel(read_bundle(find_bundle(Settings().model)))


def answer(model: OnnxModel, data: bytes) -> np.ndarray:
    pixels = resizing.resize(decoding.decode(data))
    return model.run(pixels[None]).probabilities[0]


def test_training_reads_images_by_servings_own_functions() -> None:
    assert training.data.images.decode is decoding.decode  # type: ignore[attr-defined]
    assert training.data.images.resize is resizing.resize  # type: ignore[attr-defined]
    for module in ("PIL", "torchvision.transforms", "cv2"):
        assert module not in inspect.getsource(training.data.images)


@pytest.mark.parametrize("label", ["normal", "covid19", "bacterial_pneumonia", "viral_pneumonia"])
def test_the_shipped_model_recognises_the_example(
    model: OnnxModel, examples: dict[str, Path], label: str
) -> None:
    probabilities = answer(model, examples[label].read_bytes())
    assert model.card.labels[int(probabilities.argmax())].id == label


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name.lower())
def test_the_answer_does_not_depend_on_who_resized_the_image(
    model: OnnxModel, examples: dict[str, Path], kernel: Image.Resampling
) -> None:
    for path in examples.values():
        whole = Image.open(path)
        small = encode(whole.resize((224, 224), kernel), "PNG")
        np.testing.assert_allclose(answer(model, small), answer(model, path.read_bytes()), atol=0.1)


@pytest.mark.parametrize("quality", [60, 75, 95])
def test_the_answer_does_not_depend_on_the_jpeg_quality(
    model: OnnxModel, examples: dict[str, Path], quality: int
) -> None:
    for path in examples.values():
        again = encode(Image.open(path), "JPEG", quality=quality)
        np.testing.assert_allclose(answer(model, again), answer(model, path.read_bytes()), atol=0.1)


def test_16_bit_png_is_answered_like_the_8_bit_one(
    model: OnnxModel, examples: dict[str, Path]
) -> None:
    for path in examples.values():
        grey = np.asarray(Image.open(path)).astype(np.uint16)
        eight = answer(model, encode(grey.astype(np.uint8), "PNG"))
        twelve_bits_of_sixteen = answer(model, encode(grey * 16, "PNG"))
        full = answer(model, encode(grey * 257, "PNG"))
        np.testing.assert_allclose(twelve_bits_of_sixteen, full, atol=0.05)
        np.testing.assert_allclose(full, eight, atol=1e-6)
