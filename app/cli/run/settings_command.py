"""``neumo settings``: list every setting."""

import click


@click.command()
def command() -> int:
    """List every setting, as a Markdown table."""
    from app.settings.settings import describe_settings

    click.echo(describe_settings(), nl=False)
    return 0
