"""The roster: one worker's models with what each is for, and the memory that all workers share."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from app.errors import AcceptanceMismatch, ModelNotUsable, ModelUnknown, NoFormerModel, RequestError
from app.model.choice import Choice, read_choice, write_choice
from app.model.measured.acceptance_search import fits_model, list_named
from app.model.measured.reference import Reference
from app.model.registry import Entry, Registry, name_of
from app.model.session import Model
from app.reading.judge import Judgement
from app.reading.reader import Film, Reader
from app.service.active.drift import DriftCollector, DriftWindow
from app.service.active.model_switch import TURN_S, Decision, ModelSwitch, SwitchBoard
from app.service.active.shadow import Listener, Shadow
from app.service.processes import ProcessCollector, ProcessTable
from app.service.telemetry import Metrics
from app.settings.settings import Settings

_log = logging.getLogger("neumo.models")

State = Literal["active", "shadow", "loaded", "failed"]
STATES: Final[tuple[State, ...]] = ("active", "shadow", "loaded", "failed")

MakeReader = Callable[[Settings, Model], Reader]


class SharedModels:
    """What the workers of one service share of their models; made before they are forked.

    Raises
    ------
    ChoiceUnusable
        If which model was active can't be read.
    """

    def __init__(self, settings: Settings, workers: int = 1) -> None:
        self.processes = ProcessTable(workers)
        models = len(settings.bundles)
        self.board = SwitchBoard(self.processes, models, _decide_first(settings))
        self.drift = DriftWindow(workers, models, settings.drift_window_s)


def _decide_first(settings: Settings) -> Decision:
    """Return what is active at the start: the choice that was kept, or what the settings name."""
    names = [name_of(source) for source in settings.bundles]
    choice = read_choice(Path(settings.model_choice)) if settings.model_choice else None
    if choice is None:
        return Decision(0, None)
    members = {"chosen": choice.active, "model": names[0]}
    if choice.instead_of != names[0]:
        _log.warning("NEUMO_MODEL is newer than the choice", extra={"members": members})
        return Decision(0, None)
    if choice.active not in names:
        _log.warning("the model that was chosen is not loaded", extra={"members": members})
        return Decision(0, None)
    former = names.index(choice.former) if choice.former in names else None
    return Decision(names.index(choice.active), former)


@dataclass(frozen=True, slots=True)
class Held:
    """What is told of one bundle.

    `workers` is how many have it loaded.
    """

    entry: Entry
    state: State
    reader: Reader | None
    workers: int


class ModelRoster:
    """One worker's models: which reads, which reads along, and how that changes.

    Whoever is to be told what the shadow says is added to `listeners`.

    Parameters
    ----------
    load : makes the model of settings that name it
    row : this worker's, in what is shared
    idle : whether nothing is to be read now
    fail : called if what was decided can't be followed: this process must serve no more
    """

    def __init__(
        self,
        settings: Settings,
        load: Callable[[Settings], Model],
        make_reader: MakeReader,
        metrics: Metrics,
        shared: SharedModels,
        row: int,
        idle: Callable[[], bool],
        fail: Callable[[], None],
    ) -> None:
        self.shared = shared
        self._settings = settings
        self._make_reader = make_reader
        self._metrics = metrics
        self._row = row
        self._idle = idle
        self.listeners: list[Listener] = []
        self._readers: dict[int, Reader] = {}
        self.reader: Reader | None = None
        self._registry = Registry(
            settings.bundles,
            lambda source: load(settings.model_copy(update={"model": source})),
            shared.board.pin,
        )
        self._switch = ModelSwitch(
            shared.board, row, self._registry, self._check, self._follow, fail
        )
        self._shadow: Shadow | None = None
        metrics.add(
            ProcessCollector(shared.processes),
            ModelCollector(self),
            DriftCollector(shared.drift, self.references, settings.drift_least_films),
        )

    def load(self) -> Reader:
        """Load every bundle, on a thread; return the reader of the one that is active.

        Raises
        ------
        BundleError
            If the active one can't be served, or an acceptance file that is named fits none.
            What another fails with is kept, and logged.
        """
        active = self.shared.board.decision.active
        self._check(active)
        for place, entry in enumerate(self._registry.entries):
            if place == active:
                continue
            try:
                self._check(place)
            except Exception as error:  # noqa: BLE001 - it is in nobody's way
                members: dict[str, object] = {"model": entry.name, "code": entry.code}
                _log.error(
                    "a further model can't be used", exc_info=error, extra={"members": members}
                )
        self._refuse_strange_acceptances()
        return self._readers[active]

    def begin(self) -> None:
        """Serve, on the event loop; the shadow reads along from now on."""
        self._switch.catch_up()
        shadow = self._settings.shadow
        place = self._registry.find(name_of(shadow)) if shadow else None
        if place in self._readers:
            self._shadow = Shadow(self._readers[place], self._idle, self._metrics, self.listeners)

    async def follow(self) -> None:
        """Answer what other workers ask, and follow what is decided, until cancelled."""
        while True:
            await asyncio.sleep(TURN_S)
            try:
                await self._switch.turn()
            except Exception:  # noqa: BLE001 - or this worker would follow nothing from then on
                _log.exception("a turn of the models failed")

    def stop(self) -> None:
        """Read along no more."""
        if self._shadow is not None:
            self._shadow.stop()

    def note(
        self, film: Film, reader: Reader, judgement: Judgement | None, request_id: str
    ) -> None:
        """Count one film that a reader was shown, and let the shadow read it; on the event loop.

        Parameters
        ----------
        judgement : None if it was refused
        """
        card = reader.model.card
        self._metrics.count_film(film.outputs, card)
        if card.reference is not None:
            place = next(at for at, each in self._readers.items() if each is reader)
            self.shared.drift.count(self._row, place, card.reference, film.outputs)
        if self._shadow is not None and reader is self.reader:
            self._shadow.offer(film, card, judgement, request_id)

    async def activate(self, name: str, caller: str = "") -> Decision:
        """Make a model the active one in every worker, or in none.

        Parameters
        ----------
        caller : who asks for it, for the log

        Raises
        ------
        ModelUnknown, SwitchInProgress, ModelNotUsable, SwitchFailed
        """
        place = self._registry.find(name)
        if place is None:
            self._metrics.count_switch(ModelUnknown.code)
            raise ModelUnknown
        return await self._switch_to(place, caller)

    async def roll_back(self, caller: str = "") -> Decision:
        """Make the model active that was before; a second call undoes the first.

        Parameters
        ----------
        caller : as of `activate`

        Raises
        ------
        NoFormerModel, SwitchInProgress, ModelNotUsable, SwitchFailed
        """
        former = self.shared.board.decision.former
        if former is None:
            self._metrics.count_switch(NoFormerModel.code)
            raise NoFormerModel
        return await self._switch_to(former, caller)

    def holds(self, name: str) -> bool:
        """Whether a bundle has that name."""
        return self._registry.find(name) is not None

    def find_reader(self, name: str) -> Reader:
        """Return the reader of a bundle, active or not.

        Raises
        ------
        ModelUnknown
        ModelNotUsable
            If it failed.
        """
        place = self._registry.find(name)
        if place is None:
            raise ModelUnknown
        entry = self._registry.entries[place]
        if entry.failure is not None or place not in self._readers:
            failure = entry.code or "not loaded"
            raise ModelNotUsable(model=entry.name, failure=failure, reason="asked")
        return self._readers[place]

    def held(self) -> list[Held]:
        """Return what is told of each bundle, in the settings' order."""
        board = self.shared.board
        workers = len(self.shared.processes.rows())
        held = []
        for place, entry in enumerate(self._registry.entries):
            loaded = board.count_loaded(place)
            state: State = "loaded"
            if place == board.decision.active:
                state = "active"
            elif entry.failure is not None or loaded < workers:
                state = "failed"
            elif self._shadow is not None and self._readers.get(place) is self._shadow.reader:
                state = "shadow"
            held.append(Held(entry, state, self._readers.get(place), loaded))
        return held

    def name_at(self, place: int | None) -> str | None:
        """Return the name of the bundle at a place of the registry."""
        return None if place is None else self._registry.entries[place].name

    def references(self) -> list[tuple[str, Reference | None]]:
        """Return the name of each bundle, and the reference that its card tells."""
        return [
            (entry.name, entry.model.card.reference if entry.model else None)
            for entry in self._registry.entries
        ]

    async def _switch_to(self, place: int, caller: str) -> Decision:
        members: dict[str, object] = {"model": self.name_at(place), "caller": caller}
        try:
            decision = await self._switch.switch_to(place, self._keep)
        except RequestError as error:
            self._metrics.count_switch(error.code)
            members |= {"code": error.code, "reason": error.facts.get("reason")}
            _log.error("a switch of models failed", extra={"members": members})
            raise
        self._metrics.count_switch("done")
        members["former"] = self.name_at(decision.former)
        _log.warning("the active model is another", extra={"members": members})
        return decision

    def _keep(self, decision: Decision) -> None:
        if not self._settings.model_choice:
            return
        choice = Choice(
            active=self._registry.entries[decision.active].name,
            former=self.name_at(decision.former),
            instead_of=self._registry.entries[0].name,
        )
        write_choice(Path(self._settings.model_choice), choice)

    def _check(self, place: int) -> None:
        """Make sure that a bundle can serve: loaded, checked, with the reader that it will have."""
        self._registry.check(place)
        entry = self._registry.entries[place]
        if place not in self._readers and entry.model is not None:
            try:
                self._readers[place] = self._make_reader(self._settings, entry.model)
            except Exception as error:
                entry.failure = error
                raise

    def _follow(self, place: int) -> None:
        self.reader = self._readers[place]

    def _refuse_strange_acceptances(self) -> None:
        models = [entry.model for entry in self._registry.entries if entry.model is not None]
        for path in list_named(self._settings.acceptance):
            if not any(map(partial(fits_model, path), models)):
                raise AcceptanceMismatch(file=path.name, bundle=self._registry.entries[0].name)


class ModelCollector(Collector):
    """Which models there are, for Prometheus."""

    def __init__(self, roster: ModelRoster) -> None:
        self._roster = roster

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Tell the model that is served, and the state of each."""
        info = GaugeMetricFamily(
            "neumo_model_info",
            "The model that is served; always 1.",
            labels=["name", "version", "sha256"],
        )
        states = GaugeMetricFamily(
            "neumo_model_state",
            "1 for the state that a bundle is in: active, shadow, loaded, failed.",
            labels=["model", "state"],
        )
        for held in self._roster.held():
            if held.state == "active" and held.entry.model is not None:
                card = held.entry.model.card
                info.add_metric([card.name, card.version, card.sha256], 1)
            for state in STATES:
                states.add_metric([held.entry.name, state], held.state == state)
        yield info
        yield states
