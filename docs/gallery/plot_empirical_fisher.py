"""
Why the empirical Fisher matrix is not the Fisher matrix
========================================================

The Fisher matrix is the mean of s s' (s the score) *under the model*.  Replace the mean
by a sum over the data and you have the "empirical Fisher", in statistics the outer
product of gradients (OPG), and its use as a metric BHHH.  At the truth and with many
observations they agree.  Elsewhere the one is a metric of distributions, and the other
a sum of squared residuals.  For the Gaussian, all of it is in closed form.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

import fastnat

normal = fastnat.models.normal  # in (mu, log sigma)
rng = np.random.default_rng(1)
x = rng.standard_normal(200)
x = (x - x.mean()) / x.std()  # so that the maximum is at (0, 0)

# %%
# Far away: steps shrink as the error grows
# -----------------------------------------
#
# At mu = D sigmas from the maximum the scores are of size D, so the OPG grows with D^2
# while the curvature stays as it is.  The gradient grows with D, and the step is 2 / D
# where D is needed.

distance = np.geomspace(0.3, 300.0, 60)
moved = {"empirical": [], "expected": []}
for D in distance:
    z = x - D
    scores = np.stack([z, z * z - 1.0])
    grad = scores.mean(axis=1)
    moved["empirical"].append(abs(np.linalg.solve(scores @ scores.T / x.size, grad)[0]))
    moved["expected"].append(abs(grad[0]))  # F = diag(1, 2)

fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.0))
left.loglog(distance, distance, color="0.75", lw=4, label="what is needed")
left.loglog(distance, moved["expected"], "C0", label="Fisher metric")
left.loglog(distance, moved["empirical"], "C3", label="empirical Fisher")
left.loglog(distance, 2.0 / distance, "k:", lw=1, label="2 / D")
left.set(
    title="one step in mu",
    xlabel="distance D from the maximum, sigmas",
    ylabel="length of the step",
)
left.legend()

paths = {}
for metric, color in (("expected", "C0"), ("empirical", "C3"), ("auto", "C2")):
    fit = fastnat.fit(
        normal, x, start=[-30.0, 0.0], metric=metric, max_iter=600, trace=True
    )
    gap = np.hypot(*(fit.path - fit.params).T)
    right.loglog(
        np.arange(1, gap.size + 1),
        np.maximum(gap, 1e-8),
        color,
        label=f"{metric}: {fit.nit} steps",
    )
right.set(title="from 30 sigmas away", xlabel="step", ylabel="distance to the maximum")
right.legend(loc=(0.47, 0.36), fontsize=9)
plt.show()

# %%
# Near the maximum: the rate depends on the data's kurtosis
# ---------------------------------------------------------
#
# At the maximum the OPG of symmetric data is diag(1, kurtosis - 1), the curvature
# diag(1, 2).  They agree if the kurtosis is 3, that is, if the model is true.  Else
# every unit step multiplies the error in log sigma by 1 - 2 / (kurtosis - 1): below a
# kurtosis of 2 the iteration diverges.

probability = (np.arange(2000) + 0.5) / 2000

samples = {
    "arcsine": np.sin(np.pi * (probability - 0.5)),
    "uniform": probability - 0.5,
    "triangular": stats.triang.ppf(probability, 0.5),
    "normal": stats.norm.ppf(probability),
    "logistic": stats.logistic.ppf(probability),
    "Laplace": stats.laplace.ppf(probability),
}


def measured_rate(y):
    """Two unit steps from near the maximum."""
    y = (y - y.mean()) / y.std()
    lam = [1e-3]
    for _ in range(2):
        z = y * np.exp(-lam[-1])
        s = z * z - 1.0
        lam.append(lam[-1] + s.sum() / (s @ s))
    return lam[2] / lam[1]


kurtosis = np.linspace(1.3, 7.0, 300)
fig, ax = plt.subplots(figsize=(8.0, 3.8))
ax.axhspan(-1.0, 1.0, color="C2", alpha=0.10, lw=0)
ax.plot(kurtosis, 1.0 - 2.0 / (kurtosis - 1.0), "C3", label="1 - 2 / (kurtosis - 1)")
for name, y in samples.items():
    k = stats.kurtosis(y, fisher=False)
    rate = measured_rate(y)
    ax.plot(k, rate, "ko", ms=5)
    ax.annotate(name, (k, rate), (7, -12), textcoords="offset points", fontsize=9)
    print(f"{name:11} kurtosis {k:.3f}, error is multiplied by {rate:+.3f}")
ax.set(
    xlabel="kurtosis of the data",
    ylabel="factor a step",
    ylim=(-3.4, 1.2),
    title="unit steps of BHHH near the maximum",
)
ax.text(6.95, -0.85, "converges", color="C2", ha="right")
ax.text(6.95, -1.35, "diverges", color="C3", ha="right")
plt.show()

# %%
# Counted
# -------
#
# Steps to a decrement of 1e-12 from eight starts (error of mu in sigmas, error of log
# sigma), each step halved until it ascends, 2000 at most:

starts = [(3, 0), (30, 0), (1000, 0), (0, 3), (0, -1), (0, -3), (10, -3), (0, 10)]
metrics = ["empirical", "expected", "observed", "auto"]
counts = {}
for metric in metrics:
    fit = fastnat.fit(
        normal,
        np.tile(x, (8, 1)),
        start=np.array(starts, float),
        metric=metric,
        max_iter=2000,
    )
    counts[metric] = [
        str(n) if ok else "-" for n, ok in zip(fit.nit, fit.success, strict=True)
    ]
print(" " * 10 + "".join(f"{s!s:>11}" for s in starts))
for metric in metrics:
    print(f"{metric:10}" + "".join(f"{c:>11}" for c in counts[metric]))

# %%
# The empirical Fisher matrix is good for covariances (OPG, the middle of the sandwich)
# and as a seed of BFGS, which is what ``metric="auto"`` does.  See Kunstner, Balles and
# Hennig (2019), *Limitations of the empirical Fisher approximation for natural gradient
# descent*, NeurIPS 32.
