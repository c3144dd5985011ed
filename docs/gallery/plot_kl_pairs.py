"""
The same distance, another divergence
=====================================

The article's fourth figure: two pairs of normal distributions with means -2 and 2.  In
mu and sigma the members of both pairs are equally far from each other.  As
distributions they are not.
"""

import matplotlib.pyplot as plt
import numpy as np

from fastnat import geometry

grid = np.linspace(-9.0, 9.0, 500)


def density(mu, sigma):
    return np.exp(-0.5 * ((grid - mu) / sigma) ** 2) / (sigma * np.sqrt(2.0 * np.pi))


fig, axes = plt.subplots(1, 2, figsize=(9.6, 3.6), sharey=True)
for ax, sigma in zip(axes, (0.7, 2.5), strict=True):
    for mu, color in ((-2.0, "C0"), (2.0, "C1")):
        ax.fill_between(grid, density(mu, sigma), color=color, alpha=0.25, lw=0)
        ax.plot(grid, density(mu, sigma), color=color)
    kl = geometry.kl_normal(-2.0, sigma, 2.0, sigma)
    far = geometry.fisher_rao_distance(-2.0, sigma, 2.0, sigma)
    ax.set(
        title=rf"$\sigma$ = {sigma}:  KL = {kl:.2f}",
        xlabel="x",
        yticks=[],
        ylim=(0, None),
    )
    ax.spines["left"].set_visible(False)
    ax.text(
        0.98,
        0.93,
        f"Euclidean 4\nFisher-Rao {far:.2f}",
        transform=ax.transAxes,
        ha="right",
        va="top",
    )
plt.show()

# %%
# With equal sigmas the divergence is 8 / sigma^2 (the article has this right).
#
# The Fisher metric is its second-order term, *with a half*
# ---------------------------------------------------------
#
# The divergence of two neighbours is 1/2 d' F d, in either order; the order matters at
# the third power, and the half always.  The article leaves it out.

size = np.geomspace(1e-3, 1.0, 60)
a, b = 0.6 * size, 0.8 * size  # steps in mu and log sigma from (0, 0)
forth = geometry.kl_normal(a, np.exp(b), 0.0, 1.0)
back = geometry.kl_normal(0.0, 1.0, a, np.exp(b))
half = geometry.kl_normal_quadratic(a, np.exp(b), 0.0, 1.0)

fig, ax = plt.subplots(figsize=(8.0, 3.6))
ax.semilogx(size, forth / half, label=r"KL($\theta + d$ || $\theta$)")
ax.semilogx(size, back / half, label=r"KL($\theta$ || $\theta + d$)")
ax.axhline(1.0, color="C2", ls="--", label=r"$\frac{1}{2}$ d'Fd")
ax.axhline(2.0, color="C3", ls="--", label="d'Fd, without the half")
ax.set(
    xlabel="length of d",
    ylabel="times the expansion",
    title="divergence and its expansion",
    ylim=(0, 2.4),
)
ax.legend(ncols=2)
plt.show()

d = np.array([1e-3, 1.4e-3])
square = d[0] ** 2 + 2.0 * d[1] ** 2
print(f"KL {geometry.kl_normal(d[0], np.exp(d[1]), 0.0, 1.0):.4e}")
print(f"with the half {0.5 * square:.4e}, without {square:.4e}")

# %%
# The shortest way
# ----------------
#
# Under the Fisher metric the normal distributions are a hyperbolic plane.  Between two
# narrow ones whose means are far apart the shortest way leads through wide ones.

t = np.linspace(0.0, 1.0, 200)
fig, ax = plt.subplots(figsize=(8.0, 3.4))
for k, sigma in enumerate((0.3, 0.7, 1.5, 2.5)):
    way = geometry.fisher_rao_geodesic(-2.0, sigma, 2.0, sigma, t)
    ax.plot(way.mu, way.sigma, color=f"C{k}")
    ax.plot([-2, 2], [sigma, sigma], "o", color=f"C{k}")
ax.set(xlabel=r"$\mu$", ylabel=r"$\sigma$", title="geodesics", ylim=(0, None))
plt.show()
