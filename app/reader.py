"""The reader: the bytes of one image in, one Reading out. Used by HTTP and the terminal alike."""

import time
from dataclasses import asdict, dataclass

from app.imaging import Limits, decode, resize
from app.inference import Model
from app.language import Language
from app.reading import NOTICE, judge
from app.schemas import SCHEMA_VERSION, Image, ModelReference, Reading, Timing


@dataclass(frozen=True, slots=True)
class Order:
    """Who asks: `started_s` is `time.perf_counter` when the request came."""

    request_id: str
    language: Language
    started_s: float


class Reader:
    """Reads images with one model; callable from several threads at once."""

    def __init__(self, model: Model, limits: Limits) -> None:
        self.model = model
        self._limits = limits
        card = model.card
        self._reference = ModelReference(name=card.name, version=card.version, sha256=card.sha256)

    def read(self, data: bytes, order: Order) -> Reading:
        """Read one JPEG or PNG file.

        Raises
        ------
        RequestError
            Of the kinds `app.imaging.decode` raises.
        """
        begun = time.perf_counter()
        image = decode(data, self._limits)
        pixels = resize(image)[None]
        decoded = time.perf_counter()
        outputs = self.model.run(pixels)
        inferred = time.perf_counter()
        judgement = judge(outputs, self.model.card, order.language)
        return Reading(
            request_id=order.request_id,
            status="ok",
            label=judgement.label,
            display_label=judgement.display_label,
            probabilities=judgement.probabilities,
            abnormal=judgement.abnormal,
            non_covid_pneumonia=judgement.non_covid_pneumonia,
            warnings=[],
            notice=NOTICE.render(order.language),
            schema_version=SCHEMA_VERSION,
            image=Image(**asdict(image.facts)),
            model=self._reference,
            timing_ms=Timing(
                decode=_milliseconds(begun, decoded),
                inference=_milliseconds(decoded, inferred),
                total=_milliseconds(order.started_s, time.perf_counter()),
            ),
        )


def _milliseconds(begin_s: float, end_s: float) -> float:
    return round((end_s - begin_s) * 1000, 3)
