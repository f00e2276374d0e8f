"""What is made of the OpenAPI page by others: a run of schemathesis, and a generated client.

Both are programs of their own and see nothing but the page and the running service.
"""

import importlib
import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.server import Server, running

CONFIG = ROOT / "examples" / "client.yaml"

# Any bytes are a binary string, but not any is an image: files are chosen from these.
HOOKS = """
import schemathesis
from hypothesis import strategies
from pathlib import Path

images = strategies.sampled_from([path.read_bytes() for path in map(Path, {paths})])
schemathesis.openapi.format("binary", images)
for media_type in ("image/jpeg", "image/png", "application/dicom", "multipart/related"):
    schemathesis.openapi.media_type(media_type, images)
"""
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_headers_conformance", "response_schema_conformance", "positive_data_acceptance",
)  # fmt: skip
SCHEMATHESIS = """
[checks.positive_data_acceptance]
expected-statuses = [200]

# Which models there are, whether one was active before, what is written down or kept: no schema
# tells.
[[operations]]
include-path-regex = "^/(admin/models/|feedback/|performance$|dicomweb/|readings/)"
checks.positive_data_acceptance.expected-statuses = [200, 404, 409]
"""


@pytest.mark.skipif(find_spec("schemathesis") is None, reason="schemathesis is not installed")
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_no_status_is_undeclared_and_no_valid_call_is_refused(
    server: Server, examples: dict[str, Path], tmp_path: Path, mode: str
) -> None:
    hooks, config, report = (tmp_path / name for name in ("hooks.py", "st.toml", "report.json"))
    hooks.write_text(HOOKS.format(paths=list(map(str, examples.values()))), encoding="utf-8")
    config.write_text(SCHEMATHESIS, encoding="utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
            *("run", f"{server.url}/openapi.json", "--checks", ",".join(CHECKS), "--mode", mode),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--no-shrink"),
            *("--seed", "1", "--suppress-health-check", "all", "--request-timeout", "20"),
            *("--report", "json", "--report-json-path", str(report)),
        ],
        cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": str(hooks)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    told = json.loads(report.read_text(encoding="utf-8"))
    assert told["operations"]["tested"] == told["operations"]["total"] == 17
    assert told["test_cases"]["generated"] > 100
    # What no schema tells, see above, is mostly not found.
    warned = {name: set(cases) for name, cases in told["warnings"].items() if cases}
    unknown = warned.pop("missing_test_data", set())
    assert unknown <= {
        "POST /admin/models/{name}/activate",
        "POST /feedback/{request_id}",
        "GET /performance",
        "POST /dicomweb/studies",
        "POST /dicomweb/studies/{study_uid}",
        "GET /readings/{id}",
    }
    assert warned == {}


@pytest.fixture(scope="module")
def neumo_client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a package that the generator made of the running service's page."""
    if find_spec("openapi_python_client") is None:
        pytest.skip("openapi-python-client is not installed")
    folder = tmp_path_factory.mktemp("generated")
    bin_folder = Path(sys.executable).parent  # the generator calls ruff
    subprocess.run(
        [
            *(sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"),
            *("--url", f"{server.url}/openapi.json", "--config", str(CONFIG)),
            *("--output-path", str(folder / "generated_client"), "--fail-on-warning"),
        ],
        env=os.environ | {"PATH": f"{bin_folder}:{os.environ['PATH']}"},
        capture_output=True,
        check=True,
        timeout=120,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield "generated_client"  # `neumo_client` is the one that is written by hand


def call(package: str, server: Server, module: str, **arguments: Any) -> Any:  # noqa: ANN401
    """Call one of the generated functions; return its answer with all details."""
    client_class = importlib.import_module(f"{package}.client").Client
    function = importlib.import_module(f"{package}.api.{module}")
    with client_class(base_url=server.url) as client:
        return function.sync_detailed(client=client, **arguments)


def form_of(package: str, operation: str, image: bytes, **said: Any) -> Any:  # noqa: ANN401
    """Fill in the form that the generator made for a call."""
    file = file_of(package, image)
    return getattr(models_of(package), f"{operation}FilesBody")(file=file, **said)


def file_of(package: str, image: bytes) -> Any:  # noqa: ANN401 - generated
    types = importlib.import_module(f"{package}.types")
    return types.File(payload=io.BytesIO(image), file_name="chest.jpg")


def models_of(package: str) -> ModuleType:
    return importlib.import_module(f"{package}.models")


def test_a_generated_client_gets_a_reading_and_says_who_it_is_of(
    neumo_client: str, server: Server, examples: dict[str, Path]
) -> None:
    form = form_of(neumo_client, "Predict", examples["covid19"].read_bytes(), age_years=61)
    answer = call(neumo_client, server, "predict.predict", body=form)
    assert answer.status_code == HTTPStatus.OK
    assert isinstance(answer.parsed, models_of(neumo_client).Reading)
    assert (answer.parsed.label, answer.parsed.reasons) == ("covid19", [])


def test_a_generated_client_gets_a_422_typed(
    neumo_client: str, server: Server, examples: dict[str, Path]
) -> None:
    form = form_of(neumo_client, "Predict", examples["normal"].read_bytes()[:9000])
    answer = call(neumo_client, server, "predict.predict", body=form)
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert isinstance(answer.parsed, models_of(neumo_client).Problem)
    assert (answer.parsed.code, answer.parsed.status) == ("image_truncated", 422)


@contextmanager
def half_sent(server: Server) -> Iterator[None]:
    """Keep an upload in flight that fills what the server may hold."""
    with socket.create_connection(("127.0.0.1", server.port)) as upload:
        upload.sendall(b"POST /predict HTTP/1.1\r\nHost: neumo\r\nContent-Length: 9000\r\n\r\n")
        upload.sendall(bytes(2000))
        while b"neumo_in_flight 1.0" not in server.call("GET", "/metrics")[2]:
            time.sleep(0.02)
        yield


def test_a_generated_client_gets_a_503_typed(neumo_client: str, examples: dict[str, Path]) -> None:
    form = form_of(neumo_client, "Explain", examples["normal"].read_bytes())
    with running("--max-held-bytes", "1024") as full, half_sent(full):
        answer = call(neumo_client, full, "predict.explain", body=form)
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert isinstance(answer.parsed, models_of(neumo_client).Problem)
    assert (answer.parsed.code, answer.headers["Retry-After"]) == ("overloaded", "1")


def test_a_generated_client_gets_the_picture_of_explain_as_bytes(
    neumo_client: str, server: Server, examples: dict[str, Path]
) -> None:
    form = form_of(neumo_client, "Explain", examples["normal"].read_bytes())
    answer = call(neumo_client, server, "predict.explain", body=form)
    assert answer.parsed.payload.read() == answer.content
    assert answer.content.startswith(b"\x89PNG")


def test_a_generated_client_tells_the_readings_of_a_batch_from_its_problems(
    neumo_client: str, server: Server, examples: dict[str, Path]
) -> None:
    models = models_of(neumo_client)
    images = [examples["normal"].read_bytes(), b"no image"]
    form = models.PredictBatchBody(file=[file_of(neumo_client, image) for image in images])
    results = call(neumo_client, server, "predict.predict_batch", body=form).parsed.results
    assert [type(each) for each in results] == [models.Reading, models.Problem]
    assert results[1]["index"] == 1
