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
