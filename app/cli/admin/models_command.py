"""``neumo models``: ask a running service for its models, switch them; sign bundles."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from app.cli.run.health_command import find_flag, find_port
from app.cli.terminal import is_watched, open_console

if TYPE_CHECKING:
    import http.client

_FAILED = 3
_WAIT_S = 120.0  # longer than the service takes to give a switch up

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class _Service:
    """Where the service is, and what is shown to it."""

    url: str
    key_file: Path | None
    ca: str | None
    tls_cert: str
    tls_key: str


@click.group(name="models")
def command() -> None:
    """List the models of a running service, switch between them; sign bundles."""


def _find_url() -> str:
    port = find_port(os.environ.get("NEUMO_PORT", ""))
    encrypted = os.environ.get("NEUMO_TLS_CERT") or find_flag("--tls-cert")
    return f"{'https' if encrypted else 'http'}://127.0.0.1:{port}"


def _service_options(function: Decorated) -> Decorated:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the answer as it comes."),
        click.option(
            "--ca",
            type=click.Path(exists=True, dir_okay=False),
            help="Certificates to trust, PEM; by default those of this system.",
        ),
        click.option(
            "--tls-key",
            default=lambda: os.environ.get("NEUMO_TLS_KEY") or find_flag("--tls-key"),
            show_default="NEUMO_TLS_KEY",
            help="Its key.",
        ),
        click.option(
            "--tls-cert",
            default=lambda: os.environ.get("NEUMO_TLS_CERT") or find_flag("--tls-cert"),
            show_default="NEUMO_TLS_CERT, the service's own",
            help="Certificate to show if one is asked for, PEM.",
        ),
        click.option(
            "--key-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            envvar="NEUMO_API_KEY_FILE",
            show_envvar=True,
            help="File that holds a key of scope admin (to list: predict), and nothing else.",
        ),
        click.option(
            "--url",
            default=_find_url,
            show_default="by NEUMO_PORT and NEUMO_TLS_CERT on this machine",
            help="Where the service listens.",
        ),
    ):
        option(function)
    return function


@command.command("list")
@_service_options
def list_models(as_json: bool, **service: Any) -> int:  # noqa: ANN401 - `_Service`'s
    """Show each model: its state, its hash, what it failed with."""
    return _call("GET", "/models", _Service(**service), as_json)


@command.command()
@click.argument("name")
@_service_options
def activate(name: str, as_json: bool, **service: Any) -> int:  # noqa: ANN401 - `_Service`'s
    """Let the model NAME answer, in every worker of the service or in none."""
    from urllib.parse import quote

    path = f"/admin/models/{quote(name, safe='')}/activate"
    return _call("POST", path, _Service(**service), as_json)


@command.command()
@_service_options
def rollback(as_json: bool, **service: Any) -> int:  # noqa: ANN401 - `_Service`'s
    """Let the model before answer again."""
    return _call("POST", "/admin/models/rollback", _Service(**service), as_json)


@command.command()
@click.option(
    "--private",
    type=click.Path(path_type=Path),
    required=True,
    help="New file for the private key: keep it away from the machines that serve.",
)
@click.option(
    "--public",
    type=click.Path(path_type=Path),
    required=True,
    help="New file for the public key, for NEUMO_SIGNATURE_KEYS.",
)
def keygen(private: Path, public: Path) -> int:
    """Make a pair of keys to sign bundles with (Ed25519); no file is overwritten."""
    from app.errors import SignatureKeysUnusable
    from app.model.signature import make_keys

    try:
        click.echo(f"key {make_keys(private, public)}")
    except (SignatureKeysUnusable, OSError) as error:
        click.echo(f"neumo: {error}", err=True)
        return _FAILED
    return 0


@command.command()
@click.argument("bundle")
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The private key, PEM.",
)
def sign(bundle: str, key: Path) -> int:
    """Sign a bundle: write signature.json into its folder."""
    from app.errors import BundleError
    from app.model.bundle import find_bundle, read_bundle
    from app.model.signature import sign_bundle

    try:
        folder = find_bundle(bundle)
        signature = sign_bundle(folder, read_bundle(folder), key)
    except (BundleError, OSError) as error:
        click.echo(f"neumo: {error}", err=True)
        return _FAILED
    click.echo(f"{folder.name} is signed by {signature.key_id}")
    return 0


@command.command()
@click.argument("bundle")
@click.option(
    "--keys",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    envvar="NEUMO_SIGNATURE_KEYS",
    show_envvar=True,
    help="The public keys that are trusted, PEM.",
)
def verify(bundle: str, keys: Path) -> int:
    """Say who signed a bundle, and that nothing was changed since; exit code 3 if not."""
    from app.errors import BundleError
    from app.model.bundle import find_bundle, read_bundle
    from app.model.signature import SignatureRule, check_signature

    try:
        folder = find_bundle(bundle)
        key_id = check_signature(folder, read_bundle(folder), SignatureRule(keys, required=True))
    except BundleError as error:
        click.echo(f"neumo: {error}", err=True)
        return _FAILED
    click.echo(f"{folder.name} is signed by {key_id}, and as it was signed")
    return 0


def _call(method: str, path: str, service: _Service, as_json: bool) -> int:
    """Call the service, and show what it answers; exit code 1 if that is a problem, or nothing."""
    import http.client

    headers = {}
    if service.key_file is not None:
        key = service.key_file.read_text(encoding="utf-8").strip()
        headers["Authorization"] = f"Bearer {key}"
    connection, prefix = _connect(service)
    try:
        connection.request(method, prefix + path, headers=headers)
        response = connection.getresponse()
        text = response.read().decode()
        answer = json.loads(text)
    except OSError as error:
        click.echo(f"neumo: no answer from {service.url}: {error.strerror or error}", err=True)
        return 1
    except (http.client.HTTPException, ValueError):
        click.echo(f"neumo: what answers at {service.url} is not neumo", err=True)
        return 1
    finally:
        connection.close()
    if response.status != http.client.OK:
        told = answer if isinstance(answer, dict) else {}
        click.echo(f"neumo: {told.get('code')}: {told.get('detail')}", err=True)
        return 1
    if as_json or not is_watched():
        click.echo(text)
    else:
        _show(answer)
    return 0


def _connect(service: _Service) -> "tuple[http.client.HTTPConnection, str]":
    """Return a connection, and what stands before each path."""
    import http.client
    import ssl
    from urllib.parse import urlsplit

    parts = urlsplit(service.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.BadParameter("http://HOST:PORT or https://HOST:PORT", param_hint="--url")
    prefix = parts.path.rstrip("/")
    if parts.scheme == "https":
        try:
            context = ssl.create_default_context(cafile=service.ca)
        except OSError:
            raise click.BadParameter("no certificates in PEM", param_hint="--ca") from None
        if service.tls_cert:
            try:
                context.load_cert_chain(service.tls_cert, service.tls_key or None)
            except OSError:
                told = "it and its key can't be read, or don't go together"
                raise click.BadParameter(told, param_hint="--tls-cert") from None
        encrypted = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=_WAIT_S, context=context
        )
        return encrypted, prefix
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=_WAIT_S), prefix


def _show(answer: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("model", "state", "version", "sha256", "signed by", "workers", "memory"):
        table.add_column(title, justify="right" if title in ("workers", "memory") else "left")
    for each in answer["models"]:
        table.add_row(
            each["name"],
            each["state"],
            each.get("version", ""),
            each.get("sha256", "")[:12],
            each.get("signed_by", ""),
            f"{each['workers']} of {answer['workers']}",
            f"{each['memory_bytes'] / 1e6:.0f} MB",
        )
    console = open_console()
    console.print(table)
    for each in answer["models"]:
        if "failure_detail" in each:
            console.print(f"\n{each['name']}: {each['failure_detail']}")
    if "former" in answer:
        console.print(f"\nrollback goes to {answer['former']}")
    if not answer["kept"]:
        console.print("\nA switch is forgotten at the next start: NEUMO_MODEL_CHOICE is not set.")
