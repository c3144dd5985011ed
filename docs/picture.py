"""Draw the picture of the README, docs/_static/picture.png: python docs/picture.py.

Colours are chosen to be read on white and on black; the background is transparent.
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

import fastnat

INK = "#7d8590"
OUT = Path(__file__).parent / "_static" / "picture.png"


def measure() -> tuple[np.ndarray, np.ndarray]:
    """The truth, and sixteen noisy images of it."""
    rng = np.random.default_rng(7)
    v, u = np.mgrid[-2:2:1000j, -3:3:1000j]
    truth = 0.2 + 2.2 * np.exp(-((u - 0.3 * np.sin(2 * v)) ** 2) / 0.5 - v**2 / 1.4)
    truth += 1.1 * np.exp(-((u + 1.9) ** 2 + (v - 0.8) ** 2) / 0.12)
    noise = rng.standard_normal((16, *truth.shape), np.float32)
    return truth, truth + 0.6 * noise


def main() -> None:
    """Three maps, and what is in them along a line."""
    truth, stack = measure()
    fit = fastnat.fit_normal(stack, axis=0, left=1.0)
    substituted = np.maximum(stack, 1.0).mean(axis=0)
    maps = {
        "truth": truth,
        "values below the limit = limit": substituted,
        "fit_normal(stack, axis=0, left=1)": np.where(fit.success, fit.mu, -np.inf),
    }
    mpl.rcParams.update({"font.size": 10, "text.color": INK, "axes.edgecolor": INK})
    fig, axes = plt.subplots(1, 3, figsize=(10.0, 3.75), layout="constrained")
    fig.get_layout_engine().set(w_pad=0.06)
    for ax, (name, values) in zip(axes, maps.items(), strict=True):
        # Five pixels by five are one of the picture, their median.
        shown = np.median(values.reshape(200, 5, 200, 5), axis=(1, 3)).clip(-1.0)
        image = ax.imshow(shown, vmin=-0.2, vmax=2.4, cmap=mpl.colormaps["magma"].resampled(64))
        ax.set(xticks=[], yticks=[])
        ax.set_title(name, fontsize=10, family="monospace" if "(" in name else None)
    bar = fig.colorbar(image, ax=axes, shrink=0.9, pad=0.01, aspect=28)
    bar.ax.tick_params(color=INK, labelcolor=INK)
    bar.set_ticks([0.0, 1.0, 2.0], labels=["0", "limit", "2"])
    bar.ax.axhline(1.0, color="w", lw=1.5)
    fig.supxlabel(
        "A million pixels, measured sixteen times each, with a detection limit of 1: one call.",
        fontsize=10,
    )
    fig.savefig(OUT, dpi=100, transparent=True)


if __name__ == "__main__":
    main()
