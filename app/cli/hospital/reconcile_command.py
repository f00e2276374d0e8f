"""``neumo reconcile``: films of the archive that Neumo knows nothing of, into the queue."""

import json
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from app.cli.options import language_option, model_option, read_settings, remark_on_settings
from app.cli.terminal import write_whatever_the_terminal_lacks
from app.language import Text

if TYPE_CHECKING:
    from app.language import Language
    from app.settings.settings import Settings

_NOT_ALL: Final = 1
_DAYS: Final = 2
_MOST: Final = 500
_SUM: Final = Text(
    "Studies since {since}: {films} films, {answered} with results, {queued} in the queue, "
    "{refused} refused, {fetched} fetched now, {not_fetched} not to be had.",
    "Estudios desde el {since}: {films} radiografías, {answered} con resultados, {queued} en la "
    "cola, {refused} rechazadas, {fetched} traídas ahora, {not_fetched} no obtenidas.",
)
_NEEDS_EXTRA: Final = "neumo reconcile needs the extra hospital: pip install 'neumo[hospital]'"
_NO_FOLDER: Final = "there is no queue to put films into: set NEUMO_EXCHANGE_FOLDER"
_NO_ARCHIVE: Final = (
    "say whom to ask: --archive, NEUMO_ARCHIVE_DICOMWEB, or a DICOMweb partner in NEUMO_PARTNERS"
)


@click.command()
@click.option(
    "--archive",
    metavar="URL",
    help="Root of the archive's DICOMweb services; over NEUMO_ARCHIVE_DICOMWEB.",
)
@click.option(
    "--days",
    type=click.IntRange(0, 366),
    default=_DAYS,
    show_default=True,
    help="Of studies, back from today; 0 is today alone.",
)
@click.option(
    "--most",
    type=click.IntRange(1, 100_000),
    default=_MOST,
    show_default=True,
    help="Films that are fetched at once; the next time goes on.",
)
@click.option(
    "--every",
    type=click.FloatRange(min=1, max=86_400),
    metavar="SECONDS",
    help="Ask again and again, with so many seconds in between, until it is ended.",
)
@click.option("--json", "as_json", is_flag=True, help="The counts as an object of JSON.")
@language_option
@model_option
def command(
    archive: str | None,
    days: int,
    most: int,
    every: float | None,
    as_json: bool,
    language: "Language",
    model: str | None,
) -> int:
    """Find films that an archive has and Neumo knows nothing of, and queue them.

    The archive is asked over DICOMweb (QIDO-RS, WADO-RS) for CR and DX of the last days. A film is
    left alone if Neumo's report and picture stand in its study, or if the queue knows it; any
    other is fetched, and `neumo receive` reads it. Called again it changes nothing.

    Exit code 1 if a film could not be had, or the archive or the queue not be used.
    """
    write_whatever_the_terminal_lacks()
    settings = read_settings(model=model, archive_dicomweb=archive)
    remark_on_settings()
    if not settings.exchange_folder:
        raise click.UsageError(_NO_FOLDER)
    root = settings.archive_root
    if root is None:
        raise click.UsageError(_NO_ARCHIVE)
    while True:
        code = _ask_once(settings, root, days, most, as_json, language)
        if every is None:
            return code
        time.sleep(every)


def _ask_once(
    settings: "Settings", root: str, days: int, most: int, as_json: bool, language: "Language"
) -> int:
    """Ask once; tell the counts, also of what an error cut short."""
    try:
        from app.exchange.dicomweb_archive import open_archive
        from app.exchange.reconcile import Reconciliation, known_models, last_days, reconcile
        from app.records.outbox.outbox import Outbox
    except ModuleNotFoundError as error:
        if error.name not in ("httpx", "cryptography"):
            raise
        raise click.UsageError(_NEEDS_EXTRA) from None
    from app.errors import BundleError, ExchangeError, NeumoError

    told = Reconciliation()
    code = 0
    between = last_days(days, datetime.now(UTC).date())
    try:
        with (
            closing(open_archive(settings, root)) as archive,
            closing(Outbox.of(settings)) as outbox,
        ):
            reconcile(archive, outbox, known_models(settings.bundles), between, most, told)
    except NeumoError as error:
        click.echo(f"neumo: {error.detail(language)}", err=True)
        code = error.exit_code if isinstance(error, BundleError | ExchangeError) else _NOT_ALL
    counts = told.counts()
    said = json.dumps(counts) if as_json else _SUM.render(language, since=between[0], **counts)
    click.echo(said)
    return code or (_NOT_ALL if told.not_fetched else 0)
