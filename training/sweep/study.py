"""A study: the trials so far, in a database that several processes share."""

import json
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import MedianPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from app.errors import NeumoError
from app.language import Text

REASON: Final = "reason"
"""Of a failed trial, why: one without it was stopped from outside, and is done again."""

_PLAN: Final = "plan"
_HEARTBEAT_S: Final = 15
GRACE_S: Final = 60
"""How long after its last sign of life a trial is taken for stopped."""

_TRIES: Final = 5


class StorageUnusable(NeumoError):
    """The database of a study can't be used."""

    code = "storage_unusable"
    title = Text("The study can't be stored", "No se puede guardar el estudio")
    # The URL may hold a password, and so may what a driver says.
    advice = Text(
        "The database that --storage names can't be used ({kind}). Give sqlite:///FILE, or "
        "postgresql://USER@HOST/NAME with the password in ~/.pgpass, and pip install "
        "'neumo[postgres]'.",
        "No se puede usar la base de datos que indica --storage ({kind}). Indique "
        "sqlite:///FICHERO, o postgresql://USUARIO@SERVIDOR/NOMBRE con la contraseña en ~/.pgpass, "
        "y pip install 'neumo[postgres]'.",
    )


class StudyDiffers(NeumoError):
    """The study was begun with something else."""

    code = "study_differs"
    title = Text("The study is of something else", "El estudio es de otra cosa")
    advice = Text(
        "The study {name} was begun with another {names}: its trials could not be compared. Give "
        "the same, or another --study.",
        "El estudio {name} se inició con otro valor de {names}: no se podrían comparar sus "
        "pruebas. Indique el mismo, u otro --study.",
    )


class StudyMissing(NeumoError):
    """There is no such study."""

    code = "study_missing"
    title = Text("There is no such study", "No existe ese estudio")
    advice = Text(
        "The database holds no study {name}. `neumo-train sweep` begins one.",
        "La base de datos no contiene el estudio {name}. `neumo-train sweep` lo inicia.",
    )


class NumberedSampler(BaseSampler):
    """Optuna's tree of Parzen estimators, each trial by a seed of its own number.

    So workers that begin at once don't draw the same, nor does a study that goes on.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._own: tuple[int, TPESampler] | None = None

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As the base does."""
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the base does."""
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401 - as the base does
        """As the base does."""
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)

    def _of(self, trial: FrozenTrial) -> TPESampler:
        if self._own is None or self._own[0] != trial.number:
            seed = (self._seed * 1_000_003 + trial.number) % 2**32
            self._own = trial.number, TPESampler(seed=seed, constant_liar=True)
        return self._own[1]


def make_url(storage: str | None, folder: Path) -> str:
    """Return the URL of a database: of a file that is named as one, of a study in `folder`."""
    if storage is None:
        folder.mkdir(parents=True, exist_ok=True)
        storage = str(folder / "study.db")
    if "://" not in storage:
        return f"sqlite:///{Path(storage).absolute()}"
    scheme, rest = storage.split("://", 1)
    return f"postgresql+psycopg://{rest}" if scheme in ("postgresql", "postgres") else storage


def open_study(
    url: str, name: str, plan: Mapping[str, object], seed: int, prune_after: int
) -> Study:
    """Open a study, or begin it.

    Parameters
    ----------
    plan : what all of its trials have in common, by name

    Raises
    ------
    StorageUnusable
        If the database can't be reached, or its driver is not installed.
    StudyDiffers
        If it was begun with another plan.
    """
    told = json.loads(json.dumps(plan, default=str))
    with _database(url) as storage:
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            direction="maximize",
            load_if_exists=True,
            sampler=NumberedSampler(seed),
            pruner=MedianPruner(n_startup_trials=prune_after),
        )
        before = study.user_attrs.get(_PLAN)
        if before is None:
            study.set_user_attr(_PLAN, told)
    if before is not None and before != told:
        names = sorted(key for key in told | before if told.get(key) != before.get(key))
        raise StudyDiffers(name=name, names=", ".join(names))
    return study


def find_study(url: str, name: str) -> Study:
    """Return a study that was begun.

    Raises
    ------
    StorageUnusable, StudyMissing
        If the database can't be used, or does not hold it.
    """
    with _database(url) as storage:
        names = optuna.get_all_study_names(storage)
        if name in names:
            return optuna.load_study(study_name=name, storage=storage)
    raise StudyMissing(name=name)


def list_trials(study: Study) -> list[FrozenTrial]:
    """Return the trials that count: no copies of one that was stopped, none too many."""
    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state != TrialState.FAIL or REASON in trial.user_attrs
    ]


def count_begun(trials: Sequence[FrozenTrial]) -> tuple[int, int]:
    """Return how many trials ended, by themselves, and how many are running."""
    running = sum(trial.state == TrialState.RUNNING for trial in trials)
    waiting = sum(trial.state == TrialState.WAITING for trial in trials)
    return len(trials) - running - waiting, running


def take_up_stopped(study: Study) -> None:
    """Let trials whose process was killed wait to be done again, with the same settings."""
    optuna.storages.fail_stale_trials(study)


def put_back(study: Study, number: int) -> None:
    """Let a trial that is being stopped wait to be done again."""
    (trial,) = (each for each in study.get_trials() if each.number == number)
    RetryHeartbeatStaleTrialCallback()(study, trial)


def first_number(trial: FrozenTrial) -> int:
    """Return the number of the trial that this one goes on with: its own, if with none."""
    before = RetryHeartbeatStaleTrialCallback.retried_trial_number(trial)
    return trial.number if before is None else before


@contextmanager
def quietly() -> Iterator[None]:
    """Keep Optuna from saying on standard error what the sweep says itself."""
    optuna.logging.disable_default_handler()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        yield


@contextmanager
def _database(url: str) -> Iterator[RDBStorage]:
    try:
        with quietly():
            yield _reach(url)
    except NeumoError:
        raise
    except Exception as error:  # noqa: BLE001 - the driver's, SQLAlchemy's, Optuna's
        raise StorageUnusable(kind=type(error).__name__) from None


def _reach(url: str) -> RDBStorage:
    lite = url.startswith("sqlite")
    waiting: dict[str, object] = {"timeout": 60} if lite else {"connect_timeout": 10}
    for left in reversed(range(_TRIES)):
        try:
            return RDBStorage(
                url,
                engine_kwargs={"connect_args": waiting, "pool_pre_ping": not lite},
                heartbeat_interval=_HEARTBEAT_S,
                grace_period=GRACE_S,
                heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
            )
        except ImportError:
            raise
        except Exception:  # two that make the same tables at once: the later one finds them then
            if not left:
                raise
            time.sleep(0.2)
    raise AssertionError
