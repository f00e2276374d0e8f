"""The two languages Neumo's users read, and which of them a request asks for."""

from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "es"]


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence in both languages."""

    en: str
    es: str

    def render(self, language: Language, **values: object) -> str:
        """Return the sentence in `language`, its ``{placeholders}`` filled from `values`."""
        template = self.es if language == "es" else self.en
        return template.format(**values)


def negotiate(accept_language: str | None) -> Language:
    """Choose the language of an answer from an ``Accept-Language`` header.

    Follows RFC 9110 section 12.5.4: the range with the highest quality that Neumo speaks
    wins, the first of equals. English where nothing matches or the header is missing;
    a malformed quality counts as 0.
    """
    best: Language = "en"
    best_quality = 0.0
    for item in (accept_language or "").split(","):
        tag, _, parameter = item.strip().partition(";")
        primary = tag.strip().lower().partition("-")[0]
        quality = _quality(parameter)
        if quality > best_quality and primary in ("en", "es", "*"):
            best = "es" if primary == "es" else "en"
            best_quality = quality
    return best


def _quality(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    if not name.strip():
        return 1.0
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if name.strip().lower() == "q" and 0.0 <= quality <= 1.0 else 0.0
