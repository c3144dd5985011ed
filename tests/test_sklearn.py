"""LocationScaleRegressor: scikit-learn's own checks, and what they do not look at."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import refused, scaled
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import fastnat
from fastnat.sklearn import LocationScaleRegressor

ESTIMATORS = [
    LocationScaleRegressor(constant_scale=True),
    *scaled([LocationScaleRegressor(), LocationScaleRegressor(fit_intercept=False)], []),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_checks_of_scikit_learn(estimator):
    with warnings.catch_warnings():
        # Some checks have more features than rows, or constant values: no maximum, and it says so.
        warnings.simplefilter("ignore", ConvergenceWarning)
        results = check_estimator(estimator, on_fail=None, on_skip=None)
    assert len(results) > 40
    not_passed = [r for r in results if r["status"] != "passed"]
    # The one about other arrays than NumPy's only runs if SciPy is told to accept them.
    for r in not_passed:
        assert r["status"] == "skipped", (r["check_name"], r["exception"])
        assert r["check_name"] == "check_array_api_input", r["exception"]


@pytest.fixture
def data(rng):
    n = scaled(400, 40)
    X = rng.normal(size=(n, 2))
    y = 1.0 + X @ [2.0, -1.0] + np.exp(-0.5 + X @ [0.5, 0.0]) * rng.normal(size=n)
    return X, y


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
def test_it_is_fit_linear(data, constant, intercept):
    X, y = data
    ones = np.ones((len(y), 1))
    model = LocationScaleRegressor(fit_intercept=intercept, constant_scale=constant).fit(X, y)
    full = np.hstack([ones, X])
    fit = fastnat.fit_linear(y, full if intercept else X, None if constant else full)
    assert model.coef_.tolist() == fit.coef[-2:].tolist()
    assert model.intercept_ == (fit.coef[0] if intercept else 0.0)
    assert model.scale_intercept_ == fit.scale_coef[0]
    assert model.scale_coef_.tolist() == ([0.0, 0.0] if constant else fit.scale_coef[1:].tolist())
    assert model.loglik_ == fit.loglik
    mean, std = model.predict(X, return_std=True)
    want = fit.predict(full if intercept else X, None if constant else full)
    np.testing.assert_allclose(mean, want.mean, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(std, want.sd, rtol=1e-13)
    np.testing.assert_array_equal(model.predict(X), mean)


def test_constant_scale_is_least_squares(data):
    X, y = data
    model, other = LocationScaleRegressor(constant_scale=True), LinearRegression()
    weights = np.arange(len(y)) % 3.0
    model.fit(X, y, sample_weight=weights), other.fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(model.coef_, other.coef_, rtol=1e-12)
    np.testing.assert_allclose(model.intercept_, other.intercept_, rtol=1e-12)
    np.testing.assert_allclose(model.score(X, y), other.score(X, y), rtol=1e-12)


def test_weights_are_repetition(data):
    X, y = data
    weights = np.arange(len(y)) % 4
    model = LocationScaleRegressor().fit(X, y, sample_weight=weights)
    again = LocationScaleRegressor().fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    np.testing.assert_allclose(model.coef_, again.coef_, rtol=1e-9)
    np.testing.assert_allclose(model.scale_coef_, again.scale_coef_, rtol=1e-9)


def test_names_of_features(data):
    X, y = data
    frame = pd.DataFrame(X, columns=["dose", "age"])
    model = LocationScaleRegressor(constant_scale=True).fit(frame, y)
    assert model.feature_names_in_.tolist() == ["dose", "age"]
    assert model.n_features_in_ == 2
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"age": "weight"}))


def test_in_pipelines_and_searches(data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), LocationScaleRegressor(constant_scale=True))
    assert cross_val_score(pipeline, X, y, cv=3).min() > 0.5
    search = GridSearchCV(LocationScaleRegressor(), {"constant_scale": [True]}, cv=2).fit(X, y)
    assert search.best_params_ == {"constant_scale": True}
    model = pickle.loads(pickle.dumps(clone(pipeline).fit(X, y)))
    assert model.predict(X, return_std=True)[1].shape == y.shape


def test_dependent_features(data):
    """The shortest coefficients, and the predictions of the independent features."""
    X, y = data
    one = LocationScaleRegressor().fit(X, y)
    many = LocationScaleRegressor().fit(np.hstack([X, X[:, :1], np.full((len(y), 1), 3.0)]), y)
    np.testing.assert_allclose(many.coef_, [*one.coef_ * [0.5, 1], one.coef_[0] / 2, 0], atol=1e-8)
    np.testing.assert_allclose(
        many.scale_coef_, [*one.scale_coef_ * [0.5, 1], one.scale_coef_[0] / 2, 0], atol=1e-8
    )
    np.testing.assert_allclose(many.loglik_, one.loglik_, rtol=1e-12)


def test_no_maximum_is_said(rng):
    X = rng.normal(size=(5, 8))
    with pytest.warns(ConvergenceWarning) as caught:
        model = LocationScaleRegressor().fit(X, np.arange(5.0))
    messages = [str(w.message) for w in caught]
    assert any("a constant standard deviation is fitted instead" in m for m in messages)
    mean, std = model.predict(X, return_std=True)
    np.testing.assert_allclose(mean, np.arange(5.0), atol=1e-10)
    assert np.all(std == 0.0)
    assert model.result_.status is fastnat.Status.SIGMA_ZERO


@pytest.mark.parametrize(
    ("word", "options"),
    [
        ("fit_intercept", {"fit_intercept": "yes"}),
        ("constant_scale", {"constant_scale": 1}),
        ("max_iter", {"max_iter": 0}),
        ("tol", {"tol": 2.0}),
        ("n_threads", {"n_threads": 0}),
    ],
)
def test_bad_options_get_one_sentence(word, options):
    with refused((TypeError, ValueError), word):
        LocationScaleRegressor(**options).fit([[1.0], [2.0], [4.0]], [1.0, 2.0, 2.0])


@pytest.mark.parametrize("weights", [[1.0, -1.0, 1.0], [1.0, np.nan, 1.0], [1.0, 1.0], [0.0] * 3])
def test_bad_weights(weights):
    # The sentence is scikit-learn's, or ours.
    with pytest.raises(
        ValueError, match=r"sample_weight|Sample weights|no informative observation"
    ):
        LocationScaleRegressor(constant_scale=True).fit(
            [[1.0], [2.0], [4.0]], [1.0, 2.0, 2.0], sample_weight=weights
        )


def test_no_feature_and_no_intercept():
    model = LocationScaleRegressor(fit_intercept=False, constant_scale=True)
    with refused(ValueError, "X"):
        model.fit(np.zeros((3, 2)), [1.0, 2.0, 4.0])


def test_without_rows_that_count_there_is_no_regression(data):
    """Scikit-learn says so itself in newer versions."""
    X, y = data
    with pytest.raises(ValueError, match=r"no regression|at least one non-zero"):
        LocationScaleRegressor().fit(X, y, sample_weight=np.zeros(len(y)))
