"""Deliveries: a result to each partner that takes its kind, until it has it."""

from datetime import timedelta

from app.records.outbox.outbox import Outbox
from tests.app.records.outbox.queues import FHIR, FILM, PACS, PARTNERS, RESULTS, Place, keep, read


def test_each_partner_gets_the_kinds_that_it_takes(outbox: Outbox) -> None:
    film_id = read(outbox)
    due = outbox.due(PACS)
    assert sorted((d.kind, d.uid, d.data) for d in due) == sorted(
        (made.kind, made.uid, made.data) for made in RESULTS[:2]
    )
    assert {(d.film_id, d.partner, d.attempts, d.media_type) for d in due} == {
        (film_id, PACS, 1, "application/dicom")
    }
    (report,) = outbox.due(FHIR)
    assert (report.kind, report.media_type) == ("fhir", "application/fhir+json")
    assert outbox.due(PACS) == [], "they are being sent"
    assert outbox.due("dicom://OTHER@pacs:104") == []


def test_what_was_delivered_is_not_sent_again(outbox: Outbox) -> None:
    read(outbox)
    for due in outbox.due(PACS):
        outbox.delivered(due.id)
    assert outbox.due(PACS) == []
    assert outbox.counts().deliveries == {(PACS, "delivered"): 2, (FHIR, "waiting"): 1}


def test_what_is_put_off_is_sent_when_it_is_time_with_the_same_bytes(
    place: Place, outbox: Outbox
) -> None:
    read(outbox)
    first = outbox.due(FHIR)[0]
    outbox.put_off(first.id, "http_503", again_in=timedelta(seconds=10))
    place.clock.now_s += 9.9
    assert outbox.due(FHIR) == []
    place.clock.now_s += 0.1
    second = outbox.due(FHIR)[0]
    assert (second.id, second.uid, second.data) == (first.id, first.uid, first.data)
    assert second.attempts == 2


def test_a_clock_that_was_ahead_puts_nothing_off_until_then(place: Place, outbox: Outbox) -> None:
    place.clock.now_s += 30 * 86_400
    read(outbox)
    for delivery in outbox.due(PACS):
        outbox.put_off(delivery.id, "http_503", again_in=timedelta(seconds=5))
    place.clock.now_s -= 30 * 86_400
    assert len(outbox.due(PACS)) == 2
    assert len(outbox.due(FHIR)) == 1


def test_an_attempt_that_does_not_count_is_not_counted(place: Place, outbox: Outbox) -> None:
    read(outbox)
    for _ in range(3):
        (due,) = outbox.due(FHIR)
        assert due.attempts == 1
        outbox.put_off(due.id, "partner_away", again_in=timedelta(seconds=1), counts=False)
        place.clock.now_s += 1
    (row,) = [row for row in outbox.deliveries("waiting") if row.partner == FHIR]
    assert (row.code, row.attempts) == ("partner_away", 0)


def test_a_dead_letter_stays_until_it_is_retried_or_dropped(outbox: Outbox) -> None:
    film_id = read(outbox)
    (due,) = outbox.due(FHIR)
    outbox.put_off(due.id, "http_422", again_in=None)
    assert outbox.due(FHIR) == []
    outbox.delivered(due.id)
    (dead,) = outbox.deliveries("dead")
    assert (dead.id, dead.film_id, dead.code) == (due.id, film_id, "http_422"), "it stays dead"
    assert outbox.retry(due.id) == 1
    assert outbox.due(FHIR)[0].data == due.data
    assert outbox.drop(due.id) == 1
    assert outbox.deliveries("dead") == []
    assert outbox.retry(due.id) == outbox.drop(due.id) == 0


def test_a_film_is_sent_again_as_a_whole(outbox: Outbox) -> None:
    film_id = read(outbox)
    sent = outbox.due(PACS)
    for due in sent:
        outbox.delivered(due.id)
    assert outbox.retry(film_id) == 3
    assert [(d.uid, d.data) for d in outbox.due(PACS)] == [(d.uid, d.data) for d in sent]


def test_a_film_that_failed_is_read_again(outbox: Outbox) -> None:
    film_id = keep(outbox)
    outbox.take()
    outbox.finish(film_id, outcome="failed", code="internal_error", partners={})
    assert outbox.take() is None
    assert outbox.retry(film_id) == 1
    taken = outbox.take()
    assert taken is not None
    assert (taken.id, taken.attempts) == (film_id, 1)


def test_dropping_a_film_drops_all_that_is_of_it(outbox: Outbox) -> None:
    film_id = read(outbox)
    assert outbox.drop(film_id) == 1
    assert (outbox.films(), outbox.deliveries()) == ([], [])
    assert outbox.reading(film_id) is None


def test_what_a_closed_one_was_sending_is_sent_again(place: Place, outbox: Outbox) -> None:
    read(outbox)
    other = place.open()
    sending = other.due(PACS)
    assert outbox.due(PACS) == []
    other.close()
    again = outbox.due(PACS)
    assert [(d.id, d.data, d.attempts) for d in again] == [(d.id, d.data, 2) for d in sending]


def test_no_more_are_taken_than_asked_for(outbox: Outbox) -> None:
    for number in range(3):
        read(outbox, f"1.2.{number}")
    assert [len(outbox.due(PACS, most=4)), len(outbox.due(PACS, most=4))] == [4, 2]


def test_what_waits_is_counted_and_how_long(place: Place, outbox: Outbox) -> None:
    counts = outbox.counts()
    assert (counts.films, counts.deliveries, counts.bytes) == ({}, {}, 0)
    assert (counts.oldest_film, counts.oldest_delivery) == (None, None)
    read(outbox)
    place.clock.now_s += 30
    keep(outbox, "1.2.1")
    place.clock.now_s += 12
    counts = outbox.counts()
    assert counts.films == {"read": 1, "waiting": 1}
    assert counts.oldest_film == timedelta(seconds=12)
    assert counts.oldest_delivery == timedelta(seconds=42)
    assert counts.waiting_bytes == counts.bytes > len(FILM)
    for partner in PARTNERS:
        for due in outbox.due(partner):
            outbox.delivered(due.id)
    assert outbox.counts().waiting_bytes == len(FILM)


def test_what_a_partner_has_not_taken_is_sent_to_another(outbox: Outbox) -> None:
    read(outbox)
    taken, refused = outbox.due(PACS)
    outbox.delivered(taken.id)
    outbox.put_off(refused.id, "status_0xA900", again_in=None)
    moved = "dicom://PACS@127.0.0.2:104"
    assert outbox.move(PACS, moved, ("fhir",)) == 0
    assert outbox.move(PACS, moved, ("sr", "sc")) == 1
    (due,) = outbox.due(moved)
    assert (due.id, due.uid, due.data, due.attempts) == (refused.id, refused.uid, refused.data, 1)
    assert outbox.move(PACS, moved, ("sr", "sc")) == 0
