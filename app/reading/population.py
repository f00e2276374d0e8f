"""The population: of whom an image is said to be, and whether the model knows such people."""

from dataclasses import dataclass
from typing import Final, Literal

from app.model.card import AgeRange, Card
from app.model.labels import LabelId, View

WarningCode = Literal[
    "population_unknown",
    "age_outside_population",
    "view_outside_population",
    "site_not_validated",
    "unknown_field",
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


_KINDS: Final = frozenset[LabelId](("bacterial_pneumonia", "viral_pneumonia"))
"""What is known only together, and can still be said together: pneumonia other than COVID-19."""


def compare_with_population(card: Card, label: LabelId, subject: Subject) -> list[WarningCode]:
    """Return what is to be known of a label called for `subject`, by the card's population.

    Of a card that tells none nobody is known to be within it, whatever is said of the subject. An
    age from which the label is known as one of a set (`find_set`) is not outside.
    """
    if card.population is None:
        return ["population_unknown"]
    warnings: list[WarningCode] = []
    if subject.age_years is None:
        warnings.append("population_unknown")
    elif not _holds(card.population.age_years[label], subject.age_years) and not find_set(
        card, label, subject
    ):
        warnings.append("age_outside_population")
    if subject.view is not None and subject.view not in card.population.views:
        warnings.append("view_outside_population")
    return warnings


def find_set(card: Card, label: LabelId, subject: Subject) -> frozenset[LabelId]:
    """Return the kinds of pneumonia that this label is known with only together; mostly none.

    That is at an age from which the card knows the set and not the label by itself, and at an
    unknown age as soon as there is any such age: the more careful reading.
    """
    if card.population is None or label not in _KINDS:
        return frozenset()
    age_years = subject.age_years
    if age_years is not None and _holds(card.population.age_years[label], age_years):
        return frozenset()
    for known in card.population.together:
        there = age_years is None or _holds(known.age_years, age_years)
        if there and label in known.labels and _KINDS.issuperset(known.labels):
            return frozenset(known.labels)
    return frozenset()


def _holds(ranges: list[AgeRange], age_years: float) -> bool:
    return any(known.holds(age_years) for known in ranges)
