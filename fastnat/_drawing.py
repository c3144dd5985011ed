"""What pictures are computed from, and their style: see `fastnat.plotting`."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

try:
    from matplotlib import pyplot as plt
    from matplotlib.axes import Axes
except ImportError as error:
    raise ImportError("fastnat.plotting needs matplotlib: pip install 'fastnat[plot]'") from error

from fastnat import _sample
from fastnat._arrays import Array, as_array, as_number, shown
from fastnat.geometry import mahalanobis
from fastnat.normal import NormalFit, fit_normal

Distance = Callable[[Array], Array]

# Okabe and Ito's colours.
BLUE, VERMILION, GREEN, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9"
INK, GREY, PALE = "#222222", "#999999", "#DDDDDD"
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)))
_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, INK)
_MARKERS = ("o", "s", "^", "D", "v", "P")

# ---- arguments -------------------------------------------------------------------------------


def named(name: str, values: Any) -> Mapping[str, Any]:
    if not isinstance(values, Mapping) or hasattr(values, "path"):  # a result of SciPy's is a dict
        kind = type(values).__name__
        raise TypeError(f"{name} must be a mapping of labels, such as a dict, not {kind}")
    if not values:
        raise ValueError(f"{name} must not be empty")
    return values


def point(name: str, value: ArrayLike) -> Array:
    array = as_array(name, value).astype(np.float64)
    if array.shape != (2,) or not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must be two finite numbers, not {shown(value)}")
    return array


def positive(name: str, value: Any) -> float:
    number = as_number(name, value)
    if not 0.0 < number < math.inf:
        raise ValueError(f"{name} must be positive and finite, not {number}")
    return number


def path_of(label: str, result: Any, p: int) -> Array:
    """The points (n, p) of a result with a path, or of an array; NaN at its end is cut off."""
    # Without one, a fit has None, and a result of SciPy's, which is a mapping, no such key.
    given = getattr(result, "path", None if isinstance(result, Mapping) else result)
    if given is None:
        raise ValueError(f"the result {label!r} has no path; it needs trace=True")
    path = as_array(f"the path of {label!r}", given).astype(np.float64)
    if path.ndim != 2 or path.shape[1] != p:
        raise ValueError(f"the path of {label!r} must be of shape (n, {p}), not {path.shape}")
    path = path[: path.shape[0] - int(np.argmax(np.all(np.isfinite(path), axis=1)[::-1]))]
    if not path.size or not np.all(np.isfinite(path)):
        raise ValueError(f"the path of {label!r} must have points, all finite")
    return path


# ---- metrics and functions -------------------------------------------------------------------


def distance_from(center: Array, label: str, metric: Any) -> Distance:
    """The distances (n,) of points (n, 2) from the centre."""
    if callable(metric):

        def checked(points: Array) -> Array:
            values = np.asarray(metric(points), float)
            if values.shape != points.shape[:1]:
                raise ValueError(
                    f"the metric {label!r} must return {points.shape[:1]} distances of points"
                    f" {points.shape}, not an array of shape {values.shape}"
                )
            return values

        return checked
    if isinstance(metric, str):
        if metric != "euclidean":
            raise ValueError(
                f"metric must be 'euclidean', an array or a function, not {shown(metric)}"
            )
        metric = np.ones(2)
    if np.shape(metric) not in ((2,), (2, 2)):
        raise ValueError(
            f"the metric {label!r} must be of shape (2,) or (2, 2), not {np.shape(metric)}"
        )
    return lambda points: mahalanobis(points, center, metric)


def reach(
    distance: Distance, center: Array, rays: Array, radius: float, most: float = math.inf
) -> Array:
    """How often each ray must be taken until the distance is the radius; at most so often."""
    far = np.ones(len(rays))
    with np.errstate(all="ignore"):
        for _ in range(200):
            short = (distance(center + rays * far[:, None]) < radius) & (far < most)
            if not np.any(short):
                break
            far = np.where(short, np.minimum(2.0 * far, most), far)
        else:
            raise ValueError(f"metrics must grow along every ray, and reach the radius {radius:g}")
        near = np.zeros(len(rays))
        for _ in range(80):
            middle = 0.5 * (near + far)
            inside = distance(center + rays * middle[:, None]) < radius
            near, far = np.where(inside, middle, near), np.where(inside, far, middle)
    return far


def window(values: Array, margin: float = 0.12) -> tuple[float, float]:
    low, high = float(np.min(values)), float(np.max(values))
    edge = margin * (high - low) or 1.0
    return low - edge, high + edge


def contour_levels(height: Array, levels: Any) -> Array:
    """Values, or so many of them that the contours of a square are evenly spaced."""
    if not isinstance(levels, int | np.integer):
        return np.unique(as_array("levels", levels))
    if levels < 1:
        raise ValueError(f"levels must be at least 1, not {levels}")
    finite = height[np.isfinite(height)]
    if not finite.size:
        raise ValueError("fun must be finite somewhere in the window")
    low, high = float(np.min(finite)), float(np.max(finite))
    return np.unique(low + (high - low) * (np.arange(1, levels + 1) / (levels + 1)) ** 2)


# ---- likelihoods -----------------------------------------------------------------------------


def fit_sample(sample: _sample.Sample, inside: bool) -> NormalFit:
    """The maximum of the likelihood; ``inside``, away from sigma = 0."""
    bounded = np.any(np.isfinite(sample.least)) or np.any(np.isfinite(sample.most))
    fit = fit_normal(
        sample.lower,
        None if np.all(sample.exact) else sample.upper,
        truncation=(sample.least, sample.most) if bounded else None,
        noise_std=sample.noise if np.any(sample.noise > 0.0) else None,
        weights=sample.weights,
    )
    fit.raise_for_status()
    if inside and fit.sigma == 0.0:
        raise ValueError("the maximum is at sigma = 0, which has no logarithm to draw")
    return fit


def root_of_covariance(fit: NormalFit) -> Array:
    """L with L L' the covariance of (mu, log sigma)."""
    scale = np.array([1.0, 1.0 / fit.sigma])
    return np.asarray(np.linalg.cholesky(fit.cov_params * scale[:, None] * scale))


def bars(sample: _sample.Sample, bins: Any) -> tuple[Array, Array, Array]:
    """Edges (k + 1,) and the densities (k,) of exact values and of intervals spread evenly."""
    exact = sample.exact
    closed = ~exact & np.isfinite(sample.lower) & np.isfinite(sample.upper)
    x, w = sample.lower[exact], sample.weights[exact]
    total = np.sum(sample.weights)
    own = np.histogram_bin_edges(x, bins) if x.size else np.empty(0)
    edges = np.unique(np.concatenate([own, sample.lower[closed], sample.upper[closed]]))
    if edges.size < 2:
        return np.empty(0), np.empty(0), np.empty(0)
    middle = 0.5 * (edges[1:] + edges[:-1])
    known = np.zeros(middle.size)
    if x.size:
        count, _ = np.histogram(x, own, weights=w)
        known = height_at(own, count / np.diff(own) / total, middle)
    spread = np.zeros(middle.size)
    rows, weights = sample.rows(closed, sample.lower, sample.upper)
    for (low, high), weight in zip(rows, weights, strict=True):
        spread[(low < middle) & (middle < high)] += weight / (high - low) / total
    return edges, known, spread


def height_at(edges: Array, heights: Array, x: Array) -> Array:
    """A histogram as a function, 0 outside."""
    if edges.size < 2:
        return np.zeros(x.shape)
    k = np.searchsorted(edges, x, side="right") - 1
    inside = (k >= 0) & (k < heights.size)
    return np.where(inside, heights[np.clip(k, 0, heights.size - 1)], 0.0)


def points_of_density(sample: _sample.Sample, edges: Array, fit: NormalFit) -> Array:
    """Where to draw a density: evenly, and on both sides of every jump."""
    ends = np.concatenate([sample.lower, sample.upper])
    ends = np.concatenate([ends[np.isfinite(ends)], edges])
    half = 3.5 * math.hypot(fit.sigma, float(np.median(sample.noise)))
    jumps = np.concatenate([ends, sample.least, sample.most])
    jumps = np.unique(jumps[np.isfinite(jumps)])
    low, high = min(fit.mu - half, *ends, np.inf), max(fit.mu + half, *ends, -np.inf)
    if np.all(np.isfinite(sample.least)):  # nothing can be observed beyond bounds
        low = max(low, np.min(sample.least) - 0.1 * half)
    if np.all(np.isfinite(sample.most)):
        high = min(high, np.max(sample.most) + 0.1 * half)
    near = [np.nextafter(jumps, -np.inf), jumps, np.nextafter(jumps, np.inf)]
    at = np.unique(np.concatenate([np.linspace(low, high, 501), *near]))
    return np.asarray(at[(at >= low) & (at <= high)])


def label_beyond(sample: _sample.Sample, fit: NormalFit) -> str:
    """What is beyond limits, in the data and by the fit."""
    below, above = np.isinf(sample.lower), np.isinf(sample.upper)
    half = below != above
    share = np.sum(sample.weights[half]) / np.sum(sample.weights)
    where = "beyond limits"
    if not np.any(above[half]):
        where = "below the limit"
    elif not np.any(below[half]):
        where = "above the limit"
    fitted = _sample.share_beyond(sample, fit.mu, fit.sigma)
    said = "" if fitted is None else f" (fit: {100.0 * sum(fitted):.3g} %)"
    return f"{where}: {100.0 * share:.3g} %{said}"


def label_of(fit: NormalFit) -> str:
    """The estimates, mu to a hundredth of sigma at least."""
    mu, sigma = float(fit.mu), float(fit.sigma)
    digits = 3
    if mu != 0.0 < sigma:
        digits += math.floor(math.log10(abs(mu))) - math.floor(math.log10(sigma)) - 1
    return rf"fit: $\mu$ = {mu:.{min(max(digits, 3), 15)}g}, $\sigma$ = {sigma:.3g}"


# ---- style -----------------------------------------------------------------------------------


def axes_of(ax: Axes | None) -> Axes:
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be a matplotlib Axes, not {type(ax).__name__}")
    return ax


def styles(n: int) -> list[dict[str, Any]]:
    """Colours, dashes and markers, each of which tells lines apart."""
    return [
        {
            "color": _COLOURS[k % len(_COLOURS)],
            "linestyle": DASHES[k % len(DASHES)],
            "marker": _MARKERS[k % len(_MARKERS)],
            "markersize": 4.5,
        }
        for k in range(n)
    ]


def finish(ax: Axes, x: str, y: str, n_labels: int) -> Axes:
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.spines[["top", "right"]].set_visible(False)
    if n_labels > 0:
        ax.legend(framealpha=0.85, edgecolor="none")
    return ax
