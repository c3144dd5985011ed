"""
Log-normal data with detection limits
=====================================

Twenty-five measurements of manganese in groundwater (parts per billion), six of them
below a limit of 2 or 5: US Environmental Protection Agency (2009), *Statistical
Analysis of Groundwater Monitoring Data at RCRA Facilities*, EPA 530/R-09-007, page
15-10, in the public domain.  :doc:`/lognormal` has the formulas.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import ndtri

import fastnat

ppb = np.array(
    [5.0, 12.1, 16.9, 21.6, 2.0, 5.0, 7.7, 53.6, 9.5, 45.9, 5.0, 5.3, 12.6, 106.3,
     34.5, 6.3, 11.9, 10.0, 2.0, 77.2, 17.9, 22.7, 3.3, 8.4, 2.0]
)  # fmt: skip
below = np.zeros(25, bool)
below[[0, 4, 5, 10, 18, 24]] = True
logs = np.log(ppb)
fit = fastnat.fit_normal(np.where(below, -np.inf, logs), logs)
print(fit)

mu, sigma = fit
gradient = np.array([1.0, sigma])
log_mean = mu + 0.5 * sigma**2
mean_error = np.sqrt(gradient @ fit.cov_params @ gradient)
log_q = fit.quantile([0.5, 0.95])
estimates = {
    "median": (log_q.value[0], log_q.stderr[0], "C2"),
    "mean": (log_mean, mean_error, "C1"),
    "95th percentile": (log_q.value[1], log_q.stderr[1], "C3"),
}

t = np.geomspace(0.25, 900.0, 500)
density = np.exp(-0.5 * ((np.log(t) - mu) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
fig, ax = plt.subplots(figsize=(9.0, 4.4))
ax.fill_between(t, density, color="C0", alpha=0.2, lw=0)
ax.plot(t, density, "C0")
ax.plot(ppb[~below], np.full((~below).sum(), -0.012), "|", color="k", ms=12)
for k, limit in enumerate(ppb[below][np.argsort(ppb[below])]):
    height = -0.035 - 0.008 * k
    ax.annotate(
        "",
        (0.25, height),
        (limit, height),
        arrowprops={"arrowstyle": "->", "color": "0.5"},
    )
for k, (name, (value, error, color)) in enumerate(estimates.items()):
    height = 0.325 + 0.028 * k
    ends = np.exp([value - 1.96 * error, value + 1.96 * error])
    ax.plot(ends, [height] * 2, color=color, lw=3, solid_capstyle="butt", alpha=0.6)
    ax.plot(np.exp(value), height, "o", color=color, ms=8)
    top = np.interp(value, np.log(t), density)
    ax.plot([np.exp(value)] * 2, [0.0, top], color=color, lw=1.4, ls=":")
    ax.text(
        ends[1] * 1.12, height, f"{name} {np.exp(value):.1f}", color=color, va="center"
    )
ax.set(
    xscale="log",
    xlim=(0.25, 900),
    ylim=(-0.09, 0.42),
    yticks=[],
    xlabel="manganese, ppb",
)
ax.set_title(
    "density of log x, measurements, and three estimates with their 95 % intervals"
)
ax.spines["left"].set_visible(False)
ax.set_xticks(
    [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500],
    ["0.5", "1", "2", "5", "10", "20", "50", "100", "200", "500"],
)
ax.minorticks_off()
plt.show()

# %%
# Ticks are measurements, arrows those that are only known to be below their limit.
# Percentiles are exponentials of percentiles; the mean is exp(mu + sigma^2 / 2), with
# its error by the delta method.
#
# How well does the normal distribution of log x fit?  Quantiles of the measurements
# above the limits against those of the model; positions by Kaplan and Meier, which the
# limits do not disturb.

order = np.argsort(np.where(below, ppb - 1e-9, ppb))[::-1]  # downwards: left-censored
survivors, share, positions = 25, 1.0, {}
for i in order:
    if not below[i]:
        positions[i] = share * (1.0 - 0.5 / survivors)
        share *= 1.0 - 1.0 / survivors
    survivors -= 1

fig, ax = plt.subplots(figsize=(6.4, 3.8))
seen = list(positions)
z = ndtri([positions[i] for i in seen])
ax.plot([-1.6, 2.3], mu + sigma * np.array([-1.6, 2.3]), "C0", label="mu + sigma z")
ax.plot(z, logs[seen], "ko", ms=5, label="measurements")
ax.set(xlabel="z of the position", ylabel="log ppb", title="straight enough")
ax.legend()
plt.show()
