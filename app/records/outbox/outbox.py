"""The queue itself: what was acknowledged is on disk, is read once and is delivered once."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from ulid import ULID

from app.errors import ExchangeFolderUnusable, QueueAway, QueueFull
from app.records.integrity.seal import Seal, open_seal
from app.records.outbox import delivery_queue, film_queue
from app.records.outbox.lease import Holder, is_dead
from app.records.outbox.queue_database import (
    DELIVERIES,
    FILMS,
    NAME,
    RESULTS,
    QueueDatabase,
    sum_bytes,
)
from app.records.outbox.queue_entries import (
    DueDelivery,
    Kept,
    Kind,
    MadeResult,
    Outcome,
    QueuedFilm,
    StoredReading,
    Way,
)
from app.records.outbox.queue_upkeep import QueueUpkeep
from app.records.outbox.sealed_films import SealedFilms
from app.settings.exchange_settings import ExchangeSettings

KEY_NAME: Final = "exchange.key"


class Outbox(QueueUpkeep):
    """The queue in a folder. Several processes use it at once, each with an `Outbox` of its own.

    Made by `open`. Threads may share one; a process that was forked must open its own.
    Every method raises `QueueAway` if the disk or the database does not do what it is asked, or
    `QueueFull` if the disk has no room.
    """

    def __init__(
        self,
        folder: Path,
        seal: Seal,
        *,
        most_bytes: int,
        kept_for: timedelta,
        clock: Callable[[], float] = time.time,
    ) -> None:
        database, holders = QueueDatabase(folder), folder / "holders"
        try:
            database.prepare(seal)
        except BaseException:
            database.close()
            raise
        super().__init__(database, SealedFilms(folder / "films", seal), holders, kept_for, clock)
        self._seal, self._most_bytes = seal, most_bytes
        self._holder = Holder(self.holders)

    @classmethod
    def open(
        cls,
        folder: Path,
        key_file: Path | None,
        *,
        most_bytes: int,
        kept_for: timedelta,
        clock: Callable[[], float] = time.time,
    ) -> "Outbox":
        """Open the queue of a folder; made if it is not there, with its key.

        Parameters
        ----------
        key_file : None: beside the queue
        most_bytes : of films and results on disk; then `keep` raises `QueueFull`
        kept_for : how long a film and its results are kept, delivered or not
        clock : seconds since the epoch

        Raises
        ------
        ExchangeFolderUnusable, ExchangeKeyUnusable
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            seal = open_seal(key_file or folder / KEY_NAME, is_begun=(folder / NAME).exists())
            return cls(folder, seal, most_bytes=most_bytes, kept_for=kept_for, clock=clock)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ExchangeFolderUnusable(reason=reason) from None

    @classmethod
    def of(cls, settings: ExchangeSettings, *, is_there: bool = False) -> "Outbox":
        """Open the queue that the settings name.

        Parameters
        ----------
        is_there : or else it is an error: none is made

        Raises
        ------
        ExchangeFolderUnusable, ExchangeKeyUnusable
        """
        if not settings.exchange_folder:
            raise ExchangeFolderUnusable(reason="none is named")
        folder = Path(settings.exchange_folder)
        if is_there and not (folder / NAME).exists():
            raise ExchangeFolderUnusable(reason="there is no queue in it")
        return cls.open(
            folder,
            Path(settings.exchange_key_file) if settings.exchange_key_file else None,
            most_bytes=settings.exchange_bytes,
            kept_for=timedelta(hours=settings.exchange_hours),
        )

    def keep(
        self, data: bytes, *, sop_uid: str, study_uid: str, way: Way, models: Collection[str] = ()
    ) -> Kept:
        """Keep a film to be read. When this returns, it is on the disk.

        A SOP instance that waits, or was read or refused, is not kept again: the same film that
        is sent five times is read once. One that could not be read is given another chance.

        Parameters
        ----------
        models : SHA-256 of those that read here; a film that another one read is kept anew. None
            named: it is known, whoever read it

        Raises
        ------
        QueueFull, QueueAway
        """
        digest = self._seal.digest(sop_uid)
        with self.database.reading() as connection:
            same = film_queue.find_same(connection, digest, models)
        if same is not None and same["state"] != "failed":
            return Kept(same["id"], again=True)
        self._make_room(len(data))
        film_id = str(ULID())
        self.sealed.write(film_id, data)
        dropped: list[str] = []
        try:
            with self.database.writing() as connection:
                same = film_queue.find_same(connection, digest, models)
                if same is not None and same["state"] == "failed":
                    dropped = film_queue.drop_films(connection, FILMS.c.id == same["id"])
                    same = None
                if same is None:
                    if not self.sealed.has(film_id):  # swept: this process stood still for long
                        raise QueueAway
                    now_s = self.clock()
                    film_queue.add_film(
                        connection, self._seal, film_id, sop_uid, study_uid, way, len(data), now_s
                    )
        except BaseException:
            self.sealed.drop(film_id)
            raise
        if same is not None:  # another process kept it in between
            dropped = [film_id]
        self.drop_files(dropped)
        return Kept(film_id, again=False) if same is None else Kept(same["id"], again=True)

    def take(self) -> QueuedFilm | None:
        """Take the film that has waited longest, to read it; None if none waits.

        Nobody else takes it while this process lives. It has to be told what came of it:
        `finish`, or `give_back`. A film that readers died of three times is given up.
        """
        now_s = self.clock()
        waits = FILMS.c.state == "waiting"
        if not self._free(FILMS, waits, now_s):
            return None
        with self.database.writing() as connection:
            return film_queue.lease_next(connection, self._seal, self._holder.id, now_s)

    def film(self, film_id: str) -> bytes:
        """Return a film that was taken.

        Raises
        ------
        FilmLost
        """
        return self.sealed.read(film_id)

    def give_back(self, film_id: str, *, counts: bool = False) -> None:
        """Let a film that was taken wait again.

        Parameters
        ----------
        counts : as an attempt; else it is as if it had not been taken
        """
        attempts = FILMS.c.attempts - (0 if counts else 1)
        with self.database.writing() as connection:
            film_queue.end_waiting(connection, film_id, attempts=attempts)

    def finish(
        self,
        film_id: str,
        *,
        outcome: Outcome,
        code: str | None = None,
        reading: bytes | None = None,
        results: Sequence[MadeResult] = (),
        partners: Mapping[str, Collection[Kind]],
        model: str | None = None,
    ) -> bool:
        """Write down what came of a film that was taken; say whether it was not done before.

        Results and their deliveries are there together or not at all. The film itself is dropped,
        but one that failed is kept: it may be tried again.

        Parameters
        ----------
        code : why it was not read
        reading : to be shown again by `reading`
        partners : which kinds of result each takes
        model : SHA-256 of the one that read it
        """
        now_s, seal = self.clock(), self._seal
        columns: dict[str, object] = {"state": outcome, "code": code, "finished_s": now_s}
        if outcome != "failed":
            size = len(reading or b"") + sum(len(result.data) for result in results)
            columns |= {"bytes": size, "model": model}
        if reading is not None:
            columns["reading"] = seal.close(f"reading:{film_id}", reading)
        rows = [film_queue.seal_result(film_id, result, seal) for result in results]
        with self.database.writing() as connection:
            is_first = film_queue.end_waiting(connection, film_id, **columns)
            if is_first and rows:
                connection.execute(sa.insert(RESULTS), rows)
                kinds = [result.kind for result in results]
                delivery_queue.add_deliveries(connection, film_id, kinds, partners, now_s)
        if is_first and outcome != "failed":
            self.sealed.drop(film_id)
        return is_first

    def due(self, partner: str, most: int = 8) -> list[DueDelivery]:
        """Take what is to be sent to a partner now, to send it.

        Nobody else takes it while this process lives. Of each it has to be told what came of it:
        `delivered`, or `put_off`.
        """
        now_s = self.clock()
        if not self._free(DELIVERIES, delivery_queue.is_due(partner, now_s), now_s):
            return []
        with self.database.writing() as connection:
            return delivery_queue.lease_due(
                connection, self._seal, self._holder.id, partner, most, now_s
            )

    def delivered(self, delivery_id: str) -> None:
        """Write down that the partner has it."""
        done = {"state": "delivered", "code": None, "changed_s": self.clock()}
        with self.database.writing() as connection:
            delivery_queue.change_waiting(
                connection, delivery_id, leased_until_s=0.0, owner=None, **done
            )

    def put_off(
        self, delivery_id: str, code: str, *, again_in: timedelta | None, counts: bool = True
    ) -> None:
        """Write down that the partner does not have it yet.

        Parameters
        ----------
        again_in : None: never again, it is a dead letter
        counts : as an attempt
        """
        with self.database.writing() as connection:
            delivery_queue.put_off(
                connection, delivery_id, code, again_in, self.clock(), counts=counts
            )

    def reading(self, name: str) -> StoredReading | None:
        """Return what is kept of a film; None if nothing is.

        Parameters
        ----------
        name : its id, or its SOP Instance UID

        Raises
        ------
        FilmLost
        """
        chosen = (FILMS.c.id == name) | (FILMS.c.sop_digest == self._seal.digest(name))
        with self.database.reading() as connection:
            return film_queue.read_stored(connection, self._seal, chosen)

    def close(self) -> None:
        """Let go of all that was taken."""
        self._holder.close()
        self.database.close()

    def _make_room(self, needed: int) -> None:
        with self.database.reading() as connection:
            if sum_bytes(connection, sa.true()) + needed <= self._most_bytes:
                return
        with self.database.writing() as connection:
            enough = film_queue.make_room(connection, needed, self._most_bytes)
        if not enough:
            raise QueueFull

    def _free(self, table: sa.Table, waits: sa.ColumnElement[bool], now_s: float) -> bool:
        """Whether anything can be taken; what the dead had taken can."""
        query = sa.select(table.c.leased_until_s <= now_s, table.c.owner).where(waits).distinct()
        with self.database.reading() as connection:
            found = connection.execute(query).all()
        owners = {owner for is_free, owner in found if not is_free} - {self._holder.id}
        dead = [owner for owner in owners if is_dead(self.holders, owner)]
        if dead:
            with self.database.writing() as connection:
                connection.execute(
                    sa.update(table).where(table.c.owner.in_(dead)).values(leased_until_s=0.0)
                )
        return bool(dead) or any(is_free for is_free, _ in found)
