"""What other people's programs say of the results: dicom3tools' dciodvfy, DCMTK's dsrdump.

A clean film's results have no error; what is wrong in a film does not come back as one.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from app.render.hospital.result_set import make_results
from app.render.hospital.source_image import read_source_image
from tests import dicoms
from tests.app.render.hospital.results import COVID, DOUBT, MADE_AT, NORMAL, film, read
from tests.conftest import ROOT

WRONG = film(
    {
        0x00101010: ("AS", "62"),
        0x00100030: ("DA", "1965.01.02"),
        0x00100040: ("CS", "female"),
        0x00080030: ("TM", "8:15"),
        0x00200010: ("SH", "a study id that is too long"),
        0x00100010: ("PN", b"M\xfc\xff"),
        0x00180015: ("CS", "chest wall"),
        0x00200020: ("CS", "left\\foot"),
        0x00280301: ("CS", "perhaps"),
    }
)
FILMS = {
    "clean CR": film(),
    "clean DX": film(sop_class=dicoms.DX),
    "implicit": film(syntax=dicoms.IMPLICIT),
    "names nobody": (ROOT / "examples" / "normal.dcm").read_bytes(),
    "wrong tags": WRONG,
    "Japanese": film(
        {0x00080005: ("CS", "ISO_IR 192"), 0x00100010: ("PN", "Yamada^Tarou=山田^太郎")}
    ),
    "Spanish": film({0x00080005: ("CS", "ISO_IR 192"), 0x00100010: ("PN", "Muñoz^Íñigo")}),
}


def write(folder: Path, data: bytes, probabilities: tuple[float, ...], language: str) -> list[Path]:
    spoken = "es" if language == "es" else "en"
    results = make_results(
        read(data, probabilities), read_source_image(data), spoken, MADE_AT, ("sr", "sc")
    )
    paths = []
    for result in results:
        paths.append(folder / f"{result.kind}.dcm")
        paths[-1].write_bytes(result.data)
    return paths


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="needs dciodvfy (dicom3tools)")
@pytest.mark.parametrize("name", FILMS)
@pytest.mark.parametrize(
    ("probabilities", "language"), [(COVID, "en"), (NORMAL, "es"), (DOUBT, "es")]
)
def test_dciodvfy_finds_no_error(
    tmp_path: Path, name: str, probabilities: tuple[float, ...], language: str
) -> None:
    for path in write(tmp_path, FILMS[name], probabilities, language):
        done = subprocess.run(
            ["dciodvfy", "-new", path], capture_output=True, text=True, check=False
        )
        told = (done.stdout + done.stderr).splitlines()
        assert [line for line in told if line.startswith("Error")] == []
        assert done.returncode == 0
        assert {"sr": "Comprehensive3DSR", "sc": "SCImage"}[path.stem] in told
        unexpected = [
            line
            for line in told
            if line.startswith("Warning")
            and "<99NEUMO>" not in line
            and "needed to build DICOMDIR" not in line
        ]
        assert unexpected == []


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="needs dciodvfy (dicom3tools)")
def test_dciodvfy_would_find_one(tmp_path: Path) -> None:
    _, path = write(tmp_path, film(), COVID, "en")
    data = path.read_bytes()
    assert data.count(b"19650102") == 1
    path.write_bytes(data.replace(b"19650102", b"1965x102"))
    done = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
    assert "Error" in done.stderr + done.stdout


@pytest.mark.skipif(not shutil.which("dsrdump"), reason="needs dsrdump (dcmtk)")
@pytest.mark.parametrize("language", ["en", "es"])
def test_dsrdump_opens_the_report(tmp_path: Path, language: str) -> None:
    path, _ = write(tmp_path, film(), COVID, language)
    done = subprocess.run(
        ["dsrdump", "+Pl", "+U8", path], capture_output=True, text=True, check=True
    )
    assert "E: " not in done.stderr
    for line in (
        "Preliminary Flag    : PRELIMINARY",
        "Verification Flag   : UNVERIFIED",
        "Patient             : Doe^Jane (F, 1965-01-02, #MRN-4711:Hospital A)",
        '<contains CODE:(,,"Finding")=(840539006,SCT,"COVID-19")>',
        '<contains NUM:(,,"Probability")="0.97" (1,UCUM,"no units")>',
        '<contains IMAGE:(,,"Saliency")=(SC image,)>',
    ):
        assert line in done.stdout
    assert ("No es un producto sanitario" in done.stdout) == (language == "es")


@pytest.mark.skipif(not shutil.which("dsrdump"), reason="needs dsrdump (dcmtk)")
def test_dsrdump_shows_no_finding_where_the_answer_is_uncertain(tmp_path: Path) -> None:
    path, _ = write(tmp_path, film(), DOUBT, "en")
    done = subprocess.run(["dsrdump", path], capture_output=True, text=True, check=True)
    assert '"Finding")=' not in done.stdout
    assert '(uncertain,99NEUMO,"Uncertain: no label called")' in done.stdout
