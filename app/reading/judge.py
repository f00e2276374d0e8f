"""Judging: from the network's numbers to what is said about the image."""

from dataclasses import dataclass
from typing import Final, Literal

from app.language import Language, Text
from app.model.card import Card
from app.model.labels import LabelId, View
from app.model.session import Outputs
from app.reading.priors import Shares, reweight

Status = Literal["ok", "uncertain"]

NOTICE: Final = Text(
    "Decision support, not a diagnosis. Only COVID-19, bacterial and viral pneumonia are looked "
    "for: 'normal' means none of these three, not healthy. No other finding is looked for.",
    "Ayuda a la decisión, no es un diagnóstico. Solo se buscan COVID-19, neumonía bacteriana y "
    "vírica: «normal» significa ninguna de las tres, no sano. No se busca ningún otro hallazgo.",
)
WARNINGS: Final = {
    "population_unknown": Text(
        "The patient's age was not given, so it is not known whether this model has learned from "
        "patients like this one. Send the fields 'age_years' and 'view'.",
        "No se indicó la edad del paciente, por lo que no se sabe si el modelo ha aprendido de "
        "pacientes como este. Envíe los campos 'age_years' y 'view'.",
    ),
    "age_outside_population": Text(
        "The model knows this label from patients of other ages only.",
        "El modelo conoce esta etiqueta solo de pacientes de otras edades.",
    ),
    "view_outside_population": Text(
        "The model has not learned from radiographs in this view.",
        "El modelo no ha aprendido de radiografías en esta proyección.",
    ),
}
DECIMALS: Final = 6
"""Of the figures of an answer."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a caller says of the patient and the projection; None where nothing."""

    age_years: float | None = None
    view: View | None = None


NOBODY: Final = Subject()
"""Of whom nothing is said."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the numbers mean.

    `probabilities` are calibrated and sum to 1 (to rounding); `abnormal` is 1 - normal,
    `non_covid_pneumonia` the sum of bacterial and viral. `candidates` are the two most likely
    labels of an uncertain answer; `warnings` are keys of `WARNINGS`.
    """

    status: Status
    label: LabelId
    display_label: str
    candidates: list[LabelId]
    probabilities: dict[LabelId, float]
    abnormal: float
    non_covid_pneumonia: float
    warnings: list[str]


def judge(
    outputs: Outputs,
    card: Card,
    language: Language,
    subject: Subject = NOBODY,
    priors: Shares | None = None,
) -> Judgement:
    """Judge the first image of a batch.

    The answer is `uncertain` where not just the label called reaches its operating point, and
    where the subject is outside the population that the card knows this label from.
    """
    values = [float(value) for value in outputs.probabilities[0]]
    calibrated = dict(zip((label.id for label in card.labels), values, strict=True))
    by_label = calibrated
    if priors and card.priors:
        by_label = reweight(calibrated, card.priors, priors)
    ranked = sorted(by_label, key=by_label.__getitem__, reverse=True)
    top = ranked[0]
    warnings = _compare_with_population(card, top, subject)
    outside = any(warning != "population_unknown" for warning in warnings)
    certain = _reached(calibrated, card) in (None, {top}) and not outside
    pneumonia = by_label["bacterial_pneumonia"] + by_label["viral_pneumonia"]
    return Judgement(
        status="ok" if certain else "uncertain",
        label=top,
        display_label=card.labels[card.index(top)].display(language),
        candidates=[] if certain else ranked[:2],
        probabilities={label.id: round(by_label[label.id], DECIMALS) for label in card.labels},
        abnormal=round(1 - by_label["normal"], DECIMALS),
        non_covid_pneumonia=round(pneumonia, DECIMALS),
        warnings=warnings,
    )


def _reached(calibrated: Shares, card: Card) -> set[LabelId] | None:
    """Return the labels that reach their operating points, None if the card has none.

    By the probabilities at the card's own priors: a sensitivity is the same at any prevalence.
    """
    if card.operating_points is None:
        return None
    points = card.operating_points
    return {label for label, share in calibrated.items() if share >= points[label]}


def _compare_with_population(card: Card, label: LabelId, subject: Subject) -> list[str]:
    if card.population is None:
        return []
    warnings = []
    if subject.age_years is None:
        warnings.append("population_unknown")
    elif not any(known.holds(subject.age_years) for known in card.population.age_years[label]):
        warnings.append("age_outside_population")
    if subject.view is not None and subject.view not in card.population.views:
        warnings.append("view_outside_population")
    return warnings
