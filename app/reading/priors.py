"""Prior probabilities: how common each label is where the answers are used."""

import math
from collections.abc import Mapping
from typing import Final

from app.model.labels import LABEL_IDS, LabelId

Shares = Mapping[LabelId, float]

_ROUNDING: Final = 0.01


def parse_priors(text: str) -> dict[LabelId, float]:
    """Read ``normal=0.8,covid19=0.02,...``: all four labels, shares above 0 that sum to 1.

    Returns them scaled to sum to 1 exactly.

    Raises
    ------
    ValueError
        Saying what is wrong.
    """
    given: dict[str, float] = {}
    for part in text.split(","):
        name, equals, share = part.strip().partition("=")
        try:
            value = float(share)
        except ValueError:
            value = math.nan
        if not equals or name in given or not 0 < value < 1:
            raise ValueError(f"each part is label=share, a share between 0 and 1: {part.strip()!r}")
        given[name] = value
    if set(given) != set(LABEL_IDS):
        raise ValueError(f"name each of {', '.join(LABEL_IDS)} once")
    total = math.fsum(given.values())
    if abs(total - 1) > _ROUNDING:
        raise ValueError(f"the shares sum to {total:g}, not to 1")
    return {label: given[label] / total for label in LABEL_IDS}


def reweight(probabilities: Shares, calibrated_on: Shares, priors: Shares) -> dict[LabelId, float]:
    """Move probabilities from one prevalence to another.

    ``p'(label) ~ p(label) * priors(label) / calibrated_on(label)``, scaled to sum to 1: Saerens
    et al. 2002, "Adjusting the Outputs of a Classifier to New a Priori Probabilities". It holds
    as far as the images of each label look alike in both places.
    """
    weighted = {
        label: share * priors[label] / calibrated_on[label]
        for label, share in probabilities.items()
    }
    total = sum(weighted.values())
    return {label: value / total for label, value in weighted.items()}
