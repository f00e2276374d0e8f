"""overlays/kuberay: Ray Serve's application beside deploy/ray, its pods beside those of base."""

import json
import re
from typing import Any

import pytest
import yaml

import app
from app.score.engines.ray_cluster import _BOOTSTRAP, _QUIET
from app.settings.settings import Settings
from tests.conftest import ROOT
from tests.deploy.manifests import FOLDER, container_of, find, needs_kustomize, pod_of, render

pytestmark = needs_kustomize

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
RAY_SERVE = ROOT / "deploy" / "ray" / "neumo.yaml"
RAY_LOCK = ROOT / "requirements" / "ray.txt"
PAGE = (ROOT / "docs" / "ray.md").read_text(encoding="utf-8")
QUIET = dict(re.findall(r"^export (RAY_USAGE_\w+)=(\S+)", PAGE, re.MULTILINE))
"""What keeps Ray from telling of itself; tests/ray watches that it does."""


def ray_groups() -> list[dict[str, Any]]:
    """Return the groups of a Ray cluster's pods: the head, and those that read."""
    cluster = find(render("overlays/kuberay"), "RayService")["spec"]["rayClusterConfig"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def test_rays_pods_have_the_same_rights_and_settings_and_a_film_stays_in_memory() -> None:
    data = find(render("overlays/kuberay"), "ConfigMap", "neumo-settings")["metadata"]["name"]
    for group in ray_groups():
        pod, plain = group["template"]["spec"], pod_of("base")
        (container,), ordinary = pod["containers"], container_of("base")
        for each in (
            "securityContext",
            "automountServiceAccountToken",
            "enableServiceLinks",
            "terminationGracePeriodSeconds",
        ):
            assert pod[each] == plain[each]
        assert container["securityContext"] == ordinary["securityContext"]
        assert container["envFrom"] == [{"configMapRef": {"name": data}}]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert {each["name"]: each["value"] for each in container["env"]} == QUIET
        assert group["template"]["metadata"]["labels"] == {"app.kubernetes.io/name": "neumo"}
        assert [each for each in pod["volumes"] if "secret" in each] == [
            each for each in plain["volumes"] if "secret" in each
        ]
        assert {each["emptyDir"]["medium"] for each in pod["volumes"] if "emptyDir" in each} == {
            "Memory"
        }


def test_ray_is_kept_quiet_wherever_neumo_starts_it() -> None:
    assert len(QUIET) == 2
    assert QUIET.items() <= _QUIET.items()
    dockerfile = (FOLDER / "overlays" / "kuberay" / "Dockerfile").read_text(encoding="utf-8")
    (told,) = re.findall(r"^ENV ((?:.*\\\n)*.*)$", dockerfile, re.MULTILINE)
    variables = dict(each.split("=", 1) for each in told.replace("\\\n", "").split())
    assert QUIET.items() <= variables.items()
    (name,) = re.findall(r"^echo '\{\}' > ~/(\S+)", PAGE, re.MULTILINE)
    assert name == _BOOTSTRAP
    assert f"RUN echo '{{}}' > {variables['HOME']}/{name}\n" in dockerfile
    # A volume over the home folder would hide the file.
    for group in ray_groups():
        (container,) = group["template"]["spec"]["containers"]
        mounts = {each["mountPath"] for each in container["volumeMounts"]}
        assert not [each for each in mounts if variables["HOME"].startswith(each)]


def test_one_of_rays_pods_at_a_time_may_be_evicted() -> None:
    """A RayCluster has no subresource scale, so only an integer minAvailable lets any pod go."""
    budget = find(render("overlays/kuberay"), "PodDisruptionBudget")["spec"]
    assert "maxUnavailable" not in budget
    pods = sum(int(group.get("replicas", 1)) for group in ray_groups())
    assert budget["minAvailable"] == pods - 1
    for group in ray_groups():
        assert budget["selector"]["matchLabels"] == group["template"]["metadata"]["labels"]


def test_only_rays_own_pods_and_its_operator_reach_rays_ports() -> None:
    policies = [each for each in render("overlays/kuberay") if each["kind"] == "NetworkPolicy"]
    reached = {
        port["port"]
        for policy in policies
        for rule in policy["spec"]["ingress"]
        for port in rule.get("ports", [{"port": "every"}])
        if "kuberay-operator" not in json.dumps(rule) and "podSelector" not in json.dumps(rule)
    }
    assert reached == {"serve"}


@pytest.mark.skipif(not RAY_SERVE.exists(), reason="needs deploy/ray")
def test_rays_application_is_that_of_deploy_ray() -> None:
    ours = yaml.safe_load(find(render("overlays/kuberay"), "RayService")["spec"]["serveConfigV2"])
    theirs = yaml.safe_load(RAY_SERVE.read_text(encoding="utf-8"))
    assert theirs["http_options"].pop("host") == "127.0.0.1"
    assert ours["http_options"].pop("host") == "0.0.0.0"  # noqa: S104 - others are to reach it
    (deployment,) = theirs["applications"][0]["deployments"]
    # It listens for others, so keys are asked for: a host of its own would say otherwise.
    deployment["ray_actor_options"]["runtime_env"]["env_vars"].pop("NEUMO_HOST")
    deployment["autoscaling_config"]["min_replicas"] = 2
    assert ours == theirs
    assert ours["http_options"]["port"] == Settings().port
    module = ours["applications"][0]["import_path"].partition(":")[0]
    dockerfile = (FOLDER / "overlays" / "kuberay" / "Dockerfile").read_text(encoding="utf-8")
    assert f"COPY deploy/ray/{module}.py /opt/neumo-ray/{module}.py" in dockerfile
    assert RAY_SERVE.with_name(f"{module}.py").exists()


@pytest.mark.skipif(not RAY_LOCK.exists(), reason="needs requirements/ray.txt")
def test_rays_version_is_the_one_that_is_locked() -> None:
    (locked,) = re.findall(r"^ray==(\S+)", RAY_LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    cluster = find(render("overlays/kuberay"), "RayService")["spec"]["rayClusterConfig"]
    assert cluster["rayVersion"] == locked


def test_rays_image_is_of_neumos_base_and_user() -> None:
    text = (FOLDER / "overlays" / "kuberay" / "Dockerfile").read_text(encoding="utf-8")
    for line in (r"^ARG BASE=.*$", r"^USER .*$"):
        assert re.findall(line, text, re.MULTILINE) == re.findall(line, DOCKERFILE, re.MULTILINE)
    for group in ray_groups():
        (container,) = group["template"]["spec"]["containers"]
        assert container["image"] == f"registry.example.org/neumo-ray:{app.__version__}"
