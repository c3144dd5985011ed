"""How the figures of the gallery look, and in which order they come."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

BLUE, ORANGE, GREEN, RED, VIOLET = "#1f5f99", "#e07b1a", "#2a9d7f", "#c43d3d", "#7a52a3"
INK, GREY, FAINT = "#24292f", "#667080", "#d9dde3"

STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.grid": False,
    "axes.labelcolor": INK,
    "axes.prop_cycle": mpl.cycler(color=[BLUE, ORANGE, GREEN, RED, VIOLET, GREY]),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "figure.figsize": (8.0, 4.2),
    "font.size": 10,
    "grid.color": FAINT,
    "image.cmap": "viridis",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "savefig.dpi": 100,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
}

ORDER = (
    "plot_metric_balls",
    "plot_descent",
    "plot_loglik",
    "plot_kl_pairs",
    "plot_empirical_fisher",
    "plot_detection_limit",
    "plot_ensemble",
    "plot_random_effects",
    "plot_missing_entries",
    "plot_lognormal",
    "plot_pictures",
)


def reset(gallery_conf: dict[str, Any], fname: str) -> None:  # noqa: ARG001
    """Give every example the same style."""
    mpl.rcParams.update(STYLE)


def place(filename: str) -> tuple[int, str]:
    """The key by which the gallery is sorted: the order above, and what is new at the end."""
    name = Path(filename).stem
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)
