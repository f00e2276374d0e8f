"""The client for programs without an event loop."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sized
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, Final, Self

import httpx

from neumo_client.answers import Explanation, FilmReading, Reading
from neumo_client.batch import Batch
from neumo_client.call import (
    Call,
    HealthKind,
    Language,
    explain_call,
    film_reading_call,
    health_call,
    model_call,
    predict_call,
    preview_call,
)
from neumo_client.connection import Certificate, Verify, connection_arguments
from neumo_client.errors import (
    ConnectionLost,
    NeumoError,
    Problem,
    TimedOut,
    Unavailable,
    bare,
    failure_of,
)
from neumo_client.films import Film, Source, check_several, film_of
from neumo_client.retries import NO_RETRIES, Attempts, Retries

Progress = Callable[[int, int | None], object]
"""Called with how many films are done, and how many there are, if that is known."""
POLL_S: Final = 0.5


class Client:
    """A Neumo service, asked from threads. Several threads may use one client.

    Parameters
    ----------
    base_url : of the service, with the path that a proxy puts before it: https://host/neumo
    api_key : sent as ``Authorization: Bearer``
    language : of names and messages; the service's own choice (English) where None
    timeout : seconds to wait for the service; or httpx's own, for each step
    retries : of calls that may succeed later
    verify : False, a PEM file of authorities, or an SSLContext; as httpx does where True
    cert : this client's certificate and key, in PEM files
    proxy : that leads there; or else what the environment says, as with httpx
    headers : sent with every call
    transport : httpx's, for tests and special ways
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        language: Language | None = None,
        timeout: float | httpx.Timeout = 60.0,
        retries: Retries = Retries(),  # noqa: B008 - frozen
        verify: Verify = True,
        cert: Certificate | None = None,
        proxy: str | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        arguments = connection_arguments(base_url, api_key, timeout, verify, cert, proxy, headers)
        self._http = httpx.Client(**arguments, transport=transport)
        self._language = language
        self._retries = retries

    def __enter__(self) -> Self:
        """Return the client; it is closed on leaving."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def predict(
        self,
        film: Film | Source,
        *,
        age_years: float | str | None = None,
        view: str | None = None,
        window: int | None = None,
        heatmap: bool = False,
        include_uid: bool = False,
        language: Language | None = None,
    ) -> Reading:
        """Return the Reading of one film.

        Parameters
        ----------
        film : bytes, a path, an open file, or a `Film`
        age_years, view, window : as of `Film`, whose own win
        heatmap : whether the map and its picture are wanted too
        include_uid : whether a DICOM file's SOP Instance UID is

        Raises
        ------
        NeumoError
        """
        film = film_of(film, age_years, view, window)
        call = predict_call(
            film,
            film.read(),
            heatmap=heatmap,
            include_uid=include_uid,
            language=language or self._language,
        )
        return call.reading_of(self._ask(call))

    def predict_many(
        self,
        films: Iterable[Film | Source],
        *,
        concurrency: int = 4,
        progress: Progress | None = None,
        age_years: float | str | None = None,
        view: str | None = None,
        window: int | None = None,
        heatmap: bool = False,
        include_uid: bool = False,
        language: Language | None = None,
    ) -> list[Reading | NeumoError]:
        """Return a Reading, or the error that it failed with, for each film, in their order.

        Films are read from the disk when their turn comes, so there may be more than fit into
        memory; `films` may be a generator.

        Parameters
        ----------
        concurrency : calls at once, 1 at least
        progress : called as films are done, on this thread
        age_years, and so on : as of `predict`, for all films that say nothing themselves
        """
        stop = threading.Event()
        results: dict[int, Reading | NeumoError] = {}
        running: dict[Future[Reading | NeumoError], int] = {}
        check_several(films)
        total = len(films) if isinstance(films, Sized) else None

        def read(film: Film | Source) -> Reading | NeumoError:
            try:
                whole = film_of(film, age_years, view, window)
                call = predict_call(
                    whole,
                    whole.read(),
                    heatmap=heatmap,
                    include_uid=include_uid,
                    language=language or self._language,
                )
                return call.reading_of(self._ask(call, stop=stop))
            except NeumoError as error:
                return bare(error)

        def settle() -> None:
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                results[running.pop(done)] = done.result()
                if progress is not None:
                    progress(len(results), total)

        pool = ThreadPoolExecutor(concurrency, thread_name_prefix="neumo")
        try:
            for index, film in enumerate(films):
                while len(running) >= concurrency:
                    settle()
                running[pool.submit(read, film)] = index
            while running:
                settle()
        finally:
            stop.set()  # or after Ctrl-C the threads would go on to try again
            pool.shutdown(cancel_futures=True)
        return [results[index] for index in range(len(results))]

    def batch(
        self,
        films: Iterable[Film | Source],
        *,
        age_years: float | str | None = None,
        view: str | None = None,
        window: int | None = None,
        include_uid: bool = False,
        language: Language | None = None,
    ) -> list[Reading | Problem]:
        """Return a Reading or a Problem for each film, in their order, from one call.

        A service takes 32 films at once, if it isn't set otherwise. Those that it had no time for
        are sent again, as `retries` say. For more films, `predict_many`.

        Parameters
        ----------
        window : for all films; theirs must not be set

        Raises
        ------
        NeumoError
            If the call as a whole fails.
        """
        batch = Batch(
            films,
            age_years=age_years,
            view=view,
            window=window,
            include_uid=include_uid,
            language=language or self._language,
        )
        batch.read()
        attempts = Attempts(self._retries)
        try:
            while (call := batch.next_call()) is not None:
                batch.take(call.results_of(self._ask(call, attempts)))
                if (problem := batch.passing) is not None:
                    time.sleep(attempts.wait_s(problem))
        except NeumoError:
            if not batch.results:
                raise
        return batch.results

    def explain(
        self,
        film: Film | Source,
        *,
        label: str | None = None,
        alpha: float | None = None,
        age_years: float | str | None = None,
        view: str | None = None,
        window: int | None = None,
        language: Language | None = None,
    ) -> bytes:
        """Return a PNG: the film, and beside it where the network found what speaks for a label.

        Parameters
        ----------
        label : the label called where None; of `normal` there is a map only if it is asked for
        alpha : strength of the colours, 0 to 1
        age_years, view, window : as of `predict`

        Raises
        ------
        NeumoError
        """
        film = film_of(film, age_years, view, window)
        call = explain_call(
            film,
            film.read(),
            label=label,
            alpha=alpha,
            as_numbers=False,
            language=language or self._language,
        )
        return call.picture_of(self._ask(call))

    def explain_numbers(
        self,
        film: Film | Source,
        *,
        label: str | None = None,
        age_years: float | str | None = None,
        view: str | None = None,
        window: int | None = None,
        language: Language | None = None,
    ) -> Explanation:
        """Return the map of a label as numbers, with what the Reading says.

        Parameters
        ----------
        label, age_years, view, window : as of `explain`

        Raises
        ------
        NeumoError
        """
        film = film_of(film, age_years, view, window)
        call = explain_call(
            film,
            film.read(),
            label=label,
            alpha=None,
            as_numbers=True,
            language=language or self._language,
        )
        return call.explanation_of(self._ask(call))

    def preview(
        self,
        film: Film | Source,
        *,
        window: int | None = None,
        max_px: int | None = None,
        jpeg: bool = False,
    ) -> bytes:
        """Return the film as it is read, 8 bits of grey: a PNG, or a JPEG.

        Parameters
        ----------
        max_px : of the longer side

        Raises
        ------
        NeumoError
        """
        film = film_of(film, None, None, window)
        call = preview_call(film, film.read(), max_px=max_px, jpeg=jpeg, language=self._language)
        return call.picture_of(self._ask(call))

    def film_reading(self, film_id: str, *, language: Language | None = None) -> FilmReading:
        """Return what was read of a film that was stored by DICOM or DICOMweb.

        Parameters
        ----------
        film_id : its SOP Instance UID, or the id that the service gave it

        Raises
        ------
        NeumoError
        """
        call = film_reading_call(film_id, language=language or self._language)
        return call.film_reading_of(self._ask(call))

    def model(self) -> dict[str, Any]:
        """Return the card of the model that is served.

        Raises
        ------
        NeumoError
        """
        call = model_call()
        return call.json_of(self._ask(call))

    def health(self, kind: HealthKind = "ready") -> bool:
        """Return whether the service is ready (or live, or has started), without trying again.

        Raises
        ------
        NeumoError
            If it can't be reached, or is none.
        """
        call = health_call(kind)
        try:
            return call.json_of(self._ask(call, Attempts(NO_RETRIES))).get("status") == "ok"
        except Unavailable:
            return False

    def wait_until_ready(self, limit_s: float = 60.0) -> None:
        """Return once the service is ready, as when it has only just been started.

        Raises
        ------
        TimedOut
        """
        until_s = time.monotonic() + limit_s
        while True:
            with contextlib.suppress(ConnectionLost):
                if self.health():
                    return
            if time.monotonic() + POLL_S > until_s:
                raise TimedOut(f"The service is not ready after {limit_s:g} s.")
            time.sleep(POLL_S)

    def _ask(
        self, call: Call, attempts: Attempts | None = None, stop: threading.Event | None = None
    ) -> httpx.Response:
        """Return the answer, if it is a success; wait and try again where that may help.

        Parameters
        ----------
        stop : once it is set, the last failure is raised instead of trying again
        """
        attempts = attempts or Attempts(self._retries)
        stop = stop or threading.Event()
        while True:
            try:
                return call.check(self._http.request(**call.arguments()))
            except httpx.RequestError as error:
                failure = failure_of(error, call.request_id)
                failure.__cause__ = error
            except NeumoError as error:
                failure = error
            if stop.wait(attempts.wait_s(failure)):
                raise failure
