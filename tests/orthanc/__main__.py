"""Times of the round trip, then every fault, each with an archive and a Neumo of its own.

python -m tests.orthanc --films 20
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from app.model.bundle import find_bundle, read_card
from app.settings.settings import Settings
from tests.orthanc.faults import FAULTS, push, run_fault
from tests.orthanc.neumo import Neumo, prepared_neumo
from tests.orthanc.orthanc import Film, Orthanc, draw_films, running_orthanc


def main() -> None:
    """Print the table of docs/pacs.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=20, help="of each fault")
    parser.add_argument("--only", default="", help="a word of the faults to run")
    given = parser.parse_args()
    sha256 = read_card(find_bundle(Settings().model)).sha256
    today = f"{datetime.now(UTC):%Y%m%d}"
    with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as (orthanc, neumo):
        films = draw_films(Path(folder) / "films", given.films, sha256, today)
        print("From push to visible in its study:", tell_times(orthanc, films), flush=True)
    print("| fault | films pushed | acknowledged | exactly one SR and SC | by reconcile | s |")
    print("|---|---|---|---|---|---|")
    for name, fault in FAULTS.items():
        if given.only not in name:
            continue
        with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as (orthanc, neumo):
            films = draw_films(Path(folder) / "films", given.films, sha256, today)
            told = run_fault(fault, orthanc, neumo, films)
            counts = (told.pushed, told.acknowledged, told.exactly_once, told.fetched)
            row = [name, *counts, round(told.seconds)]
            print("|", " | ".join(map(str, row)), "|", flush=True)


@contextmanager
def started(folder: Path) -> Iterator[tuple[Orthanc, Neumo]]:
    """Start both."""
    with prepared_neumo(folder) as neumo, running_orthanc(neumo.port) as orthanc:
        neumo.partner = orthanc.partner
        neumo.start()
        yield orthanc, neumo


def tell_times(orthanc: Orthanc, films: Sequence[Film]) -> str:
    """Push films one by one; tell how long it took until report and picture were there."""
    times = []
    for film in films:
        begun_s = time.monotonic()
        assert push(orthanc, [film]) == [film]
        while not orthanc.has_all([film]):
            time.sleep(0.01)
        times.append(time.monotonic() - begun_s)
    first, *rest = times
    middle = statistics.median(rest)
    return f"first {first:.2f} s, then p50 {middle:.2f} s, most {max(rest):.2f} s of {len(rest)}"


if __name__ == "__main__":
    main()
