"""Exact limits of a rate, without SciPy: serving works them out too (`neumo accept`).

Clopper and Pearson 1934, "The Use of Confidence or Fiducial Limits Illustrated in the Case of the
Binomial": of few images it is honest about 0 and 1 too. Counts may be fractions: images of one
patient count as fewer than they are.
"""

import math
from typing import Final

_TAIL: Final = 0.025
_TINY: Final = 1e-300
_CLOSE_ENOUGH: Final = 1e-15
_MOST_TERMS: Final = 10_000
_HALVINGS: Final = 100
"""Of an interval from 0 to 1: no float lies in what is left."""


def exact_limits(hits: float, count: float, tail: float = _TAIL) -> tuple[float, float]:
    """Return the lower and the upper limit of a rate of which `hits` of `count` were seen.

    Parameters
    ----------
    hits : from 0 to `count`
    count : of independent trials, 0 or more; of 0 nothing is known: from 0 to 1
    tail : chance on each side that the true rate is beyond; 0.025 makes a 95 % interval

    Raises
    ------
    ValueError
        If the hits are no part of the count.
    """
    if not 0 <= hits <= count:
        raise ValueError(f"{hits:g} hits of {count:g}")
    if count == 0:
        return 0.0, 1.0
    low = 0.0 if hits == 0 else beta_quantile(tail, hits, count - hits + 1)
    high = 1.0 if hits == count else beta_quantile(1 - tail, hits + 1, count - hits)
    return low, high


def beta_quantile(share: float, a: float, b: float) -> float:
    """Return the x from 0 to 1 below which `share` of a beta distribution lies, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if beta_share(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def beta_share(x: float, a: float, b: float) -> float:
    """Return the share of a beta distribution that lies below `x`, from 0 to 1.

    The regularised incomplete beta function: NIST's Digital Library of Mathematical Functions,
    8.17.22, on the side where its continued fraction converges fast.
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_share(1 - x, b, a)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(scale + a * math.log(x) + b * math.log1p(-x)) / a
    return front * _continue_fraction(x, a, b)


def _continue_fraction(x: float, a: float, b: float) -> float:
    """Evaluate DLMF 8.17.22 by Lentz's method, as Thompson and Barnett modified it."""
    value, upper, lower = 1.0, 1.0, 0.0
    for term in range(1, _MOST_TERMS):
        half = term // 2
        if term % 2:
            part = -(a + half) * (a + b + half) * x / ((a + term - 1) * (a + term))
        else:
            part = half * (b - half) * x / ((a + term - 1) * (a + term))
        lower = 1 / _away_from_nought(1 + part * lower)
        upper = _away_from_nought(1 + part / upper)
        value *= upper * lower
        if abs(upper * lower - 1) < _CLOSE_ENOUGH:
            break
    return 1 / value


def _away_from_nought(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
