"""The reader: the bytes of one image in, one Reading out. Used by HTTP and the terminal alike."""

import base64
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np

from app.image.decode import GreyImage, Limits, decode
from app.image.resize import resize
from app.language import Language
from app.model.labels import LabelId
from app.model.session import Model, Outputs
from app.reading.judge import DECIMALS, NOBODY, NOTICE, WARNINGS, Judgement, Subject, judge
from app.reading.priors import Shares
from app.reading.refusal import refuse_unlike
from app.render.overlay import DEFAULT_ALPHA, Legend, draw_overlay
from app.render.reading_json import (
    SCHEMA_VERSION,
    ActivationMap,
    Caution,
    Explanation,
    Heatmap,
    Image,
    ModelReference,
    Reading,
    Timing,
)

Check = Callable[[], None]
"""Raises if what is being made is no longer wanted."""


def _go_on() -> None:
    """Want it whatever happens."""


@dataclass(frozen=True, slots=True)
class Order:
    """Who asks: `started_s` is `time.perf_counter` when the request came."""

    request_id: str
    language: Language
    started_s: float
    subject: Subject = NOBODY

    def of(self, subject: Subject) -> "Order":
        """Return the order with what a form says of its subject, where it says something."""
        return replace(
            self,
            subject=Subject(
                age_years=self.subject.age_years
                if subject.age_years is None
                else subject.age_years,
                view=subject.view or self.subject.view,
            ),
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    """An image and what the network says of it; times of the stages in milliseconds."""

    image: GreyImage
    outputs: Outputs
    decode_ms: float
    inference_ms: float


class Reader:
    """Reads images with one model; callable from several threads at once."""

    def __init__(self, model: Model, limits: Limits, priors: Shares | None = None) -> None:
        self.model = model
        self._limits = limits
        self._priors = priors
        card = model.card
        self._reference = ModelReference(name=card.name, version=card.version, sha256=card.sha256)

    def read(
        self, data: bytes, order: Order, *, heatmap: bool = False, check: Check = _go_on
    ) -> Reading:
        """Read one JPEG or PNG file; with `heatmap`, draw the map of the label called too.

        `check` is called before inference and may raise, if the Reading isn't wanted any more.

        Raises
        ------
        RequestError
            Of the kinds `app.image.decode.decode` raises, or `NotAChestXray`.
        """
        seen = self._look(data, check)
        judgement = self._judge(seen, order)
        drawn = self._heatmap(seen, judgement, order.language) if heatmap else None
        return Reading(
            request_id=order.request_id,
            status=judgement.status,
            label=judgement.label,
            display_label=judgement.display_label,
            candidates=judgement.candidates,
            probabilities=judgement.probabilities,
            abnormal=judgement.abnormal,
            non_covid_pneumonia=judgement.non_covid_pneumonia,
            warnings=_cautions(judgement, order.language),
            notice=NOTICE.render(order.language),
            schema_version=SCHEMA_VERSION,
            image=Image(**asdict(seen.image.facts)),
            model=self._reference,
            timing_ms=Timing(
                decode=seen.decode_ms,
                inference=seen.inference_ms,
                total=_milliseconds(order.started_s, time.perf_counter()),
            ),
            heatmap=drawn,
        )

    def explain(
        self, data: bytes, order: Order, label: LabelId | None, *, check: Check = _go_on
    ) -> Explanation:
        """Return the class activation map of `label`, or of the label called, as numbers.

        Raises
        ------
        RequestError
            Of the kinds `app.image.decode.decode` raises, or `NotAChestXray`.
        """
        seen = self._look(data, check)
        judgement = self._judge(seen, order)
        label = label or judgement.label
        return Explanation(
            request_id=order.request_id,
            display_label=self._display(label, order.language),
            probability=judgement.probabilities[label],
            status=judgement.status,
            warnings=_cautions(judgement, order.language),
            map=self._map(seen, label),
            notice=NOTICE.render(order.language),
            schema_version=SCHEMA_VERSION,
            image=Image(**asdict(seen.image.facts)),
            model=self._reference,
        )

    def draw(
        self,
        data: bytes,
        order: Order,
        label: LabelId | None,
        alpha: float,
        *,
        check: Check = _go_on,
    ) -> bytes:
        """Return the class activation map of `label`, or of the label called, as a PNG.

        Raises
        ------
        RequestError
            Of the kinds `app.image.decode.decode` raises, or `NotAChestXray`.
        """
        seen = self._look(data, check)
        judgement = self._judge(seen, order)
        return self._draw(seen, judgement, label or judgement.label, order.language, alpha)

    def _look(self, data: bytes, check: Check) -> _Seen:
        begun = time.perf_counter()
        image = decode(data, self._limits)
        pixels = resize(image)[None]
        check()
        decoded = time.perf_counter()
        outputs = self.model.run(pixels)
        inferred = time.perf_counter()
        refuse_unlike(self.model, pixels, outputs)
        return _Seen(
            image, outputs, _milliseconds(begun, decoded), _milliseconds(decoded, inferred)
        )

    def _judge(self, seen: _Seen, order: Order) -> Judgement:
        return judge(seen.outputs, self.model.card, order.language, order.subject, self._priors)

    def _heatmap(self, seen: _Seen, judgement: Judgement, language: Language) -> Heatmap:
        png = self._draw(seen, judgement, judgement.label, language, DEFAULT_ALPHA)
        return Heatmap(
            map=self._map(seen, judgement.label), png_base64=base64.b64encode(png).decode()
        )

    def _draw(
        self,
        seen: _Seen,
        judgement: Judgement,
        label: LabelId,
        language: Language,
        alpha: float,
    ) -> bytes:
        card = self.model.card
        legend = Legend(
            label=self._display(label, language),
            share=judgement.probabilities[label],
            uncertain=judgement.status == "uncertain",
            model=card.name,
            language=language,
        )
        return draw_overlay(seen.image, seen.outputs.cam[0, card.index(label)], legend, alpha)

    def _display(self, label: LabelId, language: Language) -> str:
        card = self.model.card
        return card.labels[card.index(label)].display(language)

    def _map(self, seen: _Seen, label: LabelId) -> ActivationMap:
        index = self.model.card.index(label)
        cam = seen.outputs.cam[0, index].astype(float)
        logit = float(seen.outputs.logits[0, index])
        return ActivationMap(
            label=label,
            cam=np.round(cam, DECIMALS).tolist(),
            bias=round(logit - cam.mean(), DECIMALS),
            logit=round(logit, DECIMALS),
        )


def _cautions(judgement: Judgement, language: Language) -> list[Caution]:
    return [
        Caution(code=code, message=WARNINGS[code].render(language)) for code in judgement.warnings
    ]


def _milliseconds(begin_s: float, end_s: float) -> float:
    return round((end_s - begin_s) * 1000, 3)
