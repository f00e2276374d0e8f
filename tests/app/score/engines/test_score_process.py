"""app.score.engines.score_process: bytes are fetched ahead, in order, and not too many."""

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from app.errors import BodyTooLarge
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


@dataclass
class Store:
    """A store that holds films of given sizes, and counts what is held of them."""

    sizes: list[int]
    name = "store"
    is_remote = True
    held_bytes: int = 0
    most_held_bytes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def list_films(self) -> Iterator[ListedFilm]:
        """List none: the test has the list."""
        return iter(())

    def read(self, film: ListedFilm, most_bytes: int) -> bytes:
        """Return as many bytes as the film has; those of one that is too large are held too."""
        size = self.sizes[int(film.path)]
        with self.lock:
            self.held_bytes += min(size, most_bytes)
            self.most_held_bytes = max(self.most_held_bytes, self.held_bytes)
        time.sleep(0.005)
        if size > most_bytes:
            with self.lock:
                self.held_bytes -= most_bytes
            raise BodyTooLarge(max_body_bytes=most_bytes)
        return bytes(size)


SMALL, LARGE = 200_000, 30_000_000


class Together(Store):
    """One that answers only if sixteen films are asked for at once."""

    barrier = threading.Barrier(16)

    def read(self, film: ListedFilm, most_bytes: int) -> bytes:
        """Wait for the others."""
        self.barrier.wait(timeout=30)
        return super().read(film, most_bytes)


def test_small_films_of_a_store_are_fetched_by_sixteens() -> None:
    inbox: queue.SimpleQueue[tuple[int, Chunk]] = queue.SimpleQueue()
    inbox.put((0, tuple(ListedFilm(str(number)) for number in range(48))))
    fetching = Fetching(Work(Settings(), Together([SMALL] * 48)), inbox)
    assert [fetching.take()[3] for _ in range(48)] == [bytes(SMALL)] * 48


@pytest.mark.parametrize(
    ("sizes", "most_held_bytes"),
    [
        ([SMALL] * 30 + [LARGE] * 8 + [SMALL] * 30, 100_000_000 + LARGE),
        ([LARGE] * 8, 100_000_000 + LARGE),
        ([SMALL, Settings().max_body_bytes + 1, SMALL], Settings().max_body_bytes + 100_000_000),
    ],
)
def test_what_is_fetched_ahead_from_a_store_is_bounded_by_bytes(
    sizes: list[int], most_held_bytes: int
) -> None:
    source = Store(sizes)
    inbox: queue.SimpleQueue[tuple[int, Chunk]] = queue.SimpleQueue()
    films = [ListedFilm(str(number)) for number in range(len(sizes))]
    inbox.put((0, tuple(films)))
    fetching = Fetching(Work(Settings(), source), inbox)
    for listed, size in zip(films, sizes, strict=True):
        _, film, _, data = fetching.take()
        assert film == listed
        if size > Settings().max_body_bytes:
            assert isinstance(data, BodyTooLarge)
            continue
        assert isinstance(data, bytes)
        assert len(data) == size
        with source.lock:
            source.held_bytes -= size
    assert source.most_held_bytes <= most_held_bytes
