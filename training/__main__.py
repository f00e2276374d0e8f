"""The entry point of ``neumo-train``: `training.commands`, or what is missing to run it."""

import sys


def main() -> int:
    """Run the command; exit code 3 where the training dependencies are not installed."""
    try:
        from training.commands import main as run  # noqa: PLC0415 - it may not import
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("app", "training"):
            raise  # nothing to install: neumo itself is broken
        sys.stderr.write(
            f"neumo-train: {error.name} is not installed. Install what training needs: "
            "pip install 'neumo[train]'\n"
        )
        return 3
    return run()


if __name__ == "__main__":
    sys.exit(main())
