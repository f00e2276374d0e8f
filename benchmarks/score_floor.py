"""`neumo score` against its floor: decode and `session.run` in bare loops, on as many processes.

    python -m benchmarks.score_floor --films FOLDER --count 1000 --rounds 7

Both have their models loaded and take turns, so that a busy machine hinders both alike. The floor's
bytes lie in memory; `neumo score` opens files, judges, writes Parquet and its ledger. Prints one
line of JSON: films a second by the clock, milliseconds of CPU a film over all processes, and the
floor's share of both, each the median of the rounds, with the least and the most.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from app.image.decode import decode
from app.image.resize import resize
from app.machine import count_cpus, tune_allocator
from app.score.engines.local_engine import LocalEngine
from app.score.engines.score_process import Work
from app.score.film_list import CHUNK_FILMS
from app.score.score_run import open_run
from app.score.source import DiskSource, ListedFilm
from app.service.service import load_model_from
from app.settings.settings import Settings

_FEW = 8
"""Films that a loop takes at a time: by halves the slower CPU would be waited for."""

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Listed(DiskSource):
    """Films of a folder that were chosen, in their order."""

    films: tuple[ListedFilm, ...] = ()

    def list_films(self) -> Iterator[ListedFilm]:
        """List what was chosen."""
        return iter(self.films)


def main() -> None:
    """Take turns and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--films", type=Path, required=True, help="A folder of readable films.")
    parser.add_argument("--count", type=int, default=1000, help="Films of a turn, by eights.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--processes", type=int, default=count_cpus())
    options = parser.parse_args()
    settings = Settings()
    found = DiskSource(options.films).list_films()
    readable = (film for film in found if is_film(options.films / film.path))
    listed = list(islice(readable, options.count))
    films = tuple(islice(cycle(listed), options.count))
    source = Listed(options.films, films=films)
    context = multiprocessing.get_context("spawn")
    pipes, pids = [], []
    left = context.Value("q", 0)
    paths = [str(options.films / film.path) for film in films]
    cpus = sorted(os.sched_getaffinity(0))
    for at in range(options.processes):
        ours, theirs = context.Pipe()
        cpu = cpus[at % len(cpus)]
        process = context.Process(target=loop, args=(theirs, paths, left, cpu), daemon=True)
        process.start()
        pipes.append(ours)
        pids.append(process.pid)
    for pipe in pipes:
        pipe.recv()

    def floor() -> None:
        left.value = options.count
        for pipe in pipes:
            pipe.send(0)
        for pipe in pipes:
            pipe.recv()

    rounds = []
    with LocalEngine(Work(settings, source), options.processes) as engine:
        chunks = [films[at : at + CHUNK_FILMS] for at in range(0, options.count, CHUNK_FILMS)]
        list(engine.score(chunks[: 4 * options.processes]))  # all are ready, and warm

        def score() -> None:
            with (
                tempfile.TemporaryDirectory() as folder,
                open_run(Path(folder), source, {}, 5000, lambda _: None) as run,
            ):
                labels = ["normal", "covid19", "bacterial_pneumonia", "viral_pneumonia"]
                most = settings.max_body_bytes
                run.go_on(engine.score, labels, {"model": "m"}, most, lambda _: None)

        for _ in range(options.rounds):
            of_floor = measure(floor, pids)
            of_score = measure(score, [os.getpid(), *engine.pids])
            rounds.append((of_floor, of_score))
    count = options.count
    print(
        json.dumps(
            {
                "films": count,
                "processes": options.processes,
                "rounds": options.rounds,
                "floor_per_second": spread([count / floor_s for (floor_s, _), _ in rounds]),
                "score_per_second": spread([count / score_s for _, (score_s, _) in rounds]),
                "share_of_clock": spread([f[0] / s[0] for f, s in rounds]),
                "floor_cpu_ms": spread([cpu_s / count * 1000 for (_, cpu_s), _ in rounds]),
                "score_cpu_ms": spread([cpu_s / count * 1000 for _, (_, cpu_s) in rounds]),
                "share_of_cpu": spread([f[1] / s[1] for f, s in rounds]),
            }
        )
    )


def is_film(path: Path) -> bool:
    """Whether a file can be decoded."""
    try:
        decode(path.read_bytes())
    except Exception:  # noqa: BLE001 - whatever it is, it is left out
        return False
    return True


def loop(pipe: Connection, paths: list[str], left: "Synchronized[int]", cpu: int) -> None:
    """Run the floor in one process, as often as it is told to; films go to whoever is free.

    Each has a CPU of its own: two that never wait may be left on one.
    """
    os.sched_setaffinity(0, {cpu})
    tune_allocator()
    model = load_model_from(Settings())
    contents = [Path(path).read_bytes() for path in paths]
    pipe.send(0)
    with contextlib.suppress(EOFError):
        while True:
            pipe.recv()
            while (at := take(left)) >= 0:
                for content in contents[at : at + _FEW]:
                    model.run(resize(decode(content))[None])
            pipe.send(0)


def take(left: "Synchronized[int]") -> int:
    """Take a few films; return where they begin, less than 0 if none is left."""
    with left.get_lock():
        left.value -= _FEW
        return left.value


def measure(run: Callable[[], None], pids: Sequence[int]) -> tuple[float, float]:
    """Return the seconds that a run takes, by the clock and of CPU in some processes."""
    cpu_s, begun = sum(map(cpu_of, pids)), time.perf_counter()
    run()
    return time.perf_counter() - begun, sum(map(cpu_of, pids)) - cpu_s


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def spread(figures: Sequence[float]) -> list[float]:
    """Return median, least and most."""
    return [round(each, 3) for each in (statistics.median(figures), min(figures), max(figures))]


if __name__ == "__main__":
    main()
