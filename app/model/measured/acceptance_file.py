"""The acceptance file: what a hospital measured of a bundle on its own films.

Written by `neumo accept`, read where that bundle is served (`NEUMO_ACCEPTANCE`). It holds counts
and figures, no name of a file or a patient. Rates are from 0 to 1.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from app.errors import AcceptanceMalformed, AcceptanceMissing
from app.model.card import Certainty
from app.model.labels import LABEL_IDS, LabelId
from app.model.measured.figures import Finite, Interval, Strict
from app.model.session import Model

ACCEPTANCE_FORMAT: Final = 1
Count = Annotated[int, Field(ge=0)]
WhyNot = Literal["too_few_films", "too_many_wrong"]
"""Why no floors could be shown to hold: too few `ok` answers for a bound, or too many wrong."""


class SiteFigures(Strict):
    """What the answers were worth on the hospital's films, with exact 95 % intervals.

    All but `wrong` are shares of films that could be decoded: a refused one counts as not
    called and not `ok`. Of a film labelled with a set a label of the set is right, of one labelled
    `other` (a finding that is none of the four) only `normal`, which means none of the three.
    """

    refused: Interval = Field(description="Share of films taken for no chest X-ray")
    false_alarms: dict[LabelId, Interval] = Field(
        description="Share of the normal films called by each other label, at any confidence"
    )
    confident_false_alarms: dict[LabelId, Interval] = Field(
        description="Share of the normal films called by each other label with `ok`"
    )
    sensitivity: dict[str, Interval] = Field(
        description="Share of the films of each label, or set of labels, called by it"
    )
    answered: Interval = Field(description="Share of films answered `ok`")
    wrong: Interval = Field(description="Share of the `ok` answers that were wrong")


class Spread(Finite):
    """How the distances of all films, refused ones too, lie beside the card's reference."""

    stability_index: float = Field(
        description="Population stability index, as `neumo_drift_psi`; over 0.25 is a large shift"
    )
    by_chance: float = Field(description="What it would be about of as many films by chance alone")
    beyond: Interval = Field(description="Share of the films beyond the reference's last edge")
    card_beyond: float = Field(description="Share of the card's films there")


class Drift(Finite):
    """How the hospital's films lie to those that the card was measured on.

    Where the card has a reference, `spread` compares distances with its. Of a card without one only
    the distance is known over which a picture is refused: a shift within that can't be told.
    """

    median_distance: float | None = Field(
        description="Median distance of the films read, as a share of the card's threshold"
    )
    distance_95: float | None = Field(
        description="The same of their 95 % quantile; 1 is where refusal begins"
    )
    card_refused: Interval | None = Field(
        description="Share refused where the card was measured, to compare with"
    )
    card_answered: Interval | None = Field(description="Share answered `ok` there")
    card_sensitivity: dict[LabelId, Interval] = Field(description="Sensitivity there")
    spread: Spread | None = Field(
        None, description="Distances beside the card's reference; null where it has none"
    )


@dataclass(frozen=True, slots=True)
class SiteRule:
    """What a hospital asks of `ok` beside the card, never instead of it.

    Parameters
    ----------
    temperature : divides the logits for it and for what is told; the card's own where None
    """

    certainty: Certainty
    temperature: float | None = None


class AcceptanceSummary(Strict):
    """Whose own films the model was measured on: what answers tell of the acceptance file."""

    site: str = Field(description="The hospital, in its own words")
    date: str = Field(description="Day of the measurement")
    images: int = Field(description="Films that were measured")
    relied_on: bool = Field(
        description="Whether they showed that `ok` may be relied on there: then its own floors are "
        "asked besides. If not, `site_not_validated` stays"
    )


class Acceptance(Finite):
    """What a hospital measured, bound to one bundle by its hash.

    `certainty`, at the `temperature` under which it was chosen, is asked besides what the card
    asks. Without certainty too few films, or too many wrong answers, showed that `ok` may be
    relied on there: such a file reports, and takes no warning away.
    """

    acceptance_format: int = Field(description="Version of this file's form")
    model: str = Field(description="Name of the bundle")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the bundle's model.onnx")
    neumo: str = Field(description="Version of Neumo that measured")
    site: str = Field(max_length=100, description="Whose films, in the hospital's words")
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="Day of the measurement")
    images: Count = Field(description="Films that could be decoded")
    patients: Count = Field(description="Patients they are of; films without one count singly")
    images_by_label: dict[str, Count] = Field(description="Films of each label, set or `other`")
    unreadable: list[Count] = Field(description="Rows of files that could not be decoded")
    repeated: list[Count] = Field(description="Rows of files that came before; not counted again")
    by_card: SiteFigures = Field(description="As the card alone would answer")
    by_site: SiteFigures | None = Field(description="With `certainty` and `temperature` from here")
    drift: Drift = Field(description="How these films lie to the card's")
    certainty: Certainty | None = Field(description="What `ok` asks for here, besides the card")
    why_not: WhyNot | None = Field(description="Why there is no certainty, if there is none")
    temperature: Annotated[float, Field(gt=0)] | None = Field(
        description="Divides the logits here; what the card asks of `ok` is asked at its own"
    )
    priors: dict[LabelId, Annotated[float, Field(gt=0, lt=1)]] | None = Field(
        None, description="NEUMO_PRIORS of the measurement; null, or missing: the card's own"
    )

    _file_sha256: str = PrivateAttr("")

    @property
    def file_sha256(self) -> str:
        """Of the file it was read from; empty if it was read from none."""
        return self._file_sha256

    @property
    def rule(self) -> SiteRule | None:
        """What `ok` asks for there; None where nothing was shown."""
        return SiteRule(self.certainty, self.temperature) if self.certainty else None

    @property
    def summary(self) -> AcceptanceSummary:
        """What answers tell of it."""
        return AcceptanceSummary(
            site=self.site,
            date=self.date,
            images=self.images,
            relied_on=self.certainty is not None,
        )

    @model_validator(mode="after")
    def _check_contract(self) -> Self:
        if self.acceptance_format != ACCEPTANCE_FORMAT:
            raise ValueError(f"acceptance_format is not {ACCEPTANCE_FORMAT}")
        if self.certainty is not None and self.certainty.chosen_on != "site":
            raise ValueError("certainty was not chosen on the site")
        if (self.certainty is None) != (self.why_not is not None):
            raise ValueError("either certainty or why_not has to be told")
        if self.temperature is not None and self.certainty is None:
            raise ValueError("a temperature needs the certainty that was chosen under it")
        if self.priors is not None and sorted(self.priors) != sorted(LABEL_IDS):
            raise ValueError("priors has not one entry for each label")
        return self


def hash_of_bundle(model: Model) -> str:
    """Return the sha256 of a bundle's model.onnx, which stands for the bundle.

    Also where its float32 graph is served, whose own hash is another one.
    """
    return str(json.loads(model.card_json)["sha256"])


def load_acceptance(path: Path) -> Acceptance:
    """Read and check a file, of whichever bundle.

    Raises
    ------
    AcceptanceMissing, AcceptanceMalformed
    """
    try:
        content = path.read_bytes()
    except OSError:
        raise AcceptanceMissing(file=path.name) from None
    try:
        acceptance = Acceptance.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "content"
        raise AcceptanceMalformed(file=path.name, reason=f"{where}: {first['msg']}") from None
    acceptance._file_sha256 = hashlib.sha256(content).hexdigest()
    return acceptance
