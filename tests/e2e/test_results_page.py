"""docs/results.md: what it has DCMTK do with results, done: read, and sent to an archive.

The archive is DCMTK's storescp, which keeps what it is sent.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.e2e.pages import blocks

if not all(map(shutil.which, ("dsrdump", "/usr/bin/storescu", "storescp"))):
    pytest.skip("needs dcmtk", allow_module_level=True)

pytest.importorskip("highdicom", reason="the extra hospital is not installed")

from pydicom import dcmread

PAGE = ROOT / "docs" / "results.md"
SHOWN = [
    line
    for line in PAGE.read_text().partition("```text\n")[2].partition("```")[0].splitlines()
    if line and "..." not in line
]
"""What the page shows of the report, but for the lines that it shortens."""

(TRIED,) = (
    block
    for block in blocks(PAGE)
    if block.mark == "run by" and block.said == "tests/e2e/test_results_page.py"
)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A program that takes DICOM objects, its port and the folder where it keeps them."""
    kept = tmp_path / "kept"
    kept.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(["storescp", "-aet", "PACS", "-od", kept, str(port)])
    for _ in range(200):
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield port, kept
    process.terminate()
    process.wait(10)


def test_the_report_is_read_and_an_archive_takes_what_was_written(
    archive: tuple[int, Path], tmp_path: Path
) -> None:
    port, kept = archive
    (tmp_path / "film.dcm").write_bytes((ROOT / "examples" / "normal.dcm").read_bytes())
    (tmp_path / "results").mkdir()
    made = subprocess.run(
        [sys.executable, "-m", "app", "results", "film.dcm", "--out", "results"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, capture_output=True,
        text=True,
    )  # fmt: skip
    script = TRIED.script.replace("pacs.example 11112", f"127.0.0.1 {port}")
    for _ in range(2):  # sent again it is the same objects
        done = subprocess.run(
            ["bash", "-euc", script], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        assert [line for line in SHOWN if line not in done.stdout.splitlines()] == []
    sent = [dcmread(tmp_path / line) for line in made.stdout.split() if line.endswith(".dcm")]
    arrived = [dcmread(path) for path in kept.iterdir()]
    assert {each.SOPInstanceUID for each in arrived} == {each.SOPInstanceUID for each in sent}
    assert sorted(each.Modality for each in arrived) == ["OT", "SR"]
    assert {each.StudyInstanceUID for each in arrived} == {
        dcmread(tmp_path / "film.dcm").StudyInstanceUID
    }
