"""Run Neumo as a pod does, in namespaces of its own: called by unshare, tells JSON.

    unshare --mount --net python tests/deploy/as_pod.py < plan.json

What a container engine would do is done by mounts: a root that can't be written, an empty /tmp of a
bounded size, volumes that belong to root and a group, Secrets as files, no network but loopback, no
capabilities, a user who is not root.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PORT = 8000
PLACE = Path("/run/neumo")


def call(*command: str) -> None:
    subprocess.run(command, check=True)


def lay_out(plan: dict[str, Any]) -> None:
    """Mount what the pod sees, and nothing that can be written but its volumes."""
    group = str(plan["user"])
    call("mount", "--make-rprivate", "/")
    call("mount", "-t", "tmpfs", "tmpfs", "/run")
    PLACE.mkdir()
    call("mount", "--bind", plan["checkout"], str(PLACE))
    for path in plan["kept"]:  # an interpreter, which may lie where only root comes
        beside = Path("/run/kept")
        beside.mkdir(exist_ok=True)
        call("mount", "--bind", path, str(beside))
        call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", f"/{Path(path).parts[1]}")
        Path(path).mkdir(parents=True)
        call("mount", "--bind", str(beside), path)
    call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/var/lib")
    for path, size in plan["volumes"].items():
        Path(path).mkdir(parents=True, exist_ok=True)
        call("mount", "-t", "tmpfs", "-o", f"size={size},gid={group},mode=2775", "tmpfs", path)
    for path, text in plan["files"].items():
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        os.chown(file, 0, plan["user"])
        file.chmod(plan["mode"])
    for path in ("/", "/var/lib", str(PLACE)):
        call("mount", "-o", "remount,bind,ro", path)
    call("ip", "link", "set", "lo", "up")


def ask(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, str]:
    """Return the status and the answer; 0 where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def main() -> None:
    plan = json.load(sys.stdin)
    lay_out(plan)
    image = (PLACE / "examples" / "normal.jpg").read_bytes()
    typed = {"Content-Type": "image/jpeg"}
    shown = typed | {"X-API-Key": plan["key"]}
    user = str(plan["user"])
    command = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs"]
    command += ["--bounding-set", "-all", "--inh-caps", "-all", *plan["command"]]
    process = subprocess.Popen(
        command, cwd=PLACE, env=plan["environment"], stderr=subprocess.PIPE, text=True
    )
    end_s = time.monotonic() + 60
    while ask("GET", "/health/startup", {})[0] != http.client.OK and time.monotonic() < end_s:
        if process.poll() is not None:
            sys.exit(process.communicate()[1])
        time.sleep(0.1)
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    told: dict[str, Any] = {
        "status": dict(line.split(":\t", 1) for line in status.splitlines()),
        "ready": ask("GET", "/health/ready", {})[0],
        "stranger": ask("POST", "/predict", typed, image)[0],
        "reading": ask("POST", "/predict", shown, image),
    }
    begun_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    told["ready_then"] = ask("GET", "/health/ready", {})[0]
    told["reading_then"] = ask("POST", "/predict", shown, image)[0]
    told["log"] = process.communicate(timeout=60)[1].splitlines()
    told["stopped_s"] = time.monotonic() - begun_s
    told["exit_code"] = process.returncode
    told["used"] = {
        path: os.statvfs(path).f_blocks - os.statvfs(path).f_bfree for path in plan["volumes"]
    }
    sys.stdout.write(json.dumps(told))


main()
