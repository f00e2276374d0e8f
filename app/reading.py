"""Judging: from the network's numbers to what is said about the image."""

from dataclasses import dataclass
from typing import Final

from app.card import Card, LabelId
from app.inference import Outputs
from app.language import Language, Text

NOTICE: Final = Text(
    "Decision support, not a diagnosis. Only COVID-19, bacterial and viral pneumonia are looked "
    "for: 'normal' means none of these three, not healthy. No other finding is looked for.",
    "Ayuda a la decisión, no es un diagnóstico. Solo se buscan COVID-19, neumonía bacteriana y "
    "vírica: «normal» significa ninguna de las tres, no sano. No se busca ningún otro hallazgo.",
)
DECIMALS: Final = 6
"""Of the figures of an answer."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the numbers mean.

    `probabilities` are calibrated and sum to 1 (to rounding); `abnormal` is 1 - normal,
    `non_covid_pneumonia` the sum of bacterial and viral.
    """

    label: LabelId
    display_label: str
    probabilities: dict[LabelId, float]
    abnormal: float
    non_covid_pneumonia: float


def judge(outputs: Outputs, card: Card, language: Language) -> Judgement:
    """Judge the first image of a batch."""
    values = [float(value) for value in outputs.probabilities[0]]
    by_label = dict(zip((label.id for label in card.labels), values, strict=True))
    top = max(card.labels, key=lambda label: by_label[label.id])
    pneumonia = by_label["bacterial_pneumonia"] + by_label["viral_pneumonia"]
    return Judgement(
        label=top.id,
        display_label=top.display(language),
        probabilities={label: round(value, DECIMALS) for label, value in by_label.items()},
        abnormal=round(1 - by_label["normal"], DECIMALS),
        non_covid_pneumonia=round(pneumonia, DECIMALS),
    )
