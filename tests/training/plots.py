"""Reading matplotlib's figures in tests."""

from matplotlib.axes import Axes


def points_by_name(axes: Axes) -> dict[str, list[list[float]]]:
    """Return the [x, y] points of each line that the legend names."""
    lines, names = axes.get_legend_handles_labels()
    return {name: line.get_xydata().tolist() for line, name in zip(lines, names, strict=True)}
