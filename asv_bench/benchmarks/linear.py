"""Data and peers of the benchmarks of regressions, shared by bench_linear and its script."""

import numpy as np
import scipy.optimize
import scipy.special

LOG_ROOT = 0.5 * np.log(2.0 * np.pi)


def scale_problem(n, p=20, q=5, seed=1):
    """(y, X, Z): complete data whose scale depends on covariates; the same ones for each seed."""
    rng, b = np.random.default_rng(seed), np.random.default_rng(0).standard_normal(p)
    X, Z = rng.standard_normal((n, p)), 0.2 * rng.standard_normal((n, q))
    X[:, 0], Z[:, 0] = 1.0, 1.0
    y = X @ b + np.exp(Z @ np.linspace(0.5, -0.5, q)) * rng.standard_normal(n)
    return y, X, Z


def tobit_problems(n_fits, n=500, p=5):
    """(Y, X): one design, many responses, of which a quarter or so is at or below 0."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, p))
    X[:, 0] = 1.0
    b = np.array([0.9, *(0.4 / np.sqrt(p - 1) for _ in range(p - 1))])
    return X @ b + 1.2 * rng.standard_normal((n_fits, n)), X


def numpy_gram(X, w):
    """What an iteration of weighted least squares is made of."""
    return (X * w[:, None]).T @ X


def numpy_iteration(y, X, Z, b, g):
    """Fisher scoring for mean and scale, as one would write it: the next (b, g)."""
    w = np.exp(-2.0 * (Z @ g))
    r = y - X @ b
    b = b + np.linalg.solve(numpy_gram(X, w), X.T @ (w * r))
    return b, g + np.linalg.solve(2.0 * Z.T @ Z, Z.T @ (w * r * r - 1.0))


def tobit_by_newton(y, X):
    """Newton's method for b / sigma and 1 / sigma, where the log-likelihood is concave (Olsen).

    With NumPy and SciPy, starting from least squares; stops where fastnat would.
    """
    below = y <= 0.0
    A = np.column_stack([-X, np.where(below, 0.0, y)])  # the limit is 0
    seen, hidden, values = A[~below], A[below], y[~below]
    theta = np.linalg.lstsq(X, np.maximum(y, 0.0), rcond=None)[0]
    sigma = np.std(np.maximum(y, 0.0) - X @ theta)
    theta = np.append(theta, 1.0) / sigma
    fixed = seen.T @ seen
    for _ in range(50):
        z, a = seen @ theta, hidden @ theta
        hazard = np.exp(-0.5 * a * a - LOG_ROOT - scipy.special.log_ndtr(a))
        score = hidden.T @ hazard - seen.T @ z
        score[-1] += values.size / theta[-1]
        info = (hidden * (hazard * (hazard + a))[:, None]).T @ hidden + fixed
        info[-1, -1] += values.size / theta[-1] ** 2
        step = np.linalg.solve(info, score)
        while theta[-1] + step[-1] <= 0.0:
            step *= 0.5
        theta = theta + step
        if score @ step < 1e-12 * y.size:
            break
    return theta[:-1] / theta[-1], 1.0 / theta[-1]


def tobit_by_lbfgs(y, X):
    """L-BFGS-B with the gradient for b and log sigma."""
    below = y <= 0.0
    seen, hidden, values = X[~below], X[below], y[~below]

    def objective(theta):
        sigma = np.exp(theta[-1])
        z, a = (values - seen @ theta[:-1]) / sigma, -(hidden @ theta[:-1]) / sigma
        log_p = scipy.special.log_ndtr(a)
        hazard = np.exp(-0.5 * a * a - LOG_ROOT - log_p)
        value = 0.5 * np.sum(z * z) + z.size * theta[-1] - np.sum(log_p)
        of_b = (hidden.T @ hazard - seen.T @ z) / sigma
        return value, np.append(of_b, z.size - np.sum(z * z) + np.sum(a * hazard))

    start = np.linalg.lstsq(X, np.maximum(y, 0.0), rcond=None)[0]
    start = np.append(start, np.log(np.std(y - X @ start)))
    options = {"ftol": 1e-15, "gtol": 1e-8 * y.size}
    end = scipy.optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    return end[:-1], np.exp(end[-1])


def rounded_by_lbfgs(low, X, width=1.0):
    """L-BFGS-B for values known to lie between ``low`` and ``low + width``; (b, sigma)."""

    def objective(theta):
        sigma = np.exp(theta[-1])
        a = (low - X @ theta[:-1]) / sigma
        b = a + width / sigma
        far = a > 0.0  # to the side where probabilities keep their digits
        below, above = (scipy.special.log_ndtr(np.where(far, *z)) for z in ((-b, a), (-a, b)))
        log_p = above + np.log1p(-np.exp(below - above))
        of_low, of_high = (np.exp(-0.5 * z * z - LOG_ROOT - log_p) for z in (a, b))
        of_b = X.T @ (of_high - of_low) / sigma
        return -np.sum(log_p), np.append(of_b, np.sum(b * of_high - a * of_low))

    start = np.linalg.lstsq(X, low + 0.5 * width, rcond=None)[0]
    start = np.append(start, np.log(np.std(low - X @ start)))
    options = {"ftol": 1e-15, "gtol": 1e-8 * low.size}
    end = scipy.optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    return end[:-1], np.exp(end[-1])


def tobit_by_lifelines(y, X):
    """The log-normal model of lifelines for exp(y): normal regression, left-censored at 0."""
    import lifelines
    import pandas as pd

    frame = pd.DataFrame(X[:, 1:], columns=[f"x{k}" for k in range(1, X.shape[1])])
    frame["time"], frame["seen"] = np.exp(np.maximum(y, 0.0)), y > 0.0
    model = lifelines.LogNormalAFTFitter().fit_left_censoring(frame, "time", "seen")
    b = model.params_["mu_"]
    b = np.array([b["Intercept"], *(b[f"x{k}"] for k in range(1, X.shape[1]))])
    return b, np.exp(model.params_["sigma_"]["Intercept"])


def tobit_by_statsmodels(y, X):
    """GenericLikelihoodModel with the log-likelihood and the gradient given."""
    from statsmodels.base.model import GenericLikelihoodModel

    below = y <= 0.0

    class Tobit(GenericLikelihoodModel):
        def loglike(self, params):
            sigma = np.exp(params[-1])
            a = (np.where(below, 0.0, y) - X @ params[:-1]) / sigma
            density = -0.5 * a * a - LOG_ROOT - params[-1]
            return np.sum(np.where(below, scipy.special.log_ndtr(a), density))

        def score(self, params):
            sigma = np.exp(params[-1])
            a = (np.where(below, 0.0, y) - X @ params[:-1]) / sigma
            hazard = np.exp(-0.5 * a * a - LOG_ROOT - scipy.special.log_ndtr(a))
            of_mean = np.where(below, -hazard, a) / sigma
            return np.append(X.T @ of_mean, np.sum(np.where(below, -a * hazard, a * a - 1.0)))

    start = np.linalg.lstsq(X, np.maximum(y, 0.0), rcond=None)[0]
    start = np.append(start, np.log(np.std(y - X @ start)))
    model = Tobit(y, X, extra_params_names=["log_sigma"])
    end = model.fit(start_params=start, method="bfgs", disp=0, skip_hessian=True).params
    return end[:-1], np.exp(end[-1])


PEERS = {
    "Newton by hand": tobit_by_newton,
    "L-BFGS by hand": tobit_by_lbfgs,
    "statsmodels GenericLikelihoodModel": tobit_by_statsmodels,
    "lifelines LogNormalAFTFitter": tobit_by_lifelines,
}
"""All fit one response at a time: functions of (y, X) that give (b, sigma)."""


def least_squares_by_statsmodels(Y, X):
    """A loop of statsmodels' OLS: estimates, standard errors, log-likelihood."""
    import statsmodels.api as sm

    for y in Y:
        fit = sm.OLS(y, X).fit()
        _ = fit.params, fit.bse, fit.llf


def least_squares_by_numpy(Y, X):
    """All responses in one call of `numpy.linalg.lstsq`: (b, sigma)."""
    b, squares, _, _ = np.linalg.lstsq(X, Y.T, rcond=None)
    return b.T, np.sqrt(squares / len(X))
