"""Settings that contradict each other, and variables that look like settings and are none."""

from collections.abc import Iterator, Mapping

from app.cli.checks.finding import Finding
from app.machine import count_cpus
from app.settings.settings import PREFIX, Settings, remark_on

_THREADS_A_CPU = 4


def check_settings(settings: Settings, environment: Mapping[str, str]) -> list[Finding]:
    """Look for what can't be meant."""
    found = [Finding("settings", "warn", remark, "Correct or unset it.")
             for remark in remark_on(environment)]  # fmt: skip
    found += [
        Finding("settings", "warn", text, advice) for text, advice in _contradictions(settings)
    ]
    if found:
        return found
    given = sorted(settings.model_fields_set)
    told = ", ".join(PREFIX + name.upper() for name in given) or "none, all are the defaults"
    return [Finding("settings", "ok", f"set: {told}")]


def _contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what is wrong, and what to do."""
    held = settings.max_held_bytes
    for name in ("max_body_bytes", "max_batch_body_bytes"):
        if getattr(settings, name) > held:
            text = (
                f"{PREFIX}{name.upper()} is more than NEUMO_MAX_HELD_BYTES ({held}): a body "
                "between the two is always refused as overloaded"
            )
            yield text, "Raise NEUMO_MAX_HELD_BYTES, or lower the other."
    if settings.deadline_s > settings.worker_timeout_s:
        text = (
            "NEUMO_DEADLINE_S is more than NEUMO_WORKER_TIMEOUT_S: a worker is replaced before its "
            "image is late"
        )
        yield text, "Make the timeout the longer one."
    cpus = count_cpus()
    threads = settings.worker_count * settings.reader_threads * settings.inference_threads
    if settings.workers > cpus or threads > _THREADS_A_CPU * cpus:
        text = (
            f"{settings.worker_count} worker(s), {settings.reader_threads} images each, "
            f"{settings.inference_threads} thread(s) an image, on {cpus} CPU(s): they wait for one "
            "another"
        )
        names = "NEUMO_WORKERS, NEUMO_THREADS and NEUMO_INFERENCE_THREADS"
        yield text, f"Unset {names}: they fit by default."
