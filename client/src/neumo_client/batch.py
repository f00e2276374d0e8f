"""Several films in one call; those that a service had no time for are sent again."""

from collections.abc import Iterable
from dataclasses import replace

from neumo_client.answers import Reading
from neumo_client.call import Call, Language, said_of
from neumo_client.errors import Problem
from neumo_client.films import Film, Source, check_several, film_of


class Batch:
    """The films of a batch, and what is known of them so far.

    Parameters
    ----------
    window : for all films; they may not have their own, of which the call has room for one

    Raises
    ------
    ValueError
        If one has.
    """

    def __init__(
        self,
        films: Iterable[Film | Source],
        *,
        age_years: float | str | None,
        view: str | None,
        window: int | None,
        include_uid: bool,
        language: Language | None,
    ) -> None:
        check_several(films)
        self._films = [film_of(film, age_years, view, None) for film in films]
        if any(film.window is not None for film in self._films):
            raise ValueError("a batch has one window for all its films: give it to the call")
        self._query = {"window": window, "include": "uid" if include_uid else None}
        self._language = language
        self._contents: list[bytes] = []
        self._results: list[Reading | Problem | None] = [None] * len(self._films)

    def read(self) -> None:
        """Read the films.

        Raises
        ------
        FilmUnreadable
        """
        self._contents = [film.read() for film in self._films]

    @property
    def results(self) -> list[Reading | Problem]:
        """One for each film, once the first call was answered; none before."""
        return [result for result in self._results if result is not None]

    @property
    def passing(self) -> Problem | None:
        """Of the problems that may pass, the one that asks for the longest wait; None if none."""
        passing = [each for each in self.results if isinstance(each, Problem) and each.transient]
        return max(passing, key=lambda problem: problem.retry_after_s or 0.0, default=None)

    def next_call(self) -> Call | None:
        """Return the call for all films that have no result yet, or one that may pass."""
        todo = self._todo()
        if not todo:
            return None
        return Call(
            "POST",
            "predict/batch",
            query=self._query,
            fields=said_of([self._films[index] for index in todo]),
            files=[self._contents[index] for index in todo],
            language=self._language,
        )

    def take(self, results: list[Reading | Problem]) -> None:
        """Take what the last call was answered."""
        for index, result in zip(self._todo(), results, strict=True):
            self._results[index] = _placed(result, index)

    def _todo(self) -> list[int]:
        return [
            index
            for index, result in enumerate(self._results)
            if result is None or (isinstance(result, Problem) and result.transient)
        ]


def _placed(result: Reading | Problem, index: int) -> Reading | Problem:
    """Return a result with its film's place, which is another in a call that was made again."""
    if isinstance(result, Problem):
        result.members["index"] = index
        return result
    return replace(result, index=index)
