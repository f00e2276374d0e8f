"""The command ``neumo``: a module a command. `command.main` is its entry point."""
