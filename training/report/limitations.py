"""What a card has to say of itself, whatever its recipe does."""

from collections.abc import Sequence
from typing import Final

from training.config import Config
from training.data.manifest import lacks_patients

BY_FILE: Final = (
    "Split by file, not by patient: the data set named no patients, so images of one patient may "
    "be in training, validation and test. Its figures may flatter, and its intervals be too narrow."
)


LASTING: Final = (BY_FILE,)
"""Those that come from how the network was fitted: measuring it anew can't undo them."""


def state_limitations(config: Config, stated: Sequence[str]) -> list[str]:
    """Return the limitations of a bundle: those stated, and those that follow from its data."""
    found = [BY_FILE] if lacks_patients(config.data, config.patient_pattern) else []
    return [*stated, *(line for line in found if line not in stated)]
