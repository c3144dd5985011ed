"""Long problems on Dask that the search cannot finish in passing."""

import dask.array as da
import numpy as np
import pytest
from conftest import refused

import fastnat
import fastnat.dask
from fastnat import Status

X = np.column_stack([np.ones(6), np.arange(6.0)])
Y = np.array([1.0, 3.0, 2.0, 2.5, 5.0, 4.0])


def test_a_missing_value_of_a_long_search():
    y = np.where(np.arange(6) == 3, np.nan, Y)
    with refused(ValueError, "NaN", "nan_policy"):
        fastnat.dask.fit_linear(da.from_array(y, chunks=2), X, left=0.0, nan_policy="raise")
    fit = fastnat.dask.fit_linear(da.from_array(y, chunks=2), X, left=0.0)
    assert fit.status is Status.NAN_INPUT


@pytest.mark.parametrize(
    ("left", "status"),
    [(np.full(6, 9.0), Status.MU_INFINITE), (np.full(6, -9.0), Status.SIGMA_ZERO)],
)
def test_a_long_regression_without_a_maximum(left, status):
    """All censored, or all on a line: that is looked at where all rows are."""
    y = Y if status == Status.MU_INFINITE else X @ [0.5, 0.25]
    want = fastnat.fit_linear(y, X, left=left)
    fit = fastnat.dask.fit_linear(da.from_array(y, chunks=2), X, left=left)
    fit = fit.compute() if da.core.is_dask_collection(fit) else fit
    assert fit.status == want.status == status
    np.testing.assert_array_equal(fit.params, want.params)
    assert fit.loglik == want.loglik


def test_programs_say_that_there_is_a_maximum(rng):
    """With covariates of the scale the search does not; then it goes on."""
    x = np.column_stack([np.ones(40), np.linspace(-1.0, 1.0, 40)])
    low = np.floor(2.0 * (x @ [0.3, 1.0] + np.exp(0.3 * x[:, 1]) * rng.normal(size=40))) / 2.0
    want = fastnat.fit_linear(low, x, x, upper=low + 0.5)
    fit = fastnat.dask.fit_linear(da.from_array(low, chunks=10), x, x, upper=low + 0.5)
    assert fit.status == want.status == Status.OK
    np.testing.assert_allclose(fit.params, want.params, rtol=1e-12)


def test_the_weight_of_a_long_sample_with_a_missing_value():
    """Weights in chunks of their own are added up where they are."""
    x, w = np.where(np.arange(6) == 3, np.nan, Y), np.array([1.0, 2.0, 0.5, 3.0, 1.0, 0.0])
    options = {"left": np.minimum(Y, 2.5)}
    fit = fastnat.dask.fit_normal(da.from_array(x, chunks=2), weights=w, **options)
    want = fastnat.fit_normal(x, weights=w, **options)
    assert fit.status is want.status is Status.NAN_INPUT
    assert fit.nobs == want.nobs == w.sum()
