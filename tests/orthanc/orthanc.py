"""A real Orthanc for tests: the configuration of deploy/orthanc/, in a temporary folder.

It is told ports by the variables that the configuration takes from the environment. Orthanc 1.10
binds every address, whatever it is told: HTTP from other machines it refuses, and DICOM from
others than the AE titles and addresses of its table.
"""

import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pydicom

from app.render.hospital.result_uid import result_uid
from tests.conftest import ROOT
from tests.server import free_port

ORTHANC = Path("/usr/sbin/Orthanc")
DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
STORESCU = Path("/usr/bin/storescu")  # pynetdicom's own of that name says 0 whatever failed
CONFIGURATION = ROOT / "deploy" / "orthanc" / "orthanc.json"
FILM = ROOT / "examples" / "normal.dcm"
SENDER = "XRAY1"
Way = Literal["neumo.lua", "neumo-stow.lua"]
_LIMIT_S = 30.0


def why_not() -> str | None:
    """Say why there can't be one; None if there can."""
    for program, package in (
        (ORTHANC, "orthanc"),
        (DICOMWEB_PLUGIN, "orthanc-dicomweb"),
        (STORESCU, "dcmtk"),
    ):
        if not program.exists():
            return f"{program} (Debian: {package}) is not installed"
    return None


@dataclass
class Orthanc:
    """An Orthanc that can be killed and started again on what it stored.

    Parameters
    ----------
    neumo_port : where its configuration says that `neumo receive` listens
    """

    folder: Path
    neumo_port: int
    way: Way = "neumo.lua"
    variables: dict[str, str] = field(default_factory=dict)
    http_port: int = field(default_factory=free_port)
    dicom_port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def dicomweb(self) -> str:
        """The root of its DICOMweb services."""
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    @property
    def partner(self) -> str:
        """What NEUMO_PARTNERS says of it, for C-STORE."""
        return f"dicom://ORTHANC@127.0.0.1:{self.dicom_port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            [ORTHANC, CONFIGURATION],
            stdout=log,
            stderr=log,
            env=os.environ
            | {
                "ORTHANC_STORAGE": str(self.folder / "db"),
                "ORTHANC_HTTP_PORT": str(self.http_port),
                "ORTHANC_DICOM_PORT": str(self.dicom_port),
                "NEUMO_DICOM_PORT": str(self.neumo_port),
                "NEUMO_LUA": self.way,
            }
            | self.variables,
        )
        log.close()
        until_s = time.monotonic() + _LIMIT_S
        while time.monotonic() < until_s:
            assert self.process.poll() is None, (self.folder / "log").read_text(errors="replace")
            try:
                self.get("/system")
            except urllib.error.URLError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError("Orthanc never answered")

    def kill(self) -> None:
        """End it as a loss of power would, but for what the kernel still holds."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as its service manager would."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def push(self, *films: Path) -> int:
        """Send films by C-STORE, as a modality would; return storescu's exit code."""
        command = [STORESCU, "-R", "-aet", SENDER, "-aec", "ORTHANC", "127.0.0.1"]
        done = subprocess.run(
            [*command, str(self.dicom_port), *films], capture_output=True, check=False, timeout=120
        )
        return done.returncode

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Ask its REST interface."""
        return self._call(path, None)

    def post(self, path: str, body: bytes = b"{}") -> Any:  # noqa: ANN401 - JSON
        """Tell its REST interface something."""
        return self._call(path, body)

    def _call(self, path: str, body: bytes | None) -> Any:  # noqa: ANN401 - JSON
        url = f"http://127.0.0.1:{self.http_port}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=20) as answer:
            return json.load(answer)

    def count(self, uid: str) -> int:
        """Return how many instances it has of one UID: the judge of exactly once."""
        return sum(
            found["Type"] == "Instance" for found in self.post("/tools/lookup", uid.encode())
        )

    def has_all(self, films: Sequence["Film"]) -> bool:
        """Whether it has each film, with one report and one picture in the same study."""
        return all(self.results_of(film) == (1, 1, 1) for film in films)

    def results_of(self, film: "Film") -> tuple[int, int, int]:
        """Return how many it has of a film, of its report, of its picture."""
        return self.count(film.uid), self.count(film.report_uid), self.count(film.picture_uid)

    def modalities(self, study_uid: str) -> Counter[str]:
        """Return how many instances of each modality a study has."""
        query = {"Level": "Series", "Query": {"StudyInstanceUID": study_uid}, "Expand": True}
        found = self.post("/tools/find", json.dumps(query).encode())
        return Counter(
            {each["MainDicomTags"]["Modality"]: len(each["Instances"]) for each in found}
        )

    def jobs(self, state: str) -> list[str]:
        """Return the ids of the jobs in a state, such as Failure."""
        return [job["ID"] for job in self.get("/jobs?expand") if job["State"] == state]


@dataclass(frozen=True)
class Film:
    """A film of a study of its own, and the UIDs that its results will have."""

    path: Path
    uid: str
    study_uid: str
    sha256: str

    @property
    def report_uid(self) -> str:
        return result_uid("sr", self.uid, self.sha256)

    @property
    def picture_uid(self) -> str:
        return result_uid("sc", self.uid, self.sha256)


def draw_films(folder: Path, count: int, sha256: str, study_date: str = "") -> list[Film]:
    """Write films of nobody, each of a patient and a study of its own.

    Parameters
    ----------
    sha256 : of the model that will read them
    """
    folder.mkdir(exist_ok=True)
    films = []
    for number in range(count):
        film = pydicom.dcmread(FILM)
        uids = [pydicom.uid.generate_uid() for _ in range(3)]
        film.SOPInstanceUID, film.StudyInstanceUID, film.SeriesInstanceUID = uids
        film.file_meta.MediaStorageSOPInstanceUID = uids[0]
        film.PatientName, film.PatientID = f"Nobody^{number}", f"TEST-{number}"
        film.StudyDate = study_date
        film.save_as(folder / f"{number}.dcm")
        films.append(Film(folder / f"{number}.dcm", str(uids[0]), str(uids[1]), sha256))
    return films


@contextmanager
def running_orthanc(
    neumo_port: int, way: Way = "neumo.lua", variables: dict[str, str] | None = None
) -> Iterator[Orthanc]:
    """Start Orthanc in a folder of its own; end it, by its own process id, on leaving."""
    with tempfile.TemporaryDirectory(prefix="neumo-orthanc-") as folder:
        (Path(folder) / "db").mkdir()
        orthanc = Orthanc(Path(folder), neumo_port, way, variables or {})
        try:
            orthanc.start()
            yield orthanc
        finally:
            orthanc.kill()
