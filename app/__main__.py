"""Run ``python -m app`` as ``neumo``."""

import sys

from app.cli import main

sys.exit(main())
