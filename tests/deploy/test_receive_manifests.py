"""components/pacs: neumo receive beside its settings, Compose's and the pod of base."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import app
from app.cli.command import COMMANDS
from app.settings.settings import Settings
from tests.conftest import ROOT
from tests.deploy.manifests import find, needs_kustomize, pod_of, render

pytestmark = needs_kustomize

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
SETTINGS = "neumo-receive-settings"


@pytest.fixture(scope="module")
def manifests() -> list[dict[str, Any]]:
    return [
        each
        for each in render("overlays/hospital")
        if each["metadata"]["name"].startswith("neumo-receive")
    ]


@pytest.fixture(scope="module")
def receive(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = find(manifests, "StatefulSet", "neumo-receive")["spec"]
    return found


@pytest.fixture
def settings(manifests: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for variable, value in find(manifests, "ConfigMap", SETTINGS)["data"].items():
        assert variable.removeprefix("NEUMO_").lower() in Settings.model_fields
        monkeypatch.setenv(variable, value)
    return Settings()


def test_one_pod_holds_the_queue_and_its_rights_are_those_of_the_service(
    receive: dict[str, Any],
) -> None:
    assert receive["replicas"] == 1
    pod, served = receive["template"]["spec"], pod_of("base")
    for each in ("securityContext", "automountServiceAccountToken", "enableServiceLinks"):
        assert pod[each] == served[each]
    (container,), (ordinary,) = pod["containers"], served["containers"]
    assert container["securityContext"] == ordinary["securityContext"]
    assert container["image"] == f"registry.example.org/neumo:{app.__version__}"
    assert container["resources"]["requests"] == container["resources"]["limits"]


def test_it_is_called_bounded_and_asked_as_in_compose(receive: dict[str, Any]) -> None:
    pod, compose = receive["template"]["spec"], COMPOSE["receive"]
    (container,) = pod["containers"]
    assert container["args"] == compose["command"] == ["receive"]
    assert set(container["args"]) <= set(COMMANDS)
    assert f"{pod['terminationGracePeriodSeconds']}s" == compose["stop_grace_period"]
    limits = compose["deploy"]["resources"]["limits"]
    assert container["resources"]["limits"] == {
        "cpu": limits["cpus"],
        "memory": f"{limits['memory'].upper()}i",
    }
    asked = ["CMD", *container["readinessProbe"]["exec"]["command"]]
    assert asked == compose["healthcheck"]["test"]
    (tmp,) = (each["emptyDir"] for each in pod["volumes"] if "emptyDir" in each)
    assert tmp["medium"] == "Memory"
    (size,) = re.findall(r"^/tmp:size=(\d+)m", compose["tmpfs"][0])
    assert tmp["sizeLimit"] == f"{size}Mi"


def test_ports_graces_and_volume_are_those_of_the_settings(
    receive: dict[str, Any], manifests: list[dict[str, Any]], settings: Settings
) -> None:
    pod = receive["template"]["spec"]
    (container,) = pod["containers"]
    assert container["ports"] == [{"name": "dicom", "containerPort": settings.dicom_port}]
    (port,) = find(manifests, "Service", "neumo-receive")["spec"]["ports"]
    assert port["targetPort"] == "dicom"
    assert pod["terminationGracePeriodSeconds"] > settings.shutdown_grace_s
    (claim,) = receive["volumeClaimTemplates"]
    size = claim["spec"]["resources"]["requests"]["storage"]
    assert int(size.removesuffix("Gi")) * 2**30 > 1.1 * settings.exchange_bytes
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    assert Path(settings.exchange_folder).parent == Path(mounts[claim["metadata"]["name"]])
    memory = int(container["resources"]["limits"]["memory"].removesuffix("Gi")) * 2**30
    assert memory > settings.dicom_memory_bytes + settings.worker_peak_bytes


def test_who_sends_shows_a_certificate_and_a_title(settings: Settings) -> None:
    assert settings.dicom_callers
    assert settings.dicom_insecure_no_tls is False
    assert settings.dicom_tls_cert_file
    assert settings.dicom_tls_ca_file
    assert all(each.startswith("dicoms://") for each in settings.partners.split(","))


def test_files_that_settings_name_are_mounted(
    receive: dict[str, Any], manifests: list[dict[str, Any]]
) -> None:
    pod = receive["template"]["spec"]
    mounts = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    there = {
        f"{mounts[volume['name']]}/{item['path']}"
        for volume in pod["volumes"]
        for item in volume.get("secret", {}).get("items", [])
    }
    named = json.dumps(find(manifests, "ConfigMap", SETTINGS)["data"])
    assert set(re.findall(r"/run/secrets/[\w./-]+", named)) == there


def test_only_the_archive_reaches_it_and_is_reached(
    manifests: list[dict[str, Any]], settings: Settings
) -> None:
    policy = find(manifests, "NetworkPolicy", "neumo-receive")["spec"]
    (incoming,) = policy["ingress"]
    assert incoming["from"] == policy["egress"][0]["to"]
    (port,) = policy["egress"][0]["ports"]
    assert settings.partners.endswith(f":{port['port']}")
