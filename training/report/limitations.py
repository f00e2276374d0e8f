"""What a card has to say of itself, whatever its recipe does."""

from collections.abc import Sequence
from typing import Final

from training.config import Config
from training.data.manifest import lacks_patients

BY_FILE: Final = (
    "Split by file, not by patient: the data set named no patients, so images of one patient may "
    "be in training, validation and test. Its figures may flatter, and its intervals be too narrow."
)
NOT_CALIBRATED: Final = (
    "Not calibrated: validation had too few images or patients. The probabilities are the "
    "network's own, and more or less sure than they should be."
)
NO_OPERATING_POINTS: Final = (
    "No operating points: validation had too few images or patients. No answer is told to be "
    "uncertain by its probabilities, however close they are."
)

LASTING: Final = (BY_FILE, NOT_CALIBRATED)
"""Those that come from how the network was fitted: measuring it anew can't undo them."""


def state_limitations(
    config: Config, stated: Sequence[str], *, calibrated: bool, operating_points: bool
) -> list[str]:
    """Return the limitations of a bundle: those stated, and those that follow from its data."""
    found = {
        BY_FILE: lacks_patients(config.data, config.patient_pattern),
        NOT_CALIBRATED: not calibrated,
        NO_OPERATING_POINTS: not operating_points,
    }
    kept = [line for line in stated if line != NO_OPERATING_POINTS]
    return [*kept, *(line for line, holds in found.items() if holds and line not in kept)]
