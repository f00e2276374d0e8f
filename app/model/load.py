"""Which of a bundle's graphs a CPU runs: int8, or float32 where int8 does not pay.

Without instructions for dot products of bytes (VNNI on x86, dotprod on ARM) int8 may be the
slower of the two. `auto` trusts the CPU's flags where they promise them, and otherwise times both.
"""

import time
from dataclasses import replace
from typing import Final

import numpy as np

from app.errors import BundleMissing, PriorsUnknown
from app.image.resize import SIDE_PX
from app.machine import has_dot_products
from app.model.bundle import FP32_FILE, find_bundle, read_bundle, read_fp32
from app.model.card import Precision
from app.model.session import OnnxModel
from app.model.signature import ANY_BUNDLE, SignatureRule, check_signature

_TIMED_RUNS: Final = 5


def load_model(
    name: str,
    precision: Precision,
    threads: int,
    *,
    priors_needed: bool = False,
    signatures: SignatureRule = ANY_BUNDLE,
) -> OnnxModel:
    """Load, warm up and check the graph of a bundle that `precision` names.

    `auto` is int8 where the bundle holds no float32 graph that its card vouches for.

    Parameters
    ----------
    name : as of `app.model.bundle.find_bundle`
    threads : of one run of the graph
    priors_needed : whether probabilities will be re-weighted, so the card has to tell its priors
    signatures : whose are asked for; checked before anything of the graph is run

    Raises
    ------
    BundleError
    """
    path = find_bundle(name)
    bundle = read_bundle(path)
    bundle = replace(bundle, signed_by=check_signature(path, bundle, signatures))
    if priors_needed and bundle.card.priors is None:
        raise PriorsUnknown(bundle=bundle.card.name)
    if precision == "fp32":
        exact = read_fp32(path, bundle)
        if exact is None:
            raise BundleMissing(bundle=path.name, file=FP32_FILE)
        return _checked(OnnxModel(exact, threads))
    int8 = _checked(OnnxModel(bundle, threads))
    if precision == "int8" or has_dot_products():
        return int8
    exact = read_fp32(path, bundle)
    if exact is None:
        return int8
    return min((int8, _checked(OnnxModel(exact, threads))), key=time_run)


def time_run(model: OnnxModel) -> float:
    """Return the seconds of a run, the fastest of a few."""
    pixels = np.zeros((1, 1, SIDE_PX, SIDE_PX), np.uint8)
    seconds = []
    for _ in range(_TIMED_RUNS):
        begun = time.perf_counter()
        model.run(pixels)
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def _checked(model: OnnxModel) -> OnnxModel:
    model.check_known_answers()
    return model
