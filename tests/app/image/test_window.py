"""app.image.window: which of a film's values become black and white, whatever else is on it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from app.image.window import find_window, to_eight_bits

Film = NDArray[np.uint16]


def film(low: int, high: int, side: int = 300) -> Film:
    """A film whose values lie between `low` and `high`, most of them in the middle."""
    shares = np.random.default_rng(0).beta(2, 2, (side, side))
    return np.rint(low + shares * (high - low)).astype(np.uint16)


def with_marker(plain: Film, value: int, share: float = 0.01) -> Film:
    marked = plain.copy()
    side = round((plain.size * share) ** 0.5)
    marked[:side, :side] = value
    return marked


def with_dead_pixels(plain: Film, value: int, count: int) -> Film:
    dead = plain.copy()
    dead.flat[:: plain.size // count] = value
    return dead


@pytest.mark.parametrize(("low", "high"), [(0, 1023), (200, 2730), (0, 4095), (3000, 16_000)])
def test_the_window_of_a_plain_film_is_what_it_uses(low: int, high: int) -> None:
    found = find_window(film(low, high))
    assert found == pytest.approx((low, high), abs=0.02 * (high - low))


@pytest.mark.parametrize("high", [1023, 2730, 3900])
@pytest.mark.parametrize("value", [4095, 16_383, 65_535])
@pytest.mark.parametrize("share", [0.001, 0.01, 0.03])
def test_a_marker_does_not_move_it(high: int, value: int, share: float) -> None:
    plain = film(100, high)
    low, bright = find_window(plain)
    marked = find_window(with_marker(plain, value, share))
    assert marked == pytest.approx((low, bright), abs=0.05 * (high - 100))


@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize("value", [0, 4095, 65_535])
def test_dead_pixels_do_not_move_it(count: int, value: int) -> None:
    plain = film(500, 2730)
    found = find_window(with_dead_pixels(plain, value, count))
    assert found == pytest.approx(find_window(plain), abs=0.01 * 2230)


def test_what_lies_outside_becomes_black_or_white() -> None:
    plain = film(500, 2730)
    grey = to_eight_bits(with_marker(with_dead_pixels(plain, 0, 20), 4095))
    assert grey[0, 0] == 255
    assert grey.flat[0 :: plain.size // 20][-1] == 0
    untouched = to_eight_bits(plain)
    assert np.abs(grey.astype(int) - untouched)[50:, 50:].mean() < 1


def test_a_wide_bright_border_is_part_of_the_film() -> None:
    plain = film(0, 2000)
    plain[:40] = 4095  # 13 %
    assert find_window(plain)[1] == 4095


@pytest.mark.parametrize("low", [0, 64])
def test_a_film_of_full_scale_reads_as_its_8_bits(low: int) -> None:
    eight = film(low, 191)
    assert to_eight_bits(eight * 257).tolist() == eight.tolist()
    marked, dead = with_marker(eight, 255), with_dead_pixels(eight, 255, 1)
    assert to_eight_bits(marked * 257).tolist() == marked.tolist()
    assert to_eight_bits(dead * 257).tolist() == dead.tolist()


def test_a_constant_film_is_black() -> None:
    assert not to_eight_bits(np.full((70, 70), 1234, np.uint16)).any()


@pytest.mark.parametrize("share", [0.5, 0.9, 0.96, 0.99])
def test_a_film_within_a_wide_black_border_is_not_lost(share: float) -> None:
    plain = film(500, 2730)
    plain[round(len(plain) * (1 - share)) :] = 0
    low, high = find_window(plain)
    assert high == pytest.approx(find_window(film(500, 2730))[1], abs=100)
    assert low in (0, pytest.approx(500, abs=150))


def test_a_large_film_is_counted_evenly_both_ways() -> None:
    large = np.zeros((3000, 3000), np.uint16)
    large[:, :1500] = 1000
    large[1500:, 1500:] = 3000
    assert find_window(large) == (0, 3000)
    assert find_window(large.T.copy()) == (0, 3000)


def test_few_pixels_are_stretched_as_they_are() -> None:
    assert to_eight_bits(np.array([[1000, 2000], [3000, 6000]], np.uint16)).tolist() == [
        [0, 51], [102, 255]
    ]  # fmt: skip
