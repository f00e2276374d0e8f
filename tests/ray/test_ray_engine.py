"""app.score.engines.ray_engine, on two nodes: the local engine's rows, whoever is killed."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from app.model.bundle import find_bundle
from app.score.engines.local_engine import LocalEngine
from app.score.engines.score_process import Chunk, Work
from app.score.film_list import FilmList
from app.score.score_row import ScoreRow
from app.score.source import DiskSource, open_source
from app.service.service import load_model_from
from app.settings.settings import Settings
from tests.bundles import add_fp32
from tests.ray.archive import NAME, NEEDS_RAY, commands, make_archive, parent_of, wait_until

pytestmark = [NEEDS_RAY, pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]
FILMS = 420
PART_FILMS = 50
PARTS = range(-(-FILMS // PART_FILMS))
PRIVATE = "postgresql://neumo:a-password@127.0.0.1/audit"


@dataclass
class Job:
    """A list of films, and what the local engine says of them."""

    work: Work
    model_sha256: str
    films: FilmList
    rows: list[list[ScoreRow]]

    def chunks(self) -> Iterator[Chunk]:
        return self.films.chunks(PART_FILMS, PARTS)

    def spans(self) -> Iterator[tuple[int, int]]:
        return self.films.spans(PART_FILMS, PARTS)


@pytest.fixture(scope="module")
def job(examples: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("archive")
    source = open_source(str(make_archive(folder / "films", examples, FILMS)))
    bundle = folder / "neumo-both-1"
    shutil.copytree(find_bundle(Settings().model), bundle)
    add_fp32(bundle)
    settings = Settings(model=str(bundle), precision="fp32", audit_database=PRIVATE)
    work = Work(settings, source)
    films = FilmList.write(folder / "films.jsonl", source.list_films(), lambda _: None)
    with LocalEngine(work, 1) as engine:
        rows = list(engine.score(films.chunks(PART_FILMS, PARTS)))
    return Job(work, load_model_from(work.settings).card.sha256, films, rows)


@dataclass
class Nodes:
    """Two nodes of this machine, each with a CPU; `other` is the process that is the second."""

    folder: Path
    other: subprocess.Popen[bytes]

    @property
    def actors(self) -> list[int]:
        """The processes of actors that read."""
        return [pid for pid, command in commands().items() if "ScoreActor" in command]

    @property
    def readers(self) -> list[int]:
        """The processes that actors started."""
        actors = self.actors
        spawned = [pid for pid, command in commands().items() if "spawn_main" in command]
        return [pid for pid in spawned if parent_of(pid) in actors]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    from app.score.engines.ray_cluster import joined  # noqa: PLC0415 - Ray is not everywhere

    with joined(None, 1):
        from ray._private.worker import _global_node  # noqa: PLC0415
        from ray.cluster_utils import Cluster  # noqa: PLC0415

        cluster = Cluster(shutdown_at_exit=False)
        cluster.head_node = _global_node
        node = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
        try:
            yield Nodes(
                Path(os.environ["RAY_AUTH_TOKEN_PATH"]).parent,
                node.all_processes["raylet"][0].process,
            )
        finally:
            node.kill_all_processes(check_alive=False, allow_graceful=False)


def read(
    job: Job, at: dict[int, Callable[[], None]], stalled_s: float = 120
) -> tuple[list[list[ScoreRow]], int]:
    """Read all films; do something as the rows of some chunks come. Return rows and tries."""
    from app.score.engines.ray_engine import RayEngine  # noqa: PLC0415

    engine = RayEngine(job.work, job.model_sha256, job.films, job.spans(), 2, stalled_s)
    rows = []
    for number, some in enumerate(engine.score(job.chunks())):
        rows.append(some)
        at.get(number, lambda: None)()
    return rows, engine.tries


def kill(pids: list[int]) -> None:
    assert pids
    os.kill(pids[-1], signal.SIGKILL)


def test_rows_are_the_local_engines_to_the_bit_and_in_order(job: Job, nodes: Nodes) -> None:
    seen: list[tuple[int, int]] = []
    rows, tries = read(job, {2: lambda: seen.append((len(nodes.actors), len(nodes.readers)))})
    assert rows == job.rows
    assert (seen, tries) == ([(2, 2)], 1)  # an actor on each node, each with one session


def test_an_actor_and_a_reading_process_that_are_killed_cost_no_film(
    job: Job, nodes: Nodes
) -> None:
    rows, tries = read(job, {1: lambda: kill(nodes.actors), 4: lambda: kill(nodes.readers)})
    assert rows == job.rows
    assert tries == 1  # Ray began them again


@pytest.mark.usefixtures("nodes")
def test_a_node_with_another_model_reads_nothing(job: Job) -> None:
    from app.errors import ClusterUnusable  # noqa: PLC0415
    from app.score.engines.ray_engine import RayEngine  # noqa: PLC0415

    engine = RayEngine(job.work, "0" * 64, job.films, job.spans(), 1)
    with pytest.raises(ClusterUnusable, match="another Neumo or another model"):
        next(engine.score(job.chunks()))


class OnlyHere(DiskSource):
    """A share that is mounted on this machine alone."""

    def __reduce__(self) -> tuple[type[DiskSource], tuple[Path]]:
        """Be another folder elsewhere."""
        return DiskSource, (Path("/nowhere"),)


@pytest.mark.usefixtures("nodes")
def test_a_node_that_lacks_the_share_writes_no_film_off(job: Job) -> None:
    from app.errors import ClusterUnusable  # noqa: PLC0415
    from app.score.engines.ray_engine import RayEngine  # noqa: PLC0415

    work = replace(job.work, source=OnlyHere(Path(job.work.source.name)))
    engine = RayEngine(work, job.model_sha256, job.films, job.spans(), 1)
    with pytest.raises(ClusterUnusable, match="can't open films that this one can"):
        next(engine.score(job.chunks()))


def test_a_node_that_is_killed_costs_no_film(job: Job, nodes: Nodes) -> None:
    # Its actor may have nowhere to go; then reading begins again behind what had come.
    rows, _ = read(job, {0: lambda: kill([nodes.other.pid])}, stalled_s=60)
    assert rows == job.rows
    wait_until("it is gone", lambda: nodes.other.poll() is not None)


def test_what_ray_wrote_names_no_film_and_no_secret(nodes: Nodes) -> None:
    written = [path for path in nodes.folder.rglob("*") if path.is_file()]
    assert any(path.parent.name == "logs" and path.stat().st_size for path in written)
    private = [name.encode() for name in (NAME, "a-password", "films.jsonl")]
    told = [path.name for path in written if any(name in path.read_bytes() for name in private)]
    assert told == []
