"""What every error is: a stable code, texts for people, facts that came from no caller."""

from collections.abc import Mapping
from typing import Any, ClassVar

from app.language import Language, Text

Fact = int | float | str


class NeumoError(Exception):
    """Base of the tree: a stable `code` for machines, texts for people."""

    code: ClassVar[str]
    title: ClassVar[Text]
    advice: ClassVar[Text]

    def __init__(self, **facts: Fact) -> None:
        self.facts = facts
        super().__init__(self.detail("en"))

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross from one process to another whole: an error's facts are given by name."""
        return _make_again, (type(self), str(self), self.__dict__)

    def detail(self, language: Language) -> str:
        """Say in `language` what happened and what to do next."""
        return self.advice.render(language, **self.facts)


def _make_again(kind: type[NeumoError], text: str, state: Mapping[str, Any]) -> NeumoError:
    error = kind.__new__(kind, text)
    error.__dict__.update(state)
    return error


class RequestError(NeumoError):
    """A call that can't be answered, rendered as RFC 9457 problem+json."""

    status: int
    retry_after_s: ClassVar[int | None] = None
    reasons: ClassVar[Mapping[str, Text]] = {}
    """Closer details, by the fact `reason`."""

    def detail(self, language: Language) -> str:
        """Say in `language` what happened and what to do next, as closely as is known."""
        closer = self.reasons.get(str(self.facts.get("reason")))
        return closer.render(language, **self.facts) if closer else super().detail(language)

    def headers(self) -> dict[str, str]:
        """Return the HTTP headers this problem adds."""
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


class CallerGone(NeumoError):
    """Nobody waits for the answer any more; nobody is answered."""

    code = "caller_gone"
    title = Text("The caller has gone", "El cliente se ha ido")
    advice = Text(
        "The connection was closed before the answer was ready. Send the request again.",
        "La conexión se cerró antes de que la respuesta estuviera lista. Envíe la petición de "
        "nuevo.",
    )
