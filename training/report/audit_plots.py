"""The plots of what surrounds the figures: images changed, maps tested, floors chosen."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from app.model.card import Certainty
from app.model.measured.figures import Changed, Deletion, Interval, TradeOff
from training.report.plot_style import FAINT, entitle, new_plot, styled


@styled()
def draw_deletion(deletion: Deletion, split: str) -> Figure:
    """Draw what is left of the called label's probability, deleting by the map or at random."""
    title = entitle("Deleted by the map, or at random", split, deletion.images)
    figure, axes = new_plot(5.2, 4, title)
    for name, means, colour in (
        ("what the map marks", deletion.marked, "C1"),
        ("at random", deletion.random, FAINT),
    ):
        axes.plot(deletion.shares, means, "o-", color=colour, label=name)
    axes.set(xlabel="share of the image deleted", ylabel="probability of the label called")
    axes.set_ylim(0, 1)
    axes.legend()
    return figure


@styled()
def draw_changes(
    changed: Mapping[str, Changed], unchanged: Interval, split: str, images: int
) -> Figure:
    """Draw accuracy, with its interval, under each change of the images."""
    rows = {"unchanged": unchanged} | {name: row.accuracy for name, row in changed.items()}
    places = np.arange(len(rows))[::-1]
    figure, axes = new_plot(6.4, 4.8, entitle("Images changed", split, images))
    values = np.array([[row.value, row.low, row.high] for row in rows.values()])
    reach = np.abs(values[:, 1:] - values[:, :1]).T
    axes.errorbar(values[:, 0], places, xerr=reach, fmt="o", capsize=3, color="C2")
    axes.axvline(unchanged.value, color=FAINT, linewidth=0.8, linestyle="--")
    axes.set_yticks(places, [name.replace("_", " ") for name in rows])
    axes.set_xlabel("accuracy, with 95 % interval")
    return figure


@styled()
def draw_trade_off(
    points: Sequence[TradeOff], certainty: Certainty, images: int | None = None
) -> Figure:
    """Draw what is wrong among `ok` answers against how many there are, and what was chosen.

    Parameters
    ----------
    images : how many it was chosen on, if that is known: a card doesn't tell
    """
    where = "sources held out" if certainty.chosen_on == "held_out_sources" else "validation"
    title = "Answered ok against wrong"
    told = f"{title}: {where}" if images is None else entitle(title, where, images)
    figure, axes = new_plot(5.2, 4, told)
    answered, wrong = ([getattr(each, name) for each in points] for name in ("answered", "wrong"))
    axes.plot(answered, wrong, ".-", color="C2", label="one floor for every label")
    reach = [
        [certainty.wrong.value - certainty.wrong.low],
        [certainty.wrong.high - certainty.wrong.value],
    ]
    axes.errorbar(
        certainty.answered.value,
        certainty.wrong.value,
        yerr=reach,
        fmt="o",
        capsize=3,
        color="C1",
        label="chosen",
    )
    axes.axhline(certainty.risk, color=FAINT, linewidth=0.8, linestyle="--")
    axes.set(xlabel="share answered ok", ylabel="wrong among those", xlim=(0, 1), ylim=(0, None))
    axes.legend()
    return figure
