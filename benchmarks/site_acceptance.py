r"""What an acceptance at a hospital is worth: some of its patients measured, the others judged.

    .venv-dev/bin/python -m benchmarks.site_acceptance --model neumo-r18-2 \
        --data MANIFEST --source shenzhen --source hannover

The sources are to be ones that the model never saw: together they stand for a hospital. Films are
divided by patient, at random and several times; `neumo accept` measures `--films` of them and fits
what `ok` asks for, and the others are answered before (the card's rules) and after (the site's).
Prints, for each way, the median over the divisions and the least and the most.
"""

import argparse
import csv
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from app.acceptance.acceptance_run import accept
from app.acceptance.films import Film, parse_label
from app.acceptance.site_figures import find_ok, measure_answered
from app.acceptance.survey import Survey, judge_all, survey
from app.reading.judge import Judgement
from app.reading.reader import Reader
from app.service.service import load_model_from
from app.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Answered:
    """Shares of the films that were judged."""

    ok: float
    wrong: float
    healthy_ok: float
    false_covid: float

    @classmethod
    def of(cls, found: Survey, answers: Sequence[Judgement | None]) -> "Answered":
        """Work them out."""
        ok, wrong = measure_answered(found, answers)
        sure = find_ok(answers)
        healthy = [
            (answer, here)
            for each, answer, here in zip(found.seen, answers, sure, strict=True)
            if each.film.label == "normal"
        ]
        confident = [answer.label for answer, here in healthy if answer and here]
        return cls(
            ok=ok.value,
            wrong=wrong.value,
            healthy_ok=confident.count("normal") / max(1, len(healthy)),
            false_covid=confident.count("covid19") / max(1, len(healthy)),
        )


def main() -> int:
    """Measure, print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", required=True, help="name or folder of the bundle")
    parser.add_argument("--data", type=Path, required=True, help="a manifest.csv")
    parser.add_argument("--source", action="append", required=True, help="of the films")
    parser.add_argument("--films", type=int, default=200, help="that the hospital measures")
    parser.add_argument("--divisions", type=int, default=10)
    options = parser.parse_args()
    settings = Settings(model=options.model)
    model = load_model_from(settings)
    films = _list(options.data, set(options.source))
    limits = settings.limits
    whole = survey(films, Reader(model, limits, None))
    print(f"{len(whole.seen)} films, {len(set(whole.patients))} patients, of {options.source}")
    before, after, fitted = [], [], 0
    for seed in range(options.divisions):
        chosen, rest = _divide(whole, options.films, seed)
        acceptance = accept((each.film for each in chosen.seen), model, limits)
        before.append(Answered.of(rest, judge_all(rest.seen, model.card, None)))
        answers = judge_all(rest.seen, model.card, None, acceptance.rule)
        after.append(Answered.of(rest, answers))
        fitted += acceptance.certainty is not None
    print(f"floors fitted in {fitted} of {options.divisions} divisions")
    for name, answers in (("before", before), ("after", after)):
        print(name)
        for figure in Answered.__dataclass_fields__:
            values = sorted(getattr(each, figure) for each in answers)
            print(f"  {figure:12}{median(values):7.3f}  ({values[0]:.3f} to {values[-1]:.3f})")
    return 0


def _list(manifest: Path, sources: set[str]) -> list[Film]:
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] in sources]
    for row in rows:
        parse_label(row["label"])
    return [
        Film(line, manifest.parent / row["path"], row["label"], row["patient"])
        for line, row in enumerate(rows, 1)
    ]


def _divide(whole: Survey, films: int, seed: int) -> tuple[Survey, Survey]:
    """Take patients at random until there are enough films; the others are the rest."""
    patients = sorted(set(whole.patients))
    random.Random(seed).shuffle(patients)  # noqa: S311 - a division, no secret
    taken: set[str] = set()
    while sum(each.film.patient in taken for each in whole.seen) < films:
        taken.add(patients.pop())
    chosen = [each for each in whole.seen if each.film.patient in taken]
    rest = [each for each in whole.seen if each.film.patient not in taken]
    return Survey(chosen, [], []), Survey(rest, [], [])


if __name__ == "__main__":
    sys.exit(main())
