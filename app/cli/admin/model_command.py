"""``neumo model``: what the model says of itself, its card."""

import click

from app.cli.options import model_option, read_settings
from app.cli.terminal import open_console, write_whatever_the_terminal_lacks


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The card itself, card.json.")
@model_option
def command(as_json: bool, model: str | None) -> int:
    """Show the model's card: what it is for, how good it is, what it does not know.

    The bundle is read and its hash is checked; neumo doctor also asks its known answers. The card
    is in English.
    """
    from app.cli.admin.card_view import show_card
    from app.errors import BundleError
    from app.model.bundle import FP32_FILE, find_bundle, read_bundle

    write_whatever_the_terminal_lacks()
    path = find_bundle(read_settings(model=model).model)
    try:
        bundle = read_bundle(path)
    except BundleError as error:
        click.echo(f"neumo: {error.detail('en')}", err=True)
        return BundleError.exit_code
    if as_json:
        click.echo(bundle.card_json.rstrip())
    else:
        show_card(bundle.card, path, open_console(), with_fp32=(path / FP32_FILE).is_file())
    return 0
