"""The engine on a cluster of Ray: Ray Data hands chunks to actors, and rows back, in order.

Names of films and rows pass through it, bytes of films never. What Ray hands back is held to the
list, chunk by chunk: whatever happens on the cluster, no film has two rows and none is missing.
"""

import os
import pickle
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import ray.data
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask
from ray.data.exceptions import ExecutionTimeoutError
from ray.exceptions import RayError

from app.errors import ClusterUnusable, EngineFailed
from app.score.engines.score_actor import CHUNKS, FIRST, NUMBER, ROWS, UNLIKE, ScoreActor, Task
from app.score.engines.score_process import Chunk, Work
from app.score.film_list import FilmList
from app.score.score_row import ScoreRow, is_open_only_here
from app.settings.access_settings import AccessSettings
from app.settings.audit_settings import AuditSettings
from app.settings.exchange_settings import ExchangeSettings
from app.settings.tls_settings import TlsSettings
from app.settings.tracing_settings import TracingSettings

_NO_MATTER: Final = (AccessSettings, AuditSettings, ExchangeSettings, TlsSettings, TracingSettings)
"""Settings that a reader does without, and that may name what is secret: they stay here."""

_TOGETHER: Final = 4
"""Chunks that an actor is given together, so that its process need not wait for the next."""

_READ_TASK_CHUNKS: Final = 512
_STALLED_S: Final = 120.0
_TRIES: Final = 3

Span = tuple[int, int]


class RayEngine:
    """Reads films on the cluster that this process has joined.

    Parameters
    ----------
    work : what is the same for all films
    model_sha256 : of the graph
    films : the list, which this machine can open
    spans : of the chunks to be read, in the list's file
    processes : that read, each a CPU of the cluster; by default as many as it has, and will have
    stalled_s : without any news, so long is waited before reading begins again behind what came
    """

    def __init__(
        self,
        work: Work,
        model_sha256: str,
        films: FilmList,
        spans: Iterable[Span],
        processes: int | None,
        stalled_s: float = _STALLED_S,
    ) -> None:
        kept = {
            name: field.default
            for settings in _NO_MATTER
            for name, field in settings.model_fields.items()
        }
        self._work = work = replace(work, settings=work.settings.model_copy(update=kept))
        self._task = pickle.dumps(
            Task(work, model_sha256, str(Path.cwd()), os.environ.get("HOME") or None)
        )
        self._path = str(films.path.absolute())
        self._spans = list(spans)
        self._processes = processes
        self._stalled_s = stalled_s
        self.tries = 0

    def score(self, chunks: Iterable[Chunk]) -> Iterator[list[ScoreRow]]:
        """Read films; yield the rows of each chunk, in order.

        Parameters
        ----------
        chunks : those of the spans

        Raises
        ------
        EngineFailed
            If the cluster gives up again and again.
        ClusterUnusable
            If a node would make other rows, or can't open what this one can.
        """
        taken, failures = 0, 0
        waiting = iter(chunks)
        while taken < len(self._spans):
            self.tries += 1
            try:
                for number, rows in self._read_from(taken):
                    if number == UNLIKE:
                        raise ClusterUnusable(reason="a node has another Neumo or another model")
                    if number != taken:
                        break  # begin again: a row too many would be worse
                    films = next(waiting)
                    if [row.path for row in rows] != [film.path for film in films]:
                        raise EngineFailed
                    most_bytes = self._work.settings.max_body_bytes
                    if is_open_only_here(self._work.source, films, rows, most_bytes):
                        raise ClusterUnusable(reason="a node can't open films that this one can")
                    taken, failures = taken + 1, 0
                    yield rows
            except (RayError, ExecutionTimeoutError):
                pass
            failures += taken < len(self._spans)
            if failures == _TRIES:
                raise EngineFailed

    def _read_from(self, taken: int) -> Iterator[tuple[int, list[ScoreRow]]]:
        """Yield the numbers and the rows of the chunks from `taken` on, as Ray hands them over."""
        cpus = int(ray.cluster_resources().get("CPU", 1))
        size = min(self._processes or cpus, max(cpus, 1))
        together = max(1, min(_TOGETHER, (len(self._spans) - taken) // (2 * size)))
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.execution_no_progress_timeout_s = self._stalled_s
        context.target_max_block_size = 1  # a row a block: each is handed over as it is there
        context.enable_stats_summary_collection = False
        here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
        source = _ListedChunks(self._path, self._spans, taken, together)
        rows = ray.data.read_datasource(
            source,
            override_num_blocks=source.tasks,
            concurrency=1,
            num_cpus=0,
            label_selector=here,
        ).map_batches(
            ScoreActor,
            fn_constructor_args=[self._task],
            batch_size=None,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=size),
            num_cpus=1,
        )
        for batch in rows.iter_batches(batch_size=None, batch_format="pyarrow"):
            for number, pickled in zip(batch[NUMBER], batch[ROWS], strict=True):
                yield number.as_py(), pickle.loads(pickled.as_py())  # noqa: S301 - our actors'


class _ListedChunks(Datasource):  # type: ignore[misc]
    """Lines of the list, a row for a few chunks: the number of the first, and the lines of each."""

    def __init__(self, path: str, spans: list[Span], taken: int, together: int) -> None:
        super().__init__()
        each = _READ_TASK_CHUNKS
        self._tasks = [
            partial(_read_lines, path, at, spans[at : at + each], together)
            for at in range(taken, len(spans), each)
        ]

    @property
    def tasks(self) -> int:
        """How many tasks read the list."""
        return len(self._tasks)

    def estimate_inmemory_data_size(self) -> int | None:
        """Say nothing."""
        return None

    def get_read_tasks(self, *_: Any, **__: Any) -> list[ReadTask]:  # noqa: ANN401 - Ray's own
        """Return the tasks, in order."""
        nothing = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(task, nothing) for task in self._tasks]


def _read_lines(path: str, first: int, spans: list[Span], together: int) -> Iterator[pa.Table]:
    left = iter(spans)
    with Path(path).open("rb", buffering=0) as file:
        while some := list(islice(left, together)):
            chunks = [os.pread(file.fileno(), length, at) for at, length in some]
            yield pa.table({FIRST: [first], CHUNKS: pa.array([chunks], pa.list_(pa.binary()))})
            first += len(some)
