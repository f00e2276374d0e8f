"""Schemas of the custom resources that deploy/kubernetes uses: the fields it uses, and no others.

kubernetes-validate knows Kubernetes' own kinds only. Written from the types of Prometheus Operator
0.80 (monitoring/v1), KServe 0.16 (serving/v1beta1) and KubeRay 1.3 (ray/v1): names, types, what is
required. Pods in them are Kubernetes' own, by its definitions.
"""

from collections.abc import Iterable
from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TEXTS: Schema = {"type": "object", "additionalProperties": _TEXT}
_DURATION: Schema = {"type": "string", "pattern": r"^(0|(([0-9]+)(y|w|d|h|m|s|ms))+)$"}


def _object(required: list[str], **properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of, "minItems": 1}


def _of(name: str) -> Schema:
    return {"$ref": f"/api/_definitions.json#/$defs/io.k8s.{name}"}


_SECRET_KEY = _of("api.core.v1.SecretKeySelector")
_SERVICE_MONITOR = _object(
    ["selector", "endpoints"],
    jobLabel=_TEXT,
    selector=_of("apimachinery.pkg.apis.meta.v1.LabelSelector"),
    endpoints=_list(
        _object(
            [],
            port=_TEXT,
            path=_TEXT,
            scheme={"enum": ["http", "https"]},
            interval=_DURATION,
            scrapeTimeout=_DURATION,
            authorization=_object([], type=_TEXT, credentials=_SECRET_KEY),
        )
    ),
)
_RULE: Schema = {
    **_object(
        ["expr"],
        alert=_TEXT,
        record=_TEXT,
        expr={"type": ["string", "integer"]},
        labels=_TEXTS,
        annotations=_TEXTS,
        **{"for": _DURATION},
    ),
    "oneOf": [{"required": ["alert"]}, {"required": ["record"]}],
}
_RULES = _object([], groups=_list(_object(["name"], name=_TEXT, rules=_list(_RULE))))

_RAY_GROUP: dict[str, Schema] = {
    "rayStartParams": _TEXTS,
    "template": _of("api.core.v1.PodTemplateSpec"),
}
_RAY_SERVICE = _object(
    ["serveConfigV2", "rayClusterConfig"],
    serveConfigV2=_TEXT,
    rayClusterConfig=_object(
        ["headGroupSpec"],
        rayVersion=_TEXT,
        enableInTreeAutoscaling={"type": "boolean"},
        headGroupSpec=_object(["rayStartParams", "template"], **_RAY_GROUP),
        workerGroupSpecs=_list(
            _object(
                ["groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"],
                groupName=_TEXT,
                replicas=_COUNT,
                minReplicas=_COUNT,
                maxReplicas=_COUNT,
                **_RAY_GROUP,
            )
        ),
    ),
)


def _inference_service(pod_fields: Iterable[str]) -> Schema:
    """KServe puts its own fields among a pod's."""
    pod = _of("api.core.v1.PodSpec")["$ref"]
    predictor = _object(
        ["containers"],
        **{name: {"$ref": f"{pod}/properties/{name}"} for name in pod_fields},
        minReplicas=_COUNT,
        maxReplicas=_COUNT,
        scaleTarget=_COUNT,
        scaleMetric={"enum": ["cpu", "memory", "concurrency", "rps"]},
        timeout=_COUNT,
        labels=_TEXTS,
        deploymentStrategy=_of("api.apps.v1.DeploymentStrategy"),
    )
    return _object(["predictor"], predictor=predictor)


def schema_of(kind: str, pod_fields: Iterable[str]) -> Schema:
    """Return the schema of a custom resource, to be read beside Kubernetes' definitions.

    Parameters
    ----------
    kind : with its group and version, as ray.io/v1/RayService
    pod_fields : what a pod has in the version of Kubernetes

    Raises
    ------
    KeyError : for a kind that isn't known
    """
    spec = {
        "monitoring.coreos.com/v1/ServiceMonitor": _SERVICE_MONITOR,
        "monitoring.coreos.com/v1/PrometheusRule": _RULES,
        "ray.io/v1/RayService": _RAY_SERVICE,
        "serving.kserve.io/v1beta1/InferenceService": _inference_service(pod_fields),
    }[kind]
    return {
        **_object(
            ["apiVersion", "kind", "metadata", "spec"],
            apiVersion=_TEXT,
            kind=_TEXT,
            metadata=_of("apimachinery.pkg.apis.meta.v1.ObjectMeta"),
            spec=spec,
        ),
        "$id": f"https://kubernetes.io/api/{kind}",
        "$schema": "https://json-schema.org/draft/2020-12/schema",
    }
