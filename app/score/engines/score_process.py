"""A process that reads films: chunks come through a pipe, rows go back, bytes are fetched ahead.

It ends when the pipe does: a run that was killed leaves none behind.
"""

import gc
import os
import queue
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

from app.errors import BodyTooLarge
from app.machine import tune_allocator
from app.reading.population import NOBODY, Subject
from app.score.score_row import ScoreRow, make_row
from app.score.source import ListedFilm, Source
from app.service.service import load_model_from, make_reader
from app.settings.settings import Settings

READY: Final = -1
"""The number of the first answer: the model is loaded."""
ALIVE: Final = -2
"""The number of an answer that only says that films are being read, however slowly they come."""
_ALIVE_EVERY_S: Final = 1.0

Chunk = tuple[ListedFilm, ...]

_AHEAD: Final = 2
_AHEAD_REMOTE: Final = 16
"""Fetches under way before their bytes are needed."""
_AHEAD_BYTES: Final = 100_000_000
"""Of what is fetched ahead from a store: the larger films have lately been, the fewer it is."""

_TOGETHER: Final = 16
"""Films of a disk that are fetched at a time: to hand over each costs a tenth of reading it."""
_TOGETHER_BYTES: Final = 1_000_000
"""Of films that are fetched at a time; the one that goes beyond is the last of them."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is the same for all films of a run.

    Parameters
    ----------
    said : of all films; a manifest's row goes before
    window : as of `app.reading.reader.Reader.read`
    """

    settings: Settings
    source: Source
    said: Subject = NOBODY
    window: int | None = None


def serve(connection: Connection, work: Work) -> None:
    """Load the model, and answer chunks until the pipe ends."""
    tune_allocator()
    reader = make_reader(work.settings, load_model_from(work.settings))
    gc.freeze()
    inbox: queue.SimpleQueue[tuple[int, Chunk]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(connection, inbox), daemon=True).start()
    _send(connection, READY, [])
    fetching = Fetching(work, inbox)
    rows: list[ScoreRow] = []
    told_s = time.monotonic()
    while True:
        number, film, is_last, fetched = fetching.take()
        if time.monotonic() - told_s > _ALIVE_EVERY_S:
            _send(connection, ALIVE, [])
            told_s = time.monotonic()
        rows.append(make_row(film, fetched, reader, work.said, work.window))
        if is_last:
            _send(connection, number, rows)
            rows = []


def _send(connection: Connection, number: int, rows: list[ScoreRow]) -> None:
    try:
        connection.send((number, rows))
    except OSError:
        os._exit(0)  # nobody is there to hear


def _receive(connection: Connection, inbox: "queue.SimpleQueue[tuple[int, Chunk]]") -> None:
    try:
        while True:
            inbox.put(connection.recv())
    except (EOFError, OSError):
        os._exit(0)  # nobody is there to answer


_Listed = tuple[int, ListedFilm, bool]
_Fetched = tuple[int, ListedFilm, bool, "bytes | Exception"]


class Fetching:
    """Films in order, each with its bytes; a few are fetched ahead, so memory stays what it is."""

    def __init__(self, work: Work, inbox: "queue.SimpleQueue[tuple[int, Chunk]]") -> None:
        self._is_remote = work.source.is_remote
        self._together = 1 if self._is_remote else _TOGETHER
        self._pool = ThreadPoolExecutor(_AHEAD_REMOTE if self._is_remote else _AHEAD)
        self._source, self._most = work.source, work.settings.max_body_bytes
        self._inbox = inbox
        self._listed: deque[_Listed] = deque()
        self._under_way: deque[Future[tuple[list[_Fetched], list[_Listed]]]] = deque()
        self._fetched: deque[_Fetched] = deque()
        self._sizes: deque[int] = deque([1], maxlen=_AHEAD_REMOTE)

    def take(self) -> _Fetched:
        """Return the next film: its chunk's number, whether it is the last, bytes or an error."""
        while not self._fetched:
            ahead, most = self._bounds()
            while len(self._under_way) < ahead and self._list_more():
                some = [
                    self._listed.popleft() for _ in range(min(self._together, len(self._listed)))
                ]
                self._under_way.append(self._pool.submit(self._fetch, some, most))
            fetched, left = self._under_way.popleft().result()
            self._fetched.extend(fetched)
            self._sizes.extend(len(data) for *_, data in fetched if isinstance(data, bytes))
            if left:  # before those that are under way: in order
                self._under_way.appendleft(self._pool.submit(self._fetch, left, self._most))
        return self._fetched.popleft()

    def _bounds(self) -> tuple[int, int]:
        """Return how many fetches may be under way, and how many bytes of a film each may take."""
        if not self._is_remote:
            return _AHEAD, self._most
        ahead = max(_AHEAD, min(_AHEAD_REMOTE, _AHEAD_BYTES // max(self._sizes)))
        return ahead, min(self._most, _AHEAD_BYTES // ahead)

    def _fetch(self, some: list[_Listed], most: int) -> tuple[list[_Fetched], list[_Listed]]:
        """Fetch films until they are many bytes; return them, and those that are left.

        Parameters
        ----------
        most : bytes of a film; one that has more is left, to be fetched whole when it is next
        """
        fetched: list[_Fetched] = []
        held_bytes = 0
        for number, film, is_last in some:
            if held_bytes > _TOGETHER_BYTES:
                break
            data = self._read(film, most)
            if isinstance(data, BodyTooLarge) and most < self._most:
                break
            fetched.append((number, film, is_last, data))
            held_bytes += len(data) if isinstance(data, bytes) else 0
        return fetched, some[len(fetched) :]

    def _read(self, film: ListedFilm, most: int) -> bytes | Exception:
        try:
            return self._source.read(film, most)
        except Exception as error:  # noqa: BLE001 - its row says it
            return error

    def _list_more(self) -> bool:
        """Return whether a film is listed; wait for one only if there is nothing to do."""
        if self._listed:
            return True
        try:
            number, films = self._inbox.get(block=not self._under_way)
        except queue.Empty:
            return False
        last = len(films) - 1
        self._listed.extend((number, film, at == last) for at, film in enumerate(films))
        return True
