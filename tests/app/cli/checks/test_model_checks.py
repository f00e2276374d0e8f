"""app.cli.checks.model_checks: the bundle as it would be served, and the acceptance."""

import json
from datetime import date
from pathlib import Path

import pytest

from app.cli.checks import model_checks
from app.cli.checks.finding import Finding
from app.cli.checks.model_checks import check_models
from app.model.bundle import find_bundle, read_bundle
from app.settings.settings import Settings
from tests.bundles import make_acceptance


def found_of(settings: Settings) -> dict[str, Finding]:
    findings, _ = check_models(settings)
    return {each.check: each for each in findings}


@pytest.mark.parametrize(("pays", "level"), [(True, "ok"), (False, "warn")])
def test_the_cpu_is_told_with_what_a_film_takes_on_it(
    pays: bool, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_checks, "has_dot_products", lambda: pays)
    monkeypatch.setattr(model_checks, "read_fp32", lambda *_: None)
    monkeypatch.setattr(model_checks, "time_run", lambda _: 0.0042)
    found = found_of(Settings())["cpu"]
    assert found.level == level
    assert found.text.endswith("auto takes int8: int8 4.2 ms a film")
    assert ("model.fp32.onnx" in found.advice) == (level == "warn")


def test_the_bundle_is_told_by_its_hash_and_its_day() -> None:
    card = read_bundle(find_bundle(Settings().model)).card
    findings, made = check_models(Settings())
    (bundle,) = (each for each in findings if each.check == "bundle")
    assert bundle.level == "ok"
    assert f"{card.name}, format {card.bundle_format}, sha256 {card.sha256[:12]}" in bundle.text
    assert made == date.fromisoformat(card.training.date)


@pytest.mark.parametrize(
    ("settings", "told", "advice"),
    [
        ({"model": "missing"}, "has no card.json", "NEUMO_MODEL"),
        ({"precision": "fp32"}, "has no model.fp32.onnx", ""),
    ],
)
def test_a_bundle_that_can_not_be_served_fails(
    settings: dict[str, str], told: str, advice: str, tmp_path: Path
) -> None:
    if "precision" in settings:
        bundle = find_bundle(Settings().model)
        for name in ("card.json", "model.onnx"):
            (tmp_path / name).write_bytes((bundle / name).read_bytes())
        settings = settings | {"model": str(tmp_path)}
    findings, made = check_models(Settings(**settings))  # type: ignore[arg-type]
    (only,) = findings
    assert (only.check, only.level, made) == ("bundle", "fail", None)
    assert told in only.text
    assert advice in only.advice


@pytest.mark.parametrize(
    ("changes", "level", "told"),
    [
        ({}, "ok", "of North wing, 2026-11-28, 100 films"),
        ({"certainty": None}, "warn", "nothing to rely on was shown"),
        ({"sha256": "0" * 64}, "fail", "measured with another model"),
    ],
)
def test_the_acceptance_is_read_as_the_service_reads_it(
    changes: dict[str, object], level: str, told: str, tmp_path: Path
) -> None:
    graph = read_bundle(find_bundle(Settings().model)).graph
    path = tmp_path / "ours.json"
    path.write_text(json.dumps(make_acceptance(graph, **changes)), encoding="utf-8")
    found = found_of(Settings(acceptance=str(path)))["acceptance"]
    assert found.level == level
    assert told in found.text


def test_an_acceptance_of_another_model_beside_several_is_told(tmp_path: Path) -> None:
    (tmp_path / "ours.json").write_text(json.dumps(make_acceptance()), encoding="utf-8")
    found = found_of(Settings(acceptance=str(tmp_path)))["acceptance"]
    assert found.level == "warn"
    assert found.text.startswith("none is of neumo-")


def test_further_bundles_are_loaded_too_and_one_that_is_not_there_is_no_end() -> None:
    findings, made = check_models(Settings(models="neumo-r18-2,missing"))
    bundles = [each for each in findings if each.check == "bundle"]
    assert [each.level for each in bundles] == ["ok", "ok", "warn"]
    assert bundles[1].text.startswith("neumo-r18-2, format")
    assert "'missing' has no card.json" in bundles[2].text
    assert made is not None
