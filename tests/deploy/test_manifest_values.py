"""Values that stand twice: manifests beside settings, Dockerfile, routes, alerts, nginx."""

import json
import re
from pathlib import Path

import pytest
import yaml

import app
from app.http.route_scopes import ROUTE_SCOPES
from app.settings import settings as settings_module
from app.settings.settings import Settings
from tests.conftest import ROOT
from tests.deploy.manifests import (
    FOLDER,
    KUSTOMIZED,
    container_of,
    find,
    needs_kustomize,
    pod_of,
    render,
    workload,
)
from tools.alert_rules import RULES, render_rules

pytestmark = needs_kustomize

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
EXPOSED = re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)[0].split()
MEBI = 2**20


def settings_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return the settings that a pod gets from its ConfigMap and its container's variables."""
    for variable, value in find(render(name), "ConfigMap", "neumo-settings")["data"].items():
        monkeypatch.setenv(variable, value)
    return Settings()


SERVED = [name for name in KUSTOMIZED if name != "overlays/kuberay"]


@pytest.mark.parametrize("name", SERVED)
def test_a_pod_has_no_root_no_rights_and_nothing_to_write_on(name: str) -> None:
    pod, container = pod_of(name), container_of(name)
    (user,) = re.findall(r"^USER (\d+):\1$", DOCKERFILE, re.MULTILINE)
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert {security[key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {int(user)}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(pod)
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    # What is not memory is a Secret, read-only, or a volume of its own.
    mounts = {each["name"]: each for each in container["volumeMounts"]}
    for volume in pod["volumes"]:
        assert "secret" in volume or volume["emptyDir"]["medium"] == "Memory"
        assert "secret" not in volume or mounts[volume["name"]]["readOnly"] is True


@pytest.mark.parametrize("name", SERVED)
def test_kubernetes_sets_no_variable_that_neumo_takes_for_its_port(name: str) -> None:
    assert pod_of(name)["enableServiceLinks"] is False


@pytest.mark.parametrize("name", SERVED)
def test_the_image_is_this_version_and_never_the_latest(name: str) -> None:
    assert container_of(name)["image"] == f"registry.example.org/neumo:{app.__version__}"


@pytest.mark.parametrize("name", SERVED)
def test_the_settings_are_settings_and_secrets_are_files_that_are_mounted(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = container_of(name)
    assert container["envFrom"] == [
        {
            "configMapRef": {
                "name": find(render(name), "ConfigMap", "neumo-settings")["metadata"]["name"]
            }
        }
    ]
    data = find(render(name), "ConfigMap", "neumo-settings")["data"]
    assert {each.removeprefix("NEUMO_").lower() for each in data} <= set(Settings.model_fields)
    settings_of(name, monkeypatch)
    pod = pod_of(name)
    secrets = {each["name"]: each["secret"] for each in pod["volumes"] if "secret" in each}
    mounted = {
        str(Path(mount["mountPath"]) / item["path"])
        for mount in container["volumeMounts"]
        for item in secrets.get(mount["name"], {}).get("items", [])
    }
    named = set(re.findall(r"/run/secrets/[\w./-]+", json.dumps(data)))
    assert named
    assert named <= mounted


@pytest.mark.parametrize("name", SERVED)
def test_ports_and_probes_are_those_of_the_service(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = container_of(name)
    port = settings_of(name, monkeypatch).port
    assert container["ports"] == [{"name": "http", "containerPort": port}]
    assert str(port) in EXPOSED
    for probe in ("startup", "readiness", "liveness"):
        asked = container[f"{probe}Probe"]["httpGet"]
        assert asked["port"] == "http"
        assert ROUTE_SCOPES[asked["path"]] is None
    paths = [
        container[f"{each}Probe"]["httpGet"]["path"]
        for each in ("startup", "readiness", "liveness")
    ]
    assert paths == ["/health/startup", "/health/ready", "/health/live"]


@pytest.mark.parametrize("name", SERVED)
def test_a_pod_gets_the_time_to_drain_and_is_left_out_before_it_stops(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(name, monkeypatch)
    pod, container = pod_of(name), container_of(name)
    # The supervisor waits 3 s more before it uses force.
    needed_s = settings.drain_delay_s + settings.shutdown_grace_s + 3
    assert pod["terminationGracePeriodSeconds"] > needed_s
    ready = container["readinessProbe"]
    seen_s = ready["periodSeconds"] * ready["failureThreshold"] + ready["timeoutSeconds"]
    assert seen_s < settings.drain_delay_s
    alive = container["livenessProbe"]
    assert alive["periodSeconds"] * alive["failureThreshold"] > settings.worker_timeout_s
    assert "lifecycle" not in container


@pytest.mark.parametrize("name", SERVED)
def test_a_replica_has_a_worker_for_each_cpu_and_memory_for_their_peaks(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = container_of(name)["resources"]
    assert resources["requests"] == resources["limits"]  # the class Guaranteed
    cpus, memory = int(resources["limits"]["cpu"]), resources["limits"]["memory"]
    assert memory.endswith("Gi")
    memory_bytes = int(memory.removesuffix("Gi")) * 1024 * MEBI
    monkeypatch.setattr(settings_module, "count_cpus", lambda: cpus)
    monkeypatch.setattr(settings_module, "memory_bytes", lambda: memory_bytes)
    settings = settings_of(name, monkeypatch)
    assert settings.worker_count == cpus
    in_memory = sum(
        int(volume["emptyDir"]["sizeLimit"].removesuffix("Mi")) * MEBI
        for volume in pod_of(name)["volumes"]
        if "emptyDir" in volume
    )
    assert cpus * settings.worker_peak_bytes + in_memory < memory_bytes
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    limits = compose["services"]["neumo"]["deploy"]["resources"]["limits"]
    assert (int(limits["cpus"]), f"{limits['memory'].upper()}i") == (cpus, memory)


def test_pods_are_found_by_what_is_to_find_them() -> None:
    for name in SERVED:
        manifests = render(name)
        spec = workload(name)["spec"]
        labels = (spec["predictor"] if "predictor" in spec else spec["template"]["metadata"])[
            "labels"
        ]
        selectors = [
            each["spec"].get("selector") or each["spec"].get("podSelector")
            for each in manifests
            if each["kind"] in ("Service", "PodDisruptionBudget", "NetworkPolicy")
            and each["metadata"]["name"] != "neumo-receive"
        ]
        assert len(selectors) >= 2
        for selector in selectors:
            assert selector.get("matchLabels", selector).items() <= labels.items()


def test_an_update_takes_no_replica_away_before_there_is_another() -> None:
    rolling = {"maxUnavailable": 0, "maxSurge": 1}
    assert workload("base")["spec"]["strategy"]["rollingUpdate"] == rolling
    predictor = workload("overlays/kserve")["spec"]["predictor"]
    assert predictor["deploymentStrategy"]["rollingUpdate"] == rolling


def test_the_autoscaler_scales_what_there_is() -> None:
    for name in ("base", "overlays/hospital"):
        scaler, scaled = find(render(name), "HorizontalPodAutoscaler"), workload(name)
        assert scaler["spec"]["scaleTargetRef"] == {
            "apiVersion": scaled["apiVersion"],
            "kind": scaled["kind"],
            "name": scaled["metadata"]["name"],
        }
        assert "replicas" not in scaled["spec"]
        assert scaler["spec"]["minReplicas"] >= 2


def test_the_autoscaler_asks_for_a_metric_that_the_adapter_gives_and_neumo_has() -> None:
    metrics = find(render("overlays/hospital"), "HorizontalPodAutoscaler")["spec"]["metrics"]
    (asked,) = (each["pods"]["metric"]["name"] for each in metrics if each["type"] == "Pods")
    rules = yaml.safe_load((FOLDER / "components/queue-scaling/adapter-rules.yaml").read_text())
    assert [each["name"]["as"] for each in rules["rules"]["custom"]] == [asked]
    assert f"`{asked}`" in (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")


def test_the_alerts_are_those_that_promtool_tests() -> None:
    def words(rules: object) -> str:  # kustomize breaks long expressions at other places
        return re.sub(r"(?:\\n|\s)+", " ", json.dumps(rules, sort_keys=True))

    rules = find(render("overlays/hospital"), "PrometheusRule")["spec"]
    alerts = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
    assert words(rules) == words(alerts)
    assert len(rules["groups"][0]["rules"]) > 20
    assert RULES.read_text(encoding="utf-8") == render_rules(), "make reference"


def test_prometheus_asks_as_the_alerts_and_the_service_expect() -> None:
    manifests = render("overlays/hospital")
    monitor = find(manifests, "ServiceMonitor")["spec"]
    service = find(manifests, "Service")
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "neumo"  # job="neumo"
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in [each["name"] for each in service["spec"]["ports"]]
    assert ROUTE_SCOPES[endpoint["path"]] == "metrics"
    assert endpoint["authorization"]["credentials"]["name"] == "neumo-metrics-key"


def paths_of(name: str) -> list[tuple[str, str]]:
    """Return the paths of an Ingress, with how they are compared."""
    (rule,) = find(render("overlays/hospital"), "Ingress", name)["spec"]["rules"]
    return [(each["path"], each["pathType"]) for each in rule["http"]["paths"]]


def is_let_through(route: str, paths: list[tuple[str, str]]) -> bool:
    return any(
        route == path or (kind == "Prefix" and route.startswith(f"{path}/")) for path, kind in paths
    )


CLOSED = {route for route, scope in ROUTE_SCOPES.items() if scope in ("metrics", "admin")}


def test_the_ingress_lets_through_what_callers_ask_for_and_nothing_of_operators() -> None:
    paths = paths_of("neumo-films") + paths_of("neumo-batches")
    assert {"/metrics", "/performance"} < CLOSED
    assert {route for route in CLOSED if is_let_through(route, paths)} == set()
    assert {
        route for route in set(ROUTE_SCOPES) - CLOSED if not is_let_through(route, paths)
    } == set()


def test_the_ingress_takes_bodies_as_large_as_neumo_does(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of("overlays/hospital", monkeypatch)
    nginx = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    for name, most in (
        ("neumo-films", settings.max_body_bytes),
        ("neumo-batches", settings.max_batch_body_bytes),
    ):
        said = find(render("overlays/hospital"), "Ingress", name)["metadata"]["annotations"]
        size = f"{most >> 20}m"
        for annotation in (
            "nginx.org/client-max-body-size",
            "nginx.org/client-body-buffer-size",
            "nginx.ingress.kubernetes.io/proxy-body-size",
        ):
            assert said[annotation] == size
        assert f"client_max_body_size {size};" in nginx
        assert said["nginx.ingress.kubernetes.io/proxy-request-buffering"] == "off"
        read_s = said["nginx.ingress.kubernetes.io/proxy-read-timeout"]
        assert said["nginx.org/proxy-read-timeout"] == f"{read_s}s"
        assert f"proxy_read_timeout {read_s}s;" in nginx
        assert float(read_s) > settings.deadline_s
    large = [path for path, _ in paths_of("neumo-batches")]
    for location in re.findall(r"location (?:= )?(/[\w/]+?)/? \{\s+client_max_body_size", nginx):
        assert location in large


def test_every_ingress_is_of_one_host_with_tls() -> None:
    ingresses = [each for each in render("overlays/hospital") if each["kind"] == "Ingress"]
    assert {each["spec"]["rules"][0]["host"] for each in ingresses} == {"neumo.example.org"}
    master = find(ingresses, "Ingress")
    assert master["spec"]["tls"] == [{"hosts": ["neumo.example.org"], "secretName": "neumo-tls"}]
    kinds = [
        each["metadata"]["annotations"]["nginx.org/mergeable-ingress-type"] for each in ingresses
    ]
    assert sorted(kinds) == ["master", "minion", "minion"]


def test_neumo_calls_nobody_but_where_a_component_says_so() -> None:
    (alone,) = (each for each in render("base") if each["kind"] == "NetworkPolicy")
    assert alone["spec"]["egress"] == []
    assert alone["spec"]["policyTypes"] == ["Ingress", "Egress"]
    opened = {
        each["metadata"]["name"]
        for each in render("overlays/hospital")
        if each["kind"] == "NetworkPolicy" and each["spec"].get("egress")
    }
    assert opened == {"neumo-to-database", "neumo-receive"}


def test_kserves_pod_is_the_same_pod() -> None:
    pod, container = dict(pod_of("base")), dict(container_of("base"))
    other, inner = dict(pod_of("overlays/kserve")), dict(container_of("overlays/kserve"))
    for own in ("containers", "topologySpreadConstraints"):
        pod.pop(own)
    assert {key: other.get(key) for key in pod} == pod
    assert container.pop("name") == "neumo"
    assert inner.pop("name") == "kserve-container"
    assert inner == container
    scaler = find(render("base"), "HorizontalPodAutoscaler")["spec"]
    assert [other[key] for key in ("minReplicas", "maxReplicas", "scaleTarget")] == [
        scaler["minReplicas"],
        scaler["maxReplicas"],
        scaler["metrics"][0]["resource"]["target"]["averageUtilization"],
    ]


def test_the_audit_trail_lies_in_a_volume_of_each_replicas_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = workload("overlays/hospital")["spec"]
    (claim,) = spec["volumeClaimTemplates"]
    container = container_of("overlays/hospital")
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    settings = settings_of("overlays/hospital", monkeypatch)
    folder = Path(settings.audit_folder)
    # In a folder of Neumo's own: the volume is the group's.
    assert folder.parent == Path(mounts[claim["metadata"]["name"]])
    assert str(folder.parent) in DOCKERFILE
    size = claim["spec"]["resources"]["requests"]["storage"]
    cpus = int(container["resources"]["limits"]["cpu"])
    assert int(size.removesuffix("Gi")) * 2**30 > 2 * cpus * settings.audit_spool_bytes
    assert settings.audit_database.startswith("postgresql://")
    assert "sslmode=verify-full" in settings.audit_database
    assert (
        find(render("overlays/hospital"), "Service", spec["serviceName"])["spec"]["clusterIP"]
        == "None"
    )
