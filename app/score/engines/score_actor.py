"""An actor of Ray that reads films: it holds one process of the local engine, and so one session.

That process opens the films: their bytes never pass through Ray's hands, and a film that ends its
process is dealt with as on one machine.
"""

import os
import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from app import __version__
from app.errors import BundleError
from app.score.engines.local_engine import LocalEngine
from app.score.engines.score_process import Work
from app.score.film_list import parse_films
from app.service.service import load_model_from

FIRST: Final = "first"
CHUNKS: Final = "chunks"
NUMBER: Final = "number"
ROWS: Final = "rows"

UNLIKE: Final = -1
"""The number of what an actor answers whose node would make other rows."""


@dataclass(frozen=True, slots=True)
class Task:
    """What an actor is sent.

    Parameters
    ----------
    model_sha256 : of the graph that the run was begun with, int8 or float32
    folder : in which relative paths of settings and source lie
    home : in which credentials of a store lie; Ray's own processes may have another
    version : of Neumo
    """

    work: Work
    model_sha256: str
    folder: str
    home: str | None
    version: str = __version__


class ScoreActor:
    """Reads chunks of films.

    Parameters
    ----------
    task : a pickled `Task`; of what is no bytes, Ray may write the text to its logs
    """

    def __init__(self, task: bytes) -> None:
        told: Task = pickle.loads(task)  # noqa: S301 - of the process that started this one
        self._engine: LocalEngine | None = None
        if not is_like(told):
            return
        # A process that is spawned runs the main module's file too: Ray's, which imports Ray.
        vars(sys.modules["__main__"]).pop("__file__", None)
        self._engine = LocalEngine(told.work, 1).__enter__()

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Read the chunks of a block; yield the number and the pickled rows of each."""
        if self._engine is None:
            yield {NUMBER: [UNLIKE], ROWS: [pickle.dumps([])]}
            return
        for first, chunks in zip(batch[FIRST], batch[CHUNKS], strict=True):
            films = (parse_films(lines) for lines in chunks)
            for number, rows in enumerate(self._engine.score(films), int(first)):
                yield {NUMBER: [number], ROWS: [pickle.dumps(rows)]}


def is_like(told: Task) -> bool:
    """Whether this node has the Neumo and the model that the run was begun with."""
    try:
        os.chdir(told.folder)
        if told.home:
            os.environ["HOME"] = told.home
        model = load_model_from(told.work.settings)
    except (OSError, BundleError):
        return False
    return (__version__, model.card.sha256) == (told.version, told.model_sha256)
