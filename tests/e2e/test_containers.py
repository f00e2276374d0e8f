"""docker-compose.yml: hardened, true to the settings; nginx and Prometheus run with its files."""

import json
import os
import re
import shutil
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli.command import COMMANDS
from app.settings.settings import Settings
from tests.apps import wait_until
from tests.certificates import Authority
from tests.conftest import ROOT
from tests.orthanc.orthanc import ORTHANC, running_orthanc, why_not
from tests.server import Server, free_port, running

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
NGINX_TLS = (ROOT / "deploy" / "nginx-tls.conf").read_text(encoding="utf-8")
PROMETHEUS = ROOT / "deploy" / "prometheus" / "compose.yml"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
KEY = "neumo-test-key-that-is-long-enough-for-one"


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_root_no_capabilities_and_nothing_to_write_on(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].partition(":")[0]) > 0
    assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service)
    limits = service["deploy"]["resources"]["limits"]
    assert {"memory", "pids"} <= set(limits)


@pytest.mark.parametrize("name", SERVICES)
def test_only_tls_is_bound_to_more_than_this_machine(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert (
        ports == ["8443:8443"]
        if name == "nginx"
        else all(port.startswith("127.0.0.1:") for port in ports)
    )


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_container_is_given_is_there(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    assert set(service.get("networks", [])) <= {"default", *COMPOSE["networks"]}
    for volume in service.get("volumes", []):
        source, _, rest = volume.partition(":")
        if source.startswith("./"):
            assert (ROOT / source).exists()
            assert rest.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]
    mounted = re.findall(r"/run/secrets/(\w+)", json.dumps(service.get("environment", {})))
    assert set(mounted) <= set(service.get("secrets", []))


def test_a_secret_is_a_file_that_is_empty_until_there_is_one() -> None:
    for secret in COMPOSE["secrets"].values():
        assert re.fullmatch(r"\$\{NEUMO_\w+_FILE:-/dev/null\}", secret["file"])


def test_neumo_alone_starts_without_a_profile() -> None:
    profiles = {name: service.get("profiles", []) for name, service in SERVICES.items()}
    assert profiles.pop("neumo") == []
    beside = ("nginx", "postgres", "prometheus", "grafana")
    assert profiles == {name: [name] for name in beside} | {
        "receive": ["receive", "pacs"],
        "reconcile": ["receive", "pacs"],
        "orthanc": ["pacs"],
    }


@pytest.mark.parametrize("name", ["grafana", "nginx", "postgres", "prometheus"])
def test_an_image_has_a_version_and_can_be_pinned_by_digest(name: str) -> None:
    default = re.fullmatch(
        rf"\$\{{NEUMO_{name.upper()}_IMAGE:-docker\.io/[\w./-]+:(.+)\}}", SERVICES[name]["image"]
    )
    assert default is not None
    assert default[1] != "latest"


def test_neumos_own_image_is_built_from_the_base_that_the_dockerfile_names() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (base,) = re.findall(r"^ARG BASE=(\S+)$", dockerfile, re.MULTILINE)
    assert SERVICES["neumo"]["build"]["args"] == {"BASE": f"${{NEUMO_BASE:-{base}}}"}
    (user,) = re.findall(r"^USER (\S+)$", dockerfile, re.MULTILINE)
    assert SERVICES["neumo"]["user"] == user


def test_neumo_is_set_up_by_settings_that_there_are() -> None:
    neumo = SERVICES["neumo"]
    names = [name for name in neumo["environment"] if name.startswith("NEUMO_")]
    assert len(names) > 4
    for name in names:
        assert name.removeprefix("NEUMO_").lower() in Settings.model_fields
    settings = Settings()
    assert neumo["ports"] == [f"127.0.0.1:{settings.port}:{settings.port}"]
    stop_s = settings.drain_delay_s + settings.shutdown_grace_s
    assert float(neumo["stop_grace_period"].removesuffix("s")) > stop_s
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for volume in neumo["volumes"]:  # made there, or they would be root's
        assert volume.partition(":")[2] in dockerfile


def test_what_runs_neumos_image_runs_commands_and_settings_that_there_are() -> None:
    own = [name for name, service in SERVICES.items() if service["image"] == "neumo"]
    assert own == ["neumo", "receive", "reconcile"]
    settings = Settings()
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for name in ("receive", "reconcile"):
        service = SERVICES[name]
        assert service["command"][0] == name in COMMANDS
        assert service["user"] == SERVICES["neumo"]["user"]
        for variable in set(service["environment"]) - {"ORT_DISABLE_TELEMETRY"}:
            assert variable.removeprefix("NEUMO_").lower() in Settings.model_fields
        for volume in service["volumes"]:
            assert volume in SERVICES["neumo"]["volumes"]
            assert volume.partition(":")[2] in dockerfile
    port = settings.dicom_port
    assert SERVICES["receive"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"EXPOSE {settings.port} {port}" in dockerfile


def test_orthanc_and_neumo_know_each_other_by_the_same_names() -> None:
    orthanc, receive = SERVICES["orthanc"]["environment"], SERVICES["receive"]["environment"]
    text = (ROOT / "deploy" / "orthanc" / "orthanc.json").read_text(encoding="utf-8")
    assert f'"AET": "{Settings().ae_title}"' in text
    assert f"${{NEUMO_DICOM_PORT:-{Settings().dicom_port}}}" in text
    (title,) = re.findall(r'"DicomAet": "(\w+)"', text)
    (dicom_port,) = re.findall(r"ORTHANC_DICOM_PORT:-(\d+)", text)
    (http_port,) = re.findall(r"ORTHANC_HTTP_PORT:-(\d+)", text)
    assert receive["NEUMO_PARTNERS"] == f"${{NEUMO_PARTNERS:-dicom://{title}@orthanc:{dicom_port}}}"
    assert receive["NEUMO_DICOM_CALLERS"] == f"${{NEUMO_DICOM_CALLERS:-{title}}}"
    root = f"http://orthanc:{http_port}/dicom-web"
    assert receive["NEUMO_ARCHIVE_DICOMWEB"] == f"${{NEUMO_ARCHIVE_DICOMWEB:-{root}}}"
    assert SERVICES["orthanc"]["ports"] == [
        f"127.0.0.1:{port}:{port}" for port in (dicom_port, http_port)
    ]
    assert orthanc["NEUMO_DICOM_HOST"] == "receive"
    assert orthanc["NEUMO_DICOMWEB"] == f"http://neumo:{Settings().port}/dicomweb/"
    dockerfile = (ROOT / "deploy" / "orthanc" / "Dockerfile").read_text(encoding="utf-8")
    assert f"USER {SERVICES['orthanc']['user']}\n" in dockerfile
    assert f"EXPOSE {dicom_port} {http_port}\n" in dockerfile
    (volume,) = SERVICES["orthanc"]["volumes"]
    assert volume.partition(":")[2] == orthanc["ORTHANC_STORAGE"]
    assert f" {orthanc['ORTHANC_STORAGE']}\n" in dockerfile
    for file in re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE)[0].split():
        assert (ROOT / "deploy" / "orthanc" / file).is_file()
    (base,) = re.findall(r"^ARG BASE=(\S+)$", dockerfile, re.MULTILINE)
    assert SERVICES["orthanc"]["build"]["args"] == {"BASE": f"${{NEUMO_ORTHANC_BASE:-{base}}}"}


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_orthanc_starts_as_in_its_container() -> None:
    dockerfile = (ROOT / "deploy" / "orthanc" / "Dockerfile").read_text(encoding="utf-8")
    (started,) = re.findall(r"^ENTRYPOINT (.+)$", dockerfile, re.MULTILINE)
    program, configuration = json.loads(started)
    (copied,) = re.findall(r"^COPY .+ (\S+)$", dockerfile, re.MULTILINE)
    assert configuration == f"{copied}orthanc.json"
    assert Path(program) == ORTHANC
    given = SERVICES["orthanc"]["environment"]
    assert given["ORTHANC_REMOTE"] == "true"
    assert given["ORTHANC_CHECK_HOST"] == "false"
    with running_orthanc(free_port(), variables={"ORTHANC_CHECK_HOST": "false"}) as orthanc:
        neumo = orthanc.get("/modalities/neumo/configuration")
        assert (neumo["AET"], neumo["AllowStore"]) == (Settings().ae_title, True)


def test_orthancs_http_is_reached_by_those_who_need_it_alone() -> None:
    on_it = {name for name, each in SERVICES.items() if "archive" in each.get("networks", [])}
    assert on_it == {"neumo", "receive", "reconcile", "orthanc"}
    assert SERVICES["orthanc"]["networks"] == ["archive"]


def test_the_database_is_reached_by_neumo_alone_and_reaches_nothing() -> None:
    assert COMPOSE["networks"]["records"]["internal"] is True
    on_it = {name for name, each in SERVICES.items() if "records" in each.get("networks", [])}
    assert on_it == {"neumo", "postgres"}
    assert SERVICES["postgres"]["networks"] == ["records"]
    assert "ports" not in SERVICES["postgres"]


def test_grafana_is_told_to_phone_nobody() -> None:
    environment = SERVICES["grafana"]["environment"]
    for name in ("REPORTING_ENABLED", "CHECK_FOR_UPDATES", "CHECK_FOR_PLUGIN_UPDATES"):
        assert environment[f"GF_ANALYTICS_{name}"] == "false"
    assert environment["GF_NEWS_NEWS_FEED_ENABLED"] == "false"


def test_grafana_finds_its_dashboard_and_prometheus() -> None:
    folder = ROOT / "deploy" / "grafana" / "provisioning"
    (provider,) = yaml.safe_load((folder / "dashboards" / "neumo.yml").read_text())["providers"]
    mounted = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
    assert f"{provider['options']['path']}/neumo.json" in mounted
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"


def directives(text: str) -> set[str]:
    """Return the directives of nginx's configuration."""
    return {line.partition("#")[0].strip() for line in text.splitlines()} - {"", "}"}


def test_nginx_holds_back_what_the_other_configuration_holds_back() -> None:
    plain = directives((ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8"))
    of_replicas = ("server 127.", "listen ", "proxy_next_upstream")
    own = {line for line in plain if not line.startswith(of_replicas)} - {"location /feedback/ {"}
    assert own - directives(NGINX_TLS) == set()
    settings = Settings()
    assert f"client_max_body_size {settings.max_body_bytes >> 20}m;" in NGINX_TLS
    assert f"client_max_body_size {settings.max_batch_body_bytes >> 20}m;" in NGINX_TLS


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service that asks for the key of a secret, as Compose's."""
    secret = tmp_path_factory.mktemp("secrets") / "api-key"
    secret.write_text(KEY, encoding="utf-8")
    secret.chmod(0o600)
    with running(environment={"NEUMO_API_KEY_FILE": str(secret)}) as server:
        yield server


def is_refused(server: Server) -> bool:
    """Whether nobody listens yet."""
    assert server.process.poll() is None
    try:
        server.call("GET", "/health/live")
    except ConnectionRefusedError:
        return True
    return False


@contextmanager
def behind_nginx(
    guarded: Server, folder: Path, authority: Authority, *, mutual: bool = False
) -> Iterator[Server]:
    """Run nginx with Compose's configuration; give it as the service that it stands before."""
    assert NGINX is not None
    cert, key = authority.issue("neumo")
    port = free_port()
    text = NGINX_TLS
    for old, new in (
        ("/tmp/", f"{folder}/"),  # noqa: S108 - what stands there; first, for others lie below it
        ("/run/secrets/tls_cert", str(cert)),
        ("/run/secrets/tls_key", str(key)),
        ("/run/secrets/tls_client_ca", str(authority.ca)),
        ("neumo:8000", f"127.0.0.1:{guarded.port}"),
        ("listen 8443", f"listen 127.0.0.1:{port}"),
    ):
        assert old in text
        text = text.replace(old, new)
    if mutual:
        text = re.sub(r"# (ssl_client_certificate|ssl_verify_client)", r"\1", text)
    config = folder / "nginx.conf"
    config.write_text(text, encoding="utf-8")
    process = subprocess.Popen([NGINX, "-c", str(config), "-g", "daemon off;"])
    try:
        context = ssl.create_default_context(cafile=str(authority.ca))
        server = Server(process, port, config, context)
        wait_until(lambda: not is_refused(server))
        yield server
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.skipif(NGINX is None, reason="nginx (Debian: nginx-light) is not installed")
def test_nginx_speaks_tls_and_leaves_keys_to_neumo(
    guarded: Server, tmp_path: Path, jpeg: bytes
) -> None:
    with behind_nginx(guarded, tmp_path, Authority(tmp_path)) as nginx:
        status, headers, _ = nginx.call("POST", "/predict", jpeg)
        assert (status, headers["www-authenticate"].partition(" ")[0]) == (401, "Bearer")
        of_its_page = {"X-API-Key": KEY, "Origin": nginx.url}
        status, headers, body = nginx.call("POST", "/predict", jpeg, of_its_page)
        assert (status, json.loads(body)["label"]) == (200, "normal")
        assert headers["strict-transport-security"] == "max-age=31536000"
        for path in ("/metrics", "/performance", "/admin/models/rollback"):
            assert nginx.call("GET", path, headers={"X-API-Key": KEY})[0] == 403


@pytest.mark.skipif(NGINX is None, reason="nginx (Debian: nginx-light) is not installed")
def test_nginx_asks_for_a_certificate_once_its_lines_are_uncommented(
    guarded: Server, tmp_path: Path, jpeg: bytes
) -> None:
    authority = Authority(tmp_path)
    with behind_nginx(guarded, tmp_path, authority, mutual=True) as nginx:
        shown = {"X-API-Key": KEY}
        assert nginx.call("POST", "/predict", jpeg, shown)[0] == 400  # nginx's own answer
        assert nginx.context is not None
        nginx.context.load_cert_chain(*authority.issue("pacs"))
        assert nginx.call("POST", "/predict", jpeg, shown)[0] == 200
        assert nginx.call("POST", "/predict", jpeg)[0] == 401


def test_prometheus_asks_neumo_with_its_secret() -> None:
    (job,) = yaml.safe_load(PROMETHEUS.read_text(encoding="utf-8"))["scrape_configs"]
    assert job["job_name"] == "neumo"
    assert job["static_configs"] == [{"targets": [f"neumo:{Settings().port}"]}]
    secret = Path(job["authorization"]["credentials_file"]).name
    assert SERVICES["prometheus"]["secrets"] == [secret]
    assert f"--config.file=/etc/prometheus/{PROMETHEUS.name}" in SERVICES["prometheus"]["command"]


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus (Debian)")
def test_prometheus_gets_in_with_the_key(guarded: Server, tmp_path: Path) -> None:
    secret, port = tmp_path / "metrics-key", free_port()
    secret.write_text(KEY, encoding="utf-8")
    text = PROMETHEUS.read_text(encoding="utf-8").replace("15s", "1s")
    text = text.replace("/run/secrets/neumo_metrics_key", str(secret))
    text = text.replace("neumo:8000", f"127.0.0.1:{guarded.port}")
    (tmp_path / "compose.yml").write_text(text, encoding="utf-8")
    shutil.copy(PROMETHEUS.parent / "alerts.yml", tmp_path)
    command = [
        "prometheus",
        f"--config.file={tmp_path}/compose.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=tmp_path, env=os.environ)
    try:
        for _ in range(150):
            time.sleep(0.1)
            try:
                url = f"http://127.0.0.1:{port}/api/v1/targets"
                with urllib.request.urlopen(url, timeout=5) as answer:
                    targets = json.load(answer)["data"]["activeTargets"]
            except OSError:
                continue
            if targets and targets[0]["health"] != "unknown":
                break
        assert [(each["health"], each["lastError"]) for each in targets] == [("up", "")]
    finally:
        process.terminate()
        process.wait(20)
