"""`neumo score` by both engines, in turns: films a second, CPU time a film, memory.

    .venv-ray/bin/python -m benchmarks.score_engines --films FOLDER --count 2000 --rounds 3

Takes the clock between the first part that is written and the last, so that starting a cluster is
told apart; CPU time and memory (proportional set size) are those of all processes of a turn, begun
by it or, as Ray's, begun for it. Prints a line of JSON, each figure the median of the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

_PARTS = 10
_SAMPLE_S = 0.5
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Take turns and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--films", type=Path, required=True, help="A folder of JPEGs.")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    found = sorted(options.films.rglob("*.jp*g"))
    taken: dict[str, list[dict[str, float]]] = {"local": [], "ray": []}
    with tempfile.TemporaryDirectory(prefix="se") as folder:
        manifest = Path(folder) / "manifest.csv"
        paths = islice(cycle(found), options.count)
        manifest.write_text("\n".join(["path", *(str(path.absolute()) for path in paths)]) + "\n")
        for number in range(options.rounds):
            for engine, figures in taken.items():
                out = Path(folder) / f"{engine}-{number}"
                figures.append(take_turn(manifest, out, engine, options.count, options.processes))
                print(engine, json.dumps(figures[-1]), file=sys.stderr, flush=True)
    medians = {
        engine: {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
        for engine, turns in taken.items()
    }
    print(json.dumps(medians))


def take_turn(
    manifest: Path, out: Path, engine: str, films: int, processes: int
) -> dict[str, float]:
    """Read all films once; return the figures."""
    each = films // _PARTS
    command = [sys.executable, "-m", "app", "score", str(manifest), "--out", str(out)]
    command += ["--engine", engine, "--processes", str(processes), "--part-films", str(each)]
    begun = time.time()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own
    cpu_s: dict[int, float] = {}
    most_bytes = 0
    while process.poll() is None:
        family = _family(process.pid)
        cpu_s.update({pid: _cpu_s(pid) or cpu_s.get(pid, 0.0) for pid in family})
        most_bytes = max(most_bytes, sum(map(_pss_bytes, family)))
        time.sleep(_SAMPLE_S)
    written = [path.stat().st_mtime for path in sorted(out.glob("part-*"))]
    return {
        "films_per_s": (films - each) / (written[-1] - written[0]),
        "first_part_s": written[0] - begun,
        "cpu_ms_per_film": 1000 * sum(cpu_s.values()) / films,
        "memory_mb": most_bytes / 1e6,
    }


def _family(pid: int) -> set[int]:
    """Return a process and all below it."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def _pss_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
