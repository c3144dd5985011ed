"""The pictures of docs/measured.md: ratios beside peers, scaling, and a roofline."""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from reading import is_number, value_of

sys.path.append(str(Path(__file__).parent.parent / "docs"))
import gallery_style as style

mpl.use("Agg")
import matplotlib.pyplot as plt

PUBLIC = {
    "normal": "fit_normal",
    "censored": "fit_normal",
    "truncated": "fit_normal, truncated",
    "noise": "fit_normal, noise_std",
    "groups": "fit_normal, groups",
    "linear": "fit_linear",
    "mvn": "fit_mvn",
    "fit": "fit",
    "fisher": "kernels",
    "special": "special",
}
MARKS = "oDs^vP<>Xhpd*"


def draw(values, folder):
    """Draw what has been measured: {path below the folder: what it shows}."""
    pictures = {
        "measured_ratios": (_ratios, "Times as fast as each peer, medians in turns."),
        "measured_scaling": (_scaling, "Scaling with n, B, the columns p or d, and threads."),
        "measured_roofline": (_roofline, "GFLOP/s over operations a byte, one thread."),
    }
    drawn = {}
    with mpl.rc_context(style.STYLE):
        for name, (function, text) in pictures.items():
            figure = function(values)
            if figure is not None:
                path = f"_static/{name}.png"
                figure.savefig(folder / path)
                plt.close(figure)
                drawn[path] = text
    return drawn


# ---- beside peers ----------------------------------------------------------------------------


def _comparisons(values):
    """[(row, {peer: ratio})] of public functions."""
    rows = []
    for name, cases in values.items():
        module, _, group = name.partition(".")
        for case, row in cases.items() if module in PUBLIC else ():
            found = {
                what.removeprefix("track_times_").replace("_", " "): value
                for what, value in row.items()
                if what.startswith("track_times_") and is_number(value)
            }
            found.pop("plain fit", None)
            if found:
                rows.append((f"{PUBLIC[module]}: {group} {case}", found))
    return rows


def _ratios(values):
    rows = _comparisons(values)
    if not rows:
        return None
    peers = sorted({peer for _, found in rows for peer in found})
    figure, ax = plt.subplots(figsize=(9.0, 1.4 + 0.21 * len(rows)))
    colors = mpl.colormaps["tab20"].resampled(20)
    for k, peer in enumerate(peers):
        at = [(found[peer], i) for i, (_, found) in enumerate(rows) if peer in found]
        ax.plot(
            *np.transpose(at), MARKS[k % len(MARKS)], color=colors(k % 20), label=peer, alpha=0.9
        )
    ax.axvline(1.0, color=style.RED, lw=1.2)
    ax.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=8)
    ax.set(xscale="log", ylim=(len(rows) - 0.5, -0.5), xlabel="times as fast as the peer")
    ax.grid(visible=True, axis="both")
    figure.legend(loc="outside upper center", ncols=5, fontsize=8)
    return figure


# ---- scaling ---------------------------------------------------------------------------------


def _series(values, prefix, suffix=""):
    """[(number, nanoseconds each, nanoseconds each of the peer)] of ``<prefix>=<number>``."""
    found = []
    for case, row in values.get("scaling.Scaling", {}).items():
        head, _, end = case.partition(" ")
        name, _, number = head.partition("=")
        ns = row.get("track_ns_each")
        if name == prefix and end == suffix and is_number(ns):
            found.append((float(number), ns, ns * (row.get("track_times_numpy") or np.nan)))
    return np.array(found).reshape(-1, 3).T


PANELS = (
    ("n", "values of a sample, n", "ns a value", [("", "fit_normal", "np.mean + np.std")]),
    (
        "B",
        "samples of 32 values, B",
        "ns a sample",
        [("", "fit_normal", "np.mean + np.std"), ("censored", "with a limit", None)],
    ),
    (
        "d",
        "columns, d or p",
        "ns a row",
        [("", "fit_mvn", "np.cov")],
    ),
)


def _scaling(values):
    if not values.get("scaling.Scaling"):
        return None
    figure, axes = plt.subplots(2, 2, figsize=(9.0, 7.0))
    for ax, (prefix, xlabel, ylabel, lines) in zip(axes.flat, PANELS, strict=False):
        for (suffix, ours, theirs), color in zip(lines, (style.BLUE, style.GREEN), strict=False):
            _pair(ax, _series(values, prefix, suffix), ours, theirs, color)
        if prefix == "d":
            _pair(ax, _series(values, "p"), "fit_linear", "np.linalg.lstsq", style.GREEN)
        ax.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
        ax.grid(visible=True)
        if prefix == "d":
            _only(ax, (2, 5, 10, 20, 50))
        ax.legend(fontsize=8)
    _threads(axes[1, 1], values.get("scaling.Threads", {}))
    return figure


def _pair(ax, series, ours, theirs, color):
    ax.plot(series[0], series[1], "o-", color=color, label=ours, ms=4)
    if theirs is not None:
        ax.plot(series[0], series[2], "o--", color=color, label=theirs, ms=3, lw=1.0)


def _threads(ax, cases):
    lines = {}
    for case, row in cases.items():
        name, _, n = case.rpartition(", ")
        value = row.get("track_times_one_thread")
        if is_number(value):
            lines.setdefault(name, []).append((int(n), value))
    most = max((n for line in lines.values() for n, _ in line), default=1)
    ax.plot([1, most], [1, most], color=style.GREY, lw=1.0, ls=":")
    for name, line in lines.items():
        ax.plot(*np.transpose(line), "o-", label=name, ms=4)
    ax.set(xlabel="threads", ylabel="times as fast as one")
    ax.set_xscale("log", base=2)
    _only(ax, [n for n, _ in next(iter(lines.values()), [])])
    ax.grid(visible=True)
    ax.legend(fontsize=8)


def _only(ax, ticks):
    """These numbers along the axis, as they are."""
    ax.set_xticks(ticks)
    ax.xaxis.set_major_formatter("{x:.0f}")
    ax.xaxis.set_minor_locator(mpl.ticker.NullLocator())


# ---- roofline --------------------------------------------------------------------------------


def _roofline(values):
    speed, peak = (
        value_of(values, f"bench_machine.Machine.track_{what}", None)
        for what in ("read_speed", "dgemm_speed")
    )
    points = [
        (f"{name.split('.')[0]} {case}", row["track_flops_a_byte"], row["track_gflops"])
        for name, cases in values.items()
        for case, row in cases.items()
        if is_number(row.get("track_gflops")) and is_number(row.get("track_flops_a_byte"))
    ]
    if not points or speed is None or peak is None:
        return None
    # What a call costs, not what a machine can do, is the limit of small data.
    points = [p for p in points if p[2] > 0.05 * min(speed * p[1], peak)]
    figure, ax = plt.subplots(figsize=(9.0, 5.5))
    x = np.geomspace(0.1, 200.0, 200)
    ax.plot(x, np.minimum(speed * x, peak), color=style.GREY)
    above = {"textcoords": "offset points", "color": style.GREY}
    ax.annotate(f"reading, {speed:.3g} GB/s", (0.15, 0.15 * speed), (14, -6), **above)
    ax.annotate(f"dgemm, {peak:.3g} GFLOP/s", (200.0, peak), (0, 6), ha="right", **above)
    shades = dict(zip(sorted({name.split()[0] for name, *_ in points}), COLORS, strict=False))
    for name, intensity, gflops in points:
        color = shades[name.split()[0]]
        ax.plot(intensity, gflops, "o", color=color)
        ax.annotate(name, (intensity, gflops), (5, -3), textcoords="offset points", fontsize=7)
    ax.set(xscale="log", yscale="log", xlabel="useful operations a byte", ylabel="GFLOP/s")
    ax.grid(visible=True)
    return figure


COLORS = (style.BLUE, style.ORANGE, style.GREEN, style.VIOLET, style.RED)
