"""
A log-likelihood, its gradient, and its natural gradient
========================================================

The article's third figure: isocontours of the log-likelihood of 2000 standard normal
numbers, over mu and log sigma.  What it does not show is an optimisation, so here is
one.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnat

rng = np.random.default_rng(1)
x = rng.standard_normal(2000)
n, mean, S = x.size, x.mean(), x.var()


def loglik(mu, lam):
    """About the mean: n mu^2 - 2 mu sum x + sum x^2 would cancel."""
    return -n * (lam + 0.5 * np.log(2 * np.pi)) - 0.5 * np.exp(-2 * lam) * n * (
        S + (mean - mu) ** 2
    )


mu, lam = np.meshgrid(np.linspace(-3.2, 3.2, 300), np.linspace(-0.9, 1.9, 300))
values = loglik(mu, lam)
top = loglik(mean, 0.5 * np.log(S))
levels = top - np.array([12000, 8000, 5000, 3000, 1800, 1000, 500, 150, 30])

# %%
# The score of one observation is (z / sigma, z^2 - 1), and F = diag(1 / sigma^2, 2).
# Arrows are drawn with the same length: only their directions are to be compared.

at_mu, at_lam = (
    a.ravel() for a in np.meshgrid(np.linspace(-2.6, 2.6, 5), np.linspace(-0.5, 1.6, 4))
)
unit = np.exp(-2.0 * at_lam)
grad = np.stack([unit * (mean - at_mu), unit * (S + (mean - at_mu) ** 2) - 1.0])
natural = grad / np.stack([unit, np.full_like(unit, 2.0)])

fig, axes = plt.subplots(1, 2, figsize=(9.6, 4.2), sharey=True)
for ax, arrows, title, color in (
    (axes[0], grad, "gradient", "C3"),
    (axes[1], natural, "natural gradient", "C0"),
):
    ax.contour(
        mu, lam, values, levels=levels, colors="0.75", linewidths=1, linestyles="solid"
    )
    direction = arrows / np.hypot(*arrows)
    ax.quiver(
        at_mu, at_lam, *direction, color=color, angles="xy", scale=12, width=0.005
    )
    ax.plot(mean, 0.5 * np.log(S), "k*", ms=10)
    ax.set(title=title, xlabel=r"$\mu$")
axes[0].set_ylabel(r"$\log\,\sigma$")
plt.show()

# %%
# Is it safe?
# -----------
#
# In mu it is: one unit step arrives.  In log sigma, with r = S / sigma^2, a unit step
# takes r to r exp(1 - r), the Ricker map.  From a sigma that is too large (r < 1) it
# converges fast; from one ten times too small (r = 100) it overshoots by 50 in the
# logarithm, and creeps back.  The same step in another chart, the variance, arrives at
# once; this is what "the chart decides" means.


def iterations(r, chart):
    """How many unit steps until log sigma is right to 1e-6."""
    log_r = np.log(r)
    for k in range(2000):
        if abs(log_r) < 2e-6:
            return k
        step = 0.5 * (np.exp(log_r) - 1.0)  # of log sigma, in the log chart
        log_r -= 2.0 * step if chart == "log sigma" else np.log1p(2.0 * step)
    return np.nan


ratio = np.geomspace(1 / 25, 1000.0, 120)  # sigma at the start, over the right one
fig, ax = plt.subplots(figsize=(8.0, 3.6))
for chart, color in (("log sigma", "C0"), ("variance", "C2")):
    count = [iterations(1.0 / q**2, chart) for q in ratio]
    ax.loglog(
        ratio, np.maximum(count, 0.8), color=color, label=f"unit steps, chart {chart}"
    )
ax.axvline(1.0, color="0.8", lw=1, zorder=0)
ax.set(
    xlabel="sigma at the start / right sigma",
    ylabel="steps",
    title="natural gradient in two charts",
)
ax.annotate(
    "ten times too small: about 100",
    (0.1, 100),
    (0.25, 220),
    arrowprops={"arrowstyle": "-", "color": "0.5"},
)
ax.legend()
plt.show()
for start in (10.0, 20.0):
    print(
        f"{start:.0f} times too small: {iterations(start**2, 'log sigma')} unit steps"
    )

# %%
# `fastnat.fit` halves steps that do not ascend, and its default metric is a better one:

for metric in ("expected", "observed", "auto"):
    fit = fastnat.fit(
        fastnat.models.normal, x, start=[0.0, np.log(0.1)], metric=metric, max_iter=500
    )
    print(f"{metric:9} {fit.nit:3} steps, {fit.status.name}")

# %%
# Digits
# ------
#
# The article's code expands the square: sum x^2 - 2 mu sum x + n mu^2.  With an offset
# of 1e8 nothing is left of the sum of squares; `fit_normal` loses no digit.

y = rng.standard_normal(1000) + 1e8
expanded = np.sum(y * y) - 2.0 * y.mean() * np.sum(y) + y.size * y.mean() ** 2
print(
    f"expanded {expanded}, centred {np.sum((y - y.mean()) ** 2):.6f},"
    f" fit_normal {fastnat.fit_normal(y).sigma ** 2 * y.size:.6f}"
)
