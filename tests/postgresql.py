"""A real PostgreSQL for tests: a cluster of its own in a temporary folder, on a free port."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.server import free_port

_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
INITDB = shutil.which("initdb", path=os.pathsep.join([*map(str, _FOLDERS), os.environ["PATH"]]))
USER = "postgres"


def why_not() -> str | None:
    """Say why there can't be one; None if there can."""
    if INITDB is None:
        return "PostgreSQL is not installed"
    if os.geteuid() == 0 and USER not in {user.pw_name for user in pwd.getpwall()}:
        return f"root may not start PostgreSQL, and there is no user {USER}"
    return None


class Cluster:
    """A running PostgreSQL that trusts whoever reaches it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._folder = folder
        self._made = 0

    def url(self, name: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def make(self) -> str:
        """Make an empty database; return its URL."""
        self._made += 1
        name = f"test{self._made}"
        self.run("psql", "--dbname", "postgres", "--command", f"CREATE DATABASE {name}")
        return self.url(name)

    def sql(self, url: str, *statements: str) -> None:
        for statement in statements:
            self.run("psql", "--dbname", url, "--set", "ON_ERROR_STOP=1", "--command", statement)

    def stop(self) -> None:
        _call("pg_ctl", "stop", "--pgdata", str(self._folder / "data"), "--mode", "immediate", "-w")

    def start(self) -> None:
        options = (
            f"-h 127.0.0.1 -p {self.port} -k {self._folder} -c fsync=off -c shared_buffers=16MB"
        )
        log = str(self._folder / "log")
        data = str(self._folder / "data")
        _call("pg_ctl", "start", "--pgdata", data, "--log", log, "-w", "--options", options)

    def run(self, program: str, *arguments: str) -> None:
        host = ("--host", "127.0.0.1", "--port", str(self.port), "--username", USER)
        _call(program, *host, *arguments)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Start PostgreSQL; stop it, by its own folder, on leaving."""
    folder = Path(tempfile.mkdtemp(prefix="neumo-postgresql-"))
    running = Cluster(folder, free_port())
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, USER)
        data = str(folder / "data")
        _call("initdb", "--pgdata", data, "--username", USER, "--auth", "trust", "--no-sync")
        running.start()
        try:
            yield running
        finally:
            running.stop()
    finally:
        for _ in range(50):  # a process that ends may still write
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(0.1)


def _call(program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs, as a user who is not root."""
    assert INITDB is not None
    command = [str(Path(INITDB).with_name(program)), *arguments]
    user = {"user": USER, "extra_groups": []} if os.geteuid() == 0 else {}
    done = subprocess.run(  # type: ignore[call-overload]
        command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False, timeout=60, **user,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout.decode()
