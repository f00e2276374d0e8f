"""A survey: every film read as it would be served, and what the network gave for it.

Held are numbers, never pixels or bytes: a few hundred films take no memory.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.acceptance.films import Film
from app.errors import NotAChestXray, RequestError
from app.model.card import Card
from app.model.measured.acceptance_file import SiteRule
from app.model.session import ImageOutputs
from app.reading.judge import Judgement, judge
from app.reading.priors import Shares
from app.reading.reader import Film as Shown
from app.reading.reader import Reader


@dataclass(frozen=True, slots=True)
class Seen:
    """A film that could be decoded; without `outputs` it was refused as no chest X-ray.

    Parameters
    ----------
    distance : that the network gave, also of a refused one
    """

    film: Film
    outputs: ImageOutputs | None
    distance: float


@dataclass(frozen=True, slots=True)
class Survey:
    """What was seen, and the rows of files that could not be decoded or had come before."""

    seen: list[Seen]
    unreadable: list[int]
    repeated: list[int]

    @property
    def patients(self) -> list[str]:
        """Of each film that was seen, in order."""
        return [each.film.patient for each in self.seen]


def survey(films: Iterable[Film], reader: Reader) -> Survey:
    """Read films one after the other; a file whose bytes came before is not counted again."""
    seen, unreadable, repeated = [], [], []
    known: set[bytes] = set()
    for film in films:
        try:
            data = film.path.read_bytes()
        except (OSError, ValueError):  # ValueError: no path at all, such as one with a NUL
            unreadable.append(film.row)
            continue
        digest = hashlib.sha256(data).digest()
        if digest in known:
            repeated.append(film.row)
            continue
        known.add(digest)
        shown: list[Shown] = []
        try:
            outputs = reader.read(data, film.subject, show=shown.append).outputs
            seen.append(Seen(film, outputs, outputs.distance))
        except NotAChestXray:
            seen.append(Seen(film, None, shown[0].outputs.distance))
        except RequestError:
            unreadable.append(film.row)
    return Survey(seen, unreadable, repeated)


def judge_all(
    seen: Sequence[Seen], card: Card, priors: Shares | None, site: SiteRule | None = None
) -> list[Judgement | None]:
    """Judge what was seen as it would be served; None where it was refused.

    Parameters
    ----------
    site : what `ok` asks for besides what the card does
    """
    return [
        None if each.outputs is None else judge(each.outputs, card, each.film.subject, priors, site)
        for each in seen
    ]
