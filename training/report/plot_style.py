"""How every plot of Neumo looks: fonts, colours, what a title says; as PNG, or as SVG in a page.

In a page a plot takes the page's colours: what is drawn in `INK` becomes the text's, and nothing
is drawn behind it. Figures are matplotlib's own objects: none stays open.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.files import write_whole

INK: Final = "#1f2328"
FAINT: Final = "#808890"
COLOURS: Final = ("#009E73", "#D55E00", "#0072B2", "#CC79A7")
"""Of the labels, in their order: told apart by colour-blind people too (Okabe and Ito 2008)."""

_DPI: Final = 110
_STYLE: Final[dict[Any, Any]] = {
    "font.size": 9.5,
    "font.family": "sans-serif",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "grid.alpha": 0.3,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "neumo",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw so inside, and write out so; also what a function does that is decorated with it."""
    with mpl.rc_context(_STYLE):
        yield


def new_plot(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    """Return a figure, inches, with one pair of axes, a title and a grid; inside `styled`."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.grid(visible=True)
    return figure, axes


def entitle(what: str, split: str, images: int) -> str:
    """Return a plot's title: what it shows, of which images, of how many."""
    return f"{what}: {split.replace('_', ' ')}, n = {images}"


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all.

    Without the software's version in it, the same figures give the same file.
    """
    picture = io.BytesIO()
    with styled():
        figure.savefig(picture, dpi=_DPI, format="png", metadata={"Software": None})
    write_whole(path, picture.getvalue())


def to_svg(figure: Figure, description: str) -> str:
    """Return a figure as an SVG element that stands in a page, and takes its colours.

    Parameters
    ----------
    description : what a screen reader says of it; no markup
    """
    picture = io.StringIO()
    with styled():
        figure.savefig(picture, format="svg", transparent=True, metadata={"Date": None})
    drawn = picture.getvalue()
    drawn = drawn[drawn.index("<svg") :].replace(INK, "currentColor").strip()
    return drawn.replace("<svg", f'<svg role="img" aria-label="{description}"', 1)
