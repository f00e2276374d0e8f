"""A study as text: what was tried, and what came of it."""

from typing import Final

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from training.sweep.study import REASON, list_trials

_MINUTE_S: Final = 60
_LAST: Final = -1.0


def show_study(study: Study) -> str:
    """Return a table of a study's trials, the best first, and a line that counts them."""
    trials = sorted(list_trials(study), key=_rank)
    told = ["settings", *(_describe(trial) for trial in trials)]
    rows = [("trial", "state", "figure", "steps", "minutes"), *map(_row, trials)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + f"  {more}"
        for row, more in zip(rows, told, strict=True)
    ]
    states = [trial.state for trial in trials]
    counts = [
        f"{states.count(state)} {state.name.lower()}" for state in TrialState if state in states
    ]
    return "\n".join([*lines, f"{study.study_name}: {', '.join(counts) or 'no trial yet'}"]) + "\n"


def find_best(study: Study) -> FrozenTrial | None:
    """Return the trial with the highest figure, the first of equals; None if none is complete."""
    complete = [trial for trial in list_trials(study) if trial.state == TrialState.COMPLETE]
    return min(complete, key=_rank) if complete else None


def _rank(trial: FrozenTrial) -> tuple[bool, float, int]:
    value = trial.value if trial.state == TrialState.COMPLETE else None
    return value is None, -(_LAST if value is None else value), trial.number


def _row(trial: FrozenTrial) -> tuple[str, ...]:
    seconds = trial.duration.total_seconds() if trial.duration else None
    return (
        str(trial.number),
        trial.state.name.lower(),
        "" if trial.value is None else f"{trial.value:.4f}",
        str(len(trial.intermediate_values)),
        "" if seconds is None else f"{seconds / _MINUTE_S:.1f}",
    )


def _describe(trial: FrozenTrial) -> str:
    settings = " ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in trial.params.items()
    )
    reason = trial.user_attrs.get(REASON)
    return f"{settings} ({reason})" if reason else settings
