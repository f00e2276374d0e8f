"""training.data.images: files become pixels as in serving, or are named; and become smaller."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.image.decode import decode
from app.image.resize import resize
from tests.training.networks import draw_images
from training.data.faults import DataError
from training.data.images import ImageSet, digest_images, load_images, shrink
from training.data.manifest import Sample


def make_sample(path: Path, label: int = 0) -> Sample:
    return Sample(path, frozenset({label}), path.name, "train", "a", "")


def write_flat(path: Path, level: int, side: int = 40) -> Sample:
    Image.new("L", (side, side), level).save(path)
    return make_sample(path)


# ---------------------------------------------------------------- reading


def test_images_are_read_in_the_order_of_their_samples(tmp_path: Path) -> None:
    samples = [write_flat(tmp_path / f"{level}.png", level) for level in (30, 10, 20)]
    images = load_images(samples, "flat images")
    assert (images.dtype.name, images.shape) == ("uint8", (3, 1, 224, 224))
    assert [np.unique(image).tolist() for image in images] == [[30], [10], [20]]


def test_images_are_what_serving_makes_of_them(tmp_path: Path, jpeg: bytes) -> None:
    path = tmp_path / "0.jpg"
    path.write_bytes(jpeg)
    np.testing.assert_array_equal(load_images([make_sample(path)], "it")[0], resize(decode(jpeg)))


def test_images_down_to_32_pixels_are_read(tmp_path: Path) -> None:
    assert np.unique(load_images([write_flat(tmp_path / "0.png", 7, side=32)], "it")) == [7]


def test_every_unreadable_image_is_named_and_no_other(tmp_path: Path) -> None:
    good = write_flat(tmp_path / "good.png", 1)
    small = write_flat(tmp_path / "small.png", 1, side=31)
    text, absent = (make_sample(tmp_path / name) for name in ("text.png", "absent.png"))
    text.path.write_text("no image")
    with pytest.raises(DataError) as caught:
        load_images([small, good, text, absent], "some")
    first, *named = str(caught.value).splitlines()
    assert first == "3 unreadable image(s):"
    paths = [line.split(": ")[0] for line in named]
    assert paths == [str(sample.path) for sample in (small, text, absent)]


def test_the_labels_of_a_set_are_those_of_its_samples() -> None:
    samples = [make_sample(Path(), label) for label in (2, 0, 3)]
    labels = ImageSet(draw_images(3, side=64), samples).labels
    assert (labels.dtype, labels.tolist()) == (np.int64, [2, 0, 3])


def make_mixed_set() -> ImageSet:
    kinds = [{1}, {2, 3}, set[int](), {0}]
    samples = [
        Sample(Path(), frozenset(targets), str(row), "train", "a", "")
        for row, targets in enumerate(kinds)
    ]
    return ImageSet(draw_images(4, side=64), samples)


def test_targets_are_a_mask_of_the_labels_that_an_image_may_have() -> None:
    targets = make_mixed_set().targets
    assert targets.dtype == np.float32
    assert targets.tolist() == [[0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0]]


def test_only_images_of_one_label_have_labels() -> None:
    mixed = make_mixed_set()
    with pytest.raises(ValueError, match="not every image has one label"):
        _ = mixed.labels
    single = mixed.singly()
    assert single.labels.tolist() == [1, 0]
    assert single.patients == ["0", "3"]
    np.testing.assert_array_equal(single.images, mixed.images[[0, 3]])
    assert single.singly() is single


def test_a_digest_changes_with_an_image_a_label_a_set_and_a_source() -> None:
    mixed = make_mixed_set()
    digests = {digest_images(mixed)}
    for change in ({"targets": frozenset({2})}, {"targets": frozenset({1, 2})}, {"source": "b"}):
        samples = [replace(mixed.samples[0], **change), *mixed.samples[1:]]  # type: ignore[arg-type]
        digests.add(digest_images(ImageSet(mixed.images, samples)))
    digests.add(digest_images(ImageSet(mixed.images ^ 1, mixed.samples)))
    assert len(digests) == 5
    assert digest_images(make_mixed_set()) in digests


# ---------------------------------------------------------------- shrinking


@pytest.mark.parametrize("side", [64, 96])
def test_images_that_are_no_larger_stay_the_same_array(side: int) -> None:
    images = draw_images(2, side=64)
    assert shrink(images, side) is images


def test_shrinking_by_half_averages_like_a_triangle_twice_as_wide() -> None:
    ramp = np.arange(0, 256, 4, np.uint8)  # 64 columns
    images = np.broadcast_to(ramp, (1, 1, 64, 64)).copy()
    smaller = shrink(images, 32)
    assert (smaller.dtype, smaller.shape) == (np.uint8, (1, 1, 32, 32))
    between = (ramp[:-1:2].astype(int) + ramp[1::2]) / 2
    np.testing.assert_allclose(smaller[0, 0, :, 1:-1], between[None, 1:-1].repeat(32, 0), atol=1)


def test_lines_finer_than_the_smaller_pixels_become_grey_not_stripes() -> None:
    stripes = np.zeros((1, 1, 64, 64), np.uint8)
    stripes[..., ::2] = 200
    assert shrink(stripes, 16)[..., 1:-1].tolist() == np.full((1, 1, 16, 14), 100).tolist()


def test_many_images_are_shrunk_each_as_it_is_alone() -> None:
    images = draw_images(130, side=64)  # more than two batches
    smaller = shrink(images, 32)
    assert len(smaller) == 130
    for row in (0, 63, 64, 129):
        np.testing.assert_array_equal(smaller[row : row + 1], shrink(images[row : row + 1], 32))
