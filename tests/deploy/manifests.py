"""The manifests as a cluster gets them: kustomizations rendered, objects checked by schemas."""

import re
import shutil
import subprocess
from functools import cache
from typing import Any, Final

import pytest
import yaml
from jsonschema import Draft202012Validator
from kubernetes_validate.utils import all_versions, major_minor, schema_contents
from referencing import Registry, Resource

from tests.conftest import ROOT
from tests.deploy.custom_resources import schema_of

Manifest = dict[str, Any]

FOLDER: Final = ROOT / "deploy" / "kubernetes"
KUSTOMIZED: Final = (
    "base",
    *(f"overlays/{path.name}" for path in sorted(FOLDER.glob("overlays/*"))),
)
WORKLOADS: Final = ("Deployment", "StatefulSet", "InferenceService")
VERSIONS: Final = tuple(dict.fromkeys(major_minor(each) for each in all_versions()))[-4:]
"""Of Kubernetes: three are maintained at a time, and one more for clusters that lag behind."""

_TOOL: Final = shutil.which("kubectl"), shutil.which("kustomize")
needs_kustomize: Final = pytest.mark.skipif(
    not any(_TOOL), reason="needs kubectl (1.27 or newer) or kustomize, which Debian has too old"
)


@cache
def render(name: str) -> list[Manifest]:
    """Return a kustomization's objects as `kubectl apply -k` sends them; not to be changed."""
    kubectl, kustomize = _TOOL
    command = [kubectl, "kustomize"] if kubectl else [str(kustomize), "build"]
    result = subprocess.run(
        [*command, str(FOLDER / name)], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert not result.stderr, result.stderr  # of what is deprecated
    loaded = yaml.load_all(result.stdout, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return [manifest for manifest in loaded if manifest]


def find(manifests: list[Manifest], kind: str, name: str = "neumo") -> Manifest:
    """Return the one object of a kind and name; a generated name counts without its hash."""
    (found,) = (
        each
        for each in manifests
        if each["kind"] == kind
        and each["metadata"]["name"].startswith(name)
        and (kind == "ConfigMap" or each["metadata"]["name"] == name)
    )
    return found


def workload(name: str) -> Manifest:
    """Return what makes a kustomization's pods."""
    (found,) = (
        each
        for each in render(name)
        if each["kind"] in WORKLOADS and each["metadata"]["name"] == "neumo"
    )
    return found


def pod_of(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = workload(name)["spec"]
    pod: dict[str, Any] = spec.get("predictor") or spec["template"]["spec"]
    return pod


def container_of(name: str) -> dict[str, Any]:
    (container,) = pod_of(name)["containers"]
    found: dict[str, Any] = container
    return found


def check(manifest: Manifest, version: str) -> None:
    """Check an object by the schema of its kind: no field is wrong, and none is unknown.

    Raises
    ------
    jsonschema.ValidationError
    """
    schema, registry = _schema(manifest["apiVersion"], manifest["kind"], version)
    Draft202012Validator(schema, registry=registry).validate(manifest)


@cache
def _schema(api: str, kind: str, version: str) -> tuple[dict[str, Any], "Registry[Any]"]:
    """Return what kubernetes-validate bundles of Kubernetes' own kinds; ours of all others."""
    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    definitions = _definitions(version)
    try:
        group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api)
        schema = schema_contents(f"{folder}/{kind.lower()}-{group}.json", version)
    except FileNotFoundError:
        pod = definitions["$defs"]["io.k8s.api.core.v1.PodSpec"]["properties"]
        schema = schema_of(f"{api}/{kind}", pod)
    resources = [Resource.from_contents(each) for each in (schema, definitions)]
    return schema, Registry().with_resources((each.id() or "", each) for each in resources)


@cache
def _definitions(version: str) -> dict[str, Any]:
    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    contents: dict[str, Any] = schema_contents(f"{folder}/_definitions.json", version)
    return contents
