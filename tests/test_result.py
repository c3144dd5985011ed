"""What a result says of itself: shapes, types, sentences, pickles."""

import copy
import inspect
import pickle
import re

import numpy as np
import pytest
from conftest import assert_same_bits, same_bits

import fastnat
from fastnat import FitError, FitResult, NormalFit, Quantile, Status

NAN = np.nan
ONE = [1.0, 2.0, 4.0, 9.0]
BATCH = [[1.0, 2.0, 4.0], [5.0, 5.0, 5.0], [NAN, 1.0, 2.0], [3.0, 3.5, 3.0]]

TABLE = {  # of architecture.md
    "OK": (0, True),
    "BOUNDARY": (1, True),
    "NO_DATA": (2, False),
    "NAN_INPUT": (3, False),
    "INVALID_INPUT": (4, False),
    "SIGMA_ZERO": (5, False),
    "SIGMA_INFINITE": (6, False),
    "MU_INFINITE": (7, False),
    "UNBOUNDED": (8, False),
    "SINGULAR": (9, False),
    "NOT_IDENTIFIED": (10, False),
    "SADDLE": (11, False),
    "MAX_ITER": (12, False),
}


def test_the_table_of_statuses():
    assert {s.name: (s.value, s.success) for s in Status} == TABLE
    sentences = [s.message for s in Status]
    assert len(set(sentences)) == len(sentences)
    for sentence in sentences:
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert ". " not in sentence


def test_one_fit_is_made_of_numpy_scalars():
    fit = fastnat.fit_normal(ONE)
    for name in ["mu", "sigma", "loglik", "nobs"]:
        assert type(getattr(fit, name)) is np.float64, name
    assert type(fit.nit) is np.int64
    assert fit.nit == 0
    assert type(fit.status) is Status
    assert fit.status == 0
    assert fit.success is True or type(fit.success) is np.bool_
    assert fit.params.shape == fit.stderr.shape == (2,)
    assert fit.cov_params.shape == (2, 2)
    for method in ["wald", "profile", "exact"]:
        assert fit.conf_int(0.9, method=method).shape == (2, 2)
    value, stderr = fit.quantile(0.3)
    assert type(value) is type(stderr) is np.float64
    assert fit.message == Status.OK.message
    assert not fastnat.fit_normal([1.0, 1.0]).success


@pytest.mark.parametrize("shape", [(1,), (4,), (2, 2), (2, 1, 3)])
def test_a_batch_has_its_shape_in_front(shape, rng):
    fit = fastnat.fit_normal(rng.normal(0, 1, (*shape, 9)))
    for name in ["mu", "sigma", "loglik", "nobs", "nit", "status", "success"]:
        assert getattr(fit, name).shape == shape, name
    for name in ["mu", "sigma", "loglik", "nobs", "params", "stderr", "cov_params"]:
        assert getattr(fit, name).dtype == np.float64, name
    assert fit.status.dtype == np.int8
    assert fit.success.dtype == bool
    assert fit.nit.dtype.kind == "i"
    assert not fit.nit.any()
    assert fit.params.shape == fit.stderr.shape == (*shape, 2)
    assert fit.cov_params.shape == (*shape, 2, 2)
    assert fit.conf_int().shape == (*shape, 2, 2)
    assert fit.quantile([0.1, 0.2, 0.3]).value.shape == (*shape, 3)


def test_unpacking():
    mu, sigma = fastnat.fit_normal(ONE)
    assert (mu, sigma) == (4.0, np.sqrt(9.5))
    assert type(mu) is np.float64
    fit = fastnat.fit_normal(BATCH)
    mu, sigma = fit
    assert same_bits(mu, fit.mu)
    assert same_bits(sigma, fit.sigma)
    assert len(list(fit)) == 2
    assert same_bits(fit.params, np.stack([fit.mu, fit.sigma], axis=-1))


def test_covariance_and_standard_errors_agree():
    for cov_type in ["observed", "expected", "opg", "sandwich"]:
        fit = fastnat.fit_normal([ONE, [0.0, 1.0, 7.0, -2.0]], cov_type=cov_type)
        assert fit.cov_type == cov_type
        assert np.allclose(
            fit.stderr**2, np.diagonal(fit.cov_params, axis1=-2, axis2=-1), rtol=1e-14, atol=0
        )
        assert same_bits(fit.cov_params, np.swapaxes(fit.cov_params, -1, -2))
        assert (np.linalg.eigvalsh(fit.cov_params) > 0).all()
    assert fastnat.fit_normal(ONE, reml=True).reml
    assert not fastnat.fit_normal(ONE).reml


def test_intervals_contain_the_estimate_and_nest():
    fit = fastnat.fit_normal(ONE)
    for method in ["wald", "profile", "exact"]:
        inner, outer = fit.conf_int(0.5, method=method), fit.conf_int(0.99, method=method)
        assert (outer[:, 0] < inner[:, 0]).all()
        assert (inner[:, 0] < fit.params).all()
        # The exact median of sigma is above the maximum-likelihood estimate, not so its interval.
        assert inner[0, 1] > fit.mu
        assert (inner[:, 1] < outer[:, 1]).all()
        assert (outer > 0)[1].all()
    assert same_bits(fit.conf_int(), fit.conf_int(0.95, "wald"))


def test_messages_count():
    assert fastnat.fit_normal(BATCH).message == "4 fits: 2 ok, 1 nan_input, 1 sigma_zero"
    assert fastnat.fit_normal([ONE]).message == "1 fit: 1 ok"
    assert fastnat.fit_normal(np.empty((0, 3))).message == "0 fits: none"
    many = np.resize(ONE, (1_234, 4))
    many[5] = NAN
    assert fastnat.fit_normal(many).message == "1,234 fits: 1,233 ok, 1 nan_input"
    for x, name in [([], "NO_DATA"), ([NAN], "NAN_INPUT"), ([np.inf], "INVALID_INPUT")]:
        assert fastnat.fit_normal(x).message == Status[name].message


def test_repr_is_short_and_true():
    fit = fastnat.fit_normal(ONE)
    assert repr(fit) == "<NormalFit: mu = 4 +- 1.54, sigma = 3.08221 +- 1.09, nobs = 4>"
    assert str(fit) == repr(fit)
    many = fastnat.fit_normal([0.0, 1.0], weights=[1_234_567.0, 1.0])
    assert repr(many).endswith(", nobs = 1234568>")
    assert repr(fastnat.fit_normal(BATCH)) == (
        "<NormalFit: 4 fits: 2 ok, 1 nan_input, 1 sigma_zero>"
    )
    text = repr(fastnat.fit_normal([2.0, 2.0]))
    assert text.startswith("<NormalFit: sigma_zero, nobs = 2: ")
    assert Status.SIGMA_ZERO.message in text
    assert len(repr(fastnat.fit_normal(np.zeros((1000, 3))))) < 100
    for x in [[], [NAN], [np.inf, 1.0], [1e-310, 2e-310], [1e308, -1e308]]:
        for cov_type in ["observed", "opg", None]:
            assert len(repr(fastnat.fit_normal(x, cov_type=cov_type))) < 200


SUMMARISED = {
    "normal": (lambda **how: fastnat.fit_normal(ONE, **how), "mu, sigma"),
    "boundary": (lambda **how: fastnat.fit_normal(ONE, noise_std=9.0, **how), "mu, sigma"),
    "failed": (lambda **how: fastnat.fit_normal([2.0, 2.0], **how), "mu, sigma"),
    "linear": (
        lambda **how: fastnat.fit_linear(ONE, np.vander(ONE, 2), **how),
        "X[:, 0], X[:, 1], log sigma",
    ),
    "mvn": (
        lambda **how: fastnat.fit_mvn([[1.0, 2.0], [3.0, 1.0], [4.0, 7.0]], **how),
        "mean[0], mean[1], covariance[0, 0], covariance[1, 0], covariance[1, 1]",
    ),
    "model": (lambda **how: fastnat.fit(fastnat.models.normal, ONE, **how), "mu, log_sigma"),
}


@pytest.mark.parametrize("which", SUMMARISED)
def test_a_summary_has_a_row_for_each_parameter(which):
    make, names = SUMMARISED[which]
    names = re.findall(r"\w+(?: \w+|\[.*?\])?", names)
    fit, without = make(), make(cov_type=None)
    for level, text in ((0.95, fit.summary()), (0.5, fit.summary(0.5)), (0, without.summary())):
        head, titles, *rows = text.splitlines()
        assert head.startswith(f"{type(fit).__name__}: {fit.status.name.lower()}, nobs = ")
        assert float(head.rpartition(" = ")[2]) == pytest.approx(fit.loglik, rel=1e-9)
        columns = [fit.params] + ([fit.stderr, *fit.conf_int(level).T] if level else [])
        ends = [f"lower {100 * level:g} %", f"upper {100 * level:g} %"]
        assert re.split("  +", titles.strip()) == ["estimate", "std. error", *ends][: len(columns)]
        for name, row, *values in zip(names, rows, *columns, strict=False):
            assert row.startswith(f"{name} ")
            cells = [float(cell) for cell in row.removeprefix(name).split()]
            np.testing.assert_allclose(cells, values, rtol=1e-5)
        last = ["covariance: observed"] * bool(level) + [fit.message] * (not fit.success)
        assert rows[len(names) :] == last


def test_a_batch_has_no_summary():
    with pytest.raises(ValueError, match="a batch"):
        fastnat.fit_normal(BATCH).summary()
    with pytest.raises(ValueError, match="level"):
        fastnat.fit_normal(ONE).summary(1.0)


def test_raise_for_status():
    fastnat.fit_normal(ONE).raise_for_status()
    fastnat.fit_normal([ONE, ONE]).raise_for_status()
    fastnat.fit_normal(np.empty((0, 5))).raise_for_status()
    with pytest.raises(FitError, match="sigma going to 0"):
        fastnat.fit_normal([1.0, 1.0]).raise_for_status()
    with pytest.raises(FitError, match="2 ok, 1 nan_input, 1 sigma_zero"):
        fastnat.fit_normal(BATCH).raise_for_status()
    assert issubclass(FitError, RuntimeError)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "x", [ONE, BATCH, np.resize(ONE, (2, 3, 2, 4))], ids=["one", "batch", "cube"]
)
def test_pickle_round_trip(x, protocol):
    for options in [{}, {"cov_type": "opg"}, {"reml": True}, {"axis": 0}, {"cov_type": None}]:
        fit = fastnat.fit_normal(np.asfortranarray(x), **options)
        back = pickle.loads(pickle.dumps(fit, protocol))
        assert type(back) is NormalFit
        assert_same_bits(back, fit)
        assert type(back.status) is type(fit.status)
        assert (back.cov_type, back.reml) == (fit.cov_type, fit.reml)
        assert repr(back) == repr(fit)
        assert same_bits(back.conf_int(method="exact"), fit.conf_int(method="exact"))
        if fit.cov_type:
            assert same_bits(back.quantile(0.9).stderr, fit.quantile(0.9).stderr)
        assert repr(pickle.loads(pickle.dumps(back, protocol))) == repr(fit)
        assert_same_bits(copy.copy(fit), fit)
        assert_same_bits(copy.deepcopy(fit), fit)
    weighted = fastnat.fit_normal(x, weights=np.full(np.shape(x)[-1], 2.0))
    with pytest.raises(ValueError, match="exact"):
        pickle.loads(pickle.dumps(weighted, protocol)).conf_int(method="exact")


def test_pickles_are_without_the_input():
    small, large = (fastnat.fit_normal(np.resize(ONE, (10, n))) for n in (4, 4000))
    assert len(pickle.dumps(large)) == len(pickle.dumps(small))
    # mu, sigma, nobs and a status, once each, and little more: not a second copy of them.
    many = fastnat.fit_normal(np.resize(ONE, (10_000, 4)))
    assert len(pickle.dumps(many)) < 10_000 * 5 * 8


def test_the_result_is_of_the_data_at_the_call():
    x = np.array(BATCH)
    fit = fastnat.fit_normal(x)
    params, stderr, text = fit.params.copy(), fit.stderr.copy(), repr(fit)
    x[:] = 0.0
    assert same_bits(fit.params, params)
    assert same_bits(fit.stderr, stderr)
    assert repr(fit) == text


def test_writing_into_what_was_returned_does_not_spoil_a_covariance():
    fit = fastnat.fit_normal(BATCH)
    before = fit.stderr.copy()
    for array in [fit.stderr, fit.cov_params, fit.conf_int()]:
        array[...] = 0.0
    assert same_bits(fit.stderr, before)


def test_types_of_the_public_face():
    assert issubclass(NormalFit, FitResult)
    assert issubclass(Quantile, tuple)
    assert Quantile._fields == ("value", "stderr")
    signature = inspect.signature(fastnat.fit_normal)
    assert next(iter(signature.parameters)) == "x"
    promised = {
        "weights": None,
        "axis": -1,
        "nan_policy": "propagate",
        "reml": False,
        "cov_type": "observed",
        "n_threads": None,
    }
    for name, default in promised.items():
        assert signature.parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert signature.parameters[name].default == default
    conf_int = inspect.signature(FitResult.conf_int).parameters
    assert (conf_int["level"].default, conf_int["method"].default) == (0.95, "wald")
