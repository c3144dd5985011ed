"""Pictures: what is drawn is what the mathematics says, in the data of the artists."""

import math
import subprocess
import sys
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from conftest import refused, scaled
from scipy import integrate, stats

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.contour import ContourSet
from matplotlib.patches import StepPatch

import fastnat
from fastnat import _sample, geometry, plotting

A = np.array([[1.0, -0.5], [-0.5, 1.0]])
X = np.array([-1.3, -0.4, -0.1, 0.2, 0.3, 0.8, 1.1, 2.4])


def fun(x):
    return x @ A @ x


def grad(x):
    return 2.0 * A @ x


@pytest.fixture(autouse=True)
def closed():
    """Figures of pyplot's are closed, and its settings are as they were."""
    before = dict(mpl.rcParams)
    yield
    plt.close("all")
    assert dict(mpl.rcParams) == before


@pytest.fixture
def paths():
    return {
        "Euclidean": fastnat.steepest_descent(fun, grad, [8, 3], step_size=0.5, trace=True),
        "Newton": fastnat.steepest_descent(fun, grad, [8, 3], metric=2.0 * A, trace=True),
    }


def lines(ax):
    """Those that the legend names."""
    return {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}


def vertices(contours):
    return np.concatenate([piece for level in contours.allsegs for piece in level if len(piece)])


def contour_sets(ax):
    return [child for child in ax.get_children() if isinstance(child, ContourSet)]


# ---- metric balls ----------------------------------------------------------------------------


def test_balls_are_equidistant_points():
    metrics = {
        "Euclidean": "euclidean",
        "diagonal": [1.0, 4.0],
        "full": [[2.0, 1.2], [1.2, 1.0]],
        "KL": lambda p: np.sqrt(2.0 * geometry.kl_normal(p[:, 0], np.exp(p[:, 1]), 1.0, 1.0)),
    }
    ax = plotting.metric_balls(metrics, (1.0, 0.0), radius=0.3)
    drawn = lines(ax)
    assert list(drawn) == list(metrics)
    for label in list(metrics)[:3]:
        metric = [1.0, 1.0] if label == "Euclidean" else metrics[label]
        far = geometry.mahalanobis(drawn[label].get_xydata(), [1.0, 0.0], metric)
        np.testing.assert_allclose(far, 0.3, rtol=1e-13)
    np.testing.assert_allclose(metrics["KL"](drawn["KL"].get_xydata()), 0.3, rtol=1e-13)
    for line in drawn.values():
        data = line.get_xydata()
        np.testing.assert_array_equal(data[0], data[-1])
        # All around, and not only a part of it.
        angle = np.unwrap(np.arctan2(data[:, 1], data[:, 0] - 1.0))
        assert math.isclose(angle[-1] - angle[0], 2.0 * np.pi)
    assert ax.get_aspect() in (1.0, "equal")


def test_a_ball_of_any_size():
    for radius in (1e-9, 1e9):
        ax = plotting.metric_balls({"G": A}, radius=radius)
        far = geometry.mahalanobis(lines(ax)["G"].get_xydata(), [0.0, 0.0], A)
        np.testing.assert_allclose(far, radius, rtol=1e-12)


# ---- descent paths ---------------------------------------------------------------------------


def test_paths_and_contours_of_the_function(paths):
    ax = plotting.descent_paths(fun, paths, levels=[1.0, 10.0, 40.0])
    for label, line in lines(ax).items():
        np.testing.assert_array_equal(line.get_xydata(), paths[label].path)
    (contours,) = contour_sets(ax)
    np.testing.assert_array_equal(contours.levels, [1.0, 10.0, 40.0])
    for level, pieces in zip([1.0, 10.0, 40.0], contours.allsegs, strict=True):
        points = np.concatenate(pieces)
        # Linear between the points of a grid of 0.1 by 0.04, where f bends by 2.
        np.testing.assert_allclose([fun(p) for p in points], level, atol=0.02)
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    for result in paths.values():
        assert np.all((x0 < result.path[:, 0]) & (result.path[:, 0] < x1))
        assert np.all((y0 < result.path[:, 1]) & (result.path[:, 1] < y1))


def test_contours_by_number_are_dense_near_the_least(paths):
    ax = plotting.descent_paths(fun, paths, levels=9, xlim=(-2.0, 2.0), ylim=(-3.0, 3.0))
    (contours,) = contour_sets(ax)
    assert len(contours.levels) == 9
    steps = np.diff(np.sqrt(contours.levels))  # fun is 0 at (0, 0), which is on the grid
    np.testing.assert_allclose(steps, steps[0])
    assert ax.get_xlim() == (-2.0, 2.0)
    assert ax.get_ylim() == (-3.0, 3.0)


# ---- the log-likelihood ----------------------------------------------------------------------

KINDS = {
    "complete": ((X,), {}),
    "weights": ((X,), {"weights": [1, 2, 1, 3, 1, 0, 1, 2]}),
    "missing": ((np.append(X, np.nan),), {}),
    "left": ((X,), {"left": 0.0}),
    "both": ((X,), {"left": -0.2, "right": 1.0}),
    "intervals": ((np.where(X < 0, -np.inf, X - 0.5), np.where(X > 1, np.inf, X + 0.5)), {}),
    "some exact": ((X, np.where(X < 0.5, X, X + 1)), {}),
    "truncation": ((X,), {"truncation": (-2.0, np.inf)}),
    "noise": ((X,), {"noise_std": np.linspace(0.1, 0.7, 8)}),
    "some noise": ((X,), {"noise_std": [0.0, 0.0, 0.0, 0.1, 0.1, 0.2, 0.5, 0.5]}),
    "noise and limit": ((X,), {"noise_std": 0.3, "left": 0.0}),
}


def by_scipy(data, options, mu, sigma):
    """The log-likelihood, one observation after the other."""
    x = data[0]
    upper = data[1] if len(data) == 2 else x
    left, right = options.get("left", -np.inf), options.get("right", np.inf)
    least, most = options.get("truncation", (-np.inf, np.inf))
    weights = np.broadcast_to(options.get("weights", 1.0), x.shape)
    noise = np.broadcast_to(options.get("noise_std", 0.0), x.shape)
    total = 0.0
    for low, high, w, e in zip(x, upper, weights, noise, strict=True):
        if np.isnan(low):
            continue
        law = stats.norm(mu, math.hypot(sigma, e))
        if low == high and low <= left:
            value = law.logcdf(left)
        elif low == high and high >= right:
            value = law.logsf(right)
        elif low == high:
            value = law.logpdf(low)
        elif low > mu:
            value = math.log(law.sf(low) - law.sf(high))
        else:
            value = math.log(law.cdf(high) - law.cdf(low))
        total += w * (value - math.log(law.cdf(most) - law.cdf(least)))
    return total


@pytest.mark.parametrize("kind", KINDS)
def test_loglik_anywhere(kind):
    data, options = KINDS[kind]
    sample = _sample.read_sample(
        data[0],
        data[1] if len(data) == 2 else None,
        *(options.get(name) for name in ("left", "right", "truncation", "noise_std", "weights")),
    )
    mu, sigma = np.array([[-0.3], [0.9]]), np.array([0.4, 1.0, 2.5])
    found = _sample.loglik(sample, mu, sigma)
    expected = [[by_scipy(data, options, m, s) for s in sigma] for m in mu[:, 0]]
    np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize("kind", scaled(["complete", "left", "truncation", "noise"], ["left"]))
def test_regions_of_the_log_likelihood(kind):
    data, options = KINDS[kind]
    ax = plotting.loglik_contours(*data, **options, level=0.8)
    fit = fastnat.fit_normal(*data, **options)
    grey, region = contour_sets(ax)
    cut = stats.chi2.ppf(0.8, 2)
    points = vertices(region)
    falls = [2 * (fit.loglik - by_scipy(data, options, m, math.exp(s))) for m, s in points]
    # Linear between 121 points a side.
    np.testing.assert_allclose(falls, cut, rtol=0.03)
    assert len(points) > 100
    for level, pieces in zip(grey.levels[:3], grey.allsegs[:3], strict=True):
        m, s = np.concatenate(pieces)[0]
        fall = fit.loglik - by_scipy(data, options, m, math.exp(s))
        assert math.isclose(2 * fall, level, rel_tol=0.05)
    np.testing.assert_array_equal(grey.levels[:4], [1.0, 2.0, 4.0, 8.0])  # of twice the fall
    wald = lines(ax)["Wald, 80 %"].get_xydata() - [fit.mu, math.log(fit.sigma)]
    scale = np.array([1.0, 1.0 / fit.sigma])
    covariance = fit.cov_params * scale[:, None] * scale
    square = np.einsum("ni,ij,nj->n", wald, np.linalg.inv(covariance), wald)
    np.testing.assert_allclose(square, cut, rtol=1e-10)
    best = lines(ax)["maximum"].get_xydata()
    np.testing.assert_allclose(best, [[fit.mu, math.log(fit.sigma)]], rtol=1e-9)
    # Both regions are inside of the window.
    for curve in (points, lines(ax)["Wald, 80 %"].get_xydata()):
        assert np.all(curve > [ax.get_xlim()[0], ax.get_ylim()[0]])
        assert np.all(curve < [ax.get_xlim()[1], ax.get_ylim()[1]])


# ---- the fitted density ----------------------------------------------------------------------


def parts(ax):
    """Areas of bars by label, and the hatched area and its outline."""
    areas = {}
    for patch in ax.patches:
        if isinstance(patch, StepPatch):
            values, edges, baseline = patch.get_data()
            areas[patch.get_label()] = np.sum((values - baseline) * np.diff(edges))
    return areas, [c for c in ax.collections if c.get_hatch()]


def area(polygon):
    x, y = polygon.T
    return 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))


def test_density_over_complete_data():
    ax = plotting.fitted_density(X, bins=4)
    values, edges, _ = ax.patches[0].get_data()
    expected, expected_edges = np.histogram(X, 4, density=True)
    np.testing.assert_allclose(values, expected)
    np.testing.assert_allclose(edges, expected_edges)
    (curve,) = ax.lines
    x, y = curve.get_data()
    np.testing.assert_allclose(y, stats.norm.pdf(x, X.mean(), X.std()), rtol=1e-12)
    assert not parts(ax)[1]


def test_areas_are_shares():
    """Two exact values, three intervals, three half-lines of eight."""
    low = np.array([0.0, 0.5, -1.0, 0.0, 0.2, -np.inf, -np.inf, 1.5])
    high = np.array([0.0, 0.5, 0.0, 1.0, 0.9, -0.5, 0.3, np.inf])
    ax = plotting.fitted_density(low, high, bins=3)
    areas, (hatched,) = parts(ax)
    assert math.isclose(areas["values"], 2 / 8)
    assert math.isclose(areas["intervals"], 3 / 8)
    # Trapezes of 500 points, and of a normal distribution 3.5 standard deviations.
    total = sum(area(path.vertices) for path in hatched.get_paths())
    assert math.isclose(total, 3 / 8, rel_tol=2e-3)
    assert hatched.get_label() == "beyond limits: 37.5 %"


def test_half_lines_have_the_shape_of_the_fit():
    ax = plotting.fitted_density(X, left=0.0)
    _, (hatched,) = parts(ax)
    fit = fastnat.fit_normal(X, left=0.0)
    law = stats.norm(fit.mu, fit.sigma)
    outline = hatched.get_paths()[0].vertices
    top = outline[outline[:, 1] > 0.0]
    assert np.max(top[:, 0]) < 0.0
    expected = 3 / 8 * law.pdf(top[:, 0]) / law.cdf(0.0)
    np.testing.assert_allclose(top[:, 1], expected, rtol=1e-10)
    assert hatched.get_label() == f"below the limit: 37.5 % (fit: {100 * law.cdf(0.0):.3g} %)"
    above = plotting.fitted_density(X, right=1.0)
    assert parts(above)[1][0].get_label().startswith("above the limit: 25 % (fit: ")


def test_density_of_what_is_observed():
    """Truncation cuts it, noise widens it: a density all the same."""
    ax = plotting.fitted_density(X, truncation=(-2.0, np.inf))
    fit = fastnat.fit_normal(X, truncation=(-2.0, np.inf))
    x, y = ax.lines[0].get_data()
    inside = x > -2.0
    law = stats.norm(fit.mu, fit.sigma)
    np.testing.assert_allclose(y[inside], law.pdf(x[inside]) / law.sf(-2.0), rtol=1e-10)
    assert np.all(y[~inside] == 0.0)
    noise = np.linspace(0.1, 0.7, 8)
    ax = plotting.fitted_density(X, noise_std=noise)
    fit = fastnat.fit_normal(X, noise_std=noise)
    x, y = ax.lines[0].get_data()
    laws = [stats.norm.pdf(x, fit.mu, math.hypot(fit.sigma, e)) for e in noise]
    np.testing.assert_allclose(y, np.mean(laws, axis=0), rtol=1e-10)
    assert integrate.trapezoid(y, x) == pytest.approx(1.0, abs=2e-3)


def test_a_density_of_half_lines_only():
    """There is nothing to draw a histogram of."""
    low = np.array([-np.inf, -np.inf, 0.5, -0.5, 1.0, -np.inf])
    high = np.array([0.0, 1.0, np.inf, np.inf, np.inf, 2.0])
    ax = plotting.fitted_density(low, high)
    areas, (hatched,) = parts(ax)
    assert not areas
    total = sum(area(path.vertices) for path in hatched.get_paths())
    assert math.isclose(total, 1.0, rel_tol=2e-3)
    assert hatched.get_label() == "beyond limits: 100 %"


def test_a_density_ends_where_nothing_can_be_observed():
    ax = plotting.fitted_density(X, truncation=(-np.inf, 2.5))
    fit = fastnat.fit_normal(X, truncation=(-np.inf, 2.5))
    x, y = ax.lines[0].get_data()
    law = stats.norm(fit.mu, fit.sigma)
    np.testing.assert_allclose(y[x < 2.5], law.pdf(x[x < 2.5]) / law.cdf(2.5), rtol=1e-10)
    assert np.all(y[x > 2.5] == 0.0)
    assert 2.5 < x.max() < 2.5 + fit.sigma


def test_intervals_of_a_histogram():
    counts, edges = np.array([1.0, 5.0, 8.0, 4.0, 2.0]), np.arange(6.0)
    ax = plotting.fitted_density(edges[:-1], edges[1:], weights=counts)
    values, drawn, _ = ax.patches[0].get_data()
    np.testing.assert_array_equal(drawn, edges)
    np.testing.assert_allclose(values, counts / 20.0)


def test_a_boundary_has_a_density_but_no_logarithm():
    x, noise = np.array([0.0, 0.1, 0.2]), 1.0
    assert fastnat.fit_normal(x, noise_std=noise).sigma == 0.0
    curve = plotting.fitted_density(x, noise_std=noise).lines[0]
    np.testing.assert_allclose(curve.get_ydata(), stats.norm.pdf(curve.get_xdata(), 0.1, 1.0))
    with refused(ValueError, "sigma = 0"):
        plotting.loglik_contours(x, noise_std=noise)


@pytest.mark.parametrize(
    ("offset", "unit", "label"),
    [
        (0.0, 1.0, "0.375"),
        (100.0, 1.0, "100.4"),
        (1e6, 1e-3, "1000000.0004"),
        (0.0, 0.0, None),
        (-2e9, 1e-2, "-1999999999.996"),
    ],
)
def test_the_label_has_the_digits_of_mu_that_matter(offset, unit, label):
    if label is None:  # a mean of exactly 0
        x, label = np.array([-1.0, 1.0]), "0"
    else:
        x = offset + unit * X
    text = plotting.fitted_density(x).lines[0].get_label()
    assert text.startswith(rf"fit: $\mu$ = {label}, $\sigma$ = ")


# ---- convergence -----------------------------------------------------------------------------


def test_distances_from_the_target(paths):
    ax = plotting.convergence(paths, [0.0, 0.0], metric=A, floor=1e-5)
    assert ax.get_yscale() == "log"
    assert np.all(ax.get_xticks() % 1.0 == 0.0), "iterations are whole numbers"
    for label, line in lines(ax).items():
        expected = [max(math.sqrt(fun(x)), 1e-5) for x in paths[label].path]
        np.testing.assert_array_equal(line.get_xdata(), np.arange(len(expected)))
        np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-13)


def test_a_fit_has_a_path_too():
    fit = fastnat.fit(fastnat.models.normal, X, trace=True)
    (line,) = plotting.convergence({"auto": fit, "array": fit.path}, fit.params).lines[:1]
    known = fit.path[~np.isnan(fit.path[:, 0])]
    expected = np.linalg.norm(known - fit.params, axis=1)
    np.testing.assert_allclose(line.get_ydata(), np.maximum(expected, 1e-16))


# ---- all of them -----------------------------------------------------------------------------

DRAW = {
    "metric_balls": lambda **o: plotting.metric_balls({"G": A}, **o),
    "descent_paths": lambda **o: plotting.descent_paths(fun, {"p": [[1.0, 2.0], [0.0, 0.0]]}, **o),
    "loglik_contours": lambda **o: plotting.loglik_contours(X, **o),
    "fitted_density": lambda **o: plotting.fitted_density(X, **o),
    "convergence": lambda **o: plotting.convergence({"p": [[1.0], [0.5]]}, [0.0], **o),
}


@pytest.mark.parametrize("name", DRAW)
def test_on_axes_that_are_given(name):
    figure, axes = plt.subplots(1, 2)
    assert DRAW[name](ax=axes[1]) is axes[1]
    assert not axes[0].has_data()
    assert axes[1].has_data()
    assert plt.get_fignums() == [figure.number]
    assert axes[1].get_xlabel()
    assert axes[1].get_ylabel()
    fresh = DRAW[name]()
    assert fresh.figure is not figure
    fresh.figure.canvas.draw()
    with refused(TypeError, "ax must be"):
        DRAW[name](ax=figure)


def test_every_function_is_here():
    assert sorted(DRAW) == sorted(plotting.__all__)


def test_lines_differ_in_more_than_colour():
    metrics = {str(k): [1.0, 1.0 + k] for k in range(5)}
    drawn = lines(plotting.metric_balls(metrics)).values()
    assert len({line.get_color() for line in drawn}) == 5
    drawn = list(drawn)
    for one, two in pairwise(drawn):
        assert one._dash_pattern != two._dash_pattern


def test_bad_arguments():
    with refused(TypeError, "metrics must be a mapping"):
        plotting.metric_balls([A])
    with refused(ValueError, "metrics must not be empty"):
        plotting.metric_balls({})
    with refused(ValueError, "metric", "euclidean"):
        plotting.metric_balls({"a": "fisher"})
    with refused(ValueError, "metric must be positive definite"):
        plotting.metric_balls({"a": -A})
    with refused(ValueError, "center must be two finite numbers"):
        plotting.metric_balls({"a": A}, [0.0, 0.0, 0.0])
    with refused(ValueError, "radius must be positive"):
        plotting.metric_balls({"a": A}, radius=0.0)
    with refused(ValueError, "the metric 'a' must return"):
        plotting.metric_balls({"a": lambda p: p})
    with refused(ValueError, "grow along every ray"):
        plotting.metric_balls({"a": lambda p: np.tanh(np.hypot(*p.T))}, radius=2.0)
    with refused(ValueError, "the path of 'a'", "(n, 2)"):
        plotting.descent_paths(fun, {"a": [1.0, 2.0]})
    with refused(ValueError, "the path of 'a'", "finite"):
        plotting.descent_paths(fun, {"a": [[1.0, 2.0], [np.nan, 1.0], [0.0, 0.0]]})
    with refused(ValueError, "levels"):
        plotting.descent_paths(fun, {"a": [[1.0, 2.0]]}, levels=0)
    with refused(ValueError, "fun must be finite"):
        plotting.descent_paths(lambda x: np.nan * x[0], {"a": [[1.0, 2.0]]})
    with refused(ValueError, "target"):
        plotting.convergence({"a": [[1.0, 2.0]]}, [[0.0, 0.0]])
    with refused(ValueError, "floor"):
        plotting.convergence({"a": [[1.0, 2.0]]}, [0.0, 0.0], floor=0.0)
    with refused(ValueError, "the path of 'a'", "(n, 1)"):
        plotting.convergence({"a": [[1.0, 2.0]]}, [0.0])
    with refused(ValueError, "the metric 'a' must be of shape (2,) or (2, 2), not (3, 3)"):
        plotting.metric_balls({"a": np.eye(3)})


def test_results_without_path_or_label(paths):
    untraced = fastnat.steepest_descent(fun, grad, [8, 3], step_size=0.5)
    with refused(ValueError, "the result 'a' has no path", "trace=True"):
        plotting.descent_paths(fun, {"a": untraced})
    with refused(ValueError, "the result 'a' has no path", "trace=True"):
        plotting.convergence({"a": fastnat.fit(fastnat.models.normal, X)}, [0.0, 0.0])
    with refused(TypeError, "results must be a mapping of labels"):
        plotting.descent_paths(fun, paths["Newton"])


@pytest.mark.parametrize("draw", [plotting.loglik_contours, plotting.fitted_density])
def test_bad_samples(draw):
    with refused(ValueError, "x must be one problem"):
        draw([X, X])
    with refused(ValueError, "upper"):
        draw(X, X, left=0.0)
    with pytest.raises(fastnat.FitError, match="sigma going to 0"):
        draw([1.0, 1.0, 1.0])
    with pytest.raises(fastnat.FitError, match="no informative observation"):
        draw([np.nan])
    with refused(ValueError, "weights"):
        draw(X, weights=-np.ones(8))
    with refused(ValueError, "level must be between 0 and 1"):
        plotting.loglik_contours(X, level=95)


MISSING = """
import sys
sys.modules["matplotlib"] = None
try:
    import fastnat.plotting
except ImportError as error:
    assert "fastnat[plot]" in str(error), error
else:
    raise AssertionError
"""


def test_without_matplotlib_one_sentence_says_what_to_install():
    subprocess.run([sys.executable, "-c", MISSING], check=True)
