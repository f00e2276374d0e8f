"""``neumo keys``: make, list and revoke the keys that callers show."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.access.key import Key

_DEFAULT_FILE = "NEUMO_KEYS_FILE"


@click.group(name="keys")
def command() -> None:
    """Make, list and revoke the keys that callers show.

    A running service takes note of a change within a second.
    """


_file_option = click.option(
    "--file",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar=_DEFAULT_FILE,
    show_envvar=True,
    help="The file of keys.",
)


@command.command()
@_file_option
@click.option("--name", help="Who will hold it: stands in logs and in the audit trail.")
@click.option("--scopes", default="predict", show_default=True, help="What it may ask for: "
              "predict, feedback, metrics, admin; several with commas.")  # fmt: skip
@click.option("--days", type=click.IntRange(1, 3650), help="How long it is good; forever if left "
              "out.")  # fmt: skip
@click.option("--rate", type=click.FloatRange(0, 1e6, min_open=True), help="Requests a second, "
              "over NEUMO_RATE_PER_S.")  # fmt: skip
@click.option("--burst", type=click.IntRange(1, 1_000_000), help="Requests at once; by default as "
              "many as in a second.")  # fmt: skip
@click.option("--bare", is_flag=True, help="Only print a key, for the secret that "
              "NEUMO_API_KEY_FILE names: nothing is written.")  # fmt: skip
def create(
    path: Path | None,
    name: str | None,
    scopes: str,
    days: int | None,
    rate: float | None,
    burst: int | None,
    bare: bool,
) -> int:
    """Make a key, and print it: once, for only its hash is kept."""
    import re

    from app.access.caller import Rate, parse_scopes
    from app.access.key import Key
    from app.access.key_file import NAME_PATTERN

    if not bare and name is None:
        raise click.UsageError("--name says who will hold the key")
    if name is not None and not re.fullmatch(NAME_PATTERN, name):
        raise click.BadParameter("letters, digits, space and ._@:/- only", param_hint="--name")
    if burst is not None and rate is None:
        raise click.UsageError("--burst goes with --rate")
    try:
        allowed = parse_scopes(scopes)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--scopes") from None
    now = _now()
    expires = None if days is None else now + timedelta(days=days)
    own_rate = None if rate is None else Rate(rate, burst or max(1, round(rate)))
    key, secret = Key.create(name or "bare", allowed, now, expires, own_rate)
    if not bare:
        _change(path, lambda keys: [*keys, key])
        until = "" if expires is None else f", until {expires:%Y-%m-%d %H:%M} UTC"
        click.echo(
            f"Key {key.id} for {name!r}: {', '.join(sorted(allowed))}{until}. It is shown this "
            "once; send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'.",
            err=True,
        )
    click.echo(secret)
    return 0


@command.command(name="list")
@_file_option
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_keys(path: Path | None, as_json: bool) -> int:
    """List the keys; not the keys themselves, which nobody has kept."""
    import json

    from app.access.key_file import read_keys
    from app.errors import KeysUnusable

    try:
        keys = read_keys(_needed(path))
    except KeysUnusable as error:
        raise click.ClickException(str(error)) from None
    rows = [_row(key) for key in keys]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return 0
    heads = {"id": 8, "state": 7, "scopes": 31, "created": 16, "expires": 16, "name": 0}
    click.echo(" ".join(f"{head:{width}}" for head, width in heads.items()))
    for row in rows:
        click.echo(" ".join(f"{row[head] or '-':{width}}" for head, width in heads.items()))
    return 0


@command.command()
@_file_option
@click.argument("key")
def revoke(path: Path | None, key: str) -> int:
    """Revoke a key by its id, or by its holder's name where that has one only."""

    def revoked(keys: "list[Key]") -> "list[Key]":
        good = [each for each in keys if each.revoked is None]
        meant = [each for each in good if each.id == key]
        meant = meant or [each for each in good if each.name == key]
        if not meant:
            raise click.ClickException("no such key that is not revoked; see neumo keys list")
        if len(meant) > 1:
            ids = ", ".join(each.id for each in meant)
            raise click.ClickException(f"{len(meant)} keys have this name; give an id: {ids}")
        click.echo(f"Key {meant[0].id} of {meant[0].name!r} is revoked.", err=True)
        return [each.revoke(_now()) if each is meant[0] else each for each in keys]

    _change(path, revoked)
    return 0


def _change(path: Path | None, change: "Callable[[list[Key]], list[Key]]") -> None:
    from app.access.key_file import change_keys
    from app.errors import KeysUnusable

    try:
        change_keys(_needed(path), change)
    except KeysUnusable as error:
        raise click.ClickException(str(error)) from None


def _needed(path: Path | None) -> Path:
    if path is None:
        raise click.UsageError(f"--file or {_DEFAULT_FILE} says which file of keys is meant")
    return path


def _row(key: "Key") -> dict[str, str | None]:
    now = _now()
    state = "active"
    if key.revoked is not None:
        state = "revoked"
    elif key.expires is not None and key.expires <= now:
        state = "expired"
    return {
        "id": key.id,
        "name": key.name,
        "state": state,
        "scopes": ",".join(sorted(key.scopes)),
        "created": _minute(key.created),
        "expires": _minute(key.expires),
        "revoked": _minute(key.revoked),
        "rate": None if key.rate is None else f"{key.rate.per_s:g}/s, {key.rate.burst} at once",
    }


def _minute(time: datetime | None) -> str | None:
    return None if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M}"


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
