"""What a user writes, with types: `make lint` checks it strictly, and a test runs it."""

import numpy as np
from numpy.typing import NDArray

import fastnat
from fastnat import FitResult, LinearFit, MvnFit, NormalFit, Status
from fastnat.streaming import NormalStats


def heights(n: int) -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(170.0, 8.0, n)


def failures(fit: FitResult) -> int:
    return int(np.sum(np.asarray(fit.status) != Status.OK))


def main() -> None:
    x = heights(200)
    fit: NormalFit = fastnat.fit_normal(np.minimum(x, 180.0), right=180.0)
    interval: NDArray[np.float64] = fit.conf_int(level=0.9)
    line: LinearFit = fastnat.fit_linear(x, np.column_stack([np.ones(200), np.arange(200.0)]))
    table: MvnFit = fastnat.fit_mvn(x.reshape(50, 4), nan_policy="mle")
    stats = NormalStats()
    stats.update(x)
    print(failures(fit), interval.shape, line.coef.shape, table.covariance.shape, stats.fit().mu)


if __name__ == "__main__":
    main()
