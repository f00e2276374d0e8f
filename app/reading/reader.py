"""The reader: the bytes of one image in, one Reading out, whatever door they came through."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from app.image.decode import decode
from app.image.grey_image import GreyImage, Limits
from app.image.resize import resize
from app.model.measured.acceptance_file import Acceptance
from app.model.session import ImageOutputs, Model, Pixels
from app.reading.judge import Judgement, judge
from app.reading.population import NOBODY, Subject, heed_tags
from app.reading.priors import Shares
from app.reading.reading import Reading
from app.reading.refusal import refuse_unlike

Check = Callable[[], None]
"""Raises if what is being made is no longer wanted."""


def _always_wanted() -> None:
    """Never raise."""


@dataclass(frozen=True, slots=True)
class Film:
    """What a network was shown of one image, and what it gave, also if that is then refused.

    Parameters
    ----------
    pixels : uint8 [1, 1, 224, 224]
    subject : whom it is taken to be of
    """

    pixels: Pixels
    subject: Subject
    outputs: ImageOutputs


class Reader:
    """Reads images with one model; callable from several threads at once.

    Parameters
    ----------
    limits : what is decoded at all
    priors : shares of the labels to re-weight probabilities to; None: as calibrated
    acceptance : what the hospital measured of this model on its own films
    """

    def __init__(
        self,
        model: Model,
        limits: Limits,
        priors: Shares | None = None,
        acceptance: Acceptance | None = None,
    ) -> None:
        self.model = model
        self.acceptance = acceptance
        self._limits = limits
        self._priors = priors
        self._labels = [label.id for label in model.card.labels]

    def decode(
        self,
        data: bytes,
        window: int | None = None,
        least_px: int = 0,
        *,
        check: Check = _always_wanted,
    ) -> GreyImage:
        """Decode one image file as `read` does, without asking the network.

        Parameters
        ----------
        data, window, check : as of `read`
        least_px : as of `app.image.decode.decode`

        Raises
        ------
        RequestError
            Of the kinds `app.image.decode.decode` raises.
        """
        check()
        return decode(data, self._limits, window, least_px)

    def read(
        self,
        data: bytes,
        subject: Subject = NOBODY,
        window: int | None = None,
        *,
        check: Check = _always_wanted,
        show: Callable[[Film], object] = lambda _: None,
    ) -> Reading:
        """Read one image file.

        Parameters
        ----------
        data : a whole JPEG, PNG or DICOM file
        subject : what is said of the patient and the projection; it wins over a DICOM file's tags
        window : which of a DICOM file's VOI LUTs and windows, counted from 0; the first if None
        check : called before each run of the network; what it raises ends the reading
        show : given the film once the network has seen it, before it is judged or refused

        Raises
        ------
        RequestError
            Of the kinds `app.image.decode.decode` raises, or `NotAChestXray`.
        """
        begun_s = time.perf_counter()
        image = decode(data, self._limits, window)
        pixels = resize(image)[None]
        check()
        decoded_s = time.perf_counter()
        outputs = self.model.run(pixels).one(self._labels)
        inferred_s = time.perf_counter()
        subject, of_tags = heed_tags(subject, image.tags)
        film = Film(pixels, subject, outputs)
        show(film)
        judgement = self._judge(film, check)
        return Reading(
            image=image,
            outputs=outputs,
            judgement=replace(judgement, warnings=[*judgement.warnings, *of_tags]),
            card=self.model.card,
            acceptance=self.acceptance,
            subject=subject,
            decode_ms=_milliseconds(begun_s, decoded_s),
            inference_ms=_milliseconds(decoded_s, inferred_s),
        )

    def read_again(self, film: Film, show: Callable[[Film], object]) -> Judgement:
        """Judge a film that another model was shown.

        Parameters
        ----------
        show : given the film with what this model makes of it, before it is judged or refused

        Raises
        ------
        NotAChestXray
        """
        outputs = self.model.run(film.pixels).one(self._labels)
        film = replace(film, outputs=outputs)
        show(film)
        return self._judge(film, _always_wanted)

    def _judge(self, film: Film, check: Check) -> Judgement:
        refuse_unlike(self.model, film.pixels, film.outputs, check)
        card = self.model.card
        site = self.acceptance.rule if self.acceptance else None
        return judge(film.outputs, card, film.subject, self._priors, site)


def _milliseconds(begin_s: float, end_s: float) -> float:
    return round((end_s - begin_s) * 1000, 3)
