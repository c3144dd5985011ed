"""
Tables with missing entries
===========================

``fit_mvn(X, nan_policy="mle")`` lets every row count for what it has.  That is right
whenever entries are missing *at random*: whether one is missing may depend on what was
seen, not on its own value.  To drop incomplete rows, or to take means of what there is,
is right only if it depends on nothing.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnat

# %%
# A second test is only given to those who failed the first, so the second score is
# missing at random.

rng = np.random.default_rng(2)
mean, covariance = np.array([0.0, 0.0]), np.array([[1.0, 0.7], [0.7, 1.0]])
X = rng.multivariate_normal(mean, covariance, size=400)
full = X.copy()
X[X[:, 0] > 0.2, 1] = np.nan

dropped = fastnat.fit_mvn(X, nan_policy="omit")  # rows with a NaN left out
fit = fastnat.fit_mvn(X, nan_policy="mle")
for name, one in (("rows dropped", dropped), ("nan_policy='mle'", fit)):
    print(
        f"{name:17} mean {one.mean.round(2)} +- {one.stderr_mean.round(2)},"
        f" correlation {one.correlation[0, 1]:.2f} ({one.stderr_correlation[0, 1]:.2f})"
    )

angle = np.linspace(0.0, 2.0 * np.pi, 200)
circle = np.stack([np.cos(angle), np.sin(angle)])


def ellipse(ax, mean, covariance, **style):
    """Where the squared Mahalanobis distance is 4."""
    x, y = mean[:, None] + 2.0 * np.linalg.cholesky(covariance) @ circle
    ax.plot(x, y, **style)
    ax.plot(*mean, "+", ms=11, mew=2, color=style["color"])


fig, ax = plt.subplots(figsize=(7.2, 4.8))
lost = np.isnan(X[:, 1])
ax.plot(*full[lost].T, ".", color="0.85", ms=6, label="second score not taken")
ax.plot(*full[~lost].T, ".", color="0.45", ms=6, label="both scores")
ax.plot(X[lost, 0], np.full(lost.sum(), -3.35), "|", color="0.6", ms=8)
ellipse(ax, mean, covariance, color="k", ls=":", lw=1.5, label="truth")
ellipse(ax, dropped.mean, dropped.covariance, color="C3", label="rows dropped")
ellipse(ax, fit.mean, fit.covariance, color="C0", label='nan_policy="mle"')
ax.set(xlabel="first score", ylabel="second score", xlim=(-3.6, 3.6), ylim=(-3.6, 3.2))
ax.legend(loc="upper left", fontsize=9)
plt.show()

# %%
# Thirteen batches of cement
# --------------------------
#
# Heat of hardening and the share of four ingredients, with entries removed: N. R.
# Draper and H. Smith, *Applied Regression Analysis*; R. J. A. Little and D. B. Rubin
# (1987), *Statistical Analysis with Missing Data*.  Six of thirteen rows are complete.
# Published means: 6.655, 49.965, 11.769, 27.047, 95.423.

nan = np.nan
cement = np.array(
    [
        [7, 26, 6, 60, 78.5], [1, 29, 15, 52, 74.3], [11, 56, 8, 20, 104.3],
        [11, 31, 8, 47, 87.6], [7, 52, 6, 33, 95.9], [11, 55, 9, 22, 109.2],
        [3, 71, 17, nan, 102.7], [1, 31, 22, nan, 72.5], [2, 54, 18, nan, 93.1],
        [nan, nan, 4, nan, 115.9], [nan, nan, 23, nan, 83.8], [nan, nan, 9, nan, 113.3],
        [nan, nan, 8, nan, 109.4],
    ]
)  # fmt: skip
fit = fastnat.fit_mvn(cement, nan_policy="mle")
complete = cement[:6]
print(fit.mean.round(3), f"loglik {fit.loglik:.4f}")

names = ["x1", "x2", "x3", "x4", "heat"]
fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.8), width_ratios=[1.0, 1.1])
row = np.arange(5)[::-1]
unit = np.sqrt(np.diagonal(fit.covariance))
left.axvline(0.0, color="0.85", lw=1)
left.errorbar(
    np.zeros(5),
    row,
    xerr=1.96 * fit.stderr_mean / unit,
    fmt="o",
    color="C0",
    capsize=3,
    label="all that is there",
)
alone = (complete.mean(axis=0) - fit.mean) / unit
left.errorbar(
    alone,
    row - 0.22,
    xerr=1.96 * complete.std(axis=0) / np.sqrt(6) / unit,
    fmt="s",
    color="C3",
    capsize=3,
    label="six complete rows",
)
left.set(
    title="means, 95 %",
    xlabel="standard deviations from the first",
    yticks=row,
    yticklabels=names,
    ylim=(-0.7, 5.3),
)
left.legend(loc="upper left", ncols=2, fontsize=8.5)
image = right.imshow(fit.correlation, vmin=-1, vmax=1, cmap="RdBu_r")
for i in range(5):
    for j in range(i):
        text = f"{fit.correlation[i, j]:+.2f}\n({fit.stderr_correlation[i, j]:.2f})"
        color = "w" if abs(fit.correlation[i, j]) > 0.6 else "k"
        right.text(j, i, text, ha="center", va="center", fontsize=8.5, color=color)
right.set(title="correlations (standard errors)", xticks=range(5), yticks=range(5))
right.set_xticklabels(names)
right.set_yticklabels(names)
fig.colorbar(image, ax=right, shrink=0.85)
plt.show()
