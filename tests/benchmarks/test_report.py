"""benchmarks.report: from rounds to ratios and tables, and the docs that hold them."""

import json
from itertools import pairwise

import pytest

from benchmarks import report
from benchmarks.generator import arrivals, write_request
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "performance.md"
FIGURES = ROOT / "docs" / "performance.json"


def measured(per_second: float, **more: float) -> dict[str, float]:
    return {"per_second": per_second, "p50_ms": 10.0, "p99_ms": 20.0, "failed": 0} | more


CELL = {
    "Neumo": [measured(90), measured(40), measured(95)],
    "floor": [measured(100), measured(50), measured(100)],
}
ALONE = {
    "Neumo": [measured(50, p50_ms=12.1, overhead_ms=0.8)],
    "floor": [measured(60, p50_ms=10.0)],
}
RESULTS = {
    "machine": {"cpu": "a CPU", "cores": "2", "python": "3.11"},
    "started": {"Neumo": {"ready_s": 0.75, "resident_mb": 160.0}},
    "cells": {"one | JPEG 1024 | 8 | closed": CELL, "one | JPEG 1024 | 1 | closed": ALONE},
}


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    # Of the medians it would be 90 / 100; the slow round counts for both.
    assert report.ratio(CELL, "per_second", "Neumo", "floor") == pytest.approx(0.9)
    assert report.ratio(CELL, "per_second", "Neumo", "nobody") is None


def test_bars_are_told_met_or_missed() -> None:
    text = report.tables(RESULTS)
    assert "| throughput / floor | JPEG 1024 | 0.90 | >= 0.88 | met |" in text
    assert "| p50 / floor's | JPEG 1024 | 1.21 | <= 1.2 | missed |" in text
    assert "| overhead, p50 | JPEG 1024 | 0.80 ms | <= 1.0 ms | met |" in text
    assert "| Neumo | 0.75 s | 160 MB |" in text
    assert "| floor | 100.0 | 10.0 ms | 20.0 ms | not counted | 0 |" in text


BOTH = {
    "both | JPEG 1024 | 8 | wrk": {
        "Neumo": [measured(120), measured(108), measured(110)],
        "FastAPI + Neumo's graph": [measured(100), measured(100), measured(100)],
        "FastAPI + ONNX int8": [measured(80), measured(90), measured(100)],
    },
    "both | PNG 1024 | 1 | wrk": {
        "Neumo": [measured(90, p50_ms=10.0), measured(90, p50_ms=11.0)],
        "FastAPI + Neumo's graph": [measured(80, p50_ms=20.0), measured(80, p50_ms=20.0)],
    },
    "both | JPEG 2500 | 1 | wrk": {
        "Neumo": [measured(40, p50_ms=21.0)],
        "FastAPI + Neumo's graph": [measured(40, p50_ms=20.0)],
    },
}


def test_both_cores_have_bars_of_their_own_with_the_rounds_spread() -> None:
    text = report.tables({"machine": RESULTS["machine"], "cells": BOTH})
    lines = text.splitlines()
    graph = "FastAPI + Neumo's graph"
    assert (
        f"| throughput / {graph} | JPEG 1024 | 8 | 1.10 | 1.08 to 1.20 | >= 1.05 | met |" in lines
    )
    assert (
        "| throughput / FastAPI + ONNX int8 | JPEG 1024 | 8 | 1.20 | 1.10 to 1.50 | >= 1.3 "
        "| missed |" in lines
    )
    assert f"| p50 / {graph} | PNG 1024 | 1 | 0.53 | 0.50 to 0.55 | <= 1.0 | met |" in lines
    assert f"| p50 / {graph} | JPEG 2500 | 1 | 1.05 | 1.05 to 1.05 | <= 1.0 | missed |" in lines
    assert "**JPEG 1024, 8 connections, both cores, load by wrk**" in lines
    assert "floor" not in text  # no bar of what was not measured


def test_a_smaller_run_replaces_its_own_cells_only() -> None:
    cells = {"one | JPEG 1024 | 8 | closed": ALONE, **BOTH}
    merged = report.merge(RESULTS, {"machine": RESULTS["machine"], "started": {}, "cells": cells})
    assert merged["cells"]["one | JPEG 1024 | 8 | closed"] is ALONE
    assert merged["cells"]["one | JPEG 1024 | 1 | closed"] is ALONE
    assert merged["cells"].keys() == RESULTS["cells"].keys() | BOTH.keys()
    assert merged["started"] == RESULTS["started"]
    assert RESULTS["cells"]["one | JPEG 1024 | 8 | closed"] is CELL  # type: ignore[index]


def test_only_what_lies_between_the_marks_is_written_anew() -> None:
    page = f"before\n{report.BEGIN}old{report.END}\nafter\n"
    filled = report.fill(page, RESULTS)
    assert filled.startswith(f"before\n{report.BEGIN}\n")
    assert filled.endswith(f"{report.END}\nafter\n")
    assert "old" not in filled
    assert report.fill(filled, RESULTS) == filled


def test_the_docs_say_what_was_measured() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert report.fill(page, json.loads(FIGURES.read_text(encoding="utf-8"))) == page


def test_an_open_loop_comes_at_its_rate_in_no_rhythm() -> None:
    times = arrivals(200, 10)
    assert times is not None
    assert len(times) == pytest.approx(2000, rel=0.1)
    steps = {round(later - sooner, 4) for sooner, later in pairwise(times)}
    assert len(steps) > 100
    assert arrivals(0, 10) is None


def test_a_request_holds_the_image_and_its_own_length() -> None:
    head, _, body = write_request(b"image", "file").partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head.lower()
    assert b'name="file"' in body
    assert b"\r\n\r\nimage\r\n--" in body
