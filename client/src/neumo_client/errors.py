"""Why there is no answer, or none that says anything of the film.

`NeumoError`
    `FilmUnreadable`: the file can't be read here; nothing was sent.
    `NoAnswer`
        `ConnectionLost`: the service can't be reached, or hung up.
        `TimedOut`: it took longer than this client waits.
    `UnexpectedAnswer`: it is not Neumo's, such as a proxy's page.
        `SchemaUnknown`: a newer Neumo's, whose members mean something else.
    `Problem`: Neumo, or a proxy in front, says no (RFC 9457).
        `InvalidCall`: 400, 404, 405, 431
        `Unauthenticated`: 401
        `Forbidden`: 403
        `FilmRefused`: 413, 415, 422, an empty film
        `RateLimited`: 429
        `ServiceFailed`: 5xx
            `Unavailable`: 502, 503
                `Overloaded`: 503 of Neumo's own
            `DeadlineExceeded`: 504

Nothing of a film stands in an error.
"""

import contextlib
import email.utils
import json
import ssl
import time
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import httpx

_MEMBERS: Final = ("type", "title", "status", "detail", "code", "request_id")
_SHORTEST_DETAIL: Final = "No more was told: the answer is not Neumo's own."


class NeumoError(Exception):
    """Base of the tree.

    Attributes
    ----------
    transient : whether the same call may well succeed a little later
    request_id : under which the service's log knows the call; None if it was never sent
    retry_after_s : seconds after which the service wants to be asked again, if it said so
    """

    transient: ClassVar[bool] = False

    def __init__(
        self, message: str, *, request_id: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[Any, ...]:
        """Cross from one process to another whole."""
        return _make_again, (type(self), self.args, self.__dict__)


def _make_again(kind: type[NeumoError], args: tuple[Any, ...], state: dict[str, Any]) -> NeumoError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def bare(error: NeumoError) -> NeumoError:
    """Return the error without what hangs on it: its traceback's frames hold the film's bytes."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


class FilmUnreadable(NeumoError):
    """The file can't be read here; nothing was sent."""


class NoAnswer(NeumoError):
    """Nothing came back."""


class ConnectionLost(NoAnswer):
    """The service can't be reached, or hung up before it answered."""

    transient = True


class TimedOut(NoAnswer):
    """The answer took longer than this client waits."""


class UnexpectedAnswer(NeumoError):
    """The answer is not Neumo's: another service's, or a proxy's page.

    Attributes
    ----------
    status : of HTTP; None where there is none
    """

    def __init__(
        self, message: str, *, status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.status = status


class SchemaUnknown(UnexpectedAnswer):
    """The service is newer: a member of its answers means something else than this client knows."""


class Problem(NeumoError):
    """The service, or a proxy in front of it, says no (RFC 9457).

    Attributes
    ----------
    status : of HTTP; in a batch, of this film alone
    code : Neumo's stable one, to decide by; None if the answer is not Neumo's own
    title, detail : for people, in the language asked for
    members : what else is told, such as `reason` of not_a_chest_xray, or `index` in a batch
    """

    def __init__(
        self,
        status: int,
        code: str | None,
        title: str,
        detail: str,
        *,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        message = f"{status} {code or title}: {detail}"
        if request_id:
            message += f" (request {request_id})"
        super().__init__(message, request_id=request_id, retry_after_s=retry_after_s)
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.members = dict(members or {})


class InvalidCall(Problem):
    """The call is wrong in itself: a parameter, a form, a path."""


class Unauthenticated(Problem):
    """No key, or one that isn't known."""


class Forbidden(Problem):
    """The key may not do this, or a rule in front refuses it."""


class FilmRefused(Problem):
    """The film gets no Reading: damaged, too large, of no format that is read, or no chest X-ray.

    To send it again as it is changes nothing.
    """


class RateLimited(Problem):
    """More calls than this key may make."""

    transient = True


class ServiceFailed(Problem):
    """The service's own fault."""


class Unavailable(ServiceFailed):
    """Not ready, full, or not reached by the proxy in front."""

    transient = True


class Overloaded(Unavailable):
    """More films wait than can be read soon."""


class DeadlineExceeded(ServiceFailed):
    """The film could not be read in time, and was given up."""

    transient = True


_BY_CODE: Final[Mapping[str, type[Problem]]] = {
    "empty_upload": FilmRefused,
    "overloaded": Overloaded,
}
_BY_STATUS: Final[Mapping[int, type[Problem]]] = {
    400: InvalidCall, 401: Unauthenticated, 403: Forbidden, 404: InvalidCall, 405: InvalidCall,
    413: FilmRefused, 415: FilmRefused, 422: FilmRefused, 429: RateLimited, 431: InvalidCall,
    502: Unavailable, 503: Unavailable, 504: DeadlineExceeded,
}  # fmt: skip
_LEAST_FAILURE: Final = 500


def problem_of(
    told: Mapping[str, Any],
    *,
    status: int = 0,
    request_id: str | None = None,
    retry_after_s: float | None = None,
) -> Problem:
    """Return the error that problem+json tells; `status` and the others where it doesn't.

    Parameters
    ----------
    told : may be of anybody, with any members
    """
    code, detail, title = (_text(told, name) for name in ("code", "detail", "title"))
    told_status = told.get("status")
    if isinstance(told_status, int) and not status:
        status = told_status
    after = told.get("retry_after_s")
    if retry_after_s is None and isinstance(after, int | float):
        retry_after_s = max(0.0, float(after))
    other = ServiceFailed if status >= _LEAST_FAILURE else Problem
    kind = _BY_CODE.get(code or "") or _BY_STATUS.get(status, other)
    return kind(
        status,
        code,
        title or (httpx.codes.get_reason_phrase(status) or "Refused"),
        detail or _SHORTEST_DETAIL,
        request_id=_text(told, "request_id") or request_id,
        retry_after_s=retry_after_s,
        members={name: value for name, value in told.items() if name not in _MEMBERS},
    )


def problem_of_response(response: httpx.Response, request_id: str) -> Problem:
    """Return the error that an answer of 4xx or 5xx tells, whoever gave it."""
    told: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        told = json.loads(response.content)
    return problem_of(
        # Another service's JSON has no code of Neumo's: what its members mean isn't known.
        told if isinstance(told, dict) and _text(told, "code") else {},
        status=response.status_code,
        request_id=response.headers.get("X-Request-ID") or request_id,
        retry_after_s=_retry_after_s(response.headers.get("Retry-After")),
    )


def failure_of(error: httpx.RequestError, request_id: str) -> NeumoError:
    """Return the error for a call that httpx got no answer to."""
    kind = type(error).__name__
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return TimedOut(f"No answer in time ({kind}).", request_id=request_id)
    lost = isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError | httpx.ConnectTimeout)
    if lost and not _is_about_tls(error):
        return ConnectionLost(f"The connection failed ({kind}).", request_id=request_id)
    return NoAnswer(f"The call can't be made ({kind}): {error}", request_id=request_id)


def _is_about_tls(error: BaseException | None) -> bool:
    """Whether certificates are the cause: to try again would not help."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _text(told: Mapping[str, Any], name: str) -> str | None:
    value = told.get(name)
    return value if isinstance(value, str) and value else None


def _retry_after_s(text: str | None) -> float | None:
    """Read the header Retry-After (RFC 9110 section 10.2.3): seconds, or a date."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
