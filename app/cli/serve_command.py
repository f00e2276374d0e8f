"""``neumo serve``: answer over HTTP until told to stop."""

import argparse
import logging
import os

from app.cli.options import add_settings, read_settings

_log = logging.getLogger("neumo.settings")


def configure(parser: argparse.ArgumentParser, *, with_flags: bool) -> None:
    """Add a flag for every setting, if `with_flags`: making them takes a while."""
    parser.set_defaults(run=_run)
    if with_flags:
        add_settings(parser)


def _run(options: argparse.Namespace) -> int:
    # NumPy does no linear algebra here: its threads would only make forking less safe.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from app.server.supervisor import serve
    from app.service.logs import configure_logging
    from app.settings import remark_on

    settings = read_settings(options)
    if settings is None:
        return 2
    configure_logging(settings.log_level)
    for remark in remark_on(os.environ):
        _log.warning("a variable is no setting", extra={"members": {"remark": remark}})
    return serve(settings)
