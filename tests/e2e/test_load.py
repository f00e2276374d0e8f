"""Under load: a rolling restart behind nginx, and four times the peak. The bars are wide here,
because CI machines are busy; `benchmarks/` holds those that are meant."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.alone


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(
    shutil.which("nginx", path="/usr/sbin:/usr/bin") is None,
    reason="nginx (Debian: nginx-light) is not installed",
)
@pytest.mark.timeout(600)
def test_a_rolling_restart_behind_nginx_fails_no_request() -> None:
    done = run("-m", "benchmarks.rolling_restart", "--requests", "1000")
    assert done.returncode == 0, done.stdout + done.stderr


def test_four_times_the_peak_is_refused_cheaply_and_the_rest_is_read(tmp_path: Path) -> None:
    done = run(
        *("-m", "benchmarks.overload", "--peak-s", "3", "--over-s", "6"),
        *("--goodput", "0.5", "--slack", "20", "--output", str(tmp_path)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "overload.json").read_text())
    assert result["statuses"]["503"] > result["statuses"]["200"]
    assert (tmp_path / "overload.png").stat().st_size > 10_000
