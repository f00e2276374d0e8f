"""HTML of a report: tables, plots, the page around them. Whatever is a text is escaped here."""

import base64
from collections.abc import Sequence
from html import escape
from importlib import resources

from matplotlib.figure import Figure

from app.model.measured.figures import Interval
from training.report.plot_style import to_svg

Html = str
"""Markup, nothing left to escape."""


def text(told: object) -> Html:
    """Escape a text."""
    return escape(str(told))


def paragraph(told: str, kind: str = "") -> Html:
    """Return a paragraph of plain text; `code` stands between backquotes."""
    return f"<p{f' class={kind!r}' if kind else ''}>{inline(told)}</p>"


def inline(told: str) -> Html:
    """Escape a text in which `code` stands between backquotes."""
    parts = text(told).split("`")
    return "".join(f"<code>{each}</code>" if odd % 2 else each for odd, each in enumerate(parts))


def command(line: str) -> Html:
    """Return a command to copy."""
    return f"<pre><code>{text(line)}</code></pre>"


def items(lines: Sequence[str]) -> Html:
    """Return a list of plain texts."""
    return "<ul>" + "".join(f"<li>{inline(line)}</li>" for line in lines) + "</ul>"


def table(head: Sequence[str], rows: Sequence[Sequence[object]], caption: str = "") -> Html:
    """Return a table; numbers, and figures with intervals, stand to the right."""
    title = f"<caption>{inline(caption)}</caption>" if caption else ""
    top = "".join(f"<th scope='col'>{inline(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return (
        f"<div class='wide'><table>{title}<thead><tr>{top}</tr></thead><tbody>{body}</tbody>"
        "</table></div>"
    )


def _cell(value: object) -> Html:
    if isinstance(value, Interval):
        return f"<td class='n'>{show_interval(value)}</td>"
    if isinstance(value, int | float):
        return f"<td class='n'>{text(value)}</td>"
    return f"<td>{inline(str(value))}</td>"


def show_interval(interval: Interval) -> Html:
    """Write a figure with its 95 % interval, the interval smaller."""
    return f"{interval.value:.3f} <small>({interval.low:.3f} to {interval.high:.3f})</small>"


def plot(figure: Figure, caption: str, *, broad: bool = False) -> Html:
    """Return a plot that takes the page's colours, with what it says in words below.

    Parameters
    ----------
    broad : of several side by side: on a phone it is scrolled, not shrunk
    """
    drawn = to_svg(figure, text(caption))
    said = f"<figcaption>{inline(caption)}</figcaption>"
    return f"<figure class='plot{' broad' * broad}'>{drawn}{said}</figure>"


def picture(content: bytes, kind: str, alt: str, side: str = "") -> Html:
    """Return an image that lies in the page itself.

    Parameters
    ----------
    kind : jpeg or png
    """
    data = base64.b64encode(content).decode()
    return f"<img {side} alt='{text(alt)}' src='data:image/{kind};base64,{data}'>"


def section(name: str, title: str, parts: Sequence[Html]) -> Html:
    """Return a part of the page; nothing if it holds nothing."""
    held = "".join(parts)
    if not held:
        return ""
    return f"<section id='{name}'><h2>{text(title)}</h2>{held}</section>"


def page(title: str, head: Html, sections: Sequence[Html]) -> Html:
    """Return the whole page: nothing outside of it is asked for, and nothing in it is a script."""
    style = (resources.files("training.html_report") / "report.css").read_text(encoding="utf-8")
    shown = [each for each in sections if each]
    links = "".join(_link(each) for each in shown)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        "<meta name='color-scheme' content='light dark'>"
        f"<title>{text(title)}</title><style>{style}</style></head><body>"
        f"<header>{head}</header><nav aria-label='Parts'>{links}</nav>"
        f"<main>{''.join(shown)}</main></body></html>\n"
    )


def _link(part: Html) -> Html:
    name = part.split("'", 2)[1]
    title = part.split("<h2>", 1)[1].split("</h2>", 1)[0]
    return f"<a href='#{name}'>{title}</a>"
