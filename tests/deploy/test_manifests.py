"""deploy/kubernetes, rendered: every object fits the schema of its kind in every version in use."""

import copy
import subprocess
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError

from tests.conftest import ROOT
from tests.deploy.manifests import (
    FOLDER,
    KUSTOMIZED,
    VERSIONS,
    Manifest,
    check,
    find,
    needs_kustomize,
    render,
)

pytestmark = needs_kustomize


def test_the_versions_are_the_newest_there_are_schemas_of() -> None:
    assert len(VERSIONS) == 4
    assert [int(each.partition(".")[2]) for each in VERSIONS] == sorted(
        int(each.partition(".")[2]) for each in VERSIONS
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", KUSTOMIZED)
def test_every_object_fits_the_schema_of_its_kind(name: str, version: str) -> None:
    manifests = render(name)
    assert len(manifests) > 4
    for manifest in manifests:
        check(manifest, version)


def test_every_component_is_in_the_example_of_all() -> None:
    there = {f"../../components/{path.name}" for path in FOLDER.glob("components/*")}
    text = (FOLDER / "overlays" / "hospital" / "kustomization.yaml").read_text(encoding="utf-8")
    assert {line for line in there if f"- {line}\n" not in text} == set()


def test_the_how_to_names_every_kustomization_and_shows_how_it_is_rendered() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    assert "\nkubectl kustomize deploy/kubernetes/base\n" in page
    components = [f"components/{path.name}" for path in FOLDER.glob("components/*")]
    assert {name for name in (*KUSTOMIZED, *components) if f"`{name}`" not in page} == set()


BROKEN: list[tuple[str, str, str, list[str | int], Any]] = [
    ("base", "Deployment", "neumo", ["spec", "template", "spec", "enableServiceLink"], False),
    ("base", "Deployment", "neumo", ["spec", "minReadySeconds"], "5 s"),
    ("base", "Service", "neumo", ["spec", "ports", 0, "port"], "http"),
    ("base", "HorizontalPodAutoscaler", "neumo", ["spec", "behaviour"], {}),
    ("base", "NetworkPolicy", "neumo", ["spec", "ingress"], {"from": []}),
    ("overlays/hospital", "Ingress", "neumo-films", ["spec", "rules", 0, "http", "paths", 0], {}),
    ("overlays/hospital", "StatefulSet", "neumo", ["spec", "strategy"], {"type": "Recreate"}),
    ("overlays/hospital", "ServiceMonitor", "neumo", ["spec", "endpoints", 0, "interval"], "15"),
    ("overlays/hospital", "PrometheusRule", "neumo", ["spec", "groups", 0, "rule"], []),
    ("overlays/kserve", "InferenceService", "neumo", ["spec", "predictor", "replicas"], 2),
    ("overlays/kuberay", "RayService", "neumo", ["spec", "rayClusterConfig", "workers"], []),
    (
        "overlays/kuberay",
        "RayService",
        "neumo",
        ["spec", "rayClusterConfig", "headGroupSpec", "template", "spec", "hostNetworks"],
        True,
    ),
    (
        "overlays/kserve",
        "InferenceService",
        "neumo",
        ["spec", "predictor", "containers", 0, "imagePolicy"],
        "Always",
    ),
]


@pytest.mark.parametrize(
    ("name", "kind", "called", "path", "value"),
    BROKEN,
    ids=[f"{each[1]}-{each[3][-1]}" for each in BROKEN],
)
def test_a_field_that_is_wrong_or_unknown_is_found(
    name: str, kind: str, called: str, path: list[str | int], value: object
) -> None:
    manifest: Manifest = copy.deepcopy(find(render(name), kind, called))
    place: Any = manifest
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ValidationError):
        check(manifest, VERSIONS[-1])


CLIENTS = ROOT / ".venv-clients"


@pytest.mark.skipif(
    not (CLIENTS / "installed").exists(),
    reason="KServe's types are missing: make .venv-clients/installed",
)
def test_kserve_itself_knows_every_field_of_its_service() -> None:
    def looked_at(manifests: list[Manifest]) -> list[str]:
        command = [str(CLIENTS / "bin" / "python"), str(ROOT / "tests/deploy/kserve_types.py")]
        text = yaml.safe_dump_all(manifests)
        return subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=120, check=True
        ).stdout.splitlines()

    service = copy.deepcopy(find(render("overlays/kserve"), "InferenceService"))
    service["metadata"]["name"] = "broken"
    service["spec"]["predictor"]["containers"][0]["livenessProbes"] = {}
    service["spec"]["predictor"]["scaleMetrics"] = "cpu"
    assert looked_at([*render("overlays/kserve"), service]) == [
        "looked at",  # ours, of which nothing is unknown
        "looked at",
        ".spec.predictor.containers[0].livenessProbes",
        ".spec.predictor.scaleMetrics",
    ]
