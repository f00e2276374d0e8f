"""The pods of deploy/kubernetes as rendered, but for the cluster: they serve, drain and stop."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.deploy.manifests import container_of, find, needs_kustomize, pod_of, render

KEY = "neumo-test-key-that-is-long-enough-for-one"
SECRETS = {
    "api-key": KEY,
    "audit.key": "0123456789abcdef" * 4,
    "database-ca.crt": "not read before the database answers",
}


def why_not() -> str | None:
    """Say why no namespaces can be made here; None if they can."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv", "ip", "mount"))):
        return "needs root, and unshare, setpriv, ip and mount (Debian: util-linux, iproute2)"
    made = subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, check=False)
    return None if made.returncode == 0 else "needs to make namespaces"


pytestmark = [needs_kustomize, pytest.mark.skipif(bool(why_not()), reason=why_not() or "")]


def plan_of(name: str) -> dict[str, Any]:
    """Return what `as_pod` needs to know of a kustomization's pod."""
    pod, container = pod_of(name), container_of(name)
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    volumes, files, modes = {}, {}, set()
    for volume in pod["volumes"]:
        place = mounts.pop(volume["name"])
        if "emptyDir" in volume:
            volumes[place] = volume["emptyDir"]["sizeLimit"].removesuffix("i").lower()
        for item in volume.get("secret", {}).get("items", []):
            files[f"{place}/{item['path']}"] = SECRETS[item["key"]]
            modes.add(volume["secret"]["defaultMode"])
    (mode,) = modes
    venv = Path(sys.prefix)
    python = Path("/run/neumo") / venv.relative_to(ROOT) / "bin" / "python"
    base = Path(sys.base_prefix).resolve()
    return {
        "checkout": str(ROOT),
        "kept": [str(base)] if base.is_relative_to("/root") else [],
        "volumes": volumes | dict.fromkeys(mounts.values(), "64m"),  # claims
        "files": files,
        "mode": mode,
        "user": pod["securityContext"]["runAsUser"],
        "key": KEY,
        "command": [str(python), "-m", "app", "serve"],
        "environment": find(render(name), "ConfigMap", "neumo-settings")["data"]
        | {each["name"]: "a password" for each in container.get("env", [])}
        | {"PYTHONDONTWRITEBYTECODE": "1", "NEUMO_HOST": "0.0.0.0"},  # noqa: S104 - its own network
    }


@pytest.mark.skipif(
    not Path(sys.prefix).is_relative_to(ROOT), reason="needs an environment in the checkout"
)
@pytest.mark.parametrize("name", ["base", "overlays/hospital"])
def test_a_pod_serves_with_what_it_is_given_and_stops_within_its_grace(name: str) -> None:
    plan = plan_of(name)
    command = ["unshare", "--mount", "--net", sys.executable, str(ROOT / "tests/deploy/as_pod.py")]
    result = subprocess.run(
        command, input=json.dumps(plan), capture_output=True, text=True, timeout=180, check=False
    )
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["ready"] == 200, told["log"]
    assert told["status"]["Uid"].split() == ["10001"] * 4
    assert int(told["status"]["CapEff"], 16) == 0
    assert told["stranger"] == 401
    status, reading = told["reading"]
    assert (status, json.loads(reading)["label"]) == (200, "normal")
    # Told to stop, it says so and answers on; then it ends in order.
    assert (told["ready_then"], told["reading_then"]) == (503, 200)
    assert told["exit_code"] == 0
    assert told["stopped_s"] < pod_of(name)["terminationGracePeriodSeconds"]
    # The database of the audit trail is away: rows wait in the replica's own volume.
    audited = "/var/lib/neumo/audit" in plan["volumes"]
    assert audited == (name != "base")
    assert not audited or told["used"]["/var/lib/neumo/audit"] > 0
