"""``neumo serve``: answer over HTTP until told to stop."""

import os

import click

from app.cli.options import read_settings, setting_options


def _serve(**given: str | None) -> int:
    """Answer over HTTP until told to stop by SIGTERM or Ctrl-C.

    Flags win over the environment's NEUMO_ variables.
    """
    # NumPy does no linear algebra here: its threads would only make forking less safe.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from app.server.supervisor import serve

    return serve(read_settings(**given))


command = click.Command("serve", callback=_serve, params=[*setting_options()], help=_serve.__doc__)
