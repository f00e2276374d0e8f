"""What is sent for each call, and what its answer means: the same for both clients.

What is said of the patient goes into the form, not into the address: addresses are logged, by
httpx and by proxies. Files are sent under a name of this client's own, for theirs may be a
patient's.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import quote

import httpx

from neumo_client.answers import Answer, Explanation, FilmReading, Reading, load_answer
from neumo_client.errors import (
    Problem,
    UnexpectedAnswer,
    problem_of,
    problem_of_response,
)
from neumo_client.films import Film

Language = Literal["en", "es"]
HealthKind = Literal["ready", "live", "startup"]

_FILE_NAME: Final = "film"
_BINARY: Final = "application/octet-stream"
_SUCCESSES: Final = (200, 202)
_FIRST_FAILURE: Final = 400


@dataclass(frozen=True, slots=True)
class Call:
    """One call, which may be sent any number of times: each attempt is built anew.

    Parameters
    ----------
    path : below the base URL
    query : without what is None
    fields, files : of the form
    request_id : the same for each attempt, so that the service's log shows them together
    """

    method: str
    path: str
    query: Mapping[str, str | int | float | None] = field(default_factory=dict)
    fields: Mapping[str, list[str]] = field(default_factory=dict)
    files: Sequence[bytes] = ()
    accept: str = "application/json"
    language: Language | None = None
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def arguments(self) -> dict[str, Any]:
        """Return what httpx is to send."""
        headers = {"Accept": self.accept, "X-Request-ID": self.request_id}
        if self.language is not None:
            headers["Accept-Language"] = self.language
        arguments: dict[str, Any] = {"method": self.method, "url": self.path, "headers": headers}
        query = {name: value for name, value in self.query.items() if value is not None}
        if query:
            arguments["params"] = query
        if self.files:
            files = [("file", (_FILE_NAME, content, _BINARY)) for content in self.files]
            arguments |= {"files": files, "data": dict(self.fields)}
        return arguments

    def check(self, response: httpx.Response) -> httpx.Response:
        """Return the response, if it is a success.

        Raises
        ------
        Problem
        UnexpectedAnswer
            Of a redirection, and the like.
        """
        status = response.status_code
        if status >= _FIRST_FAILURE:
            raise problem_of_response(response, self.request_id)
        if status not in _SUCCESSES:
            raise UnexpectedAnswer(
                f"The answer's status is {status}, which Neumo's never is: check the base URL.",
                status=status,
                request_id=self.request_id,
            )
        return response

    def json_of(self, response: httpx.Response) -> dict[str, Any]:
        """Return the JSON object of a success.

        Raises
        ------
        UnexpectedAnswer
        """
        try:
            told = json.loads(response.content)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise UnexpectedAnswer(
                "The answer is not Neumo's: no JSON object. Check the base URL, and what stands in "
                "front of the service.",
                status=response.status_code,
                request_id=self.request_id,
            )
        return told

    def reading_of(self, response: httpx.Response) -> Reading:
        """Return the Reading of a success.

        Raises
        ------
        UnexpectedAnswer
        """
        return self._load(Reading, response)

    def film_reading_of(self, response: httpx.Response) -> FilmReading:
        """Return what is known of a film that was stored.

        Raises
        ------
        UnexpectedAnswer
        """
        return self._load(FilmReading, response)

    def explanation_of(self, response: httpx.Response) -> Explanation:
        """Return the Explanation of a success.

        Raises
        ------
        UnexpectedAnswer
        """
        return self._load(Explanation, response)

    def picture_of(self, response: httpx.Response) -> bytes:
        """Return the picture of a success.

        Raises
        ------
        UnexpectedAnswer
        """
        if not response.headers.get("Content-Type", "").startswith("image/"):
            raise UnexpectedAnswer(
                "The answer is no picture.",
                status=response.status_code,
                request_id=self.request_id,
            )
        return response.content

    def results_of(self, response: httpx.Response) -> list[Reading | Problem]:
        """Return a Reading or a Problem for each file, in their order.

        Raises
        ------
        UnexpectedAnswer
            Also if they are not as many as the files.
        """
        told = self.json_of(response).get("results")
        if not isinstance(told, list) or len(told) != len(self.files):
            raise UnexpectedAnswer(
                "The answer doesn't hold one result for each film.",
                status=response.status_code,
                request_id=self.request_id,
            )
        return [self._result_of(each) for each in told]

    def _result_of(self, told: object) -> Reading | Problem:
        if isinstance(told, dict) and "code" in told:
            return problem_of(told, request_id=self.request_id)
        return load_answer(Reading, told)

    def _load(self, kind: type[Answer], response: httpx.Response) -> Answer:
        try:
            return load_answer(kind, self.json_of(response))
        except UnexpectedAnswer as error:
            error.status = response.status_code
            error.request_id = self.request_id
            raise


def predict_call(
    film: Film, content: bytes, *, heatmap: bool, include_uid: bool, language: Language | None
) -> Call:
    """Return the call for a Reading of a film, whose bytes are `content`."""
    return Call(
        "POST",
        "predict",
        query={
            "window": film.window,
            "heatmap": "true" if heatmap else None,
            "include": "uid" if include_uid else None,
        },
        fields=said_of([film]),
        files=[content],
        language=language,
    )


def explain_call(
    film: Film,
    content: bytes,
    *,
    label: str | None,
    alpha: float | None,
    as_numbers: bool,
    language: Language | None,
) -> Call:
    """Return the call for the map of a label: its picture, or its numbers."""
    return Call(
        "POST",
        "explain",
        query={
            "label": label,
            "alpha": alpha,
            "window": film.window,
            "format": "json" if as_numbers else None,
        },
        fields=said_of([film]),
        files=[content],
        accept="application/json" if as_numbers else "image/png, application/problem+json",
        language=language,
    )


def preview_call(
    film: Film, content: bytes, *, max_px: int | None, jpeg: bool, language: Language | None
) -> Call:
    """Return the call for the film as it is read."""
    return Call(
        "POST",
        "preview",
        query={"window": film.window, "max_px": max_px},
        files=[content],
        accept="image/jpeg" if jpeg else "image/png",
        language=language,
    )


def film_reading_call(film_id: str, *, language: Language | None) -> Call:
    """Return the call for what was read of a film that was stored."""
    return Call("GET", f"readings/{quote(film_id, safe='')}", language=language)


def model_call() -> Call:
    """Return the call for the model's card."""
    return Call("GET", "model")


def health_call(kind: HealthKind) -> Call:
    """Return the call for the service's health."""
    return Call("GET", f"health/{kind}")


def said_of(films: Sequence[Film]) -> dict[str, list[str]]:
    """Return the fields that say of whom the films are, once for each; none if nothing is said."""
    said = {
        "age_years": [_age_text(film.age_years) for film in films],
        "view": [film.view or "" for film in films],
    }
    return {name: values for name, values in said.items() if any(values)}


def _age_text(age_years: float | str | None) -> str:
    if age_years is None:
        return ""
    return age_years if isinstance(age_years, str) else f"{age_years:g}"
