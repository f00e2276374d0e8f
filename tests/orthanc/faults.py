"""What may fall over between an archive and Neumo, and what has become of each film then.

Judged by the archive: of every film that it acknowledged it has to hold one report and one
picture, by their UIDs (`POST /tools/lookup`), and nothing else in the study.
"""

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pydicom
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.orthanc.neumo import Neumo
from tests.orthanc.orthanc import SENDER, STORESCU, Film, Orthanc

KEY_OBJECT = "1.2.840.10008.5.1.4.1.1.88.59"
WHOLE = {"CR": 1, "SR": 1, "OT": 1}
_LIMIT_S = 180.0


@dataclass(frozen=True)
class Outcome:
    """What has become of the films of one fault.

    Parameters
    ----------
    acknowledged : that the archive told their sender it has
    exactly_once : of these, with one report and one picture, and no more in the study
    fetched : by `neumo reconcile`
    """

    pushed: int
    acknowledged: int
    exactly_once: int
    fetched: int
    seconds: float


Fault = Callable[[Orthanc, Neumo, Sequence[Film]], list[Film]]
"""Pushes films, with a fault meanwhile, and brings all back up; returns the acknowledged ones."""


def run_fault(fault: Fault, orthanc: Orthanc, neumo: Neumo, films: Sequence[Film]) -> Outcome:
    """Let it happen, ask once what was lost on the way, and wait until the archive has all."""
    begun_s = time.monotonic()
    acknowledged = fault(orthanc, neumo, films)
    counts = neumo.reconcile(orthanc)
    wait_until(lambda: orthanc.has_all(acknowledged), _LIMIT_S)
    seconds = time.monotonic() - begun_s
    once = [
        film
        for film in acknowledged
        if orthanc.results_of(film) == (1, 1, 1)
        and WHOLE.items() <= orthanc.modalities(film.study_uid).items()
        and orthanc.modalities(film.study_uid).total() - 3 in (0, 1)
    ]
    return Outcome(len(films), len(acknowledged), len(once), counts["fetched"], seconds)


def neumo_down(orthanc: Orthanc, neumo: Neumo, films: Sequence[Film]) -> list[Film]:
    """Films arrive while Neumo is down."""
    neumo.kill()
    failed = len(orthanc.jobs("Failure"))
    acknowledged = push(orthanc, films)
    wait_until(lambda: len(orthanc.jobs("Failure")) >= failed + len(films), _LIMIT_S)
    neumo.start()
    return acknowledged


def archive_killed_receiving(orthanc: Orthanc, _: Neumo, films: Sequence[Film]) -> list[Film]:
    """The archive is killed while films arrive; what it did not acknowledge its sender repeats."""
    acknowledged = push(orthanc, films, kill_after=len(films) // 2)
    orthanc.start()
    return acknowledged


def archive_killed_forwarding(orthanc: Orthanc, neumo: Neumo, films: Sequence[Film]) -> list[Film]:
    """The archive is killed with films that it has acknowledged, and not forwarded yet."""
    neumo.pause()
    acknowledged = push(orthanc, films)
    assert orthanc.jobs("Running")
    orthanc.kill()
    neumo.go_on()
    orthanc.start()
    return acknowledged


def neumo_killed_with_results(orthanc: Orthanc, neumo: Neumo, films: Sequence[Film]) -> list[Film]:
    """The archive goes away, so that results wait; Neumo is killed; then both come back."""
    acknowledged = push(orthanc, films)
    wait_until(lambda: not orthanc.jobs("Pending") + orthanc.jobs("Running"), _LIMIT_S)
    orthanc.kill()
    neumo.kill()
    orthanc.start()
    assert not orthanc.has_all(acknowledged)  # or nothing waited
    neumo.start()
    return acknowledged


def whole_study_forwarded(orthanc: Orthanc, _: Neumo, films: Sequence[Film]) -> list[Film]:
    """Studies are sent to Neumo with its own results and a key object note in them."""
    acknowledged = push(orthanc, films)
    wait_until(lambda: orthanc.has_all(acknowledged), _LIMIT_S)
    for film in acknowledged:
        note = write_key_object(film)
        assert orthanc.push(note) == 0
        (study,) = orthanc.post("/tools/lookup", film.study_uid.encode())
        asked = json.dumps({"Resources": [study["ID"]], "Synchronous": True}).encode()
        told = orthanc.post("/modalities/neumo/store", asked)
        assert (told["InstancesCount"], told["FailedInstancesCount"]) == (4, 0)
    return acknowledged


def same_film_five_times(orthanc: Orthanc, _: Neumo, films: Sequence[Film]) -> list[Film]:
    """Each film is pushed five times."""
    acknowledged = push(orthanc, films)
    for _again in range(4):
        assert push(orthanc, films) == acknowledged
    return acknowledged


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "Neumo down while films arrive": neumo_down,
        "archive killed while receiving": archive_killed_receiving,
        "archive killed while forwarding": archive_killed_forwarding,
        "archive away, Neumo killed with results": neumo_killed_with_results,
        "whole study forwarded": whole_study_forwarded,
        "each film pushed five times": same_film_five_times,
    }
)


def push(orthanc: Orthanc, films: Sequence[Film], kill_after: int | None = None) -> list[Film]:
    """Push films one after the other; return those that were acknowledged.

    Parameters
    ----------
    kill_after : kill the archive once it has so many of them
    """
    command = [STORESCU, "-v", "-aet", SENDER, "-aec", "ORTHANC", "127.0.0.1"]
    before = orthanc.get("/statistics")["CountInstances"]
    sender = subprocess.Popen(
        [*command, str(orthanc.dicom_port), *(film.path for film in films)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if kill_after is not None:
        while orthanc.get("/statistics")["CountInstances"] < before + kill_after:
            assert sender.poll() is None, "all were pushed before it could be killed"
        orthanc.kill()
    told, _ = sender.communicate(timeout=120)
    acknowledged, sent = [], iter(films)
    for line in told.splitlines():
        if "Sending file" in line:
            film = next(sent)
        elif "Received Store Response (Success)" in line:
            acknowledged.append(film)
    return acknowledged


def write_key_object(film: Film) -> Path:
    """Write a key object note of nothing, in the film's study."""
    note = pydicom.dcmread(film.path, stop_before_pixels=True)
    note.SOPClassUID = note.file_meta.MediaStorageSOPClassUID = KEY_OBJECT
    note.SOPInstanceUID = note.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    note.SeriesInstanceUID, note.Modality = generate_uid(), "KO"
    note.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = film.path.with_suffix(".ko.dcm")
    note.save_as(path)
    return path


def wait_until(holds: Callable[[], object], limit_s: float) -> None:
    """Wait for something to hold; go on if it does not in time: what has become is counted."""
    until_s = time.monotonic() + limit_s
    while not holds() and time.monotonic() < until_s:
        time.sleep(0.1)
