"""The service: everything one process holds, the phases of its life, and the one door to a Reading.

Whatever a Reading is asked through (HTTP, and what else comes) calls `Service.read`: admission,
decoding, network, judging and counting stand there once.
"""

import asyncio
import gc
import hashlib
import logging
import time
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import TypeVar

from app.errors import (
    BundleError,
    InternalError,
    NeumoError,
    NotAChestXray,
    NotReady,
    RequestError,
)
from app.image.grey_image import GreyImage
from app.image.resize import warm_up
from app.model.load import load_model
from app.model.measured.acceptance_search import find_acceptance
from app.model.session import Model, OnnxModel
from app.reading.population import Subject
from app.reading.reader import Film, Reader
from app.reading.reading import Reading
from app.service.active.model_roster import ModelRoster, SharedModels
from app.service.admission import Admission, Check, Claim
from app.service.telemetry import Metrics
from app.service.trace import Trace
from app.service.witness import NOWHERE, Nobody, Origin, Witness
from app.settings.settings import Settings

_log = logging.getLogger("neumo.service")

LoadModel = Callable[[Settings], Model]
Rendered = TypeVar("Rendered")


class Phase(Enum):
    """Where in its life a process is."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    FAILED = "failed"


class Service:
    """Holds settings, metrics, admission and, once loaded, the models.

    Whoever is to be told of every image is set as `witness`.

    Parameters
    ----------
    load_model : called on a thread; what it raises of the active one is the end of this service
    on_failure : called when the model can't be served
    shared : with other workers; this one's own where missing
    row : of this worker in what is shared
    """

    def __init__(
        self,
        settings: Settings,
        load_model: LoadModel,
        on_failure: Callable[[], None],
        shared: SharedModels | None = None,
        row: int = 0,
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.admission = Admission(
            settings.reader_threads, settings.deadline_s, settings.max_held_bytes, self.metrics
        )
        self.witness: Witness = Nobody()
        self.phase = Phase.STARTING
        self._on_failure = on_failure
        self.models = ModelRoster(
            settings,
            load_model,
            make_reader,
            self.metrics,
            shared or SharedModels(settings),
            row,
            idle=lambda: not self.admission.expected_wait_s,
            fail=on_failure,
        )

    @property
    def phase(self) -> Phase:
        """Where in its life this process is; the metrics tell."""
        return self._phase

    @phase.setter
    def phase(self, phase: Phase) -> None:
        self._phase = phase
        self.metrics.set_ready(phase is Phase.READY)

    @property
    def reader(self) -> Reader:
        """The reader of the active model; whoever reads several films as one takes it once.

        Raises
        ------
        NotReady
            Before the model is loaded and while the service stops.
        """
        reader = self.models.reader
        if reader is None or self.phase not in (Phase.READY, Phase.DRAINING):
            raise NotReady
        return reader

    def check_work(self) -> None:
        """Raise if no image can be read now.

        Raises
        ------
        NotReady, RecordsFull
        """
        _ = self.reader
        self.witness.check()

    async def read(
        self,
        data: bytes,
        subject: Subject,
        claim: Claim,
        window: int | None = None,
        origin: Origin = NOWHERE,
        *,
        reader: Reader | None = None,
    ) -> Reading:
        """Read one image within the deadline, count it, and tell the witness.

        Parameters
        ----------
        data : a whole file
        subject : what is said of the patient and the projection
        claim : of the request that was let in, as `Admission.admit` gives it
        window : which of a DICOM file's VOI LUTs and windows, counted from 0; the first if None
        origin : of the image, for the witness
        reader : of the model that reads the others of a batch; the active one's if None

        Raises
        ------
        RequestError
            `NotReady`, `Overloaded`, `DeadlineExceeded`, or as of `app.reading.reader.Reader.read`.
        CallerGone
        """
        reader = reader or self.reader
        shown: list[Film] = []
        hashed: list[str] = []

        came_ns, trace = time.time_ns(), origin.trace

        def work(*, check: Check) -> Reading:
            begun_ns = time.time_ns()
            try:
                reading = reader.read(data, subject, window, check=check, show=shown.append)
            except RequestError as error:
                hashed.append(hashlib.sha256(data).hexdigest())
                if trace is not None:
                    trace.note("read", begun_ns, time.time_ns(), error.code)
                raise
            if trace is not None:
                _note_stages(trace, came_ns, begun_ns, reading)
            return reading

        try:
            reading = await self.admission.run(work, claim)
        except Exception as error:
            if isinstance(error, NotAChestXray):
                self.models.note(shown[0], reader, None, origin.request_id)
            code = error.code if isinstance(error, NeumoError) else InternalError.code
            image_sha256 = hashed[0] if hashed else None
            self.witness.saw_refusal(origin, code, image_sha256, reader.model.card)
            raise
        self.models.note(shown[0], reader, reading.judgement, origin.request_id)
        self.metrics.count_reading(reading)
        self.witness.saw_reading(origin, reading)
        return reading

    async def decode(
        self, data: bytes, claim: Claim, window: int | None = None, least_px: int = 0
    ) -> GreyImage:
        """Decode one image as `read` would, within the deadline, and count it as looked at.

        The network is not asked, so what is no chest X-ray is not refused.

        Parameters
        ----------
        data, claim, window : as of `read`
        least_px : as of `app.image.decode.decode`

        Raises
        ------
        RequestError
            `NotReady`, `Overloaded`, `DeadlineExceeded`, or as of `app.image.decode.decode`.
        CallerGone
        """
        work = partial(self.reader.decode, data, window, least_px)
        image = await self.admission.run(work, claim)
        self.metrics.count_image(image.facts.format, "preview")
        return image

    async def render(self, render: Callable[[], Rendered], claim: Claim) -> Rendered:
        """Run a rendering that takes its time, such as a picture, where images are read.

        Raises
        ------
        DeadlineExceeded
        CallerGone
        """

        def work(*, check: Check) -> Rendered:
            check()
            return render()

        return await self.admission.run(work, claim, refuse_late=False)

    async def start(self) -> None:
        """Load the models on a thread; meanwhile the health routes answer."""
        begun = time.perf_counter()
        try:
            reader = await asyncio.to_thread(self.models.load)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends the start
            code = error.code if isinstance(error, BundleError) else "load_failed"
            members: dict[str, object] = {"code": code}
            if isinstance(error, BundleError):
                members["detail"] = error.detail("en")
            _log.critical("model can't be served", exc_info=error, extra={"members": members})
            self.phase = Phase.FAILED
            self._on_failure()
            return
        self.models.begin()
        self.phase = Phase.READY
        gc.freeze()  # what was made to start lives on: no collection need walk through it
        card = reader.model.card
        members = {
            "model": card.name,
            "sha256": card.sha256,
            "accepted": reader.acceptance is not None,
            "threads": self.settings.reader_threads,
            "load_ms": round((time.perf_counter() - begun) * 1000),
        }
        _log.info("ready", extra={"members": members})

    async def follow(self) -> None:
        """Follow what is decided of the models, once they are loaded, until cancelled."""
        if self.phase is Phase.READY:
            await self.models.follow()

    def drain(self) -> None:
        """Tell load balancers to send nothing more; still answer what comes."""
        if self.phase is Phase.READY:
            self.phase = Phase.DRAINING

    def stop(self) -> None:
        """Refuse what comes now, finish what is being read."""
        self.phase = Phase.STOPPING
        self.admission.close()
        self.models.stop()


def _note_stages(trace: Trace, came_ns: int, begun_ns: int, reading: Reading) -> None:
    decoded_ns = begun_ns + round(reading.decode_ms * 1e6)
    inferred_ns = decoded_ns + round(reading.inference_ms * 1e6)
    trace.note("wait", came_ns, begun_ns)
    trace.note("decode", begun_ns, decoded_ns)
    trace.note("inference", decoded_ns, inferred_ns)


def load_model_from(settings: Settings) -> OnnxModel:
    """Read, hash, check, load and warm up the bundle of `settings`, and ask its known answers.

    Raises
    ------
    BundleError
        `PriorsUnknown` too, if the settings name priors and the card none.
    """
    model = load_model(
        settings.model,
        settings.precision,
        settings.inference_threads,
        priors_needed=settings.label_priors is not None,
        signatures=settings.signature_rule,
    )
    warm_up()
    return model


def make_reader(settings: Settings, model: Model) -> Reader:
    """Return the reader of a model as `settings` have it, with the hospital's acceptance of it.

    Raises
    ------
    BundleError
        Of the kinds of `app.model.measured.acceptance_search.find_acceptance`.
    """
    alone = len(settings.bundles) == 1
    priors = settings.label_priors
    acceptance = find_acceptance(settings.acceptance, model, priors, needed=alone)
    return Reader(model, settings.limits, priors, acceptance)
