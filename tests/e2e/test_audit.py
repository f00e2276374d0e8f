"""The audit trail of a real service: killed at any moment, without its database, with a key."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from tests.conftest import ROOT
from tests.server import Server, multipart, running, started

FLUSH_S = 0.2
SLACK_S = 0.5
"""For the write that was under way, on a machine with other work; the interval is FLUSH_S."""


@contextmanager
def keeping(folder: Path, *, workers: int = 2, **environment: str) -> Iterator[Server]:
    """Serve with an audit trail in `folder`."""
    settings = {
        "NEUMO_AUDIT_FOLDER": str(folder), "NEUMO_WORKERS": str(workers),
        "NEUMO_AUDIT_KEY_FILE": str(folder.parent / "key"),
        "NEUMO_AUDIT_FLUSH_MS": str(round(FLUSH_S * 1000)),
    }  # fmt: skip
    with running(environment=settings | environment) as server:
        yield server


def audit(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``neumo audit``."""
    environment = {
        "NEUMO_AUDIT_FOLDER": str(folder),
        "NEUMO_AUDIT_KEY_FILE": str(folder.parent / "key"),
    }
    return subprocess.run(
        [sys.executable, "-m", "app", "audit", *arguments],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def verdict(folder: Path, *arguments: str) -> dict[str, object]:
    done = audit(folder, "verify", "--json", *arguments)
    assert done.stdout, done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    assert done.returncode == (0 if told["whole"] else 1)
    return told


def written(folder: Path) -> set[str]:
    """Return the requests whose Readings are in the database."""
    with closing(sqlite3.connect(folder / "audit.sqlite")) as connection:
        found = connection.execute("SELECT request_id FROM audit_row WHERE kind = 'reading'")
        return {request_id for (request_id,) in found}


def wait_until(is_so: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until_s
        time.sleep(0.05)


@dataclass
class Load:
    """Clients that ask without a pause; when each answer came, by its request."""

    server: Server
    image: bytes
    answered_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def running(self, clients: int = 4) -> Iterator[None]:
        self._on = True
        threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._on = False
            for thread in threads:
                thread.join()

    def go_on(self, answers: int) -> None:
        """Return once so many more are answered."""
        wanted = len(self.answered_s) + answers
        wait_until(lambda: len(self.answered_s) >= wanted)

    def _ask(self) -> None:
        while self._on:
            request_id = str(uuid4())
            head = {"X-Request-ID": request_id}
            try:
                status, _, _ = self.server.call("POST", "/predict", self.image, head)
            except OSError:
                time.sleep(0.02)
                continue
            except Exception:  # noqa: BLE001, S112 - a head that was cut off
                continue
            if status == 200:
                self.answered_s[request_id] = time.monotonic()


def check_no_more_is_missing_than_was_said(load: Load, folder: Path, killed_s: float) -> None:
    """What was answered earlier than one flush before the kill has to be there."""
    before = {each for each, at_s in load.answered_s.items() if at_s < killed_s - FLUSH_S - SLACK_S}
    assert len(before) >= 30
    assert before - written(folder) == set()


@pytest.mark.alone  # it times what a flush takes
def test_a_killed_worker_loses_no_more_than_a_flush_interval(tmp_path: Path, jpeg: bytes) -> None:
    folder = tmp_path / "audit"
    with keeping(folder) as server:
        load = Load(server, jpeg)
        with load.running():
            load.go_on(30)
            time.sleep(FLUSH_S + SLACK_S)
            spools = {*folder.glob("*.spool")}
            killed_s = time.monotonic()
            os.kill(server.workers[0], signal.SIGKILL)
            time.sleep(SLACK_S)
            load.go_on(10)
        wait_until(lambda: len(spools & {*folder.glob("*.spool")}) == 1)  # or the next start does
        assert max(load.answered_s.values()) > killed_s
    check_no_more_is_missing_than_was_said(load, folder, killed_s)
    after = {each for each, at_s in load.answered_s.items() if at_s > killed_s + SLACK_S}
    assert after - written(folder) == set()  # the others, and the one that replaced it
    told = verdict(folder)
    assert (told["findings"], told["chains"], told["open_chains"]) == ([], 3, 0)


@pytest.mark.alone  # it times what a flush takes
def test_a_service_killed_as_a_whole_loses_no_more_either(tmp_path: Path, jpeg: bytes) -> None:
    folder = tmp_path / "audit"
    with keeping(folder) as server:
        load = Load(server, jpeg)
        with load.running():
            load.go_on(30)
            time.sleep(FLUSH_S + SLACK_S)
            killed_s = time.monotonic()
            for pid in (server.process.pid, *server.workers):
                os.kill(pid, signal.SIGKILL)
            server.process.wait()
    assert verdict(folder)["whole"] is True  # what is still in spools is missed by nobody
    with keeping(folder, workers=1) as server:
        wait_until(lambda: len([*folder.glob("*.spool")]) == 1)
    assert [*folder.glob("*.spool")] == []
    check_no_more_is_missing_than_was_said(load, folder, killed_s)
    told = verdict(folder)
    assert (told["findings"], told["chains"], told["open_chains"]) == ([], 3, 0)


def test_a_stop_in_good_order_loses_nothing(tmp_path: Path, jpeg: bytes) -> None:
    folder = tmp_path / "audit"
    with keeping(folder, NEUMO_AUDIT_FLUSH_MS="60000") as server:
        load = Load(server, jpeg)
        with load.running():
            load.go_on(10)
    assert len(load.answered_s) > 5
    assert load.answered_s.keys() <= written(folder)
    assert verdict(folder)["whole"] is True


def test_without_its_database_a_service_starts_reads_and_keeps_rows(
    tmp_path: Path, jpeg: bytes
) -> None:
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    folder = tmp_path / "audit"
    away = "postgresql://nobody:secret@127.0.0.1:9/none"
    with keeping(folder, NEUMO_AUDIT_DATABASE=away) as server:
        load = Load(server, jpeg)
        with load.running():
            load.go_on(10)
        failed = b'neumo_audit_failures_total{where="database"}'
        wait_until(lambda: failed in server.call("GET", "/metrics")[2])
        assert server.call("GET", "/health/ready")[0] == 200
        assert "secret" not in server.log_text()
    spooled = b"".join(path.read_bytes() for path in folder.glob("*.spool"))
    assert all(each.encode() in spooled for each in load.answered_s)
    with keeping(folder, workers=1):  # in SQLite now: what lies in spools is adopted
        wait_until(lambda: len([*folder.glob("*.spool")]) == 1)
    assert load.answered_s.keys() <= written(folder)
    assert verdict(folder)["whole"] is True


@pytest.mark.parametrize(
    ("spoil", "code", "detail"),
    [
        ("folder", "audit_folder_unusable", "NEUMO_AUDIT_FOLDER"),
        ("key", "audit_key_unusable", "64 hexadecimal digits"),
        ("url", "audit_database_unusable", "NEUMO_AUDIT_DATABASE"),
    ],
)
def test_a_trail_that_can_not_be_kept_stops_the_start(
    tmp_path: Path, spoil: str, code: str, detail: str
) -> None:
    (tmp_path / "file").write_text("no key and no folder")
    place = {"NEUMO_AUDIT_FOLDER": str(tmp_path / "audit")} | {
        "folder": {"NEUMO_AUDIT_FOLDER": str(tmp_path / "file" / "audit")},
        "key": {"NEUMO_AUDIT_KEY_FILE": str(tmp_path / "file")},
        "url": {"NEUMO_AUDIT_DATABASE": "mysql://h/d"},
    }[spoil]
    with started(environment=place) as server:
        assert server.process.wait(30) == 3
        (line,) = [each for each in server.lines() if each["level"] == "critical"]
    assert line["code"] == code
    assert detail in line["message"]


def test_a_key_that_is_another_stops_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    with keeping(folder):
        pass
    (tmp_path / "key").write_text("0" * 64)
    settings = {"NEUMO_AUDIT_FOLDER": str(folder), "NEUMO_AUDIT_KEY_FILE": str(tmp_path / "key")}
    with started(environment=settings) as server:
        assert server.process.wait(30) == 3
        assert "another than the one" in server.log_text()


def test_the_commands_tell_what_is_there(tmp_path: Path, jpeg: bytes) -> None:
    folder = tmp_path / "audit"
    with keeping(folder) as server:
        body, headers = multipart(("file", "DOE^JOHN.jpg", jpeg))
        assert server.call("POST", "/predict", body, headers)[0] == 200
        seals = [line for line in server.lines() if line["message"] == "sealed"]
        assert seals == []
    told = audit(folder, "verify")
    assert told.returncode == 0
    *_, seal, last = told.stdout.splitlines()
    assert last == "whole"
    mark = seal.removeprefix("last seal ")
    assert audit(folder, "verify", "--expect", mark).returncode == 0
    number, _, mac = mark.partition(":")
    later = audit(folder, "verify", "--expect", f"{int(number) + 1}:{mac}")
    assert later.returncode == 1
    assert f"missing: ledger {int(number) + 1}" in later.stdout
    table = tmp_path / "rows.csv"
    assert audit(folder, "export", str(table)).returncode == 0
    assert table.stat().st_mode & 0o777 == 0o600
    assert table.read_text().count("\n") == 6  # head, two of each worker, one Reading
    assert audit(folder, "export", "-", "--until", "2000-01-01").stdout.count("\n") == 1
    with closing(sqlite3.connect(folder / "audit.sqlite")) as connection, connection:
        connection.execute("DELETE FROM audit_row WHERE kind = 'reading'")
    broken = audit(folder, "verify")
    assert broken.returncode == 1
    assert "missing: " in broken.stdout
    assert audit(tmp_path / "nowhere", "verify").returncode == 2
    assert audit(folder, "verify", "--expect", "x").returncode == 2


def test_an_export_is_read_by_others(tmp_path: Path, jpeg: bytes) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra score is not installed")
    folder = tmp_path / "audit"
    with keeping(folder, workers=1) as server:
        assert server.call("POST", "/predict", jpeg)[0] == 200
    assert audit(folder, "export", str(tmp_path / "rows.parquet")).returncode == 0
    rows = parquet.read_table(tmp_path / "rows.parquet").to_pylist()
    assert [row["kind"] for row in rows] == ["open", "reading", "close"]
    reading = rows[1]
    assert reading["seq"] == 2
    assert reading["decode_ms"] > 0
    assert sum(json.loads(reading["probabilities"]).values()) == pytest.approx(1, abs=1e-4)
