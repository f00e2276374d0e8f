"""The page ``cli.md``: every command with its flags, from the commands themselves."""

import inspect
from collections.abc import Iterator
from typing import Final

import click

from app.cli.command import COMMANDS, EXIT_CODES, neumo
from app.cli.options import SettingOption

_ESCAPED_BAR: Final = "\\|"
_ESCAPED_STAR: Final = "\\*"
_HEAD: Final = """\
# The command `neumo`

Written by `make reference` from the commands themselves; `neumo COMMAND --help` says the same.

```text
neumo predict film.jpg                                 # bars for a few films, a table for many
neumo predict --age 61 --view PA --csv films.csv films/
neumo predict --json films/ | jq -r 'select(.status == "uncertain").path'
neumo explain film.dcm --out map.png
neumo doctor --port 8001 && neumo serve --port 8001
```

`neumo` wants an environment of its own: its packages are called `app` and `training`, as others'
are. Where another `app` is found first, it says so and ends with exit code 3:

```text
python3 -m venv neumo-env && neumo-env/bin/pip install neumo
```

The script runs from any folder. `python -m app` takes the `app` of the folder it is called in:
outside of a checkout call the script, or `python -m neumo_start`, which looks first.

"""
_AFTER_CODES: Final = """\

Of a hundred films one was not read: that is 1, and the output says which one.

## Output

- **On a terminal** a person gets bars, tables and a progress bar. **Into a pipe or a file** it is
  plain text, a film's path at the start of its line, or JSON with `--json`: an object a line for
  `neumo predict`, one object for all else. `neumo accept` writes its file's JSON into a pipe, and
  `neumo settings` Markdown. There are no colours and no progress in either.
- Answers go to standard output; what could not be read, remarks and progress to standard error.
  With `--json`, and in a CSV file, a film that was not read stands in its place, with the error's
  `code` and `detail`.
- Films are read by several threads (`NEUMO_THREADS`, or one a CPU) and told in the order they were
  given; folders by name, without hidden files and without what is neither JPEG, PNG nor DICOM by
  its content: how many those are is told. Links to folders are not followed. A file larger than
  `NEUMO_MAX_BODY_BYTES` is not read, as over HTTP.
- A reader that stops reading (`neumo predict films | head`) ends the command with 141, without a
  message. After Ctrl-C what was read is still told.
- What is said of a film is English or Spanish: by `--language`, or the first of `LC_ALL`,
  `LC_MESSAGES` and `LANG` that is set. Help is English.
- `NO_COLOR=1` leaves colours out, `TERM=dumb` the progress bar; `COLUMNS` sets the width. A
  character that the terminal's encoding lacks is shown as `?`.
- Paths stand in the output as they were given. Nothing else that names a patient does, but a
  DICOM file's SOP Instance UID with `--include uid`. No command sends anything anywhere.

## Completion

Of commands, flags, their values and files. Into the shell's start-up file:

```text
eval "$(_NEUMO_COMPLETE=bash_source neumo)"       # ~/.bashrc, bash 4.4 or later
eval "$(_NEUMO_COMPLETE=zsh_source neumo)"        # ~/.zshrc, after compinit
_NEUMO_COMPLETE=fish_source neumo | source        # ~/.config/fish/config.fish
```
"""
_OF_SETTINGS: Final = (
    "A flag for every setting, such as `--port` for `NEUMO_PORT`: [the settings](settings.md).\n"
)


def render_page() -> str:
    """Return the page."""
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in EXIT_CODES.items())
    parts = [_HEAD, "## Exit codes\n\n| code | meaning |\n|---|---|\n", codes, _AFTER_CODES]
    context = click.Context(neumo, info_name="neumo", **neumo.context_settings)
    for name in COMMANDS:
        command = neumo.get_command(context, name)
        if command is not None:
            parts += _describe(command, click.Context(command, context, info_name=name))
    return "".join(parts)


def _describe(command: click.Command, context: click.Context) -> Iterator[str]:
    path = context.command_path
    yield f"\n## `{path}`\n\n"
    yield f"```text\n{' '.join([path, *command.collect_usage_pieces(context)])}\n```\n"
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b\n"):
            yield "\n```text\n" + paragraph.removeprefix("\b\n") + "\n```\n"
        else:
            yield f"\n{paragraph.replace('<', '&lt;').replace('*', _ESCAPED_STAR)}\n"
    options = [each for each in command.params if isinstance(each, click.Option)]
    if any(isinstance(each, SettingOption) for each in options):
        yield f"\n{_OF_SETTINGS}"
    own = [each for each in options if not isinstance(each, SettingOption) and not each.hidden]
    if own:
        yield "\n| flag | meaning |\n|---|---|\n"
    for option in own:
        flags, meaning = option.get_help_record(context) or ("", "")
        yield f"| `{flags.replace('|', _ESCAPED_BAR)}` | {meaning.replace('|', _ESCAPED_BAR)} |\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from _describe(inner, click.Context(inner, context, info_name=name))
