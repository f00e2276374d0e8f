"""app.score.engines.score_process: bytes are fetched ahead, in order, and not too many."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from app.score.engines.score_process import Chunk, Fetching, Work
from app.score.source import ListedFilm
from app.settings.settings import Settings


@dataclass
class Counting:
    """Films of one size; it counts how many bytes were read and not yet taken."""

    film_bytes: int
    name = "counting"
    is_remote = False
    read_count: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def list_films(self) -> Iterator[ListedFilm]:
        """List none: the test has the list."""
        return iter(())

    def read(self, film: ListedFilm, most_bytes: int) -> bytes:
        """Return the film's number, as long as all films are."""
        assert most_bytes == Settings().max_body_bytes
        with self.lock:
            self.read_count += 1
        return film.path.encode().ljust(self.film_bytes, b"\0")


@pytest.mark.parametrize(
    ("film_bytes", "most_ahead"),
    [
        (10_000, 48),  # what is small is fetched by sixteens: three of them at the most
        (400_000, 9),  # three go beyond a million bytes
        (12_000_000, 3),
    ],
)
def test_films_come_in_order_and_few_are_held(film_bytes: int, most_ahead: int) -> None:
    films = [ListedFilm(str(number)) for number in range(70)]
    chunks: list[Chunk] = [tuple(films[:33]), tuple(films[33:34]), tuple(films[34:])]
    inbox: queue.SimpleQueue[tuple[int, Chunk]] = queue.SimpleQueue()
    for number, chunk in enumerate(chunks):
        inbox.put((number, chunk))
    source = Counting(film_bytes)
    fetching = Fetching(Work(Settings(), source), inbox)
    ends = []
    for at, listed in enumerate(films):
        number, film, is_last, data = fetching.take()
        assert isinstance(data, bytes)
        assert (film, data.rstrip(b"\0")) == (listed, listed.path.encode())
        assert film in chunks[number]
        assert source.read_count - at <= most_ahead
        if is_last:
            ends.append((number, at))
    assert ends == [(0, 32), (1, 33), (2, 69)]
