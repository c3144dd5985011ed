"""
A million pixels with a detection limit
=======================================

A plume over a map of 1000 by 1000 pixels, each measured sixteen times.  The instrument
reports nothing below 1.  One call fits all pixels, with standard errors, and says of
each what became of it.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnat

rng = np.random.default_rng(7)
v, u = np.mgrid[-2:2:1000j, -3:3:1000j]
truth = 0.2 + 2.2 * np.exp(-((u - 0.3 * np.sin(2 * v)) ** 2) / 0.5 - v**2 / 1.4)
truth += 1.1 * np.exp(-((u + 1.9) ** 2 + (v - 0.8) ** 2) / 0.12)
limit = 1.0
stack = rng.standard_normal((16, 1000, 1000), np.float32)
stack *= 0.6
stack += truth

fit = fastnat.fit_normal(stack, axis=0, left=limit)
print(fit)

# %%
# Three ways to make a map.  To take the limit for the value makes the plume's
# surroundings look as high as the limit; to leave values below it out is worse.  The
# maximum-likelihood map has no such bias, and where it cannot know (all values below
# the limit) it says so: grey pixels, status MU_INFINITE.

substituted = np.maximum(stack, limit).mean(axis=0)
left_out = np.where(stack > limit, stack, np.nan)
with np.errstate(invalid="ignore"):
    left_out = np.nansum(left_out, axis=0) / np.maximum((stack > limit).sum(axis=0), 1)
    left_out[left_out == 0.0] = np.nan
estimate = np.where(fit.success, fit.mu, -np.inf)  # MU_INFINITE: far below the limit

fig, axes = plt.subplots(1, 4, figsize=(10.4, 3.3), sharey=True)
maps = {
    "truth": truth,
    "limit as value": substituted,
    "left out": left_out,
    "fit_normal": estimate,
}
for ax, (name, values) in zip(axes, maps.items(), strict=True):
    shown = np.where(np.isfinite(values), values, np.nan)
    image = ax.imshow(shown, vmin=-0.5, vmax=2.5, cmap="magma", interpolation="nearest")
    ax.set(title=name, xticks=[], yticks=[], facecolor="0.55")
    for side in ax.spines.values():
        side.set_visible(False)
fig.colorbar(
    image,
    ax=axes,
    orientation="horizontal",
    shrink=0.35,
    aspect=30,
    pad=0.04,
    extend="both",
)
plt.show()

# %%
# How good are they?  Along the true value, the middle and the middle two thirds of each
# estimate.  And the standard errors are honest where the limit leaves something to see:
# the share of pixels whose 95 % interval holds the truth, of those that have one.

fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.8))
edges = np.linspace(0.2, 2.4, 23)
middle = 0.5 * (edges[1:] + edges[:-1])
bin_of = np.digitize(truth, edges) - 1
wald = fit.conf_int(0.95)[..., 0, :]
inside = (wald[..., 0] <= truth) & (truth <= wald[..., 1])
bins = [bin_of == k for k in range(middle.size)]
for name, color in (("limit as value", "C1"), ("left out", "C3"), ("fit_normal", "C0")):
    bands = np.array(
        [np.nanpercentile(maps[name][b], [16, 50, 84], method="nearest") for b in bins]
    ).T
    bands = np.maximum(bands, -9.0)  # -inf cannot be drawn
    left.fill_between(middle, bands[0], bands[2], color=color, alpha=0.18, lw=0)
    left.plot(middle, bands[1], color=color, label=name)
left.plot(middle, middle, "k:", lw=1)
left.axvline(limit, color="0.8", lw=1)
left.set(title="estimate", xlabel="truth", ylim=(-1.0, 3.0))
left.legend()
right.plot(
    middle,
    [inside[b & fit.success].mean() for b in bins],
    "C0",
    label="Wald, 16 values",
)
right.axhline(0.95, color="k", ls=":", lw=1)
right.axvline(limit, color="0.8", lw=1)
right.set(title="95 % intervals that hold the truth", xlabel="truth", ylim=(0.5, 1.0))
plt.show()

# %%
# Sixteen values are few: Wald intervals cover a little less than they say, and far
# below the limit much less. Where that matters, take
# ``fit.conf_int(method="profile")``: of a thousand pixels whose truth is below the
# limit by half a standard deviation or so,

some = np.flatnonzero((np.abs(truth - 0.65) < 0.05).ravel())[::40][:1000]
few = fastnat.fit_normal(stack.reshape(16, -1)[:, some], axis=0, left=limit)
good = few.success
for method in ("wald", "profile"):
    low, high = few.conf_int(0.95, method=method)[good, 0].T
    value = truth.ravel()[some][good]
    share = np.mean((low <= value) & (value <= high))
    print(f"{method:8} {share:.3f} of {good.sum()} hold the truth")
