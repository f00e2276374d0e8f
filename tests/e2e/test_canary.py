"""Nothing that a DICOM file says of a patient gets out: not in answers, logs, metrics or files.

A canary stands in every element that holds text, private ones and those in sequences too, and the
service logs all that it can, its libraries' own lines included.
"""

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import util
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import dicoms
from tests.conftest import ROOT
from tests.server import Server, multipart, running

if not util.find_spec("pydicom"):
    pytest.skip("the extra dicom is not installed", allow_module_level=True)

from pydicom import dcmread
from pydicom.data import get_charset_files
from pydicom.datadict import DicomDictionary

CANARY = "CANARY^DOE"
DIGITS = "7391739173"
"""What a canary is where only digits are taken: UIDs, numbers, dates."""

IN_DIGITS = ("UI", "IS", "DS", "DA", "TM", "DT")
TEXTS = ("AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", *IN_DIGITS)

# What the image itself is read by; each gets a canary alone.
READ = {
    0x00080016: "SOPClassUID", 0x00080068: "PresentationIntentType",
    0x00280004: "PhotometricInterpretation", 0x00280008: "NumberOfFrames",
    0x00281050: "WindowCenter", 0x00281051: "WindowWidth", 0x00281052: "RescaleIntercept",
    0x00281053: "RescaleSlope", 0x00281056: "VOILUTFunction", 0x20500020: "PresentationLUTShape",
}  # fmt: skip
HEEDED = (0x00080060, 0x00101010, 0x00180015, 0x00185101, 0x00200020, 0x00200060, 0x00200062)
SOP_INSTANCE_TAG = 0x00080018
PIXEL_DATA = 0x7FE00010


def canary(vr: str, tag: int) -> bytes:
    return f"1.2.{DIGITS}.{tag}".encode() if vr in IN_DIGITS else f"{CANARY} {tag:08X}".encode()


def sequence(tag: int, *items: bytes) -> bytes:
    framed = (struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    return dicoms.element(tag, "SQ", b"".join(framed))


@cache
def texts() -> dict[int, bytes]:
    """Write every element of DICOM's dictionary that holds text, a canary in each."""
    return {
        tag: dicoms.element(tag, vr, canary(vr, tag))
        for tag, (vr, *_) in DicomDictionary.items()
        if vr in TEXTS and 0x00080000 <= tag < PIXEL_DATA and tag not in READ
    }


def private() -> bytes:
    """Write private elements: of text, of a sequence that nests, of nobody's kind, in digits."""
    inner = dicoms.element(0x00091002, "LO", canary("LO", 0)) + sequence(
        0x00091003, dicoms.element(0x00100010, "PN", canary("PN", 0))
    )
    return (
        dicoms.element(0x00090010, "LO", canary("LO", 1))
        + dicoms.element(0x00091001, "UN", canary("UN", 1))
        + sequence(0x00091004, inner, inner)
        + dicoms.element(0x00091005, "UI", canary("UI", 1))
    )


def film(syntax: str = dicoms.EXPLICIT, **changes: bytes) -> bytes:
    """Write a readable film with a canary wherever it doesn't keep it from being read.

    `changes` are values by an element of `READ`'s name.
    """
    grey = np.asarray(Image.open(ROOT / "examples" / "normal.jpg").convert("L").resize((200, 200)))
    pixels = grey.astype(np.uint16) * 16
    written = {
        tag: dicoms.elements({tag: value}) for tag, value in dicoms.header(pixels, 12).items()
    }
    names = {name: tag for tag, name in READ.items()}
    written = (
        texts()
        | {0x00540220: sequence(0x00540220, dicoms.element(0x00080100, "SH", canary("SH", 2)))}
        | {0x00400275: sequence(0x00400275, b"".join(texts()[tag] for tag in HEEDED))}
        | {0x00090010: private()}
        | {tag: element for tag, element in written.items() if tag not in HEEDED}
        | {SOP_INSTANCE_TAG: dicoms.element(SOP_INSTANCE_TAG, "UI", canary("UI", 3))}
        | {
            names[name]: dicoms.element(names[name], DicomDictionary[names[name]][0], value)
            for name, value in changes.items()
        }
    )
    for tag, name in READ.items():  # or the film could not be read
        if name not in changes and tag not in dicoms.header(pixels, 12):
            written.pop(tag, None)
    body = b"".join(element for _, element in sorted(written.items()))
    shown = dicoms.element(PIXEL_DATA, "OW", pixels.astype("<u2").tobytes())
    if syntax != dicoms.EXPLICIT:
        shown = dicoms.encapsulate([canary("LO", 4) * 100])
    return dicoms.file_meta(syntax) + body + shown


def hostile() -> Iterator[bytes]:
    """Give films that can't be read, for every reason there is."""
    whole = film()
    for tag, name in READ.items():
        yield film(**{name: canary(DicomDictionary[tag][0], tag)})
    for share in (0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 0.9, 0.999):
        yield whole[: int(len(whole) * share)]
    chance = np.random.default_rng(0)
    for _ in range(20):
        broken = np.frombuffer(whole, np.uint8).copy()
        broken[chance.integers(132, len(whole) // 2, 5)] = chance.integers(0, 256, 5)
        yield broken.tobytes()
    for syntax in (
        dicoms.RLE, dicoms.JPEG, dicoms.JPEG_LOSSLESS, dicoms.JPEG_LS, dicoms.JPEG_2000_LOSSLESS,
        dicoms.HTJ2K, dicoms.DEFLATED, canary("UI", 5).decode(),
    ):  # fmt: skip
        yield film(syntax)
    yield whole[:128] + b"XXXX" + whole[132:]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the service may leave temporary files."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def telling(place: Path) -> Iterator[Server]:
    """A service that logs and writes down all it can, and reads films of every size."""
    environment = {
        "TMPDIR": str(place), "PYTHONWARNINGS": "always",
        "NEUMO_AUDIT_FOLDER": str(place / "audit"), "NEUMO_AUDIT_FLUSH_MS": "20",
    }  # fmt: skip
    with running("--log-level", "debug", "--min-side-px", "1", environment=environment) as server:
        yield server


def answers(server: Server, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give what each call answers to a file, head and body."""
    form, headers = multipart(("file", f"{CANARY}.dcm", data))
    raw = {"Content-Type": "application/dicom"}
    for path, body, head in (
        ("/predict", data, raw),
        ("/predict?heatmap=true", form, headers),
        ("/explain", data, raw),
        ("/explain?format=json", data, raw),
        ("/preview", data, raw),
        ("/predict/batch", form, headers),
    ):
        status, given, answer = server.call("POST", path, body, head)
        yield status, json.dumps(given).encode() + answer


def leaks(text: bytes) -> bool:
    return any(word.encode() in text for word in ("CANARY", DIGITS))


def everything(server: Server, place: Path) -> bytes:
    """Return all that is left of calls: metrics, logs, files, the audit trail's among them."""
    left = server.call("GET", "/metrics")[2] + server.log.read_bytes()
    for path in place.rglob("*"):
        with suppress(FileNotFoundError, IsADirectoryError):  # some come and go
            left += str(path).encode() + path.read_bytes()
    return left


def test_the_film_holds_canaries_of_every_kind() -> None:
    whole = film()
    assert whole.count(CANARY.encode()) > 1400
    assert whole.count(DIGITS.encode()) > 400
    assert leaks(whole)


def test_a_film_that_is_read_leaves_no_trace(telling: Server, place: Path) -> None:
    told = list(answers(telling, film()))
    assert [status for status, _ in told] == [200] * 6
    assert [answer for _, answer in told if leaks(answer)] == []
    assert not leaks(everything(telling, place))


def test_its_instance_is_told_to_who_asks_and_to_nobody_else(telling: Server, place: Path) -> None:
    status, _, answer = telling.call("POST", "/predict?include=uid", film())
    assert status == 200
    uid = canary("UI", 3).decode()
    assert json.loads(answer)["image"]["dicom"]["sop_instance_uid"] == uid
    assert not leaks(answer.replace(uid.encode(), b""))
    assert not leaks(everything(telling, place))


def test_what_is_written_down_names_nobody(telling: Server, place: Path) -> None:
    folder = place / "audit"
    status, _, answer = telling.call("POST", "/predict", film(), {"X-Request-ID": CANARY})
    assert status == 200
    request_id = json.loads(answer)["request_id"]
    for told in ({"label": CANARY}, {"label": "normal", CANARY: DIGITS}, {"label": "normal"}):
        head = {"Content-Type": "application/json"}
        body = json.dumps(told).encode()
        status, _, answer = telling.call("POST", f"/feedback/{request_id}", body, head)
        assert status == (201 if told == {"label": "normal"} else 400)
        assert not leaks(answer)
    assert telling.call("POST", f"/feedback/{CANARY}", body, head)[0] == 404
    time.sleep(0.5)  # until the database has all of it
    command = [sys.executable, "-m", "app", "audit", "export", "--audit-folder", str(folder)]
    done = subprocess.run([*command, "-"], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.count(request_id.encode()) == 2  # the Reading and the diagnosis
    assert not leaks(done.stdout)
    assert (folder / "audit.sqlite-wal").stat().st_size > 0
    assert not leaks(everything(telling, place))


def test_rows_on_their_way_name_nobody(tmp_path: Path) -> None:
    if not util.find_spec("psycopg"):
        pytest.skip("the extra postgres is not installed")
    environment = {
        "TMPDIR": str(tmp_path), "NEUMO_AUDIT_FOLDER": str(tmp_path / "audit"),
        "NEUMO_AUDIT_FLUSH_MS": "20",
        "NEUMO_AUDIT_DATABASE": "postgresql://nobody@127.0.0.1:9/none",  # nobody listens
    }  # fmt: skip
    with running("--log-level", "debug", environment=environment) as server:
        for data in (film(), *islice(hostile(), 10)):
            assert all(status < 500 for status, _ in answers(server, data))
        time.sleep(0.2)
        (spool,) = (tmp_path / "audit").glob("*.spool")
        assert spool.read_bytes().count(b'"kind": "refusal"') > 10
        assert not leaks(everything(server, tmp_path))


def test_films_that_can_not_be_read_leave_no_trace(telling: Server, place: Path) -> None:
    seen = 0
    for data in hostile():
        for status, answer in answers(telling, data):
            seen += status >= 400
            assert status < 500
            assert not leaks(answer), answer
    assert seen > 100
    assert not leaks(everything(telling, place))


@pytest.mark.parametrize(
    "name", ["chrJapMulti.dcm", "chrJapMultiExplicitIR6.dcm", "chrKoreanMulti.dcm", "chrRuss.dcm"]
)
def test_a_name_in_any_alphabet_stays_in_its_file(telling: Server, place: Path, name: str) -> None:
    (path,) = get_charset_files(name)
    dataset = dcmread(path)
    whole = dataset.PatientName
    parts = {bytes(whole.original_string), str(whole).encode()}
    parts |= {part.encode() for part in str(whole).replace("=", "^").split("^") if len(part) > 1}
    assert len(parts) >= 2
    told = [answer for _, answer in answers(telling, Path(path).read_bytes())]
    left = b"".join(told) + everything(telling, place)
    parts |= {json.dumps(part.decode(errors="replace"))[1:-1].encode() for part in parts}
    assert [part for part in parts if part in left] == []


def test_the_terminal_tells_no_more(tmp_path: Path) -> None:
    (tmp_path / "whole.dcm").write_bytes(film())
    for number, data in enumerate(islice(hostile(), 15)):
        (tmp_path / f"{number}.dcm").write_bytes(data)
    files = sorted(map(str, tmp_path.iterdir()))
    for more in (["--json"], []):
        done = subprocess.run(
            [sys.executable, "-m", "app", "predict", *more, *files],
            cwd=ROOT,
            env=os.environ | {"PYTHONWARNINGS": "always"},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 1
        assert b"whole.dcm" in done.stdout
        assert not leaks(done.stdout)
        assert not leaks(done.stderr)
        assert b"Traceback" not in done.stderr
