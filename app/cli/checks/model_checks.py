"""The models that would be served: bundles, how fast one is here, the hospital's acceptance."""

from datetime import date

from app.cli.checks.finding import Finding
from app.errors import BundleError
from app.machine import cpu_name, has_dot_products
from app.model.bundle import find_bundle, read_bundle, read_fp32
from app.model.load import load_model, time_run
from app.model.measured.acceptance_search import find_acceptance
from app.model.session import OnnxModel
from app.settings.settings import Settings


def check_models(settings: Settings) -> tuple[list[Finding], date | None]:
    """Load each bundle as the service would; return what was found, and when the first was made.

    The service serves without one of the further bundles, not without the first.
    """
    active, *further = settings.bundles
    try:
        model = _load(settings, active)
    except BundleError as error:
        found, made = [Finding("bundle", "fail", *_sentences(error))], None
    else:
        found = [_check_cpu(settings, model), _describe(model), _check_acceptance(settings, model)]
        made = date.fromisoformat(model.card.training.date)
    for name in further:
        try:
            found.append(_describe(_load(settings, name)))
        except BundleError as error:
            found.append(Finding("bundle", "warn", *_sentences(error)))
    return found, made


def _load(settings: Settings, name: str) -> OnnxModel:
    return load_model(
        name,
        settings.precision,
        settings.inference_threads,
        priors_needed=settings.label_priors is not None,
        signatures=settings.signature_rule,
    )


def _describe(model: OnnxModel) -> Finding:
    card = model.card
    told = f"{card.name}, format {card.bundle_format}, sha256 {card.sha256[:12]}"
    return Finding("bundle", "ok", f"{told}; {len(card.known_answers)} known answers are given")


def _check_cpu(settings: Settings, model: OnnxModel) -> Finding:
    """Time the graph that is served and, where there is one, the other."""
    path = find_bundle(settings.model)
    bundle = read_bundle(path)
    exact = read_fp32(path, bundle)
    served = "int8" if model.card.sha256 == bundle.card.sha256 else "fp32"
    times = {served: time_run(model)}
    threads = settings.inference_threads
    if served == "fp32":
        times["int8"] = time_run(OnnxModel(bundle, threads))
    elif exact is not None:
        times["fp32"] = time_run(OnnxModel(exact, threads))
    pays = has_dot_products()
    told = (
        f"{cpu_name()}, {'with' if pays else 'without'} dot products of bytes (VNNI, dotprod); "
        f"{settings.precision} takes {served}: "
        + ", ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in times.items())
        + " a film"
    )
    if min(times, key=lambda name: times[name]) != served and settings.precision != "auto":
        return Finding("cpu", "warn", told, "Set NEUMO_PRECISION=auto: it takes the faster.")
    if not pays and exact is None and settings.precision == "auto":
        advice = "Put model.fp32.onnx of the same run beside model.onnx: here it may be faster."
        return Finding("cpu", "warn", told, advice)
    return Finding("cpu", "ok", told)


def _check_acceptance(settings: Settings, model: OnnxModel) -> Finding:
    if not settings.acceptance:
        return Finding(
            "acceptance",
            "warn",
            "none: every answer says that nobody has shown the model to be reliable here",
            "neumo accept --data FOLDER --out FILE, then NEUMO_ACCEPTANCE=FILE.",
        )
    try:
        alone = len(settings.bundles) == 1
        priors = settings.label_priors
        acceptance = find_acceptance(settings.acceptance, model, priors, needed=alone)
    except BundleError as error:
        return Finding("acceptance", "fail", *_sentences(error))
    if acceptance is None:
        advice = (
            f"neumo accept --model {model.card.name} --data FOLDER --out FILE beside the others."
        )
        return Finding("acceptance", "warn", f"none is of {model.card.name}", advice)
    told = f"of {acceptance.site}, {acceptance.date}, {acceptance.images} films"
    if acceptance.certainty is None:
        advice = "Measure on more films with neumo accept."
        return Finding("acceptance", "warn", f"{told}: nothing to rely on was shown", advice)
    return Finding("acceptance", "ok", told)


def _sentences(error: BundleError) -> tuple[str, str]:
    """Return what is wrong and what to do, the error's sentences."""
    what, _, advice = error.detail("en").partition(". ")
    return what.rstrip("."), advice
