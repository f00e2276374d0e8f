"""The command line: which command is asked for, and what the parser tells of each."""

import argparse
import sys
from collections.abc import Sequence

from app import __version__
from app.cli.read import accept_command, predict_command
from app.cli.run import health_command, serve_command, settings_command

# A command's module imports what the command needs when it runs: a health check every few seconds
# must not load ONNX Runtime.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code.

    0 done; 1 an image was refused, the service is not healthy, or an acceptance showed nothing to
    rely on; 2 called wrongly; 3 the model can't be served; 4 the port can't be had.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(given[0] if given else "").parse_args(given)
    try:
        code: int = options.run(options)
    except KeyboardInterrupt:
        code = 130
    return code


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="neumo", description="Reads chest X-rays.")
    parser.add_argument("--version", action="version", version=f"neumo {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="answer over HTTP")
    serve_command.configure(serve, with_flags=command == "serve")
    predict = commands.add_parser("predict", help="read files in the terminal, without a server")
    predict_command.configure(predict)
    accept = commands.add_parser("accept", help="measure the model on a hospital's own films")
    accept_command.configure(accept)
    health = commands.add_parser("health", help="ask a running service; exit code 0 or 1")
    health_command.configure(health)
    settings = commands.add_parser("settings", help="list every setting, as a Markdown table")
    settings_command.configure(settings)
    return parser


if __name__ == "__main__":
    sys.exit(main())
