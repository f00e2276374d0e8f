"""``neumo outbox``: what waits to be read or delivered, what is not, and what is done about it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from app.records.outbox.outbox import Outbox
    from app.records.outbox.queue_entries import DeliveryRow, FilmRow, Kind

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_DONE = ("read", "delivered")
_STUCK = ("refused", "failed", "dead")
_NEEDS_EXTRA = "the queue is opened by the extra hospital: pip install 'neumo[hospital]'"
_NO_FOLDER = "--folder or NEUMO_EXCHANGE_FOLDER says which queue is meant"
_NO_PARTNER = "TO is none of NEUMO_PARTNERS: name it there first, word for word"
_WHICH = "give ids, as neumo outbox list shows them, or --dead"


@click.group(name="outbox")
def command() -> None:
    """Show what waits to be read or delivered; send it again or elsewhere, or drop it.

    It shows ids, states and times, and nothing of a patient. It may run while neumo receive does.
    """


def _of_queue(function: Decorated) -> Decorated:
    folder = click.option(
        "--folder",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="NEUMO_EXCHANGE_FOLDER",
        show_envvar=True,
        help="The folder of the queue.",
    )
    key_file = click.option(
        "--key-file",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="NEUMO_EXCHANGE_KEY_FILE",
        show_envvar=True,
        help="Its key; exchange.key in the folder if left out.",
    )
    return folder(key_file(function))


@command.command(name="list")
@_of_queue
@click.option("--all", "is_all", is_flag=True, help="What was read and delivered too.")
@click.option("--dead", "is_dead", is_flag=True, help="Only what goes no further by itself: dead "
              "letters, and films that were refused or failed.")  # fmt: skip
@click.option("--uid", metavar="UID", help="Only what is of the film with this SOP Instance UID.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON each, as when piped.")
def list_entries(
    folder: Path | None,
    key_file: Path | None,
    is_all: bool,
    is_dead: bool,
    uid: str | None,
    as_json: bool,
) -> int:
    """List films and deliveries, oldest first: those that are not done yet."""
    import json

    from app.cli.terminal import is_watched

    with _opened(folder, key_file) as outbox:
        rows = [*map(_of_film, outbox.films()), *map(_of_delivery, outbox.deliveries())]
        if uid is not None:
            stored = outbox.reading(uid)
            rows = [row for row in rows if stored and row["film"] == stored.film_id]
    rows = [
        row
        for row in sorted(rows, key=lambda row: str(row["id"]))
        if (row["state"] in _STUCK if is_dead else is_all or uid or row["state"] not in _DONE)
    ]
    if as_json or not is_watched():
        for row in rows:
            click.echo(json.dumps(row))
        return 0
    _show(rows)
    return 0


@command.command()
@_of_queue
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--dead", "is_dead", is_flag=True, help="All dead letters and films that failed.")
def retry(folder: Path | None, key_file: Path | None, ids: tuple[str, ...], is_dead: bool) -> int:
    """Send results again, or read a film again that failed.

    The id of a film that was read sends all its results again: the same bytes, with the same UIDs,
    so an archive that has them keeps one.
    """
    with _opened(folder, key_file) as outbox:
        chosen = _chosen(outbox, ids, ("failed", "dead") if is_dead else ())
        return _tell([(each, outbox.retry(each)) for each in chosen], "to be done again")


@command.command()
@_of_queue
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--dead", "is_dead", is_flag=True, help="All dead letters, and films that were "
              "refused or failed.")  # fmt: skip
def drop(folder: Path | None, key_file: Path | None, ids: tuple[str, ...], is_dead: bool) -> int:
    """Drop deliveries, or films with all that is of them."""
    with _opened(folder, key_file) as outbox:
        chosen = _chosen(outbox, ids, _STUCK if is_dead else ())
        return _tell([(each, outbox.drop(each)) for each in chosen], "dropped")


@command.command()
@_of_queue
@click.argument("partner")
@click.argument("to")
def move(folder: Path | None, key_file: Path | None, partner: str, to: str) -> int:
    """Send to the partner TO what PARTNER has not taken.

    Both as neumo outbox list shows them: for a partner that moved, or was named wrongly. TO has to
    be one of NEUMO_PARTNERS by now.
    """
    from app.cli.options import read_settings
    from app.errors import PartnersUnusable
    from app.exchange.partners.partner_address import parse_partners

    try:
        known = {each.name: each.protocol for each in parse_partners(read_settings().partners)}
    except PartnersUnusable as error:
        raise click.ClickException(str(error)) from None
    if to not in known:
        raise click.UsageError(_NO_PARTNER)
    kinds: tuple[Kind, ...] = ("fhir",) if known[to] == "fhir" else ("sr", "sc")
    with _opened(folder, key_file) as outbox:
        moved = outbox.move(partner, to, kinds)
    click.echo(f"{moved} to be sent to the other partner", err=True)
    return 0 if moved else 1


@contextmanager
def _opened(folder: Path | None, key_file: Path | None) -> Iterator["Outbox"]:
    """Open a queue that is there."""
    from app.cli.options import read_settings
    from app.errors import ExchangeError, NeumoError

    if folder is None:
        raise click.UsageError(_NO_FOLDER)
    settings = read_settings(
        exchange_folder=str(folder), exchange_key_file=key_file and str(key_file)
    )
    try:
        from app.records.outbox.outbox import Outbox
    except ModuleNotFoundError:
        raise click.UsageError(_NEEDS_EXTRA) from None
    try:
        outbox = Outbox.of(settings, is_there=True)
    except ExchangeError as error:
        click.echo(f"neumo: {error}", err=True)
        raise click.exceptions.Exit(error.exit_code) from None
    try:
        yield outbox
    except NeumoError as error:
        raise click.ClickException(str(error)) from None
    finally:
        outbox.close()


def _chosen(outbox: "Outbox", ids: tuple[str, ...], states: tuple[str, ...]) -> list[str]:
    if bool(ids) == bool(states):
        raise click.UsageError(_WHICH)
    rows: list[FilmRow | DeliveryRow] = [*outbox.films(), *outbox.deliveries()]
    return list(ids) or [row.id for row in rows if row.state in states]


def _tell(done: list[tuple[str, int]], what: str) -> int:
    """Say how many entries something was done with; 1 if there was none of an id."""
    for entry_id, number in done:
        if not number:
            click.echo(f"neumo: nothing was done with {entry_id}: see neumo outbox list", err=True)
    click.echo(f"{sum(number for _, number in done)} {what}", err=True)
    return 0 if all(number for _, number in done) else 1


def _of_film(row: "FilmRow") -> dict[str, object]:
    return {
        "id": row.id,
        "what": "film",
        "film": row.id,
        "state": row.state,
        "code": row.code,
        "attempts": row.attempts,
        "way": row.way,
        "partner": None,
        "since": _time(row.received_at),
        "changed": row.finished_at and _time(row.finished_at),
        "due": None,
        "bytes": row.bytes,
    }


def _of_delivery(row: "DeliveryRow") -> dict[str, object]:
    return {
        "id": row.id,
        "what": row.kind,
        "film": row.film_id,
        "state": row.state,
        "code": row.code,
        "attempts": row.attempts,
        "way": None,
        "partner": row.partner,
        "since": _time(row.since),
        "changed": _time(row.changed_at),
        "due": _time(row.due_at) if row.state == "waiting" else None,
        "bytes": None,
    }


def _time(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _show(rows: list[dict[str, object]]) -> None:
    """Draw a table for people."""
    from rich import box
    from rich.table import Table

    from app.cli.terminal import open_console

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("id", "what", "state", "code", "tries", "since (UTC)", "from or to"):
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(
            str(row["id"]),
            str(row["what"]),
            str(row["state"]),
            str(row["code"] or ""),
            str(row["attempts"]),
            str(row["since"]).replace("T", " ").rstrip("Z"),
            str(row["partner"] or row["way"]),
        )
    console = open_console()
    console.print(table if rows else "Nothing waits, and nothing is stuck.")
