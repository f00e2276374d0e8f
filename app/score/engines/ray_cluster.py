"""The cluster of Ray that films are read on: begun on this machine, or one that is there.

Left to itself Ray tells its makers of its use, asks what cloud it runs in, writes into the home
folder and listens on every address. It asks the environment about these as it is imported.
"""

import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Final

from app.errors import ClusterUnusable

_OBJECTS_BYTES: Final = 100_000_000
"""Of shared memory, which holds names of films and rows: a few thousand bytes for a chunk."""

_KNOCK_S: Final = 10.0

_STARTS: Final = 3
"""Ray gives a node half a minute to start, which a busy machine may not keep."""

_QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9/",  # where it would tell that it is off
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}

_BOOTSTRAP: Final = "ray_bootstrap_config.yaml"
"""Found in the home folder, it keeps Ray from asking addresses of clouds which of them it is in."""

_OWN: Final = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_worker_niceness": "0"}
"""The first is Ray's switch for 127.0.0.1 instead of the machine's address; it works on Linux too.
The other has actors wait no longer for a CPU than the local engine does (Ray's are nice by 15)."""


@contextmanager
def joined(address: str | None, cpus: int) -> Iterator[None]:
    """Begin a cluster on this machine, which ends with the context, or join one.

    Parameters
    ----------
    address : of the head of one that is there, as `ray.init` takes it; None begins one
    cpus : of one that is begun

    Raises
    ------
    ClusterUnusable
    ModuleNotFoundError
        Without the extra.
    """
    if address is not None:
        _knock(address)
        with _joined(address=address):
            yield
        return
    folder = Path(tempfile.mkdtemp(prefix="neumo-ray-"))
    try:
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32), encoding="ascii")
        (folder / _BOOTSTRAP).write_text("{}", encoding="ascii")
        os.environ |= _OWN | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        with _joined(
            home=folder,
            num_cpus=cpus,
            object_store_memory=_OBJECTS_BYTES,
            include_dashboard=False,
            _temp_dir=str(folder),
            _system_config={
                "automatic_object_spilling_enabled": False,
                "enable_metrics_collection": False,
            },
        ):
            yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _knock(address: str) -> None:
    """See that somebody listens: Ray would wait for minutes, and tell it to nobody."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), _KNOCK_S).close()
    except OSError as error:
        reason = f"nobody answers at its address ({error.strerror or type(error).__name__})"
        raise ClusterUnusable(reason=reason) from None


@contextmanager
def _joined(home: Path | None = None, **how: object) -> Iterator[None]:
    """Join; processes that are started for it have `home`, if it is given."""
    os.environ |= _QUIET
    import ray.data  # noqa: PLC0415 - it weighs

    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    for tried in range(1, _STARTS + 1):
        try:
            with _starting(home):
                ray.init(log_to_driver=False, configure_logging=False, **how)
            break
        except Exception as error:  # noqa: BLE001 - of every kind, a bare Exception too
            ray.shutdown()
            if tried == _STARTS:
                reason = f"it can't be reached ({type(error).__name__})"
                raise ClusterUnusable(reason=reason) from None
    try:
        with redirect_stdout(sys.stderr):  # where Ray tells of processes and nodes that died
            yield
    finally:
        ray.shutdown()


@contextmanager
def _starting(home: Path | None) -> Iterator[None]:
    """Have another home, and standard error closed: Ray says there that it was told to be quiet."""
    own_home = os.environ.get("HOME")
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    if home:
        os.environ["HOME"] = str(home)
    try:
        yield
    finally:
        if own_home is None:
            os.environ.pop("HOME", None)
        else:
            os.environ["HOME"] = own_home
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
