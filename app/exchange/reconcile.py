"""What an archive has films of, and Neumo knows nothing of: found, and put into the queue.

An archive that forwards films can lose one: it was killed between storing and forwarding, a job of
it failed and nobody sent it again. So Neumo asks, now and then. A film is left alone if a result
of it stands in the archive, or if the queue knows it; so to ask again changes nothing.
"""

import contextlib
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

from app.errors import BundleError, FilmLost, FilmNotFetched
from app.exchange.dicomweb_archive import ArchivedInstance, DicomwebArchive
from app.model.bundle import find_bundle, read_card
from app.records.outbox.outbox import Outbox
from app.records.outbox.queue_entries import StoredReading
from app.render.hospital.result_uid import result_uid


@dataclass(slots=True)
class Reconciliation:
    """How many films an archive has, and what is known of each.

    Parameters
    ----------
    answered : with report and picture in their study
    queued : the queue has them, or their results
    refused : no result will ever be made of them
    fetched : of which nothing was known; they are in the queue now
    not_fetched : the archive did not give them
    """

    films: int = 0
    answered: int = 0
    queued: int = 0
    refused: int = 0
    fetched: int = 0
    not_fetched: int = 0

    def counts(self) -> dict[str, int]:
        """Return all of them by name."""
        return asdict(self)


def reconcile(
    archive: DicomwebArchive,
    outbox: Outbox,
    models: Collection[str],
    days: tuple[date, date],
    most_fetched: int,
    told: Reconciliation,
) -> None:
    """Put into the queue what the archive has of some days and Neumo knows nothing of.

    Parameters
    ----------
    models : SHA-256 of those whose results count, by which their UIDs are known
    days : of the studies, first and last
    most_fetched : films; then it ends, and the next time goes on
    told : is counted up as it goes, so that an end by an error loses no count

    Raises
    ------
    ArchiveUnusable, QueueFull, QueueAway
    """
    for study_uid in archive.list_studies(*days):
        instances = archive.list_instances(study_uid)
        there = {instance.sop_uid for instance in instances}
        for film in (instance for instance in instances if instance.is_film):
            if told.fetched >= most_fetched:
                return
            told.films += 1
            if _is_answered(film, there, models):
                told.answered += 1
            else:
                _ask_for(film, archive, outbox, told)


def last_days(days: int, today: date) -> tuple[date, date]:
    """Return the first and the last day; an archive's clock may be in tomorrow already."""
    return today - timedelta(days=days), today + timedelta(days=1)


def _is_answered(film: ArchivedInstance, there: set[str], models: Iterable[str]) -> bool:
    return any(
        {result_uid(kind, film.sop_uid, sha256) for kind in ("sr", "sc")} <= there
        for sha256 in models
    )


def _ask_for(
    film: ArchivedInstance, archive: DicomwebArchive, outbox: Outbox, told: Reconciliation
) -> None:
    known = _find(film, outbox)
    if known is None:
        try:
            data = archive.fetch(film)
        except FilmNotFetched:
            told.not_fetched += 1
            return
        kept = outbox.keep(data, sop_uid=film.sop_uid, study_uid=film.study_uid, way="wado")
        if kept.again:  # it came in between
            told.queued += 1
        else:
            told.fetched += 1
    elif known.state in ("refused", "failed"):
        told.refused += 1
    else:
        told.queued += 1


def _find(film: ArchivedInstance, outbox: Outbox) -> StoredReading | None:
    try:
        return outbox.reading(film.sop_uid)
    except FilmLost:
        return None


def known_models(bundles: Iterable[str]) -> set[str]:
    """Return the SHA-256 of the graphs whose results are known by their UIDs.

    Those of the settings' bundles, and of what lies beside them: what the model before the active
    one said of a film is a result too, and no reason to read the film again.

    Raises
    ------
    BundleMissing, BundleMalformed
    """
    folders = {find_bundle(bundle) for bundle in bundles}
    known = {each for folder in folders for each in _graphs_of(folder)}
    beside = {card.parent for folder in folders for card in folder.parent.glob("*/card.json")}
    for folder in beside - folders:
        with contextlib.suppress(BundleError):
            known |= _graphs_of(folder)
    return known


def models_here(bundles: Iterable[str]) -> set[str]:
    """Return the SHA-256 of the graphs that the settings' bundles read with.

    Raises
    ------
    BundleMissing, BundleMalformed
    """
    return {each for bundle in bundles for each in _graphs_of(find_bundle(bundle))}


def _graphs_of(folder: Path) -> set[str]:
    card = read_card(folder)
    exact = card.of_fp32()
    return {card.sha256} if exact is None else {card.sha256, exact.sha256}
