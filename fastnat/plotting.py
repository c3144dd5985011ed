"""Pictures of metrics, paths, likelihoods and fits.  Needs matplotlib: ``fastnat[plot]``.

Every function draws on ``ax``, or on a new figure, and returns the Axes.  Colours are those of
Okabe and Ito, which the colour-blind can tell apart; lines differ in their dashes as well.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from fastnat import _sample
from fastnat._arrays import Array, as_array, check_level
from fastnat._drawing import (
    BLUE,
    DASHES,
    GREEN,
    GREY,
    INK,
    PALE,
    SKY,
    VERMILION,
    axes_of,
    bars,
    contour_levels,
    distance_from,
    finish,
    fit_sample,
    height_at,
    label_beyond,
    label_of,
    named,
    path_of,
    point,
    points_of_density,
    positive,
    reach,
    root_of_covariance,
    styles,
    window,
)
from fastnat.geometry import mahalanobis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["convergence", "descent_paths", "fitted_density", "loglik_contours", "metric_balls"]

_RAYS = 360


def metric_balls(
    metrics: Mapping[str, Any],
    center: ArrayLike = (0.0, 0.0),
    *,
    radius: float = 1.0,
    ax: "Axes | None" = None,
) -> "Axes":
    """Points that are equally far from a centre, under one metric after the other.

    Parameters
    ----------
    metrics : mapping of str to array_like or callable
        A label and a metric: "euclidean", the diagonal (2,) or the matrix (2, 2) of a quadratic
        form, or a function of points (n, 2) that returns their distances (n,) from the centre,
        growing along every ray.
    center : (2,) array_like, default (0, 0)
        The centre.
    radius : float, default 1.0
        The distance.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        One closed line for each metric, in their order, and the centre.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnat import geometry, plotting
    >>> def kl(points):
    ...     return np.sqrt(2 * geometry.kl_normal(points[:, 0], np.exp(points[:, 1]), 0, 1))
    >>> ax = plotting.metric_balls({"Fisher": geometry.fisher_normal(0, 1), "KL": kl})
    """
    middle = point("center", center)
    positive("radius", radius)
    angle = np.linspace(0.0, 2.0 * np.pi, _RAYS + 1)
    rays = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    rays[-1] = rays[0]
    balls = {}
    for label, metric in named("metrics", metrics).items():
        distance = distance_from(middle, label, metric)
        balls[label] = middle + rays * reach(distance, middle, rays, radius)[:, None]
    ax = axes_of(ax)
    for (label, ball), style in zip(balls.items(), styles(len(balls)), strict=True):
        ax.plot(*ball.T, **style | {"marker": ""}, linewidth=1.8, label=label)
    ax.plot(*middle, "o", color=INK, markersize=4, label="_center")
    ax.set_aspect("equal", adjustable="datalim")
    ax.margins(0.12)
    return finish(ax, "$x_1$", "$x_2$", len(balls))


def descent_paths(
    fun: Callable[[Array], Any],
    results: Mapping[str, Any],
    *,
    xlim: tuple[float, float] | None = None,
    ylim: tuple[float, float] | None = None,
    levels: int | ArrayLike = 12,
    ax: "Axes | None" = None,
) -> "Axes":
    """Paths of descents over the contours of the function.

    Parameters
    ----------
    fun : callable
        ``fun(x) -> float`` of x (2,), as for `fastnat.steepest_descent`.
    results : mapping of str to result or (n, 2) array_like
        A label and a path, or a result that has one (``trace=True``).
    xlim, ylim : (float, float), optional
        The window; by default it holds all paths.
    levels : int or array_like, default 12
        Values of fun at which to draw contours, or how many: then they are dense near the least.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        One line for each path, in their order, above the contours.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used; a path that is not of points in the plane is one.

    Examples
    --------
    >>> import fastnat
    >>> from fastnat import plotting
    >>> def fun(x):
    ...     return x[0] ** 2 + x[1] ** 2 - x[0] * x[1]
    >>> def grad(x):
    ...     return [2 * x[0] - x[1], 2 * x[1] - x[0]]
    >>> run = fastnat.steepest_descent(fun, grad, [8.0, 3.0], step_size=0.5, trace=True)
    >>> ax = plotting.descent_paths(fun, {"Euclidean, 0.5": run})
    """
    paths = {
        label: path_of(label, result, 2) for label, result in named("results", results).items()
    }
    points = np.concatenate(list(paths.values()))
    x = np.linspace(*(window(points[:, 0]) if xlim is None else xlim), 121)
    y = np.linspace(*(window(points[:, 1]) if ylim is None else ylim), 121)
    height = np.array([[float(fun(np.array([a, b]))) for a in x] for b in y])
    ax = axes_of(ax)
    ax.contour(x, y, height, levels=contour_levels(height, levels), colors=GREY, linewidths=0.7)
    for (label, path), style in zip(paths.items(), styles(len(paths)), strict=True):
        edge: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.6}
        ax.plot(*path.T, **style, **edge, linewidth=1.5, label=label)
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    return finish(ax, "$x_1$", "$x_2$", len(paths))


def loglik_contours(
    x: ArrayLike,
    upper: ArrayLike | None = None,
    *,
    left: ArrayLike | None = None,
    right: ArrayLike | None = None,
    truncation: tuple[ArrayLike, ArrayLike] | None = None,
    noise_std: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    level: float = 0.95,
    ax: "Axes | None" = None,
) -> "Axes":
    """The log-likelihood of one sample over (mu, log sigma), with two confidence regions.

    Parameters
    ----------
    x, upper, left, right, truncation, noise_std, weights : array_like
        One problem, as for `fastnat.fit_normal`; missing values are left out.
    level : float, default 0.95
        Joint coverage of both regions.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Grey: where the log-likelihood is 1/2, 1, 2, 4, 8, ... below its maximum.  Solid: the points
        that a likelihood-ratio test does not reject (profile).  Dashed: Wald's ellipse.

    Raises
    ------
    FitError
        If the likelihood has no maximum.
    TypeError, ValueError
        If an argument cannot be used, or the maximum is at sigma = 0.

    Notes
    -----
    Both regions hold what is within the quantile of chi-square with two degrees of freedom,
    -2 log(1 - level), once of twice the fall of the log-likelihood, once of the squared distance
    under the observed information.  Where they differ, the log-likelihood is not quadratic.

    Examples
    --------
    >>> from fastnat import plotting
    >>> ax = plotting.loglik_contours([0.5, 0.5, 0.9, 1.3, 2.2, 3.0], left=0.5)
    """
    check_level(level)
    sample = _sample.read_sample(x, upper, left, right, truncation, noise_std, weights)
    fit = fit_sample(sample, inside=True)
    best = np.array([fit.mu, math.log(fit.sigma)])
    root = root_of_covariance(fit)
    top = float(_sample.loglik(sample, fit.mu, fit.sigma))
    cut = -2.0 * math.log1p(-level)

    def fall(points: Array) -> Array:
        """The root of twice the fall: a distance, as it were."""
        lost = top - _sample.loglik(sample, points[..., 0], np.exp(points[..., 1]))
        return np.sqrt(2.0 * np.maximum(lost, 0.0))

    angle = np.linspace(0.0, 2.0 * np.pi, _RAYS + 1)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1) @ root.T
    few = circle[:: _RAYS // 36]
    ends = best + few * reach(fall, best, few, math.sqrt(2.0 * cut), most=30.0)[:, None]
    mu, log_sigma = (np.linspace(*window(ends[:, k], 0.02), 121) for k in (0, 1))
    grid = fall(np.stack(np.meshgrid(mu, log_sigma), axis=-1)) ** 2
    ax = axes_of(ax)
    drops = 2.0 ** np.arange(0, 12)
    ax.contour(mu, log_sigma, grid, levels=drops, colors=GREY, linewidths=0.7)
    ax.contour(mu, log_sigma, grid, levels=[cut], colors=BLUE, linewidths=2.0)
    ax.plot([], [], color=BLUE, linewidth=2.0, label=f"profile, {100.0 * level:g} %")
    wald = best + math.sqrt(cut) * circle
    ax.plot(
        *wald.T,
        color=VERMILION,
        linestyle=DASHES[1],
        linewidth=1.8,
        label=f"Wald, {100.0 * level:g} %",
    )
    ax.plot(*best, "o", color=INK, markersize=5, label="maximum")
    ax.set_xlim(mu[0], mu[-1])
    ax.set_ylim(log_sigma[0], log_sigma[-1])
    return finish(ax, r"$\mu$", r"$\log\,\sigma$", 3)


def fitted_density(
    x: ArrayLike,
    upper: ArrayLike | None = None,
    *,
    left: ArrayLike | None = None,
    right: ArrayLike | None = None,
    truncation: tuple[ArrayLike, ArrayLike] | None = None,
    noise_std: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    bins: int | str | Sequence[float] = "auto",
    ax: "Axes | None" = None,
) -> "Axes":
    """The fitted density over one sample, with what is only known to be beyond a limit.

    Parameters
    ----------
    x, upper, left, right, truncation, noise_std, weights : array_like
        One problem, as for `fastnat.fit_normal`; missing values are left out.
    bins : int, str or sequence, default "auto"
        Bins of the values known exactly, as for ``numpy.histogram_bin_edges``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Areas are shares of the sample, and stand on each other: values known exactly as a
        histogram, intervals spread evenly, and half-lines (hatched) spread as the fit says.  The
        line is the density of what would be observed: noise widens it, truncation cuts it.

    Raises
    ------
    FitError
        If the likelihood has no maximum.
    TypeError, ValueError
        If an argument cannot be used, or the maximum is at sigma = 0.

    Examples
    --------
    >>> from fastnat import plotting
    >>> ax = plotting.fitted_density([0.5, 0.5, 0.9, 1.3, 2.2, 3.0], left=0.5)
    """
    sample = _sample.read_sample(x, upper, left, right, truncation, noise_std, weights)
    fit = fit_sample(sample, inside=False)
    mu, sigma = float(fit.mu), float(fit.sigma)
    edges, known, spread = bars(sample, bins)
    at = points_of_density(sample, edges, fit)
    ax = axes_of(ax)
    if edges.size:
        if np.any(known):
            ax.stairs(known, edges, fill=True, color=SKY, alpha=0.45, label="values")
        if np.any(spread):
            ax.stairs(
                known + spread,
                edges,
                baseline=known,
                fill=True,
                color=GREEN,
                alpha=0.35,
                label="intervals",
            )
    unseen = _sample.beyond(sample, mu, sigma, at)
    if np.any(unseen):
        base = height_at(edges, known + spread, at)
        ax.fill_between(
            at,
            base,
            base + unseen,
            where=unseen > 0.0,
            facecolor="none",
            edgecolor=VERMILION,
            hatch="////",
            linewidth=0.0,
            label=label_beyond(sample, fit),
        )
    curve = _sample.density(sample, mu, sigma, at)
    ax.plot(at, curve, color=INK, linewidth=1.8, label=label_of(fit))
    ax.set_xlim(at[0], at[-1])
    ax.set_ylim(0.0, 1.3 * ax.dataLim.ymax)  # room for the legend
    return finish(ax, "$x$", "density", 2)


def convergence(
    results: Mapping[str, Any],
    target: ArrayLike,
    *,
    metric: ArrayLike | None = None,
    floor: float = 1e-16,
    ax: "Axes | None" = None,
) -> "Axes":
    """How far from the target each iteration is, under one metric for all.

    Parameters
    ----------
    results : mapping of str to result or (n, p) array_like
        A label and a path, or a result that has one: of `fastnat.fit` or
        `fastnat.steepest_descent`, with ``trace=True``.
    target : (p,) array_like
        The answer.
    metric : (p,) or (p, p) array_like, optional
        What measures the distance, as in `fastnat.geometry.mahalanobis`; Euclidean by default.
        With Fisher's, distances are in standard deviations of one observation.
    floor : float, default 1e-16
        Smaller distances, 0 among them, are drawn here.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        One line for each path, in their order, on a logarithmic scale.

    Raises
    ------
    TypeError, ValueError
        If an argument cannot be used.

    Examples
    --------
    >>> import fastnat
    >>> from fastnat import plotting
    >>> x, model = [1.0, 2.0, 6.0], fastnat.models.normal
    >>> runs = {m: fastnat.fit(model, x, metric=m, trace=True) for m in ("auto", "expected")}
    >>> ax = plotting.convergence(runs, runs["auto"].params)
    """
    goal = as_array("target", target).astype(np.float64)
    if goal.ndim != 1:
        raise ValueError(f"target must have one dimension, not shape {goal.shape}")
    positive("floor", floor)
    weight = np.ones(goal.size) if metric is None else metric
    lines = {
        label: np.maximum(mahalanobis(path_of(label, result, goal.size), goal, weight), floor)
        for label, result in named("results", results).items()
    }
    ax = axes_of(ax)
    for (label, far), style in zip(lines.items(), styles(len(lines)), strict=True):
        ax.plot(far, **style, markevery=max(1, far.size // 12), linewidth=1.5, label=label)
    ax.locator_params(axis="x", integer=True)
    ax.set_yscale("log")
    ax.grid(True, axis="y", color=PALE, linewidth=0.6)
    return finish(ax, "iteration", "distance from the target", len(lines))
