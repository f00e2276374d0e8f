"""``neumo audit``: whether the audit trail is whole, and what it holds, as a table."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from app.cli.options import read_settings

if TYPE_CHECKING:
    from app.records.integrity.audit_key import AuditKey
    from app.records.integrity.verification import Verdict
    from app.records.store.database import Database
    from app.records.store.ledger import Mark

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class TrailUnusable(click.ClickException):
    """The trail can't be read at all."""

    exit_code = 3


@click.group(name="audit")
def command() -> None:
    """Check and export what was written down (NEUMO_AUDIT_FOLDER)."""


def _place(function: Decorated) -> Decorated:
    """Add the options that say where the trail is."""
    for name, text in (
        ("--audit-key-file", "File of its key; over NEUMO_AUDIT_KEY_FILE."),
        ("--audit-database", "URL of its database; over NEUMO_AUDIT_DATABASE."),
        ("--audit-folder", "Its folder; over NEUMO_AUDIT_FOLDER."),
    ):
        function = click.option(name, help=text)(function)
    return function


@command.command()
@_place
@click.option(
    "--expect",
    metavar="NUMBER:MAC",
    help="A seal that was kept elsewhere, as this command and the service's log tell it.",
)
@click.option("--json", "as_json", is_flag=True, help="One object instead of lines.")
def verify(expect: str | None, as_json: bool, **place: str | None) -> int:
    """Look at every row and every seal: exit code 0 if all are as they were written.

    It may run beside the service, on its host: the folder says what the database must hold.
    """
    from app.records.integrity.verification import verify as verify_trail
    from app.records.store.database import AWAY

    expected = None if expect is None else _mark(expect)
    key, database, folder = _open(place)
    try:
        verdict = verify_trail(database, key, folder, expected)
    except AWAY as error:
        raise _unanswered(error) from None
    finally:
        database.close()
    click.echo(_as_json(verdict) if as_json else _as_text(verdict), nl=not as_json)
    return 1 if verdict.findings else 0


@command.command()
@_place
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--since", metavar="YYYY-MM-DD", help="From this day on (UTC).")
@click.option("--until", metavar="YYYY-MM-DD", help="Before this day (UTC).")
def export(file: Path, since: str | None, until: str | None, **place: str | None) -> int:
    """Write the rows into FILE, by its ending .csv or .parquet (needs neumo[score]); - is CSV.

    FILE is made for its owner alone to read.
    """
    from app.cli.admin.audit_tables import write_csv, write_parquet
    from app.records.store.database import AWAY
    from app.records.store.rows import read_rows

    if str(file) != "-" and file.suffix not in (".csv", ".parquet"):
        raise click.BadParameter("its ending is .csv or .parquet", param_hint="FILE")
    _, database, _ = _open(place)
    try:
        rows = read_rows(database, _day(since, "--since"), _day(until, "--until"))
        if file.suffix == ".parquet":
            count = write_parquet(file, rows)
        else:
            count = write_csv(None if str(file) == "-" else file, rows)
    except ModuleNotFoundError:
        raise click.UsageError("Parquet needs neumo[score]") from None
    except AWAY as error:
        raise _unanswered(error) from None
    finally:
        database.close()
    click.echo(f"{count} rows", err=True)
    return 0


def _open(place: dict[str, str | None]) -> "tuple[AuditKey, Database, Path]":
    """Open the trail where it is; nothing is made that isn't there."""
    from app.errors import RecordsError
    from app.records.integrity.audit_key import read_key
    from app.records.store.database import Database, database_url
    from app.records.store.opening import key_path

    settings = read_settings(**place)
    folder = Path(settings.audit_folder)
    if not settings.audit_folder:
        raise click.UsageError("NEUMO_AUDIT_FOLDER, or --audit-folder, says where the trail is")
    try:
        url = database_url(settings.audit_database, folder)
        if url.drivername == "sqlite" and not Path(url.database or "").exists():
            raise click.UsageError(f"there is no {Path(url.database or '').name} there")
        return read_key(key_path(settings)), Database(url), folder
    except RecordsError as error:
        raise TrailUnusable(error.detail("en")) from None


def _unanswered(error: Exception) -> TrailUnusable:
    return TrailUnusable(
        f"the audit trail's database does not answer as it should ({type(error).__name__}). Look "
        "whether it is up, at NEUMO_AUDIT_DATABASE and PGPASSFILE, and at the role's rights"
    )


def _mark(text: str) -> "Mark":
    from app.records.store.ledger import Mark

    number, _, mac = text.partition(":")
    if not number.isdigit() or not mac:
        raise click.BadParameter("it is NUMBER:MAC", param_hint="--expect")
    return Mark(int(number), mac)


def _day(text: str | None, option: str) -> str | None:
    from datetime import date

    if text is None:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise click.BadParameter("a day is YYYY-MM-DD", param_hint=option) from None


def _as_text(verdict: "Verdict") -> str:
    lines = [f"{each.what}: {each.where} ({each.why})" for each in verdict.findings]
    of_dropped = f", {verdict.dropped} of dropped rows" if verdict.dropped else ""
    lines.append(
        f"rows: {verdict.rows}; chains: {verdict.chains}, {verdict.open_chains} open; "
        f"seals: {verdict.seals}{of_dropped}"
    )
    if verdict.last is not None:
        lines.append(f"last seal {verdict.last.number}:{verdict.last.mac}")
    count = len(verdict.findings)
    lines.append(f"NOT WHOLE: {count} finding(s)" if count else "whole")
    return "\n".join(lines)


def _as_json(verdict: "Verdict") -> str:
    import json
    from dataclasses import asdict

    return json.dumps(asdict(verdict) | {"whole": not verdict.findings}) + "\n"
