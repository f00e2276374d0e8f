"""One acceptance: films in, the content of the acceptance file out."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from app import __version__
from app.acceptance.films import Film
from app.acceptance.floors import fit_certainty
from app.acceptance.site_figures import measure_drift, measure_figures
from app.acceptance.site_temperature import fit_site_temperature
from app.acceptance.survey import judge_all, survey
from app.errors import FilmsUnusable
from app.image.grey_image import Limits
from app.model.card import Certainty
from app.model.measured.acceptance_file import (
    ACCEPTANCE_FORMAT,
    Acceptance,
    SiteRule,
    hash_of_bundle,
)
from app.model.session import Model
from app.reading.priors import Shares
from app.reading.reader import Reader

NO_SITE: Final = "not named"


def accept(
    films: Iterable[Film],
    model: Model,
    limits: Limits,
    priors: Shares | None = None,
    site: str = NO_SITE,
) -> Acceptance:
    """Measure a model on a hospital's films, and fit what `ok` asks for there.

    A temperature goes only with the floors that were chosen under it: where it leaves none that
    hold, none are tried without it, which would be a second chance to be wrong.

    Parameters
    ----------
    limits, priors : as they will be served

    Raises
    ------
    FilmsUnusable
        If no file could be decoded.
    """
    found = survey(films, Reader(model, limits, priors))
    if not found.seen:
        raise FilmsUnusable(reason="undecodable")
    card = model.card
    temperature = fit_site_temperature(found.seen, card)
    fitted = fit_certainty(found, card, priors, temperature)
    certainty = by_site = None
    if isinstance(fitted, Certainty):
        certainty = fitted
        rule = SiteRule(certainty, temperature)
        by_site = measure_figures(found, judge_all(found.seen, card, priors, rule))
    return Acceptance(
        acceptance_format=ACCEPTANCE_FORMAT,
        model=card.name,
        sha256=hash_of_bundle(model),
        neumo=__version__,
        site=site,
        date=datetime.now(UTC).date().isoformat(),
        images=len(found.seen),
        patients=len(set(found.patients)),
        images_by_label=dict(sorted(Counter(each.film.label for each in found.seen).items())),
        unreadable=found.unreadable,
        repeated=found.repeated,
        by_card=measure_figures(found, judge_all(found.seen, card, priors)),
        by_site=by_site,
        drift=measure_drift(found, card),
        certainty=certainty,
        why_not=None if isinstance(fitted, Certainty) else fitted,
        temperature=temperature if certainty else None,
        priors=dict(priors) if priors else None,
    )
