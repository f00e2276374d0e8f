"""``neumo serve``: answer over HTTP until told to stop."""

import argparse
import os

from app.cli.options import add_settings, read_settings


def configure(parser: argparse.ArgumentParser, *, with_flags: bool) -> None:
    """Add a flag for every setting, if `with_flags`: making them takes a while."""
    parser.set_defaults(run=_run)
    if with_flags:
        add_settings(parser)


def _run(options: argparse.Namespace) -> int:
    # NumPy does no linear algebra here: its threads would only make forking less safe.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from app.server.supervisor import serve

    settings = read_settings(options)
    return 2 if settings is None else serve(settings)
