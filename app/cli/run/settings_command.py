"""``neumo settings``: list every setting."""

import argparse
import sys


def configure(parser: argparse.ArgumentParser) -> None:
    """Take no flags."""
    parser.set_defaults(run=_run)


def _run(_: argparse.Namespace) -> int:
    from app.settings.settings import describe_settings

    sys.stdout.write(describe_settings())
    return 0
