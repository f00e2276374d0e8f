"""Markdown of the model card: a table, a figure with its interval."""

from app.model.measured.figures import Interval


def table(head: list[str], rows: list[list[str]]) -> str:
    """Lay out rows of cells under a head."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def figure(interval: Interval) -> str:
    """Write a figure with its 95 % interval."""
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def show_plot(name: str) -> str:
    """Show a picture that lies beside, named by its file."""
    return f"![{name.partition('.')[0]}]({name})"
