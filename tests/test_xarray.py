"""fit_normal of labelled arrays: dimensions by name, coordinates kept, lazy or not."""

import numpy as np
import pytest
import xarray as xr
from conftest import refused, same_bits, scaled

import fastnat
import fastnat.xarray

N_TIMES = 40
STATIONS = ["a", "b", "c"]


@pytest.fixture
def x(rng):
    """Temperatures (station, time, level) with coordinates of every kind."""
    return xr.DataArray(
        rng.normal(10.0, 2.0, (3, N_TIMES, 2)),
        dims=("station", "time", "level"),
        coords={
            "station": STATIONS,
            "time": np.datetime64("2020-01-01") + np.arange(N_TIMES),
            "altitude": ("station", [10.0, 20.0, 30.0], {"units": "m"}),
            "model": "first",
        },
        attrs={"units": "K"},
        name="temperature",
    )


NAMES = {
    "mu": lambda fit: fit.mu,
    "sigma": lambda fit: fit.sigma,
    "mu_stderr": lambda fit: fit.stderr[..., 0],
    "sigma_stderr": lambda fit: fit.stderr[..., 1],
    "mu_sigma_cov": lambda fit: fit.cov_params[..., 0, 1],
    "loglik": lambda fit: fit.loglik,
    "nobs": lambda fit: fit.nobs,
    "nit": lambda fit: fit.nit,
    "status": lambda fit: np.asarray(fit.status, np.int8),
    "success": lambda fit: np.asarray(fit.success),
}


def assert_says(dataset, fit, order=None):
    """The dataset holds what the fit does, to the bit."""
    assert list(dataset.data_vars) == list(NAMES)
    for name, get in NAMES.items():
        found = dataset[name] if order is None else dataset[name].transpose(*order)
        assert same_bits(found.to_numpy(), get(fit)), name


def test_estimates_coordinates_and_attributes(x):
    dataset = fastnat.xarray.fit_normal(x, dim="time")
    assert_says(dataset, fastnat.fit_normal(x.to_numpy(), axis=1))
    assert dataset.sizes == {"station": 3, "level": 2}
    assert set(dataset.coords) == {"station", "altitude", "model"}
    assert dataset.station.to_numpy().tolist() == STATIONS
    assert dataset.altitude.attrs == {"units": "m"}
    for name in ("mu", "sigma", "mu_stderr", "sigma_stderr"):
        assert dataset[name].attrs == {"units": "K"}, name
    assert "units" not in dataset.loglik.attrs
    assert x.attrs == {"units": "K"}


def test_status_explains_itself(x):
    x[1, 3, 0] = np.nan
    x[2, :, 1] = 7.0
    status = fastnat.xarray.fit_normal(x, dim="time").status
    names = status.attrs["flag_meanings"].split()
    known = dict(zip(status.attrs["flag_values"].tolist(), names, strict=True))
    assert known[int(status.sel(station="b", level=0))] == "nan_input"
    assert known[int(status.sel(station="c", level=1))] == "sigma_zero"
    assert known[int(status.sel(station="a", level=0))] == "ok"
    omitted = fastnat.xarray.fit_normal(x, dim="time", nan_policy="omit")
    assert omitted.nobs.sel(station="b", level=0) == N_TIMES - 1


@pytest.mark.parametrize("dim", ["station", ("time", "level"), ("level", "time"), ["time"]])
def test_dimensions_by_name(x, dim):
    axis = tuple(x.get_axis_num(d) for d in ([dim] if isinstance(dim, str) else dim))
    found = fastnat.xarray.fit_normal(x, dim=dim)
    want = fastnat.fit_normal(x.to_numpy(), axis=axis)
    assert found.mu.dims == tuple(d for d in x.dims if d not in dim)
    np.testing.assert_allclose(found.mu, want.mu, rtol=1e-15)
    np.testing.assert_allclose(found.sigma, want.sigma, rtol=1e-14)


@pytest.mark.parametrize("dim", [None, ...])
def test_all_dimensions_by_default(x, dim):
    found = fastnat.xarray.fit_normal(x, dim=dim)
    assert_says(found, fastnat.fit_normal(x.to_numpy(), axis=None))
    assert found.mu.ndim == 0


def test_arguments_broadcast_by_name(x, rng):
    """Where their dimensions are, and in which order, does not matter."""
    left = xr.DataArray([8.0, 9.0], dims="level")
    weights = xr.DataArray(
        rng.integers(0, 3, (N_TIMES, 3)),
        dims=("time", "station"),
        coords={"station": STATIONS},
    )
    found = fastnat.xarray.fit_normal(x, dim="time", left=left, right=13.0, weights=weights)
    want = fastnat.fit_normal(
        x.to_numpy().transpose(0, 2, 1),
        left=left.to_numpy()[:, None],
        right=13.0,
        weights=weights.to_numpy().T[:, None, :],
    )
    assert_says(found, want)


def test_noise_and_truncation(x, rng):
    e = xr.DataArray(rng.uniform(0.5, 1.0, N_TIMES), dims="time", coords={"time": x.time})
    one = x.isel(level=0)
    found = fastnat.xarray.fit_normal(one, dim="time", noise_std=e)
    assert_says(found, fastnat.fit_normal(one.to_numpy(), noise_std=e.to_numpy()))
    bounds = xr.DataArray([0.0, 1.0, 2.0], dims="station"), 30.0
    found = fastnat.xarray.fit_normal(one, dim="time", truncation=bounds)
    want = fastnat.fit_normal(one.to_numpy(), truncation=(bounds[0].to_numpy()[:, None], bounds[1]))
    assert_says(found, want)
    found = fastnat.xarray.fit_normal(one, one + 0.5, dim="time")
    assert_says(found, fastnat.fit_normal(one.to_numpy(), one.to_numpy() + 0.5))


def test_weights_may_add_a_dimension(x, rng):
    """A bootstrap by names."""
    counts = rng.multinomial(N_TIMES, np.full(N_TIMES, 1 / N_TIMES), size=5)
    weights = xr.DataArray(counts, dims=("replicate", "time"), coords={"time": x.time})
    one = x.isel(station=0, level=0)
    found = fastnat.xarray.fit_normal(one, dim="time", weights=weights)
    assert_says(found, fastnat.fit_normal(one.to_numpy(), weights=counts))
    assert found.mu.dims == ("replicate",)


def test_without_covariance(x):
    found = fastnat.xarray.fit_normal(x, dim="time", cov_type=None)
    assert set(NAMES) - set(found) == {"mu_stderr", "sigma_stderr", "mu_sigma_cov"}


def test_groupby(x):
    """xarray's own way to split: months here."""
    found = x.groupby("time.month").map(fastnat.xarray.fit_normal, dim="time")
    assert found.mu.sizes == {"month": 2, "station": 3, "level": 2}
    january = x.to_numpy()[:, :31]
    assert same_bits(found.mu.sel(month=1).to_numpy(), fastnat.fit_normal(january, axis=1).mu)


# ---- Dask ------------------------------------------------------------------------------------

CHUNKS = [{"station": 1}, {"station": 2, "level": 1}, {"time": 7}, {"time": 7, "station": 2}]


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("limited", [False, True])
def test_lazy(x, chunks, limited):
    x[1, 3, 0] = np.nan
    options = {"dim": "time"}
    if limited:
        options["left"] = xr.DataArray([8.0, 9.0], dims="level")
    lazy = fastnat.xarray.fit_normal(x.chunk(chunks), **options)
    assert all(variable.chunks is not None for variable in lazy.values())
    want = fastnat.xarray.fit_normal(x, **options)
    found = lazy.compute(scheduler="threads")
    assert found.sizes == want.sizes
    assert {name: v.dtype for name, v in found.items()} == {n: v.dtype for n, v in want.items()}
    assert {name: v.attrs.keys() for name, v in lazy.items()} == {
        name: v.attrs.keys() for name, v in want.items()
    }
    xr.testing.assert_equal(found.status, want.status)
    # Chunks may lie in memory in another order.
    xr.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-12)


def test_a_lazy_argument_makes_it_lazy(x):
    left = xr.DataArray([8.0, 9.0], dims="level").chunk()
    lazy = fastnat.xarray.fit_normal(x, dim="time", left=left)
    assert lazy.mu.chunks is not None
    xr.testing.assert_allclose(
        lazy.compute(scheduler="sync"),
        fastnat.xarray.fit_normal(x, dim="time", left=left.compute()),
        rtol=1e-12,
    )


def test_nothing_is_read_before_it_is_asked_for(x):
    def fail(_):
        raise AssertionError("read")

    lazy = xr.DataArray(x.chunk().data.map_blocks(fail, meta=np.empty((0, 0, 0))), dims=x.dims)
    fit = fastnat.xarray.fit_normal(lazy, dim="time", left=9.0)
    with pytest.raises(AssertionError, match="read"):
        fit.mu.compute(scheduler="sync")


def test_what_only_the_data_show_is_raised_when_they_are_computed(x):
    x[1, 3, 0] = np.nan
    fit = fastnat.xarray.fit_normal(x.chunk(), dim="time", nan_policy="raise")
    with refused(ValueError, "NaN"):
        fit.mu.compute(scheduler="sync")


# ---- hostile ---------------------------------------------------------------------------------

ALIEN = xr.DataArray([1.0, 2.0, 3.0], dims="station", coords={"station": ["a", "b", "z"]})
REFUSED = [
    ("dim", {"dim": "tiem"}),
    ("dim", {"dim": ()}),
    ("dim", {"dim": ("time", "time")}),
    ("dim", {"dim": 1}),
    ("left", {"left": np.zeros(N_TIMES)}),
    ("left", {"left": ALIEN}),
    ("weights", {"weights": xr.DataArray(np.ones(N_TIMES - 1), dims="time")}),
    ("noise_std", {"noise_std": [1.0, 2.0]}),
    ("truncation[1]", {"truncation": (0.0, np.array([30.0]))}),
    ("truncation", {"truncation": 3.0}),
    ("truncation", {"truncation": (0.0, 30.0), "left": 1.0}),
    ("cov_type", {"cov_type": "best"}),
    ("nan_policy", {"nan_policy": "drop"}),
    ("reml", {"reml": True, "left": 1.0}),
    ("n_threads", {"n_threads": 0}),
]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("name", "options"), REFUSED)
def test_bad_arguments_get_one_sentence(x, name, options, chunked):
    with refused((TypeError, ValueError), name):
        fastnat.xarray.fit_normal(x.chunk() if chunked else x, **{"dim": "time"} | options)


@pytest.mark.parametrize("thing", [[1.0, 2.0], np.ones(3), xr.Dataset({"a": ("t", [1.0, 2.0])})])
def test_only_labelled_arrays(thing):
    with refused(TypeError, "x must be a DataArray"):
        fastnat.xarray.fit_normal(thing)


def test_only_numbers(x):
    with refused(TypeError, "x must hold real numbers"):
        fastnat.xarray.fit_normal(x.astype(complex), dim="time")
    with refused(TypeError, "x must hold real numbers"):
        fastnat.xarray.fit_normal(x.astype(complex).chunk(), dim="time")


def test_empty(x):
    none = fastnat.xarray.fit_normal(x.isel(station=slice(0)), dim="time")
    assert none.mu.sizes == {"station": 0, "level": 2}
    nothing = fastnat.xarray.fit_normal(x.isel(time=slice(0)), dim="time")
    assert np.all(nothing.status == fastnat.Status.NO_DATA)


@pytest.mark.parametrize("n_fits", [scaled(2000, 20)])
def test_many(rng, n_fits):
    x = xr.DataArray(rng.normal(size=(n_fits, 30)), dims=("pixel", "time")).chunk(pixel=n_fits // 3)
    found = fastnat.xarray.fit_normal(x, dim="time").compute(scheduler="threads")
    assert same_bits(found.sigma.to_numpy(), fastnat.fit_normal(x.to_numpy()).sigma)


def test_front_doors_name_the_way(x):
    with refused(TypeError, "x is xarray's DataArray: call fastnat.xarray.fit_normal, or pass"):
        fastnat.fit_normal(x)
    with refused(TypeError, "left is xarray's DataArray: call fastnat.xarray.fit_normal, or pass"):
        fastnat.fit_normal([1.0, 2.0], left=x)
    doors = (fastnat.fit_normal, fastnat.fit_mvn, lambda v: fastnat.fit_linear(v, v))
    for call in doors:
        with refused(TypeError, "is Dask's Array: call the function of the same name in fast"):
            call(x.chunk().data)
    # Those that have no function for labelled or lazy arrays say only what to pass.
    model = fastnat.models.normal
    for call in (*doors[1:], lambda v: fastnat.fit(model, v)):
        with refused(TypeError, "is xarray's DataArray: pass to_numpy() of it"):
            call(x)
    with refused(TypeError, "data is Dask's Array: pass compute() of it"):
        fastnat.fit(model, x.chunk().data)


@pytest.mark.parametrize("name", ["status", "mu", "nobs"])
def test_a_dimension_with_the_name_of_a_result(name, x):
    """It would become the coordinate of that dimension, or collide with it."""
    named = x.rename(station=name)
    with refused(ValueError, "x has a dimension", name, "rename"):
        fastnat.xarray.fit_normal(named, dim="time")
    if name == "mu":
        with refused(ValueError, "weights has a dimension", name):
            fastnat.xarray.fit_normal(x, dim="time", weights=xr.DataArray([1.0, 2.0], dims=name))
    assert fastnat.xarray.fit_normal(named, dim=(name, "time")).mu.dims == ("level",)
