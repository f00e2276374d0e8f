"""``neumo score``: read an archive of films into Parquet files, exact over kills."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from app.cli.archive.score_progress import shown_as_bar, shown_as_lines
from app.cli.options import (
    language_option,
    model_option,
    read_said,
    read_settings,
    remark_on_settings,
    said_options,
)
from app.cli.terminal import write_whatever_the_terminal_lacks
from app.language import Text

if TYPE_CHECKING:
    from app.language import Language
    from app.model.session import OnnxModel
    from app.reading.population import Subject
    from app.score.engines.score_process import Work
    from app.score.score_run import Score, ScoreRun, Tally
    from app.settings.settings import Settings

_PART_FILMS: Final = 5000
_NOT_ALL: Final = 1
_SUM: Final = Text(
    "{films} films: {ok} ok, {uncertain} uncertain, {not_read} not read; {other} other files.",
    "{films} radiografías: {ok} ok, {uncertain} dudosas, {not_read} no leídas; {other} archivos de "
    "otro tipo.",
)
_EXTRA_OF: Final = {
    "pyarrow": "neumo[score]",
    "fsspec": "neumo[score]",
    "ray": "neumo[score,ray]",
}


@click.command()
@click.argument("source", metavar="FOLDER|MANIFEST|URL")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="FOLDER",
    help="Where the Parquet files go: a new folder, or that of a run to go on with.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    help="That read films, each with the model; by default NEUMO_WORKERS, or one for each CPU (of "
    "the cluster).",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="What reads: processes of this machine, or actors on a cluster of Ray.",
)
@click.option(
    "--ray-address",
    metavar="HOST:PORT",
    help="Of the head of a cluster to read on; by default one is begun on this machine.",
)
@click.option(
    "--part-films",
    type=click.IntRange(1, 1_000_000),
    default=_PART_FILMS,
    show_default=True,
    help="Rows of a file; what a kill loses at most is read again.",
)
@click.option("--json", "as_json", is_flag=True, help="The counts as an object of JSON.")
@said_options
@language_option
@model_option
def command(
    source: str,
    out: Path,
    processes: int | None,
    engine: str,
    ray_address: str | None,
    part_films: int,
    as_json: bool,
    age: str | None,
    view: str | None,
    window: int | None,
    language: "Language",
    model: str | None,
) -> int:
    """Read an archive of films into Parquet files, a row a film.

    The source is a folder (walked, with the folders in it), a folder with a manifest.csv or such a
    file (column path; if known, age_years and view), or a URL that fsspec reads, such as
    s3://bucket/films. What is a film, its content decides. One that can't be read gets a row that
    says why.

    Called again after it was killed it goes on where it was. A model or a setting that would change
    answers can't change in between.

    Exit code 1 if any film was not read.
    """
    write_whatever_the_terminal_lacks()
    if ray_address is not None and engine != "ray":
        raise click.UsageError("--ray-address needs --engine ray")
    settings = read_settings(model=model)
    subject = read_said(age, view, language)
    remark_on_settings()

    from app.errors import BundleError, ScoreError

    try:
        tally = _score(
            source,
            out,
            settings,
            subject,
            None if window is None else window - 1,
            _Engine(engine, processes, ray_address),
            part_films,
        )
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA_OF:
            raise
        extra = _EXTRA_OF[error.name]
        raise click.UsageError(f"neumo score needs an extra: pip install '{extra}'") from None
    except (BundleError, ScoreError) as error:
        click.echo(f"neumo: {error.detail(language)}", err=True)
        return error.exit_code
    if as_json:
        click.echo(json.dumps({"films": tally.films, **tally.counts}))
    else:
        films = tally.films - tally.counts["other"]
        click.echo(_SUM.render(language, **(dict(tally.counts) | {"films": films})))
    return _NOT_ALL if tally.counts["not_read"] else 0


def _score(
    given: str,
    out: Path,
    settings: "Settings",
    subject: "Subject",
    window: int | None,
    engine: "_Engine",
    part_films: int,
) -> "Tally":
    """Run to the end; return how it ended.

    Raises
    ------
    BundleError, ScoreError
    """
    import sys

    from app.model.measured.acceptance_file import hash_of_bundle
    from app.score.engines.score_process import Work
    from app.score.score_run import find_begun, open_run
    from app.score.source import open_source
    from app.service.service import load_model_from

    source = open_source(given)
    settings = _as_begun(settings, find_begun(out).get("model_sha256"))
    model = load_model_from(settings)
    asked = _describe(settings, model, subject, window)
    # Timed anew, each process might choose another graph.
    exact = hash_of_bundle(model) != model.card.sha256
    settings = settings.model_copy(update={"precision": "fp32" if exact else "int8"})
    labels: list[str] = [label.id for label in model.card.labels]
    constants = {"model": model.card.name, "model_sha256": model.card.sha256}
    del model
    shown = shown_as_bar if sys.stderr.isatty() else shown_as_lines
    with (
        shown() as (tell_listed, tell),
        open_run(out, source, asked, part_films, tell_listed) as run,
    ):
        tell(run.tally)
        if run.parts_left:
            work = Work(settings, source, subject, window)
            with engine.opened(work, run, constants["model_sha256"]) as score:
                run.go_on(score, labels, constants, settings.max_body_bytes, tell)
        return run.tally


def _as_begun(settings: "Settings", sha256: object) -> "Settings":
    """Return settings that name the graph which a run was begun with, if it is this bundle's.

    Under `auto` each call would time the graphs anew, and might choose another.

    Raises
    ------
    BundleError
    """
    from app.model.bundle import find_bundle, read_bundle

    if sha256 is None or settings.precision != "auto":
        return settings
    card = read_bundle(find_bundle(settings.model)).card
    hashes = {card.sha256: "int8"} | ({card.fp32.sha256: "fp32"} if card.fp32 else {})
    precision = hashes.get(str(sha256), settings.precision)
    return settings.model_copy(update={"precision": precision})


@dataclass(frozen=True, slots=True)
class _Engine:
    """What was asked to read."""

    name: str
    processes: int | None
    ray_address: str | None

    @contextmanager
    def opened(self, work: "Work", run: "ScoreRun", model_sha256: str) -> Iterator["Score"]:
        processes = self.processes or work.settings.worker_count
        if self.name == "local":
            from app.score.engines.local_engine import LocalEngine

            with LocalEngine(work, processes) as engine:
                yield engine.score
            return
        from app.score.engines.ray_cluster import joined

        with joined(self.ray_address, processes):
            from app.score.engines.ray_engine import RayEngine

            asked = self.processes if self.ray_address else processes
            yield RayEngine(work, model_sha256, run.films, run.spans_left(), asked).score


def _describe(
    settings: "Settings", model: "OnnxModel", subject: "Subject", window: int | None
) -> dict[str, Any]:
    """Return all that rows depend on, beside the films.

    Raises
    ------
    BundleError
    """
    from app import __version__
    from app.service.service import make_reader

    acceptance = make_reader(settings, model).acceptance
    return {
        "neumo": __version__,
        "model": model.card.name,
        "model_sha256": model.card.sha256,
        "acceptance_sha256": acceptance.file_sha256 if acceptance else None,
        "priors": settings.priors,
        "min_side_px": settings.min_side_px,
        "max_pixels": settings.max_pixels,
        "max_body_bytes": settings.max_body_bytes,
        "age_years": subject.age_years,
        "view": subject.view,
        "window": window,
    }
