"""
Pictures of a fit
=================

`fastnat.plotting` draws what a fit says.  (It needs matplotlib:
``pip install 'fastnat[plot]'``.)  The data are 25 measurements of manganese in
groundwater, six of them below a limit (US Environmental Protection Agency 2009, EPA
530/R-09-007, page 15-10, in the public domain), as logarithms.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnat
from fastnat import plotting

ppb = np.array(
    [5.0, 12.1, 16.9, 21.6, 2.0, 5.0, 7.7, 53.6, 9.5, 45.9, 5.0, 5.3, 12.6, 106.3,
     34.5, 6.3, 11.9, 10.0, 2.0, 77.2, 17.9, 22.7, 3.3, 8.4, 2.0]
)  # fmt: skip
below = np.zeros(25, bool)
below[[0, 4, 5, 10, 18, 24]] = True
logs = np.log(ppb)
lower = np.where(below, -np.inf, logs)

# %%
# The fitted density over a histogram of what is known.  Mass that is only known to be
# below a limit is where the fit puts it.

ax = plotting.fitted_density(lower, logs)
ax.set(xlabel="log ppb")
plt.show()

# %%
# The log-likelihood over (mu, log sigma), with two regions that hold both parameters
# with 95 %: Wald's ellipse, and the profile region, whose edge is a contour of the
# likelihood itself.  They part where data are few or censored: this likelihood has a
# longer arm towards small mu and large sigma, where the six could be.

fig, axes = plt.subplots(1, 2, figsize=(9.6, 4.4))
plotting.loglik_contours(lower, logs, ax=axes[0])
axes[0].set_title("25 measurements, 6 below")
few = np.arange(0, 25, 3)
plotting.loglik_contours(lower[few], logs[few], ax=axes[1])
axes[1].set_title(f"{few.size} of them, {below[few].sum()} below")
plt.show()

# %%
# So for few or censored data prefer ``conf_int(method="profile")``:

for name, fit in (
    ("25", fastnat.fit_normal(lower, logs)),
    (f"{few.size}", fastnat.fit_normal(lower[few], logs[few])),
):
    for method in ("wald", "profile"):
        mu, sigma = fit.conf_int(0.95, method=method)
        print(
            f"{name:>2} values, {method:8} mu {mu[0]:6.2f} to {mu[1]:5.2f},"
            f"  sigma {sigma[0]:.2f} to {sigma[1]:.2f}"
        )
