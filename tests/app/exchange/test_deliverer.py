"""Delivery, from a real queue to partners that are told what to answer, and to real ones."""

import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.errors import QueueAway
from app.exchange.deliverer import Deliverer, DeliveryRules
from app.exchange.partners.partner_list import open_partners
from app.exchange.partners.sending import DELIVERED, Partner, Sent, Verdict
from app.records.outbox.outbox import Outbox
from app.records.outbox.queue_entries import DueDelivery, Kind
from app.settings.exchange_settings import ExchangeSettings
from tests.app.exchange.partners.archives import Archive, Web, made_results
from tests.app.records.outbox.queues import Place, keep

QUICK = DeliveryRules(attempts=3, backoff_s=0.05)


@dataclass
class Told:
    """A partner that answers what it is told: a `Sent` each, or an exception; the last for ever."""

    answers: Sequence[Sent | Exception]
    name: str = "told"
    kinds: Collection[Kind] = ("sr", "sc")
    asked: list[tuple[str, int, bytes]] = field(default_factory=list)
    closed: bool = False

    def send(self, due: Sequence[DueDelivery]) -> Generator[tuple[DueDelivery, Sent]]:
        for delivery in due:
            self.asked.append((delivery.kind, delivery.attempts, delivery.data))
            answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
            if isinstance(answer, Exception):
                raise answer
            yield delivery, answer

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    place = Place(tmp_path / "exchange")
    opened = place.open(clock=time.time, most_bytes=2**24)
    yield opened
    opened.close()


def read(outbox: Outbox, partners: Sequence[Partner], sop_uid: str = "1.2.3") -> None:
    """Let a film be read, with results for these partners."""
    film_id = keep(outbox, sop_uid)
    assert outbox.take() is not None
    kinds = {partner.name: partner.kinds for partner in partners}
    outbox.finish(film_id, outcome="read", results=made_results(), partners=kinds)


@contextmanager
def delivering(
    outbox: Outbox, partners: Sequence[Partner], rules: DeliveryRules = QUICK
) -> Iterator[Deliverer]:
    deliverer = Deliverer(outbox, partners, rules)
    deliverer.start()
    try:
        yield deliverer
    finally:
        deliverer.stop(5.0)


def wait_until(is_so: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < until_s, "it did not come to that"
        time.sleep(0.01)


def states(outbox: Outbox) -> list[tuple[str, str, str | None, int]]:
    """Return partner's scheme or name, state, code and attempts of each delivery."""
    rows = outbox.deliveries()
    return sorted((r.partner.partition(":")[0], r.state, r.code, r.attempts) for r in rows)


def test_all_partners_get_their_results(outbox: Outbox) -> None:
    with Archive().running() as archive, Web().running() as web:
        base = f"http://127.0.0.1:{web.port}"
        named = f"{archive.address},{base}/dicom-web,fhir+{base}/fhir"
        partners = open_partners(ExchangeSettings(partners=named, delivery_timeout_s=5.0))
        read(outbox, partners)
        with delivering(outbox, partners):
            wait_until(lambda: not outbox.deliveries("waiting"))
    assert states(outbox) == [
        ("dicom", "delivered", None, 1),
        ("dicom", "delivered", None, 1),
        ("fhir+http", "delivered", None, 1),
        ("http", "delivered", None, 1),
        ("http", "delivered", None, 1),
    ]
    uids = {result.uid for result in made_results() if result.kind in ("sr", "sc")}
    assert {uid for uid, _ in archive.stored} == uids
    assert sorted(r.path for r in web.requests) == ["/dicom-web/studies"] * 2 + ["/fhir"]


def test_a_partner_that_is_away_holds_up_no_other_and_gets_all_when_it_is_back(
    outbox: Outbox,
) -> None:
    archive = Archive()
    with archive.running(), Web().running() as web:
        named = f"{archive.address},http://127.0.0.1:{web.port}/dicom-web"
    partners = open_partners(ExchangeSettings(partners=named, delivery_timeout_s=2.0))
    with web.running():
        for number in range(3):
            read(outbox, partners, f"1.2.{number}")
        with delivering(outbox, partners):
            wait_until(lambda: len(outbox.deliveries("delivered")) == 6)
            away = [row for row in outbox.deliveries() if row.partner == archive.address]
            assert {(row.state, row.attempts <= 1) for row in away} == {("waiting", True)}
            with archive.running():
                wait_until(lambda: not outbox.deliveries("waiting"))
    assert outbox.deliveries("dead") == []
    assert len(archive.stored) == 6


def test_a_partner_that_is_away_for_long_makes_no_dead_letters(outbox: Outbox) -> None:
    partner = Told([Sent(Verdict.AWAY, "no_answer")] * 10 + [DELIVERED])
    read(outbox, [partner])
    with delivering(outbox, [partner], DeliveryRules(attempts=2, backoff_s=0.001)):
        wait_until(lambda: not outbox.deliveries("waiting"))
    assert {row.state for row in outbox.deliveries()} == {"delivered"}
    assert {attempts for _, attempts, _ in partner.asked} == {1}


def test_a_partner_that_is_away_is_sent_nothing_more_in_that_turn(outbox: Outbox) -> None:
    turns: list[list[Kind]] = []

    class Turns(Told):
        def send(self, due: Sequence[DueDelivery]) -> Generator[tuple[DueDelivery, Sent]]:
            turns.append([delivery.kind for delivery in due])
            yield from super().send(due)

    partner = Turns([Sent(Verdict.AWAY, "http_503", 0.05), DELIVERED])
    read(outbox, [partner])
    with delivering(outbox, [partner]):
        wait_until(lambda: not outbox.deliveries("waiting"))
    assert len(partner.asked) == 3
    first, second = turns
    assert second == first[::-1]  # what it would not take holds up no other


def test_what_was_delivered_is_not_sent_again_though_the_queue_was_away(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    partner = Told([DELIVERED])
    read(outbox, [partner])
    told, mark = [], outbox.delivered

    def delivered(delivery_id: str) -> None:
        told.append(delivery_id)
        if len(told) <= 2:
            raise QueueAway
        mark(delivery_id)

    monkeypatch.setattr(outbox, "delivered", delivered)
    with delivering(outbox, [partner]):
        wait_until(lambda: not outbox.deliveries("waiting"))
    assert states(outbox) == [("told", "delivered", None, 1)] * 2
    assert len(partner.asked) == 2


def test_all_partners_together_are_waited_for_no_longer_than_told(outbox: Outbox) -> None:
    go_on = threading.Event()

    class Hanging(Told):
        def send(self, due: Sequence[DueDelivery]) -> Generator[tuple[DueDelivery, Sent]]:
            go_on.wait(10)
            return super().send(due)

    partners = [Hanging([DELIVERED], name=name) for name in ("one", "two", "three")]
    read(outbox, partners)
    deliverer = Deliverer(outbox, partners, QUICK)
    deliverer.start()
    wait_until(lambda: all(row.attempts for row in outbox.deliveries()))
    begun_s = time.monotonic()
    deliverer.stop(0.5)
    assert time.monotonic() - begun_s < 1.0
    go_on.set()
    deliverer.stop(5.0)


def test_what_is_not_taken_is_sent_again_with_the_same_bytes(outbox: Outbox) -> None:
    partner = Told([Sent(Verdict.AGAIN, "status_0x0110"), DELIVERED], kinds=("sr",))
    read(outbox, [partner])
    with delivering(outbox, [partner]):
        wait_until(lambda: not outbox.deliveries("waiting"))
    first, second = partner.asked
    assert (first[1], second[1], first[2]) == (1, 2, second[2])


def test_what_is_never_taken_is_a_dead_letter(outbox: Outbox) -> None:
    partner = Told([Sent(Verdict.AGAIN, "http_500")], kinds=("sr",))
    other = Told([Sent(Verdict.NEVER, "status_0xA900")], name="never", kinds=("sr",))
    read(outbox, [partner, other])
    with delivering(outbox, [partner, other]):
        wait_until(lambda: not outbox.deliveries("waiting"))
    assert states(outbox) == [
        ("never", "dead", "status_0xA900", 1),
        ("told", "dead", "http_500", 3),
    ]


def test_an_error_of_its_own_costs_one_object_an_attempt_and_no_other_its_delivery(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    partner = Told([ValueError("CANARY"), DELIVERED])
    read(outbox, [partner])
    with delivering(outbox, [partner]):
        wait_until(lambda: not outbox.deliveries("waiting"))
    assert sorted(attempts for _, state, _, attempts in states(outbox)) == [1, 2]
    assert "CANARY" not in caplog.text.replace("ValueError: CANARY", "")


def test_what_is_new_is_sent_at_once(outbox: Outbox) -> None:
    partner = Told([DELIVERED], kinds=("sr",))
    with delivering(outbox, [partner]) as deliverer:
        time.sleep(0.1)
        read(outbox, [partner])
        begun_s = time.monotonic()
        deliverer.wake()
        wait_until(lambda: not outbox.deliveries("waiting"))
    assert time.monotonic() - begun_s < 0.9


def test_a_stop_gives_back_what_was_not_sent(outbox: Outbox) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Told):
        def send(self, due: Sequence[DueDelivery]) -> Generator[tuple[DueDelivery, Sent]]:
            for told in super().send(due):
                begun.set()
                go_on.wait(5)
                yield told

    partner = Slow([DELIVERED])
    read(outbox, [partner])
    deliverer = Deliverer(outbox, [partner], QUICK)
    deliverer.start()
    assert begun.wait(5)
    stopping = threading.Thread(target=deliverer.stop, args=(5.0,))
    stopping.start()
    time.sleep(0.05)
    go_on.set()
    stopping.join()
    assert states(outbox) == [("told", "delivered", None, 1), ("told", "waiting", "not_sent", 0)]
    assert len(outbox.due("told")) == 1
    assert partner.closed


def test_waits_double_up_to_a_bound_and_are_never_alike() -> None:
    rules = DeliveryRules(attempts=9, backoff_s=2.0)
    for failures, exact_s in ((1, 2.0), (2, 4.0), (5, 32.0), (12, 3600.0), (10_000, 3600.0)):
        waits = {rules.wait_s(failures) for _ in range(20)}
        assert all(0.8 * exact_s <= wait_s <= 1.2 * exact_s for wait_s in waits)
        assert len(waits) == 20
