"""What is claimed about speed, runnable: see `rivals`, `soak` and docs/performance.md."""
