"""The example as DICOM: the drawn film, in a coding that shown as it is would be a negative."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from app.cli.command import USAGE, main
from tests.conftest import ROOT
from tests.images import encode

pydicom = pytest.importorskip("pydicom", reason="the extra dicom is not installed")
FILM = ROOT / "examples" / "normal.dcm"


def test_it_is_written_from_the_drawn_one(examples: dict[str, Path]) -> None:
    from examples.write_dicom import write_dicom  # noqa: PLC0415 - needs the extra

    assert write_dicom(examples["normal"].read_bytes()) == FILM.read_bytes()


def test_it_is_read_as_the_drawn_one(client: TestClient, examples: dict[str, Path]) -> None:
    film, drawn = (
        client.post("/predict", content=path.read_bytes()).json()
        for path in (FILM, examples["normal"])
    )
    assert film["label"] == drawn["label"] == "normal"
    assert film["probabilities"] == pytest.approx(drawn["probabilities"], abs=0.01)
    codes = [each["code"] for each in film["warnings"]]
    assert [code for code in codes if code != "site_not_validated"] == []  # its age is in its tags


def test_it_is_shown_as_the_drawn_one(client: TestClient, examples: dict[str, Path]) -> None:
    answer = client.post("/preview", content=FILM.read_bytes())
    picture = np.asarray(Image.open(io.BytesIO(answer.content)))
    half = np.asarray(Image.open(examples["normal"]).convert("L").reduce(2))
    assert np.array_equal(picture, half)


def test_its_values_as_they_are_would_be_a_negative(client: TestClient) -> None:
    naive = pydicom.dcmread(FILM).pixel_array
    grey = (naive / naive.max() * 255).astype(np.uint8)
    problem = client.post("/predict", content=encode(grey, "PNG")).json()
    assert (problem["code"], problem["reason"]) == ("not_a_chest_xray", "inverted")


def test_it_names_nobody() -> None:
    dataset = pydicom.dcmread(FILM)
    for name in ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyDate"):
        assert not dataset.get(name)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    main(["predict", "--json", *arguments, str(FILM)])
    line: dict[str, object] = json.loads(capsys.readouterr().out)
    return line


def test_the_terminal_reads_it_by_any_of_its_windows(
    capsys: pytest.CaptureFixture[str], client: TestClient
) -> None:
    for number in (1, 2):
        line = told(capsys, f"--window={number}")
        served = client.post(f"/predict?window={number}", content=FILM.read_bytes()).json()
        assert (line["probabilities"], line["image"]) == (served["probabilities"], served["image"])
    assert told(capsys)["image"] == told(capsys, "--window=1")["image"]
    line = told(capsys, "--window=3")
    assert (line["code"], line["windows"]) == ("invalid_parameter", 2)
    for number in (0, -1):
        assert main(["predict", f"--window={number}", str(FILM)]) == USAGE


def test_the_terminal_tells_its_instance_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    uid = str(pydicom.dcmread(FILM).SOPInstanceUID)
    assert uid not in str(told(capsys))
    assert uid in str(told(capsys, "--include=uid"))
