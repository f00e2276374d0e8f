"""The population: of whom an image is said to be, and whether the model knows such people.

Said by the caller, or by a DICOM file's tags. Tags lie (there is a dog whose file says THORAX):
what they say makes warnings, and whether a picture is a chest at all stays the network's to say.
"""

from dataclasses import dataclass
from typing import Final, Literal

from app.image.grey_image import DicomTags
from app.model.card import AgeRange, Card
from app.model.labels import LabelId, View

WarningCode = Literal[
    "population_unknown",
    "age_outside_population",
    "view_outside_population",
    "site_not_validated",
    "tags_contradict",
    "body_part_not_chest",
    "modality_not_radiograph",
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

_SAME_AGE_YEARS: Final = 1.0
"""Two ages this far apart may be one: a file tells whole years, and a film may be of last year."""

_FRONTAL: Final = ("PA", "AP")


def heed_tags(said: Subject, tags: DicomTags | None) -> tuple[Subject, list[WarningCode]]:
    """Return whom an image is of, and what is to be known of its file's tags.

    What the caller says wins over the tags. A view that neither tells is lateral if the film's rows
    lead to the front or the back (Patient Orientation, PS3.3 C.7.6.1.1.1).

    Parameters
    ----------
    tags : of a DICOM file; None of any other
    """
    if tags is None:
        return said, []
    row, column = tags.patient_orientation or ("", "")
    is_sagittal = row[:1] in ("A", "P") if row else None
    view = tags.view or ("lateral" if is_sagittal else None)
    warnings: list[WarningCode] = []
    if (
        (said.age_years is not None and not _is_same_age(said.age_years, tags.age_years))
        or (said.view is not None and view not in (None, said.view))
        or (tags.view in _FRONTAL and is_sagittal is True)
        or (tags.view == "lateral" and is_sagittal is False)
        or (column and not column.startswith("F"))  # and the network finds it upright
    ):
        warnings.append("tags_contradict")
    if tags.body_part == "other":
        warnings.append("body_part_not_chest")
    if tags.modality == "other":
        warnings.append("modality_not_radiograph")
    return Subject(tags.age_years, view).updated(said), warnings


def _is_same_age(said_years: float, told_years: float | None) -> bool:
    return told_years is None or abs(said_years - told_years) <= _SAME_AGE_YEARS


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
