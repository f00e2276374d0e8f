"""The command: `python -m tests.fuzz`; 1 where something is wrong."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.fuzz.driver import Tally, fuzz, run_again
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

_MOST_SAVED: Final = 3
"""Inputs of one kind of finding."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz what reads.")
    parser.add_argument("--inputs", type=int, default=200_000, help="of all targets together")
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    parser.add_argument("--only", default="", help=f"of {','.join(TARGETS)}")
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"), help="where to save")
    parser.add_argument("--again", type=Path, nargs="+", metavar="FILE", help="run these instead")
    options = parser.parse_args(arguments)
    if options.again:
        return _again(options.again)
    names = options.only.split(",") if options.only else list(TARGETS)
    targets = [TARGETS[name] for name in names]
    shares = sum(target.share for target in targets)
    begun, total, wrong = time.monotonic(), 0, 0
    for target in targets:
        count = -(-options.inputs * target.share // shares)
        started = time.monotonic()
        tally = fuzz(target, count, options.first)
        total += tally.ends.total()
        wrong += len(tally.wrong())
        _tell(target, tally, time.monotonic() - started, options.found)
    print(f"{total} inputs in {time.monotonic() - begun:.0f} s, {wrong} findings")
    return int(wrong > 0)


def _tell(target: Target, tally: Tally, seconds: float, found: Path) -> None:
    print(
        f"{target.name}: {tally.ends.total()} inputs in {seconds:.0f} s, "
        f"worst {tally.worst_s * 1000:.0f} ms, peak {tally.peak_mb:.0f} MB, "
        f"grown {tally.grown_mb:.0f} MB, {len(tally.ends)} ends: "
        + ", ".join(f"{end} {count}" for end, count in tally.ends.most_common(8)),
        flush=True,
    )
    for words in tally.wrong():
        print(f"  WRONG: {words}", flush=True)
    told: Counter[str] = Counter()
    for finding in tally.findings:
        told[finding.what] += 1
        if told[finding.what] <= _MOST_SAVED:
            path = finding.save(found, target.suffix)
            print(f"  input {finding.number}: {finding.what}: {path}", flush=True)


def _again(files: list[Path]) -> int:
    for file in files:
        name = file.name.partition("-")[0]
        target = TARGETS[file.parent.name if file.parent.name in TARGETS else name]
        print(f"{file}: {run_again(target, [file.read_bytes()])[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
