"""Print each field of an InferenceService that KServe's own types don't know; run in .venv-clients.

kubectl kustomize deploy/kubernetes/overlays/kserve | python tests/deploy/kserve_types.py
"""

import sys
from typing import Any

import kserve.models
import kubernetes.client
import yaml


def unknown(value: Any, kind: str, path: str) -> list[str]:  # noqa: ANN401 - what YAML holds
    """Compare with what a class says of itself: its fields, and of which class each is."""
    if kind.startswith("list["):
        return [
            name
            for place, each in enumerate(value)
            for name in unknown(each, kind[5:-1], f"{path}[{place}]")
        ]
    known = getattr(kserve.models, kind, None) or getattr(kubernetes.client, kind, None)
    if known is None:  # a text, a number, or a dict of any
        return []
    fields = {spelled: field for field, spelled in known.attribute_map.items()}
    found = []
    for name, each in value.items():
        if name in fields:
            found += unknown(each, known.openapi_types[fields[name]], f"{path}.{name}")
        else:
            found.append(f"{path}.{name}")
    return found


for manifest in yaml.safe_load_all(sys.stdin):
    if manifest["kind"] == "InferenceService":
        lines = ["looked at", *unknown(manifest, "V1beta1InferenceService", "")]
        sys.stdout.writelines(f"{line}\n" for line in lines)
