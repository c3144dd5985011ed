"""
Points at the same distance, under three metrics
================================================

The article's first figure.  A metric is a positive definite matrix G, and the distance
of x from a centre c the root of (x - c)' G (x - c).  Points at distance one form a
circle, an ellipse along the axes, or any ellipse.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

metrics = {
    "Euclidean": np.eye(2),
    "diagonal": np.diag([0.25, 2.0]),
    "full": np.array([[1.0, -0.75], [-0.75, 1.0]]),
}
angle = np.linspace(0.0, 2.0 * np.pi, 400)
circle = np.stack([np.cos(angle), np.sin(angle)])
gradient = np.array([-1.0, -0.4])  # of some function, at the centre

fig, axes = plt.subplots(1, 3, figsize=(9.6, 2.9), sharex=True, sharey=True)
for k, (ax, (name, G)) in enumerate(zip(axes, metrics.items(), strict=True)):
    root = np.linalg.cholesky(G)
    for radius in (0.5, 1.0, 1.5):
        x, y = radius * np.linalg.solve(
            root.T, circle
        )  # (root' x)' (root' x) = radius**2
        ax.plot(x, y, color=f"C{k}", alpha=0.35 + 0.65 * (radius == 1.0))
    step = -np.linalg.solve(G, gradient)
    step /= np.sqrt(step @ G @ step)  # of length one, under G
    at = -gradient * (gradient @ step) / (gradient @ gradient)
    for scale in (0.0, 1.0):
        ax.axline(
            scale * step, slope=-gradient[0] / gradient[1], color="0.75", lw=1, zorder=0
        )
    ax.annotate(
        "", step, (0.0, 0.0), arrowprops={"arrowstyle": "-|>", "color": "k", "lw": 1.6}
    )
    ax.plot(0.0, 0.0, "ko", ms=4)
    ax.set(
        title=name, xlabel="$x_1$", aspect="equal", xlim=(-3.2, 3.2), ylim=(-2.4, 2.4)
    )
axes[0].set_ylabel("$x_2$")
plt.show()

# %%
# Why this matters: steepest descent asks which step of length one lowers a function
# most, to first order.  The grey lines are level lines of the linearised function, the
# same in all three panels; the arrow goes to the point of the unit ball that is
# farthest across them.  It is -G^-1 grad, divided by its length sqrt(grad' G^-1 grad),
# and only on the circle is that the gradient's own direction.
#
# **Half of the square.**  The step itself depends on how the penalty is written.  With
# half of the squared distance it is -G^-1 grad; with the squared distance, as the
# article has it, only half of that:

G = metrics["full"]
for factor in (0.5, 1.0):
    penalised = minimize(lambda d, c=factor: gradient @ d + c * (d @ G @ d), [0.0, 0.0])
    ratio = penalised.x / -np.linalg.solve(G, gradient)
    print(f"penalty {factor} (x - c)' G (x - c): {ratio.mean():.3f} times -G^-1 grad")
