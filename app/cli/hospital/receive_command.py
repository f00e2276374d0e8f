"""``neumo receive``: take films over DICOM, read them, send results back, until told to stop."""

import os
from typing import Final

import click

from app.cli.options import read_settings, setting_options

_NEEDS_EXTRA: Final = "films are taken by the extra hospital: pip install 'neumo[hospital]'"
_PACKAGES: Final = ("pynetdicom", "pydicom", "highdicom", "cryptography", "httpx")

_OF_HTTP: Final = ("host", "port", "root_path", "workers")
"""Settings of neumo serve that would be taken for those of the DICOM port."""


def _receive(listen: bool, **given: str | None) -> int:
    """Take films over DICOM, read them, and send what is said of them to NEUMO_PARTNERS.

    A film is answered with Success once it lies in the queue, encrypted and safe on disk
    (NEUMO_EXCHANGE_FOLDER); what POST /dicomweb/studies of neumo serve puts into the same queue is
    read here too. Flags win over the environment's NEUMO_ variables. Ends in order by SIGTERM or
    Ctrl-C.
    """
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in _PACKAGES):
        raise click.UsageError(_NEEDS_EXTRA)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as neumo serve does
    from app.server.receiving.receive_start import receive

    return receive(read_settings(**given), listen=listen)


command = click.Command(
    "receive",
    callback=_receive,
    params=[
        click.Option(
            ["--listen/--no-listen"],
            default=True,
            help="Open the DICOM port; without it only what other doors took is read and sent.",
        ),
        *setting_options(without=_OF_HTTP),
    ],
    help=_receive.__doc__,
)
