"""
Descent under a metric, and the mistake that makes it oscillate
===============================================================

The article's second figure: f = x1^2 + x2^2 - x1 x2, which is x' A x with A = [[1,
-1/2], [-1/2, 1]], from (8, 3).  Its gradient is 2 A x, its Hessian 2 A.
"""

import matplotlib.pyplot as plt
import numpy as np

import fastnat

A = np.array([[1.0, -0.5], [-0.5, 1.0]])


def f(x):
    return x @ A @ x


def gradient(x):
    return 2.0 * A @ x


runs = {
    "Euclidean, step size 0.5": ("euclidean", 0.5),
    "A, step size 0.3": (A, 0.3),
    "A, step size 1": (A, 1.0),
    "Hessian 2 A, step size 1": (2.0 * A, 1.0),
}
paths = {}
for name, (metric, size) in runs.items():
    result = fastnat.steepest_descent(
        f,
        gradient,
        [8.0, 3.0],
        metric=metric,
        step_size=size,
        max_iter=10,
        tol=0.0,
        trace=True,
    )
    paths[name] = result.path
    print(f"{name:26} after 10 steps: |x| = {np.linalg.norm(result.x):.1e}")

# %%
# The article compares the first two, step sizes 0.5 and 0.3, as if the metric alone
# made the difference.  The Hessian's eigenvalues are 1 and 3: a half is the *best
# possible* step size for plain gradient descent (each step halves the distance), while
# 0.3 leaves 0.4 of it under A, where 0.5 would have left nothing.
#
# The third run is the update as the article's text has it: x - A^-1 2 A x = -x.  It
# goes to and fro for ever.  The Hessian is 2 A, and under it the first step arrives.

x1, x2 = np.meshgrid(np.linspace(-9.5, 9.5, 200), np.linspace(-6.5, 6.5, 200))
values = x1**2 + x2**2 - x1 * x2
fig, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.0), width_ratios=[1.35, 1.0])
left.contour(
    x1,
    x2,
    values,
    levels=np.array([0.5, 2, 6, 12, 20, 30, 49, 70, 100]),
    colors="0.8",
    linewidths=1,
)
styles = [("C0", "o", 5), ("C1", "s", 4), ("C3", "X", 8), ("C2", "*", 11)]
for (name, path), (color, marker, size) in zip(paths.items(), styles, strict=True):
    left.plot(*path.T, color=color, marker=marker, ms=size, lw=1.4, label=name)
    distance = np.maximum(np.linalg.norm(path, axis=1), 1e-5)
    right.semilogy(distance, color=color, marker=marker, ms=size, lw=1.4, label=name)
left.set(title="ways to the minimum", xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
right.set(
    title="distance to it", xlabel="step", ylim=(3e-4, 30), xticks=range(0, 11, 2)
)
right.text(1.15, 4.2e-4, "Newton is there", color="C2", fontsize=9)
fig.legend(
    *left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9
)
plt.show()

# %%
# Which A?  The article's text has +1/2 off the diagonal, its code -1/2.  At the start
# the function of its code is 49, so the code's A is the one that is meant:

start = np.array([8.0, 3.0])
print("code's A:", start @ A @ start, " text's A:", start @ np.abs(A) @ start)
