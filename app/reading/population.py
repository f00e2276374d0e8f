"""The population: of whom an image is said to be, and whether the model knows such people."""

from dataclasses import dataclass
from typing import Final, Literal

from app.model.card import Card
from app.model.labels import LabelId, View

WarningCode = Literal[
    "population_unknown", "age_outside_population", "view_outside_population", "unknown_field"
]
"""The codes of the warnings; `app.render.wording` has their texts."""


SaidView = View | Literal["other"]
"""A view as a caller says it: other is one that no model here knows (oblique, decubitus)."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a caller says of the patient and the projection; None where nothing.

    `age_years` is from 0 to 130, `view` DICOM's View Position (0018,5101).
    """

    age_years: float | None = None
    view: SaidView | None = None

    def updated(self, other: "Subject") -> "Subject":
        """Return what `other` says, and where it says nothing, what this one says."""
        age_years = self.age_years if other.age_years is None else other.age_years
        return Subject(age_years, other.view or self.view)


NOBODY: Final = Subject()
"""Of whom nothing is said."""


def compare_with_population(card: Card, label: LabelId, subject: Subject) -> list[WarningCode]:
    """Return what is to be known of a label called for `subject`, by the card's population.

    Of a card that tells none nobody is known to be within it, whatever is said of the subject.
    """
    if card.population is None:
        return ["population_unknown"]
    warnings: list[WarningCode] = []
    if subject.age_years is None:
        warnings.append("population_unknown")
    elif not any(known.holds(subject.age_years) for known in card.population.age_years[label]):
        warnings.append("age_outside_population")
    if subject.view is not None and subject.view not in card.population.views:
        warnings.append("view_outside_population")
    return warnings
