"""An acceptance as a table for people: what was measured, and what follows from it."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Final

from app.language import Language, Text
from app.model.card import Card
from app.model.labels import LABEL_IDS
from app.model.measured.acceptance_file import Acceptance, Spread, WhyNot
from app.model.measured.figures import Interval

_TITLE: Final = Text(
    "{model} on {images} films of {patients} patients ({site}, {date})",
    "{model} en {images} radiografías de {patients} pacientes ({site}, {date})",
)
_FILMS: Final = Text("films", "radiografías")
_UNREADABLE: Final = Text("can't be decoded, rows: {rows}", "no se decodifican, filas: {rows}")
_REPEATED: Final = Text("came before, rows: {rows}", "repetidas, filas: {rows}")
_HEADS: Final = (
    Text("share, exact 95 % interval", "proporción, intervalo exacto del 95 %"),
    Text("by the card", "según la ficha"),
    Text("as fitted here", "con el ajuste"),
)
_REFUSED: Final = Text("refused as no chest X-ray", "rechazadas por no ser de tórax")
_ANSWERED: Final = Text("answered ok", "respuesta ok")
_WRONG: Final = Text("wrong among the ok", "erróneas entre las ok")
_ALARM: Final = Text("normal, called {label}", "normales, dadas por {label}")
_CONFIDENT: Final = Text("  of these with ok", "  de ellas con ok")
_FOUND: Final = Text("{label}, called so", "{label}, dadas por tal")
_DISTANCE: Final = Text(
    "Distance to what the model knows, as a share of where refusal begins: median {median}, 95 % "
    "below {high}. Refused where the card was measured: {refused}. {spread}",
    "Distancia a lo que conoce el modelo, como proporción de donde empieza el rechazo: mediana "
    "{median}, 95 % por debajo de {high}. Rechazadas donde se midió la ficha: {refused}. {spread}",
)
_SPREAD: Final = Text(
    "Beside the distances of the card's own films: population stability index {index:.2f}, about "
    "{chance:.2f} by chance alone, over 0.25 a large shift; {beyond} lie further out than all but "
    "{expected:.0%} of those.",
    "Frente a las distancias de las imágenes de la ficha: índice de estabilidad poblacional "
    "{index:.2f}, unos {chance:.2f} por puro azar, más de 0.25 es un cambio grande; {beyond} están "
    "más lejos que todas aquellas menos el {expected:.0%}.",
)
_NO_SPREAD: Final = Text(
    "The card doesn't tell how its own distances were spread, so a shift within what it accepts "
    "can't be told from these.",
    "La ficha no dice cómo se repartían sus distancias, así que no se ve un cambio dentro de lo "
    "que acepta.",
)
_UNKNOWN: Final = Text("not told", "no consta")
_MORE_REFUSED: Final = Text(
    "More are refused here than where the card was measured, beyond chance: look at those films.",
    "Aquí se rechazan más que donde se midió la ficha, más allá del azar: revise esas imágenes.",
)
_FITTED: Final = Text(
    "Fitted: at most {risk:.0%} of the ok answers are wrong on films like these, with 95 % "
    "confidence. Floors: {floors}; lead over the next: {margin:g}{temperature}.",
    "Ajustado: como mucho el {risk:.0%} de las respuestas ok son erróneas en imágenes como estas, "
    "con un 95 % de confianza. Umbrales: {floors}; ventaja sobre la siguiente: "
    "{margin:g}{temperature}.",
)
_TEMPERATURE: Final = Text("; temperature {value:g}", "; temperatura {value:g}")
_NEVER: Final = Text("never", "nunca")
_WHY_NOT: Final[Mapping[WhyNot, Text]] = {
    "too_few_films": Text(
        "Nothing was fitted: too few films were answered ok to bound what is wrong among them. 72 "
        "ok answers of different patients, none wrong, are the fewest. site_not_validated stays.",
        "No se ajustó nada: hay muy pocas respuestas ok para acotar las erróneas. Hacen falta al "
        "menos 72 respuestas ok de pacientes distintos, todas correctas. site_not_validated sigue.",
    ),
    "too_many_wrong": Text(
        "Nothing was fitted: even the strictest floors leave too many wrong among the ok answers. "
        "Don't rely on this model here. site_not_validated stays.",
        "No se ajustó nada: incluso los umbrales más estrictos dejan demasiadas respuestas ok "
        "erróneas. No se fíe aquí de este modelo. site_not_validated sigue.",
    ),
}
_ONLY_NORMAL: Final = Text(
    "Only normal films were given: false alarms are measured, what is missed is not.",
    "Solo se dieron imágenes normales: se miden las falsas alarmas, no lo que se pasa por alto.",
)
_WIDTH: Final = 40
_COLUMN: Final = 24
_WIDEST: Final = _WIDTH + 2 * _COLUMN


def describe_acceptance(
    acceptance: Acceptance, card: Card, language: Language, width: int = _WIDEST
) -> str:
    """Return an acceptance as lines of text, its paragraphs at most `width` or 88 columns wide."""
    lines = [
        _TITLE.render(
            language,
            model=acceptance.model,
            images=acceptance.images,
            patients=acceptance.patients,
            site=acceptance.site,
            date=acceptance.date,
        ),
        *(
            f"  {name}: {count} {_FILMS.render(language)}"
            for name, count in acceptance.images_by_label.items()
        ),
    ]
    for rows, text in ((acceptance.unreadable, _UNREADABLE), (acceptance.repeated, _REPEATED)):
        if rows:
            lines.append("  " + text.render(language, rows=", ".join(map(str, rows))))
    heads = [head.render(language) for head in _HEADS]
    fitted = acceptance.by_site is not None
    lines += ["", _row(heads[0], *heads[1 : 3 if fitted else 2])]
    lines += _rows(acceptance, card, language)
    for paragraph in _conclude(acceptance, language):
        lines += ["", *textwrap.wrap(paragraph, min(width, _WIDEST))]
    return "\n".join(lines) + "\n"


def _rows(acceptance: Acceptance, card: Card, language: Language) -> Iterator[str]:
    figures = [acceptance.by_card, *([acceptance.by_site] if acceptance.by_site else [])]

    def row(text: Text, *intervals: Interval, label: str = "") -> str:
        labels = [each for each in LABEL_IDS if each in label.split("|")]
        name = " / ".join(card.display(each, language) for each in labels)
        return _row(text.render(language, label=name), *map(_share, intervals))

    yield row(_REFUSED, *(each.refused for each in figures))
    yield row(_ANSWERED, *(each.answered for each in figures))
    yield row(_WRONG, *(each.wrong for each in figures))
    for label in acceptance.by_card.false_alarms:
        yield row(_ALARM, *(each.false_alarms[label] for each in figures), label=label)
        yield row(_CONFIDENT, *(each.confident_false_alarms[label] for each in figures))
    for labels in acceptance.by_card.sensitivity:
        yield row(_FOUND, *(each.sensitivity[labels] for each in figures), label=labels)


def _conclude(acceptance: Acceptance, language: Language) -> Iterator[str]:
    drift, unknown = acceptance.drift, _UNKNOWN.render(language)
    refused = acceptance.by_card.refused
    yield _DISTANCE.render(
        language,
        median=unknown if drift.median_distance is None else f"{drift.median_distance:.2f}",
        high=unknown if drift.distance_95 is None else f"{drift.distance_95:.2f}",
        refused=unknown if drift.card_refused is None else _share(drift.card_refused),
        spread=_describe_spread(drift.spread, language),
    )
    if drift.card_refused is not None and refused.low > drift.card_refused.high:
        yield _MORE_REFUSED.render(language)
    if set(acceptance.images_by_label) == {"normal"}:
        yield _ONLY_NORMAL.render(language)
    if acceptance.why_not is not None:
        yield _WHY_NOT[acceptance.why_not].render(language)
    if acceptance.certainty is None:
        return
    floors = acceptance.certainty.floors
    warm = acceptance.temperature
    yield _FITTED.render(
        language,
        risk=acceptance.certainty.risk,
        floors=", ".join(
            f"{label} {_NEVER.render(language) if floors[label] == 1 else f'{floors[label]:g}'}"
            for label in LABEL_IDS
        ),
        margin=acceptance.certainty.margin,
        temperature="" if warm is None else _TEMPERATURE.render(language, value=warm),
    )


def _describe_spread(spread: Spread | None, language: Language) -> str:
    if spread is None:
        return _NO_SPREAD.render(language)
    return _SPREAD.render(
        language,
        index=spread.stability_index,
        chance=spread.by_chance,
        beyond=_share(spread.beyond),
        expected=spread.card_beyond,
    )


def _row(name: str, *cells: str) -> str:
    values = "".join(f"{cell:>{_COLUMN}}" for cell in cells)
    if len(name) > _WIDTH:
        return f"{name}\n{'':<{_WIDTH}}{values}"
    return f"{name:<{_WIDTH}}{values}"


def _share(interval: Interval) -> str:
    return f"{interval.value:.1%} ({interval.low:.1%} - {interval.high:.1%})"
