"""What is claimed about speed, runnable: see `rivals`, `soak` and docs/performance.md."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before any import of it: see `app`
