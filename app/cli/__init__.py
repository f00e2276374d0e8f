"""The command ``neumo``: serve, predict in the terminal, ask for health, list settings."""

import argparse
import http.client
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app import __version__
from app.language import Text

if TYPE_CHECKING:
    from app.reading.reader import Reader
    from app.settings import Settings

_UNCERTAIN = Text(" (uncertain)", " (dudoso)")

# What a command needs is imported when it runs: a health check every few seconds must not
# load ONNX Runtime.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code.

    0 done; 1 an image was refused or the service is not healthy; 2 called wrongly; 3 the
    model can't be served.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(given[0] if given else "").parse_args(given)
    try:
        code: int = options.run(options)
    except KeyboardInterrupt:
        code = 130
    return code


def _serve(options: argparse.Namespace) -> int:
    # NumPy does no linear algebra here: its threads would only make forking less safe.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from app.server.supervisor import serve

    settings = _settings(options)
    return 2 if settings is None else serve(settings)


def _predict(options: argparse.Namespace) -> int:
    from app.errors import BundleError
    from app.reading.judge import NOTICE
    from app.reading.reader import Reader
    from app.service.service import load_bundle

    settings = _settings(options)
    if settings is None:
        return 2
    try:
        reader = Reader(load_bundle(settings), settings.limits, settings.label_priors)
    except BundleError as error:
        sys.stderr.write(f"neumo: {error.detail(options.language)}\n")
        return BundleError.exit_code
    read_all = [_predict_one(reader, path, options) for path in options.files]
    if any(read_all) and not options.json:
        sys.stdout.write(f"{NOTICE.render(options.language)}\n")
    return 0 if all(read_all) else 1


def _predict_one(reader: "Reader", path: Path, options: argparse.Namespace) -> bool:
    """Print one file's Reading to standard output, or why there is none to standard error."""
    from ulid import ULID

    from app.errors import RequestError
    from app.reading.reader import Order

    order = Order(str(ULID()), options.language, time.perf_counter())
    try:
        reading = reader.read(path.read_bytes(), order)
    except OSError as error:
        sys.stderr.write(f"{path}: {error.strerror}\n")
        return False
    except RequestError as error:
        if options.json:
            problem = error.problem(order.request_id, order.language)
            sys.stdout.write(json.dumps(problem, ensure_ascii=False) + "\n")
        else:
            sys.stderr.write(f"{path}: {error.detail(order.language)}\n")
        return False
    if options.json:
        sys.stdout.write(reading.model_dump_json(exclude_none=True) + "\n")
        return True
    doubt = _UNCERTAIN.render(options.language) if reading.candidates else ""
    sys.stdout.write(f"{path}: {reading.display_label}{doubt}\n")
    for label in reader.model.card.labels:
        name = label.display(options.language)
        sys.stdout.write(f"  {name:<22}{reading.probabilities[label.id]:7.1%}\n")
    return True


def _health(options: argparse.Namespace) -> int:
    """Ask a running service, with nothing but the standard library: this runs often."""
    connection = http.client.HTTPConnection(options.host, options.port, timeout=options.timeout)
    try:
        connection.request("GET", f"/health/{options.check}")
        status = connection.getresponse().status
    except OSError as error:
        sys.stdout.write(f"no answer: {error.strerror or type(error).__name__}\n")
        return 1
    finally:
        connection.close()
    sys.stdout.write(f"{options.check}: {status}\n")
    return 0 if status == http.client.OK else 1


def _list_settings(_: argparse.Namespace) -> int:
    from app.settings import describe_settings

    sys.stdout.write(describe_settings())
    return 0


def _settings(options: argparse.Namespace) -> "Settings | None":
    """Read the settings from the environment, flags over them; None after saying what's wrong."""
    from pydantic import ValidationError

    from app.settings import PREFIX, Settings

    given = {name: getattr(options, name, None) for name in Settings.model_fields}
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            name = PREFIX + "_".join(map(str, fault["loc"])).upper()
            sys.stderr.write(f"neumo: {name}: {fault['msg']}\n")
        return None


def _add_settings(serve: argparse.ArgumentParser) -> None:
    from app.settings import PREFIX, Settings

    for name, field in Settings.model_fields.items():
        text = f"{field.description} Over {PREFIX}{name.upper()}; default {field.default}."
        serve.add_argument("--" + name.replace("_", "-"), help=text)


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="neumo", description="Reads chest X-rays.")
    parser.add_argument("--version", action="version", version=f"neumo {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="answer over HTTP")
    serve.set_defaults(run=_serve)
    if command == "serve":
        _add_settings(serve)

    predict = commands.add_parser("predict", help="read files in the terminal, without a server")
    predict.set_defaults(run=_predict)
    predict.add_argument("files", nargs="+", type=Path, metavar="FILE")
    predict.add_argument("--json", action="store_true", help="one Reading or problem a line")
    predict.add_argument("--language", choices=("en", "es"), default="en")
    predict.add_argument("--model", help="bundle to use; over NEUMO_MODEL")

    health = commands.add_parser("health", help="ask a running service; exit code 0 or 1")
    health.set_defaults(run=_health)
    health.add_argument("check", nargs="?", choices=("live", "ready", "startup"), default="ready")
    # Not through `Settings`: see above. 0.0.0.0, which a container listens on, can be asked too.
    health.add_argument("--host", default=os.environ.get("NEUMO_HOST", "127.0.0.1"))
    health.add_argument("--port", type=int, default=os.environ.get("NEUMO_PORT", "8000"))
    health.add_argument("--timeout", type=float, default=2.0, help="seconds")

    settings = commands.add_parser("settings", help="list every setting, as a Markdown table")
    settings.set_defaults(run=_list_settings)
    return parser


if __name__ == "__main__":
    sys.exit(main())
