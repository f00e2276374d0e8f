"""Every setting of the service, read from ``NEUMO_*``; command-line flags win."""

import difflib
import re
from collections.abc import Mapping
from typing import Final, Literal

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from app.image.grey_image import Limits
from app.machine import count_cpus, memory_bytes
from app.model.card import Precision
from app.model.labels import LabelId
from app.reading.priors import parse_priors
from app.settings.access_settings import AccessSettings
from app.settings.audit_settings import AuditSettings
from app.settings.cors_origins import CorsSettings
from app.settings.exchange_settings import ExchangeSettings
from app.settings.model_settings import ModelSettings
from app.settings.tls_settings import TlsSettings
from app.settings.tracing_settings import TracingSettings

PREFIX: Final = "NEUMO_"
_MOST_WORKERS: Final = 64
_LEAST_THREADS: Final = 4
_WORKER_BYTES: Final = 150_000_000
"""Resident memory of a worker that holds nothing, and some."""
_MODEL_BYTES: Final = 35_000_000
"""Of each further model in a worker; measured 31 MB of int8."""
_DECODE_SHARE: Final = 0.7
"""Of the time an image has, for a decoder that hangs: it is told before the deadline."""


LogLevel = Literal["debug", "info", "warning", "error"]

# What Kubernetes puts into every pod of a namespace that has a Service called neumo.
_SERVICE_LINK: Final = re.compile(r"NEUMO_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)\w*)")


class Settings(
    AccessSettings,
    TlsSettings,
    CorsSettings,
    ModelSettings,
    AuditSettings,
    ExchangeSettings,
    TracingSettings,
):
    """Bounded, frozen, built once at start-up and handed down."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore"
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(
        8000, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one."
    )
    root_path: str = Field(
        "",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="Path below which a proxy serves it, as /neumo, whether the proxy strips it or "
        "not; /docs and /openapi.json lead there. Without it all is answered too.",
    )
    workers: int = Field(
        0,
        ge=0,
        le=_MOST_WORKERS,
        description="Processes that serve the same port and share its connections evenly; 0: one "
        "for each CPU of this machine or container, but no more than its memory holds at their "
        "peaks (150 MB, 35 MB for each further model, and twice max_held_bytes each).",
    )
    threads: int = Field(
        0,
        ge=0,
        le=256,
        description="Images a worker reads at once; 0: this machine's or container's CPUs, "
        "shared among the workers, but 4 or as many as there are at the least: a batch that comes "
        "alone is read by several.",
    )
    inference_threads: int = Field(
        1, ge=1, le=256, description="Threads of one run of the network (intra-op)."
    )
    precision: Precision = Field(
        "auto",
        description="int8, fp32 (needs the bundle's model.fp32.onnx), or auto: int8, but on a CPU "
        "without VNNI or dotprod the faster of the two, timed at the start.",
    )
    priors: str = Field(
        "",
        description="Shares of the four labels among your patients, as "
        "normal=0.8,covid19=0.02,bacterial_pneumonia=0.1,viral_pneumonia=0.08: probabilities are "
        "re-weighted from the card's priors to these. Empty: as calibrated.",
    )
    acceptance: str = Field(
        "",
        description="Path of the acceptance file that `neumo accept` wrote for this model on your "
        "own films: its floors are asked besides what the card asks. One of another model or of "
        "other NEUMO_PRIORS, or one that can't be read, stops the start. Empty: answers carry the "
        "warning site_not_validated.",
    )
    deadline_s: float = Field(
        5.0,
        gt=0,
        le=3600,
        description="Seconds from an image's last byte to its Reading; later it is given up, 504 "
        "deadline_exceeded. What would wait longer than half of it is refused at once, 503 "
        "overloaded.",
    )
    max_held_bytes: int = Field(
        256 * 2**20,
        ge=1024,
        le=2**40,
        description="Bytes of bodies that a worker holds at once; over it 503 overloaded. "
        "Memory peaks at about twice this, and the image being decoded.",
    )
    max_body_bytes: int = Field(
        32 * 2**20, ge=1024, le=2**31, description="Largest body of a request, in bytes."
    )
    max_batch_body_bytes: int = Field(
        128 * 2**20,
        ge=1024,
        le=2**31,
        description="Largest body of /predict/batch and /v2, in bytes.",
    )
    max_batch_files: int = Field(
        32, ge=1, le=1000, description="Most files that one /predict/batch or /v2 call takes."
    )
    min_side_px: int = Field(
        64, ge=1, le=224, description="Shortest side of an image, in pixels; below it 422."
    )
    max_pixels: int = Field(
        50_000_000,
        ge=50_176,
        le=89_000_000,
        description="Most pixels of an image; above it 422, before any is decoded.",
    )
    keep_alive_s: int = Field(5, ge=1, le=600, description="Seconds an idle connection stays open.")
    head_timeout_s: float = Field(
        10.0,
        gt=0,
        le=600,
        description="Seconds in which the request line and the headers have to arrive; later 408.",
    )
    max_head_bytes: int = Field(
        32 * 2**10,
        ge=1024,
        le=2**20,
        description="Most bytes of the request line and the headers, over it 431; and of trailers.",
    )
    body_timeout_s: float = Field(
        10.0,
        gt=0,
        le=600,
        description="Seconds in which a body has to arrive, and one more for each "
        "min_body_bytes_per_s of it that came; later 408. Also how long a client may take none "
        "of its answer.",
    )
    min_body_bytes_per_s: int = Field(
        32 * 2**10, ge=1, le=2**30, description="Slowest rate at which a long body may arrive."
    )
    drain_delay_s: float = Field(
        5.0,
        ge=0,
        le=600,
        description="Seconds that a service told to stop by SIGTERM says that it isn't ready, but "
        "still answers all else, for load balancers to notice.",
    )
    shutdown_grace_s: int = Field(
        10, ge=0, le=600, description="Seconds that requests in flight then get to finish."
    )
    worker_timeout_s: int = Field(
        10,
        ge=1,
        le=600,
        description="Seconds that a worker may give no sign, or one image keep a thread, before "
        "the worker is replaced. Longer than the largest image takes.",
    )
    log_level: LogLevel = Field(
        "info",
        description="debug, info, warning or error; debug also logs health and metrics calls.",
    )

    @field_validator("port", mode="before")
    @classmethod
    def _ignore_service_link(cls, port: object) -> object:
        return cls.model_fields["port"].default if _is_service_link(port) else port

    @field_validator("priors")
    @classmethod
    def _check_priors(cls, priors: str) -> str:
        if priors:
            parse_priors(priors)
        return priors

    @property
    def label_priors(self) -> dict[LabelId, float] | None:
        """`priors` by label, summing to 1; None if there are none."""
        return parse_priors(self.priors) if self.priors else None

    @property
    def limits(self) -> Limits:
        """What is decoded at all."""
        decode_s = _DECODE_SHARE * min(self.deadline_s, self.worker_timeout_s)
        return Limits(self.min_side_px, self.max_pixels, decode_s)

    @property
    def reader_threads(self) -> int:
        """`threads`, with 0 resolved."""
        cpus = count_cpus()
        return self.threads or max(cpus // self.worker_count, min(cpus, _LEAST_THREADS))

    @property
    def worker_peak_bytes(self) -> int:
        """Memory of one worker at its peak."""
        further = (len(self.bundles) - 1) * _MODEL_BYTES
        return _WORKER_BYTES + further + 2 * self.max_held_bytes

    @property
    def worker_count(self) -> int:
        """`workers`, with 0 resolved."""
        if self.workers:
            return self.workers
        held = memory_bytes() // self.worker_peak_bytes
        return max(1, min(count_cpus(), held, _MOST_WORKERS))


def remark_on(environment: Mapping[str, str]) -> list[str]:
    """Say what in an environment looks like a setting and is not taken for one."""
    known = [name.upper() for name in Settings.model_fields]
    remarks = []
    for name, value in environment.items():
        if name == "NEUMO_PORT" and _is_service_link(value):
            remarks.append(
                "NEUMO_PORT is a Kubernetes service link and ignored: set enableServiceLinks: "
                "false in the pod, or give the Service another name than neumo"
            )
        stem = name.removeprefix(PREFIX)
        if stem == name or stem in known or _SERVICE_LINK.fullmatch(name):
            continue
        near = difflib.get_close_matches(stem, known, n=1)
        meant = f", did you mean {PREFIX}{near[0]}?" if near else ""
        remarks.append(f"{name} is no setting{meant}")
    return remarks


def _is_service_link(port: object) -> bool:
    return isinstance(port, str) and "://" in port


def describe_settings() -> str:
    """Return the settings as a Markdown table, the source of ``docs/reference/settings.md``."""
    lines = [
        "# Settings of the service",
        "",
        "<!-- Written by `make reference` from the code; do not edit. -->",
        "",
        "Flags of `neumo serve` win over the environment. A value out of bounds stops the start",
        "with exit code 2 and its name. An empty variable counts as unset, and one that is no",
        "setting is told at the start.",
        "",
        "| variable | flag | default | meaning |",
        "|---|---|---|---|",
    ]
    own = Settings.__annotations__  # first: pydantic puts those of mixins before them
    for name, field in sorted(Settings.model_fields.items(), key=lambda item: item[0] not in own):
        variable, flag = PREFIX + name.upper(), "--" + name.replace("_", "-")
        lines.append(f"| `{variable}` | `{flag}` | `{field.default}` | {field.description} |")
    return "\n".join(lines) + "\n"
