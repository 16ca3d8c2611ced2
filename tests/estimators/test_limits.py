"""Limits of estimates: the range of what is seen where a fit is approximate, and what `min_value`, `max_value` say."""

import warnings
from copy import deepcopy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA

REPLACE = ("outliers", "missing", "all")


def every(shape):
    """Rows and columns of all entries."""
    return np.indices(shape).reshape(2, -1)


@pytest.fixture(scope="module", params=[np.float64, np.float32])
def table(request):
    """A table with holes, its approximate fit, and a row that asks for more than was ever seen."""
    rng = np.random.RandomState(0)
    X = load_iris().data.astype(request.param)
    X[rng.uniform(size=X.shape) < 0.2] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = RobustMatrixCompletion(replace="all").fit(X)
    assert model.stop_reason_.startswith("approximate")
    return X, model, np.array([[8.5, np.nan, 7.5, np.nan]], request.param)


def change(model, **params):
    """The same fit with other parameters."""
    return deepcopy(model).set_params(**params)


@pytest.mark.parametrize("replace", REPLACE)
def test_estimates_of_an_approximate_fit_stay_in_the_range_seen(table, replace):
    """The strange row has values beyond it: the estimate in place of one of these may be there too."""
    X, model, strange = table
    low, high = np.nanmin(X, axis=0), np.nanmax(X, axis=0)
    free = change(model, min_value=-np.inf, max_value=np.inf, replace=replace)
    for rows in (X, strange):
        out, without = change(model, replace=replace).transform(rows), free.transform(rows)
        replaced = np.ones(rows.shape, bool) if replace == "all" else without != rows
        held = replaced & ~((rows < low) | (rows > high))
        assert_array_equal(out[held], np.clip(without, low, high)[held])
        assert out.dtype == rows.dtype
        assert_array_equal(out[~replaced], rows[~replaced])
    assert not np.array_equal(out, without)  # of the strange row
    stored = sparse.csr_array((strange[[0, 0], [0, 2]], ([0, 0], [0, 2])), shape=strange.shape)
    assert_allclose(change(model, replace=replace).transform(stored).data, out[0, [0, 2]], rtol=1e-6)


@pytest.fixture(scope="module")
def spectra():
    """Spectra, a few of the largest values of each band missing, the mask of these, and their approximate fit."""
    rng, band = np.random.RandomState(1), np.linspace(0.0, 1.0, 80)
    size, shift = rng.gamma(2.0, size=(4, 150, 1)), 0.02 * rng.standard_normal((150, 1))
    bands = ((0.2, 0.08), (0.4, 0.15), (0.6, 0.1), (0.8, 0.2))
    X = sum(c * np.exp(-(((band - at - shift) / wide) ** 2)) for c, (at, wide) in zip(size, bands, strict=True))
    X = X * np.exp(0.1 * rng.standard_normal((150, 1))) + 1e-3 * rng.standard_normal(X.shape)
    hidden = rng.uniform(size=X.shape) < 0.2
    hidden |= (np.sort(X, axis=0)[-2] <= X) & (rng.uniform(size=X.shape) < 0.5)
    data = np.where(hidden, np.nan, X)
    beyond = hidden & ((np.nanmax(data, axis=0) < X) | (np.nanmin(data, axis=0) > X))
    return X, data, beyond, RobustMatrixCompletion().fit(data)


def test_estimates_that_are_beyond_the_range_beyond_doubt_are_believed(spectra):
    """They were held to it, and up to 3 off instead of 0.01: the rest of the row tells them nearly without error."""
    X, data, beyond, model = spectra
    assert model.stop_reason_ == "approximate" and beyond.sum() > 90

    def missed(values):
        return float(np.sqrt(np.mean((values - X)[beyond] ** 2)))

    filled = model.transform(data)
    assert missed(np.clip(filled, np.nanmin(data, axis=0), np.nanmax(data, axis=0))) > 0.5  # what they were
    assert missed(filled) < 0.03
    assert_allclose(model.transform(data[:9]), filled[:9], rtol=1e-12)  # each row by itself, but for rounding
    rows, columns = np.nonzero(beyond)
    assert_allclose(model.predict_entries(rows, columns), filled[beyond], rtol=1e-9)
    low, high = model.predict_interval(data)
    assert np.all(((low <= filled) & (filled <= high))[beyond])
    drawn = model.sample_imputations(data, n_samples=4, random_state=0)
    assert all(missed(table) < 0.05 for table in drawn)
    limit = float(np.median(filled[beyond]))  # limits that are given hold for all
    assert change(model, max_value=limit).transform(data)[beyond].max() == limit


def test_components_of_spectra_have_what_is_beyond_the_range(spectra):
    X, data, _, _ = spectra
    ours = RobustPCA(3).fit(data)
    assert_allclose(ours.explained_variance_, PCA(3).fit(X).explained_variance_, rtol=0.01)


def test_entries_are_predicted_as_they_are_filled_in(table):
    X, model, _ = table
    rows, columns = every(X.shape)
    tolerance = 1e-12 if X.dtype == np.float64 else 1e-5
    limits = [{}, {"max_value": np.inf}, {"min_value": 0.5, "max_value": [5.0, 3.0, 4.0, 1.0]}]
    for params in limits:
        told = change(model, **params)
        filled = told.transform(X)
        predicted = told.predict_entries(rows, columns)
        assert predicted.dtype == X.dtype
        assert_allclose(predicted.reshape(X.shape), filled, atol=tolerance)
    assert np.any(predicted != model.predict_entries(rows, columns))  # the last limits are narrower


def test_a_row_unlike_those_that_were_seen_stays_in_the_range(spectra):
    """Four times as large as any: nothing that is seen of it is in the range of its column."""
    _, data, _, model = spectra
    new = np.where(np.arange(80) % 3 == 0, np.nan, 4.0 * np.nanmax(data, axis=0))
    filled = model.transform(new[None])[0]
    assert np.all((filled <= np.nanmax(data, axis=0))[np.isnan(new)])


def test_estimates_and_intervals_of_rows_that_go_on_with_a_trend():
    """Up to nine tenths of the values are beyond the range of the rows that were fitted, and told by one another."""
    rng, days, t = np.random.RandomState(0), np.arange(300)[:, None], np.arange(48) / 48 * 2 * np.pi
    season = 5.0 * np.sin(t) * (1.0 + 0.3 * np.sin(2 * np.pi * days / 60)) + 2.0 * np.cos(2 * t) * (days % 7 < 5)
    noise = 0.3 * rng.standard_normal((300, 48))
    for j in range(1, 48):
        noise[:, j] += 0.9 * noise[:, j - 1]
    clean = 10.0 + season + 0.1 * days + noise
    missing = rng.uniform(size=clean.shape) < 0.1
    data = np.where(missing, np.nan, clean)
    model, new, hidden = RobustMatrixCompletion().fit(data[:200]), data[200:], missing[200:]
    error = (model.transform(new) - clean[200:])[hidden]
    free = (model.set_params(max_value=np.inf).transform(new) - clean[200:])[hidden]
    assert np.sqrt(np.mean(error**2)) < 1.3 * np.sqrt(np.mean(free**2))
    lower, upper = model.set_params(max_value=None).predict_interval(new, coverage=0.9)
    assert np.mean(((lower <= clean[200:]) & (clean[200:] <= upper))[hidden]) > 0.85


def test_a_limit_widens_the_range_seen_and_narrows_it(table):
    X, model, strange = table
    free = change(model, min_value=-np.inf, max_value=np.inf).transform(strange)
    top = np.nanmax(X, axis=0)
    assert np.any(free > top)
    assert_array_equal(change(model, max_value=np.inf).transform(strange), np.maximum(free, np.nanmin(X, axis=0)))
    assert_array_equal(change(model, max_value=2.0).transform(strange), np.full((1, 4), 2.0))
    # a least value beyond all that was seen
    assert_array_equal(change(model, min_value=top + 50).transform(strange), (top + 50)[None])
    assert_array_equal(change(model, max_value=-7.0).transform(strange), np.full((1, 4), -7.0))


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_estimates_of_a_sharp_rank_are_clipped_where_limits_are_given(noiseless, noisy, form):
    for problem in (noiseless, noisy):
        X, seen = problem.data, problem.observed
        low, high = np.quantile(problem.clean, [0.1, 0.9])
        if form == "sparse":
            X = sparse.csr_array((X[seen], np.nonzero(seen)), shape=X.shape)
        model = RobustMatrixCompletion().fit(X)
        flags = model.outliers_.toarray() if form == "sparse" else model.outliers_
        for replace in REPLACE:
            free = change(model, replace=replace).transform(X)
            held = change(model, replace=replace, min_value=low, max_value=high).transform(X)
            if form == "sparse":
                assert_array_equal(held.indices, free.indices)
                free, held = free.toarray(), held.toarray()
            replaced = {"outliers": flags, "missing": False, "all": seen}[replace] | (~seen & (form == "dense"))
            assert_array_equal(held, np.where(replaced, np.clip(free, low, high), free))
            assert replace == "missing" or np.any(held != free)
        rows, columns = every(flags.shape)
        free = model.predict_entries(rows, columns)
        held = change(model, min_value=low, max_value=high).predict_entries(rows, columns)
        assert_array_equal(held, np.clip(free, low, high))


def test_estimates_of_a_sharp_rank_may_be_beyond_what_is_seen(noiseless):
    """The largest values are missing: they come back."""
    X = noiseless.data.copy()
    X[noiseless.clean > 0.7 * noiseless.clean.max()] = np.nan
    inliers = np.isfinite(X) & ~noiseless.outliers
    out = RobustMatrixCompletion(replace="all").fit_transform(X)
    assert out.max() > 1.2 * X[inliers].max()
    assert_allclose(out, noiseless.clean, atol=1e-8)
    assert RobustMatrixCompletion(replace="all", max_value=1.0).fit_transform(X).max() == 1.0


def test_the_fit_does_not_depend_on_limits(noisy, noisy_completion):
    other = RobustMatrixCompletion(min_value=0.0, max_value=np.linspace(1, 2, 80)).fit(noisy.data)
    for name in ("left_", "singular_values_", "right_", "location_", "outliers_", "scale_"):
        assert_array_equal(getattr(other, name), getattr(noisy_completion, name))


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"min_value": 1.0, "max_value": 1.0}, ValueError, "less than max_value, got 1 and 1 for column 0"),
        ({"min_value": 0, "max_value": [1, 2, -3, 4]}, ValueError, "got 0 and -3 for column 2"),
        ({"min_value": np.inf}, ValueError, "got inf and inf for column 0"),
        ({"max_value": [-np.inf, 1, 1, 1]}, ValueError, "got -inf and -inf for column 0"),
        ({"max_value": [1, 2, 3]}, ValueError, r"max_value must be .* 4 numbers, .* got an array of shape \(3,\)"),
        ({"min_value": [[1, 2, 3, 4]]}, ValueError, r"min_value .* got an array of shape \(1, 4\)"),
        ({"min_value": [0, np.nan, 0, 0]}, ValueError, "min_value must not hold NaN: use -inf for no limit"),
        ({"max_value": np.nan}, ValueError, "max_value must not hold NaN: use inf for no limit"),
        ({"max_value": "seen"}, TypeError, "max_value must be None, a number, or 4 numbers, .* got 'seen'"),
        ({"max_value": True}, TypeError, "got True"),
        ({"max_value": [1, None, 3, 4]}, TypeError, "max_value must be None, a number, or 4 numbers"),
        ({"min_value": [[1], [2, 3], 4, 5]}, TypeError, "min_value must be"),
    ],
)
def test_limits_that_are_none_are_refused_by_fit_and_later(table, parameters, error, message):
    X, model, _ = table
    with pytest.raises(error, match=message):
        RobustMatrixCompletion(**parameters).fit(X)
    for use in (lambda told: told.transform(X), lambda told: told.predict_entries([0], [0])):
        with pytest.raises(error, match=message):
            use(change(model, **parameters))


def test_estimates_of_a_fit_that_is_not_to_be_trusted_stay_in_the_range_seen():
    """Of 900 tables of 48 to 150 cells without structure one was filled in with 118 where the largest value was 2.5."""
    beyond = []
    for seed in (431, 491, 2010):
        rng = np.random.RandomState(seed)
        X = rng.standard_t(3, (12, 12))
        X[rng.uniform(size=X.shape) < 0.5] = np.nan
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # nor are some rows identifiable
            model = RobustMatrixCompletion(replace="all").fit(X)
        assert not model.converged_
        for filled in (model.transform(X), model.predict_entries(*every(X.shape)).reshape(X.shape)):
            assert (filled >= np.nanmin(X, axis=0)).all() and (filled <= np.nanmax(X, axis=0)).all()
        free = change(model, min_value=-np.inf, max_value=np.inf).transform(X)
        beyond.append(float(np.max(np.abs(free)) / np.nanmax(np.abs(X))))
    assert max(beyond) > 2.0
