"""Records of one process: the trail, the feedback given on it, the performance it shows."""

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from app.errors import FeedbackConflict, NotReady, RecordsUnavailable, RequestUnknown
from app.reading.reader import Reader
from app.records.audit_metrics import LiveMetrics
from app.records.diagnosis import NOT_A_CHEST, Feedback, TakenFeedback, is_right
from app.records.performance import Case, Performance, work_out
from app.records.store.database import AWAY, ROWS, Database
from app.records.trail import Trail, pace_s
from app.service.witness import Origin
from app.settings.settings import Settings

Answer = TypeVar("Answer")

_REFRESH_S: Final = 30.0
_OLDEST_S: Final = 3600.0
_MARGIN_S: Final = 1.5
"""How much longer than a pace a request's rows are looked for: they may be on their way."""


class Records:
    """What is written down, and what can be asked of it.

    Parameters
    ----------
    find_reader : returns the reader of the model that is served, or raises `NotReady`

    Raises
    ------
    RecordsError
        If folder, key or database can't be used.
    """

    def __init__(
        self, settings: Settings, registry: CollectorRegistry, find_reader: Callable[[], Reader]
    ) -> None:
        self._find_reader = find_reader
        self._pace_s = pace_s(settings)
        self._days = settings.performance_days
        self._live = LiveMetrics(registry)
        self._seen: tuple[object, ...] = ()
        self._look_at_s = self._refresh_at_s = 0.0
        self.trail = Trail(settings, registry, self._refresh)

    async def take_feedback(
        self, feedback: Feedback, request_id: str, origin: Origin
    ) -> TakenFeedback:
        """Write a confirmed diagnosis down; return once it is on the disk.

        Parameters
        ----------
        request_id : of the call that the film came with
        origin : of the feedback

        Raises
        ------
        RequestUnknown, FeedbackConflict, RecordsUnavailable, RecordsFull
        """
        until_s = time.monotonic() + self._pace_s + _MARGIN_S
        while True:
            rows = await self._ask(lambda connection: _rows_of(connection, request_id))
            answers = _answers(rows)
            if answers:
                break
            if time.monotonic() > until_s:
                raise RequestUnknown
            await asyncio.sleep(self._pace_s / 2)
        index, answer = _choose(answers, feedback.index)
        truth = feedback.truth
        target = Origin(request_id, origin.caller, origin.call, index)
        await self.trail.write("feedback", target, truth=truth, certainty=feedback.certainty)
        return TakenFeedback(
            request_id=request_id,
            index=index,
            truth=truth,
            certainty=feedback.certainty,
            called=answer["label"],
            status=answer["status"],
            right=is_right(answer["label"], truth),
            replaces=any(row["kind"] == "feedback" and row["file_index"] == index for row in rows),
        )

    async def performance(self, days: int | None = None) -> Performance:
        """Return the live performance of the model that is served.

        Parameters
        ----------
        days : to look back; None: as the settings say

        Raises
        ------
        NotReady, RecordsUnavailable
        """
        reader, days = self._find_reader(), days or self._days
        cases = await self._ask(lambda connection: _cases(connection, reader, days))
        card = reader.model.card
        return work_out(cases, card.name, card.sha256, days, reader.acceptance)

    async def _ask(self, question: Callable[[sa.Connection], Answer]) -> Answer:
        def ask() -> Answer:
            with self.trail.database.reading() as connection:
                return question(connection)

        try:
            return await asyncio.to_thread(ask)
        except AWAY:
            raise RecordsUnavailable from None

    def _refresh(self, database: Database) -> None:
        """Bring the metrics up to date, if there is other feedback than before."""
        now_s = time.monotonic()
        if now_s < self._look_at_s:
            return
        self._look_at_s = now_s + _REFRESH_S
        try:
            reader = self._find_reader()
        except NotReady:
            return
        card = reader.model.card
        feedback = sa.select(sa.func.count(), sa.func.max(ROWS.c.time)).where(
            ROWS.c.kind == "feedback"
        )
        with database.reading() as connection:
            seen = (card.sha256, *connection.execute(feedback).one())
            if seen == self._seen and now_s < self._refresh_at_s:
                return
            cases = _cases(connection, reader, self._days)
        self._live.show(work_out(cases, card.name, card.sha256, self._days, reader.acceptance))
        self._seen, self._refresh_at_s = seen, now_s + _OLDEST_S


def _rows_of(connection: sa.Connection, request_id: str) -> list[Mapping[str, Any]]:
    kinds = ("reading", "refusal", "feedback")
    found = (
        sa.select(ROWS)
        .where(ROWS.c.request_id == request_id, ROWS.c.kind.in_(kinds))
        .order_by(ROWS.c.time)
    )
    return [dict(row) for row in connection.execute(found).mappings()]


def _cases(connection: sa.Connection, reader: Reader, days: int) -> list[Case]:
    """Return the films of the served model that have feedback."""
    feedback = ROWS.alias()
    since = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    told = sa.select(feedback).where(feedback.c.kind == "feedback").order_by(feedback.c.time)
    truths = {
        (row["request_id"], row["file_index"]): json.loads(row["truth"])
        for row in connection.execute(told).mappings()
    }
    about = sa.select(feedback.c.request_id).where(feedback.c.kind == "feedback")
    films = (
        sa.select(ROWS)
        .where(
            ROWS.c.request_id.in_(about),
            ROWS.c.kind.in_(("reading", "refusal")),
            ROWS.c.model_sha256 == reader.model.card.sha256,
            ROWS.c.time >= since,
        )
        .order_by(ROWS.c.time)
    )
    by_request: dict[str, list[Mapping[str, Any]]] = {}
    for row in connection.execute(films).mappings():
        by_request.setdefault(row["request_id"], []).append(dict(row))
    cases = []
    for request_id, rows in by_request.items():
        for index, answer in _answers(rows).items():
            truth = truths.get((request_id, index))
            if truth is not None and answer["code"] in (None, NOT_A_CHEST):
                shares = answer["probabilities"]
                probabilities = json.loads(shares) if shares else None
                cases.append(Case(truth, answer["label"], answer["status"], probabilities))
    return cases


def _answers(rows: Iterable[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """Return what each file of a request was answered: the last Reading, or else the last refusal.

    A request's id may come several times: of calls that were repeated, or of /explain after
    /predict.
    """
    answers: dict[int, Mapping[str, Any]] = {}
    for row in rows:
        before = answers.get(row["file_index"])
        if row["kind"] == "reading" or (
            row["kind"] == "refusal" and (before is None or before["kind"] == "refusal")
        ):
            answers[row["file_index"]] = row
    return answers


def _choose(
    answers: Mapping[int, Mapping[str, Any]], index: int | None
) -> tuple[int, Mapping[str, Any]]:
    """Return which file of a request feedback is on.

    Raises
    ------
    FeedbackConflict
    """
    if index is None:
        if len(answers) > 1:
            raise FeedbackConflict(reason="several", files=len(answers))
        index = next(iter(answers))
    if index not in answers:
        raise FeedbackConflict(reason="index")
    answer = answers[index]
    if answer["code"] not in (None, NOT_A_CHEST):
        raise FeedbackConflict(reason="not_read", refusal=answer["code"])
    return index, answer
