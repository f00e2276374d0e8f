"""A real Orthanc and a real `neumo receive`: films go out, results come back, exactly once.

With the very files of deploy/orthanc/. More films, and the table of docs/pacs.md: `python -m
tests.orthanc`.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import util
from pathlib import Path

import pytest

if not util.find_spec("pynetdicom"):
    pytest.skip("the extra hospital is not installed", allow_module_level=True)

from app.model.bundle import find_bundle, read_card
from app.settings.settings import Settings
from tests.conftest import ROOT
from tests.e2e.pages import blocks
from tests.orthanc.faults import FAULTS, WHOLE, Fault, push, run_fault, wait_until
from tests.orthanc.neumo import Neumo, prepared_neumo
from tests.orthanc.orthanc import (
    STORESCU,
    Film,
    Orthanc,
    draw_films,
    running_orthanc,
    why_not,
)
from tests.server import free_port, running

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.timeout(600),
]
FILMS = 4
Draw = Callable[[int], list[Film]]


@pytest.fixture(scope="module")
def draw(tmp_path_factory: pytest.TempPathFactory) -> Draw:
    """Draw films of today."""
    sha256 = read_card(find_bundle(Settings().model)).sha256

    def draw(count: int) -> list[Film]:
        folder = tmp_path_factory.mktemp("films")
        return draw_films(folder, count, sha256, f"{datetime.now(UTC):%Y%m%d}")

    return draw


@pytest.fixture(scope="module")
def neumo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neumo]:
    with prepared_neumo(tmp_path_factory.mktemp("neumo")) as neumo:
        yield neumo


@pytest.fixture(scope="module")
def orthanc(neumo: Neumo) -> Iterator[Orthanc]:
    """An archive beside a Neumo that is up."""
    with running_orthanc(neumo.port) as orthanc:
        neumo.partner = orthanc.partner
        neumo.start()
        yield orthanc


def test_a_film_goes_to_neumo_and_its_results_come_back_into_its_study(
    orthanc: Orthanc, neumo: Neumo, draw: Draw
) -> None:
    (film,) = draw(1)
    assert push(orthanc, [film]) == [film]
    wait_until(lambda: orthanc.has_all([film]), 60)
    assert orthanc.results_of(film) == (1, 1, 1)
    assert orthanc.modalities(film.study_uid) == Counter(WHOLE)
    for uid in (film.report_uid, film.picture_uid):
        (found,) = orthanc.post("/tools/lookup", uid.encode())
        assert orthanc.get(f"/instances/{found['ID']}/metadata?expand")["RemoteAET"] == "NEUMO"
        tags = orthanc.get(f"/instances/{found['ID']}/simplified-tags")
        assert (tags["Manufacturer"], tags["PatientID"]) == ("Neumo", "TEST-0")
    assert "Nobody" not in neumo.log_text()
    assert "TEST-0" not in neumo.log_text()
    assert film.study_uid not in neumo.log_text()


@pytest.mark.parametrize("name", FAULTS)
def test_each_film_that_the_archive_has_ends_with_one_report_and_one_picture(
    orthanc: Orthanc, neumo: Neumo, draw: Draw, name: str
) -> None:
    fault: Fault = FAULTS[name]
    told = run_fault(fault, orthanc, neumo, draw(FILMS))
    assert told.acknowledged > 0
    assert told.exactly_once == told.acknowledged


def test_a_failed_job_outlives_a_restart_and_is_sent_again_by_orthanc_too(
    orthanc: Orthanc, neumo: Neumo, draw: Draw
) -> None:
    neumo.kill()
    before = set(orthanc.jobs("Failure"))
    films = draw(2)
    push(orthanc, films)
    wait_until(lambda: len(set(orthanc.jobs("Failure")) - before) == 2, 60)
    orthanc.stop()
    orthanc.start()
    neumo.start()
    for job in set(orthanc.jobs("Failure")) - before:
        orthanc.post(f"/jobs/{job}/resubmit")
    wait_until(lambda: orthanc.has_all(films), 60)
    assert orthanc.has_all(films)


def test_reconcile_leaves_alone_what_has_its_results(
    orthanc: Orthanc, neumo: Neumo, draw: Draw
) -> None:
    films = draw(1)
    push(orthanc, films)
    wait_until(lambda: orthanc.has_all(films), 60)
    counts = neumo.reconcile(orthanc)
    assert counts["answered"] == counts["films"] > 0
    assert counts["fetched"] == 0


def test_a_stranger_can_not_store(orthanc: Orthanc, draw: Draw) -> None:
    (film,) = draw(1)
    command = [STORESCU, "-aet", "STRANGER", "-aec", "ORTHANC", "127.0.0.1"]
    done = subprocess.run(
        [*command, str(orthanc.dicom_port), film.path], capture_output=True, check=False
    )
    assert done.returncode != 0
    assert orthanc.count(film.uid) == 0


PAGE = [
    block.script
    for block in blocks(ROOT / "docs" / "pacs.md")
    if block.said == "tests/e2e/test_orthanc.py"
]
ARCHIVE, NEUMO, SENDER, OVER_STOW, RECONCILE, OUTBOX = PAGE
UNTIL = """
until_ready() {{ for _ in $(seq 600); do "$@" && return; sleep 0.1; done; exit 1; }}
archive_is_up() {{ curl -sf http://127.0.0.1:{http}/system > system; }}
statistics() {{ curl -sf http://127.0.0.1:{http}/statistics; }}
results_are_there() {{ statistics | grep -q '"CountInstances" : 3'; }}
neumo_is_up() {{ grep -qs '"reader": "up"' exchange/receive.health; }}
trap 'kill $(jobs -p); wait' EXIT
"""


@pytest.mark.parametrize(
    "script",
    [
        [
            *(ARCHIVE, "until_ready archive_is_up", NEUMO, "until_ready neumo_is_up", SENDER),
            *("until_ready results_are_there", RECONCILE, OUTBOX),
        ],
        [
            *(OVER_STOW, "until_ready archive_is_up", "until_ready neumo_is_up"),
            *("until_ready neumo health", SENDER, "until_ready results_are_there"),
        ],
    ],
    ids=["C-STORE", "STOW-RS"],
)
def test_the_page_leads_from_nothing_to_results_in_the_study(
    tmp_path: Path, script: list[str]
) -> None:
    ports = {name: free_port() for name in ("http", "dicom", "neumo", "service")}
    for name in ("examples", "deploy"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "orthanc-storage").mkdir()
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "neumo").write_text(f'#!/bin/sh\nexec {sys.executable} -m app "$@"\n')
    (programs / "neumo").chmod(0o755)
    text = UNTIL.format(**ports) + "\n".join(script)
    for shown, here in ((":8042", ports["http"]), (":4242", ports["dicom"])):
        text = text.replace(f"127.0.0.1{shown}", f"127.0.0.1:{here}")
    text = text.replace("127.0.0.1 4242", f"127.0.0.1 {ports['dicom']}")
    done = subprocess.run(
        ["bash", "-euc", text],
        cwd=tmp_path, capture_output=True, check=False, timeout=180, text=True,
        env=os.environ
        | {
            "PATH": f"{programs}:{os.environ['PATH']}:/usr/sbin",
            "PYTHONPATH": str(ROOT),
            "ORTHANC_HTTP_PORT": str(ports["http"]),
            "ORTHANC_DICOM_PORT": str(ports["dicom"]),
            "NEUMO_DICOM_PORT": str(ports["neumo"]),
            "NEUMO_DICOMWEB": f"http://127.0.0.1:{ports['service']}/dicomweb/",
            "NEUMO_PORT": str(ports["service"]),
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_over_stow_rs_it_is_the_same(tmp_path: Path, draw: Draw) -> None:
    with prepared_neumo(tmp_path / "neumo") as neumo:
        neumo.listens = False
        service = {"NEUMO_EXCHANGE_FOLDER": neumo.environment["NEUMO_EXCHANGE_FOLDER"]}
        with (
            running(environment=service) as server,
            running_orthanc(
                neumo.port, "neumo-stow.lua", {"NEUMO_DICOMWEB": f"{server.url}/dicomweb/"}
            ) as orthanc,
        ):
            neumo.partner = orthanc.dicomweb
            neumo.start()
            films = draw(2)
            assert push(orthanc, films) == films
            wait_until(lambda: orthanc.has_all(films), 60)
            for film in films:
                assert orthanc.results_of(film) == (1, 1, 1)
                assert orthanc.modalities(film.study_uid) == Counter(WHOLE)
            orthanc.kill()  # and it forgets its jobs
            server.process.terminate()
            server.process.wait(30)
            orthanc.start()
            films = draw(2)
            push(orthanc, films)
            orthanc.kill()
            orthanc.start()
            assert neumo.reconcile(orthanc)["fetched"] == 2
            wait_until(lambda: orthanc.has_all(films), 60)
            assert orthanc.has_all(films)
