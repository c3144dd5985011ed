"""
Ensemble forecasts whose spread means something
===============================================

A weather model is run fifty times.  The mean of these runs is a forecast, their spread
a statement of how sure it is.  Both are biased, as a rule, and the spread is too small.
Regression in which *both* the mean and the log standard deviation have covariates mends
that (nonhomogeneous Gaussian regression: Gneiting, Raftery, Westveld and Goldman 2005,
Monthly Weather Review 133, 1098-1118):

mean = b0 + b1 (ensemble mean),  log sigma = g0 + g1 log (ensemble spread).

Two hundred made-up stations with two years each, all fitted in one call.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import ndtr

import fastnat

rng = np.random.default_rng(5)
n_stations, n_days = 200, 730
day = np.arange(n_days)
season = 12.0 - 9.0 * np.cos(2.0 * np.pi * day / 365.25)
climate = season + rng.normal(0.0, 3.0, (n_stations, 1))
spread = np.exp(rng.normal(-0.1, 0.45, (n_stations, n_days)))  # of the ensemble
forecast = climate + rng.normal(0.0, 3.0, (n_stations, n_days))
observed = (
    1.2 + 0.93 * forecast + 1.9 * spread**0.7 * rng.standard_normal(forecast.shape)
)

one = np.ones_like(forecast)
X = np.stack([one, forecast], axis=-1)  # (stations, days, 2): a design for each station
Z = np.stack([one, np.log(spread)], axis=-1)
fit = fastnat.fit_linear(observed[:, :365], X[:, :365], Z[:, :365])
print(fit)
print("b:", fit.coef.mean(axis=0).round(3), " g:", fit.scale_coef.mean(axis=0).round(3))

# %%
# The first year was used for the fit, the second is predicted.

mean, sd = fit.predict(X[:, 365:], Z[:, 365:])
truth = observed[:, 365:]

station, days = 3, slice(100, 160)
fig, axes = plt.subplots(2, 1, figsize=(9.6, 5.2), sharex=True, sharey=True)
raw = forecast[station, 365:][days], spread[station, 365:][days]
mended = mean[station, days], sd[station, days]
t = np.arange(60)
for ax, (center, width), title, color in (
    (axes[0], raw, "as it comes", "C1"),
    (axes[1], mended, "with fit_linear", "C0"),
):
    for z, alpha in ((1.96, 0.18), (1.0, 0.28)):
        low, high = center - z * width, center + z * width
        ax.fill_between(t, low, high, color=color, alpha=alpha, lw=0)
    ax.plot(t, center, color=color)
    y = truth[station, days]
    out = np.abs(y - center) > 1.96 * width
    ax.plot(t, y, "o", color="k", ms=3)
    ax.plot(t[out], y[out], "o", color="C3", ms=6)
    share = f"{out.sum()} of 60 days outside of the 95 % band"
    ax.set(title=f"{title}: {share}", ylabel="temperature")
axes[1].set_xlabel("day")
plt.show()

# %%
# Is a forecast honest?  Then the probability it gave to what is below the observation
# is uniform: the histogram of these (the PIT) is flat.  An ensemble that is too sure
# has a U.

fig, axes = plt.subplots(1, 2, figsize=(9.6, 3.2), sharey=True)
raw = ndtr((truth - forecast[:, 365:]) / spread[:, 365:])
for ax, pit, title, color in (
    (axes[0], raw, "as it comes", "C1"),
    (axes[1], ndtr((truth - mean) / sd), "with fit_linear", "C0"),
):
    ax.hist(
        pit.ravel(), 20, (0.0, 1.0), density=True, color=color, alpha=0.75, rwidth=0.94
    )
    ax.axhline(1.0, color="k", ls=":", lw=1)
    ax.set(title=title, xlabel="probability of less than what came")
axes[0].set_ylabel("density")
plt.show()

# %%
# And does the spread deserve to be there?  Its coefficient, with its standard error, at
# every station: the truth is 0.7, and a constant sigma would be 0.

g1, error = fit.scale_coef[:, 1], fit.stderr[:, 3]
order = np.argsort(g1)
fig, ax = plt.subplots(figsize=(9.6, 3.0))
ax.errorbar(
    np.arange(200),
    g1[order],
    1.96 * error[order],
    fmt=".",
    color="C0",
    ecolor="0.8",
    ms=4,
)
ax.axhline(0.7, color="C2", lw=1.2)
ax.axhline(0.0, color="k", ls=":", lw=1)
held = 100 * np.mean(np.abs(g1 - 0.7) < 1.96 * error)
ax.set(
    title=f"coefficient of the log spread: {held:.0f} % of 95 % intervals hold it",
    xlabel="station",
    xlim=(-2, 201),
)
plt.show()
