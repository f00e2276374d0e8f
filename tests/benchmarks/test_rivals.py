"""benchmarks.rivals: what is measured, and what a part of it leaves; what wrk counts."""

import argparse
import http.server
import shutil
import threading
from pathlib import Path
from typing import ClassVar

import pytest

from benchmarks import report, wrk
from benchmarks.contenders import RIVALS
from benchmarks.rivals import Cell, part, plan

NAMES = ("Neumo", report.FLOOR, *(each.name for each in RIVALS))
ALL = argparse.Namespace(
    cores=None, formats=None, connections=None, contenders=None, rounds=None, seconds=None
)


def chosen(**options: object) -> list[Cell]:
    return part(plan(NAMES, quick=False), argparse.Namespace(**{**vars(ALL), **options}))


def test_every_format_is_measured_on_both_cores_at_one_and_eight_connections() -> None:
    cells = {cell.key: cell for cell in plan(NAMES, quick=False) if cell.cores == "both"}
    assert cells.keys() == {
        f"both | {image} | {connections} | wrk"
        for image in ("JPEG 1024", "JPEG 2500", "PNG 1024")
        for connections in (1, 8)
    }
    for cell in cells.values():
        assert {"Neumo", "FastAPI + Neumo's graph", "FastAPI + ONNX int8"} <= set(cell.names)


def test_no_option_leaves_the_whole_plan() -> None:
    assert chosen() == plan(NAMES, quick=False)


def test_a_part_keeps_neumo_and_drops_cells_with_nobody_else() -> None:
    cells = chosen(contenders=["LitServe"], formats=["JPEG 1024"], rounds=7, seconds=4)
    assert [cell.key for cell in cells] == [
        "one | JPEG 1024 | 8 | closed",
        "one | JPEG 1024 | 1 | closed",
        "one | JPEG 1024 | 32 | closed",
        "both | JPEG 1024 | 8 | wrk",
    ]
    assert {cell.names for cell in cells} == {("Neumo", "LitServe")}
    assert {(cell.rounds, cell.seconds) for cell in cells} == {(7, 4)}


def test_a_part_may_be_of_some_cores_and_connections() -> None:
    cells = chosen(cores="both", connections=[1])
    assert {(cell.cores, cell.connections) for cell in cells} == {("both", 1)}
    assert len(cells) == 3


class EveryThirdFails(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bodies: ClassVar[list[bytes]] = []
    statuses: ClassVar[dict[int, int]] = {200: 0, 204: 0, 503: 0}

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.bodies.append(body)
        status = (200, 204, 503)[len(self.bodies) % 3]
        self.statuses[status] += 1
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - theirs
        pass


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_wrk_posts_the_form_and_counts_only_answers_of_200(tmp_path: Path) -> None:
    image = tmp_path / "some.img"
    image.write_bytes(b"an image\0\xff" * 1000)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), EveryThirdFails) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        figures = wrk.post(
            server.server_port, image, field="file", cpus={0}, connections=1, seconds=1
        )
        server.shutdown()
        thread.join()
    assert set(EveryThirdFails.bodies) == {image.with_name("some.file.form").read_bytes()}
    assert b"\r\n\r\n" + image.read_bytes() + b"\r\n--" in EveryThirdFails.bodies[0]
    # The last answer, and one that was cut short, may come too late to be counted.
    assert figures["count"] == pytest.approx(EveryThirdFails.statuses[200], abs=2)
    assert figures["failed"] == pytest.approx(2 * figures["count"], abs=3)
    assert figures["p50_ms"] <= figures["p99_ms"]
    assert figures["generator_ms"] > 0


def test_without_wrk_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(wrk.WrkMissing, match="not installed"):
        wrk.find_wrk()
