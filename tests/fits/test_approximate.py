"""Real tables, whose spectra decay: they are approximated, converge, and are repaired better than by medians."""

import warnings

import numpy as np
import pytest
from cases import Recorder
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix

TABLES = {
    "iris": load_iris().data,
    "wine": load_wine().data[:, :8],
    "cancer": load_breast_cancer().data[:120, :12],
}


def spoil(X, seed=0):
    """A fifth of the entries missing, a tenth of the others gross errors of 10 to 20 standard deviations."""
    rng = np.random.RandomState(seed)
    missing = rng.uniform(size=X.shape) < 0.2
    wrong = ~missing & (rng.uniform(size=X.shape) < 0.1)
    move = rng.uniform(10, 20, X.shape) * rng.choice([-1, 1], X.shape) * X.std(axis=0)
    data = np.where(wrong, X + move, X)
    data[missing] = np.nan
    return data, missing, wrong


@pytest.fixture(scope="module", params=TABLES)
def repaired(request):
    X = TABLES[request.param]
    data, missing, wrong = spoil(X)
    model = RobustMatrixCompletion()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        out = model.fit_transform(data)
    return X, data, missing, wrong, model, out


def test_a_table_converges_and_is_better_than_medians(repaired):
    X, data, missing, wrong, model, out = repaired
    assert model.converged_ and model.stop_reason_ in ("approximate", "noisy")
    medians = np.nanmedian(data, axis=0)
    for where in (missing, wrong):
        error = [np.sqrt(np.mean(((guess - X) / X.std(axis=0))[where] ** 2)) for guess in (out, medians + 0 * X)]
        assert error[0] < 0.9 * error[1]


def test_gross_errors_are_found_and_little_else(repaired):
    _, _, _, wrong, model, _ = repaired
    assert model.outliers_[wrong].mean() > 0.97
    assert model.outliers_[~wrong].mean() < 0.04


def test_estimates_stay_in_the_range_of_what_is_seen(repaired):
    _, data, _, _, model, _ = repaired
    strange = np.full((2, data.shape[1]), np.nan)
    strange[0, 0] = np.nanmax(data[:, 0]) * 1e3
    out = model.set_params(replace="missing").transform(strange)
    model.set_params(replace="outliers")
    low, high = np.nanmin(data, axis=0), np.nanmax(data, axis=0)
    assert np.all(out[:, 1:] >= low[1:] - 1e-9) and np.all(out[:, 1:] <= high[1:] + 1e-9)
    # a row of which nothing is known is the mean of the columns
    assert_allclose(out[1], np.clip(model.location_, low, high), rtol=0.3, atol=0.3 * np.nanstd(data))


def test_rows_do_not_depend_on_their_batch(repaired):
    _, data, _, _, model, out = repaired
    assert_array_equal(model.transform(data[7:9]), out[7:9])
    assert_array_equal(model.set_params(n_jobs=2).transform(data), out)
    model.set_params(n_jobs=None)


def test_clean_tables_are_left_alone():
    for X in (TABLES["wine"], TABLES["cancer"]):
        out = RobustMatrixCompletion().fit_transform(X)
        assert np.mean(out != X) <= 0.02


def test_many_errors_do_not_pass_for_a_spectrum_that_decays():
    """Two fifths of huge errors hide where the spectrum ends; the rank is sharp all the same."""
    problem = make_corrupted_matrix((495, 42), 5, outliers=0.4, sampling="uneven", random_state=60261)
    model = RobustMatrixCompletion(replace="all").fit(problem.data)
    assert model.stop_reason_ == "exact" and model.rank_ == 5
    assert_allclose(model.transform(problem.data), problem.clean, atol=1e-6)


@pytest.mark.parametrize("errors", [pytest.param(0.0, marks=pytest.mark.slow), 0.1])
def test_a_spectrum_that_decays_slowly_is_fitted_with_as_many_directions_as_it_takes(errors):
    """Better than with the twenty that are looked for at first."""
    rng = np.random.RandomState(0)
    left, right = rng.standard_normal((800, 120)), np.linalg.qr(rng.standard_normal((120, 120)))[0]
    X = (left * 10.0 ** (-3.0 * np.arange(120) / 119)) @ right.T
    data = np.where(rng.uniform(size=X.shape) < 0.8, X, np.nan)
    wrong = rng.uniform(size=X.shape) < errors
    data[wrong] += 10.0 * X.std() * rng.standard_normal(np.count_nonzero(wrong))
    free, bounded = RobustMatrixCompletion(), RobustMatrixCompletion(rank=20)
    error = [np.sqrt(np.mean((model.fit_transform(data) - X)[np.isnan(data)] ** 2)) for model in (free, bounded)]
    assert free.stop_reason_ == "approximate"
    assert free.rank_ > 30
    assert error[0] < 0.7 * error[1]


def test_a_wide_matrix_is_repaired_as_well_as_the_transposed_one():
    """With as many columns as genes or wavelengths: noise laws are fitted to a block of them, and then to all.

    The transposed one comes out at 0.08 standard deviations, this one at 0.25 where they are fitted to all columns.
    """
    n, p, k = 120, 1000, 60
    rng = np.random.RandomState(0)
    clean = (rng.standard_normal((n, k)) * np.exp(-np.arange(k) / 20)) @ rng.standard_normal((k, p))
    clean /= clean.std()
    data = clean + 0.05 * rng.standard_normal((n, p))
    wrong, missing = rng.uniform(size=(n, p)) < 0.05, rng.uniform(size=(n, p)) < 0.1
    data[wrong] += 10 * rng.standard_normal(wrong.sum())
    data[missing] = np.nan
    model = RobustMatrixCompletion(replace="all")
    error = np.sqrt(np.mean((model.fit_transform(data) - clean)[missing] ** 2))
    assert model.stop_reason_ == "approximate" and error < 0.1


@pytest.mark.parametrize(("groups", "values", "missing"), [(6, 10, 0.0), (10, 5, 0.1)])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_categories_in_columns_of_their_own_are_left_alone(groups, values, missing):
    """Nothing but those of its group predicts one, and most values of a column are zero: others are no errors."""
    rng = np.random.RandomState(0)
    clean = np.eye(values)[rng.randint(values, size=(500, groups))].reshape(500, -1)
    hidden = rng.uniform(size=clean.shape) < missing
    X = np.where(hidden, np.nan, clean)
    model = RobustMatrixCompletion().fit(X)
    assert not model.outliers_.any() and model.stop_reason_ != "exact"
    found = model.transform(X)
    assert_array_equal(found[~hidden], X[~hidden])
    if missing:
        told = np.sum(np.where(hidden, 0.0, clean).reshape(500, groups, values), axis=2).repeat(values, axis=1) > 0.0
        assert model.converged_ and np.abs(found[hidden & told]).mean() < 0.05  # all others of a group are zero


@pytest.mark.filterwarnings("ignore:1 row of X:UserWarning")
def test_a_sharp_rank_whose_spectrum_comes_near_to_the_noise_is_found():
    """The last direction is three times the most that noise has; the search began at rank 19, and was given up."""
    shape, options = (67, 80), {"noise": 0.2, "outliers": 0.1, "outlier_kind": "sign-flip", "condition": 8.0}
    drawn = make_corrupted_matrix(shape, 4, observed=0.95, random_state=80, **options)
    model = RobustMatrixCompletion(replace="all")
    estimate = model.fit_transform(drawn.data)
    assert model.stop_reason_ == "noisy" and model.rank_ == 4
    assert np.linalg.norm(estimate - drawn.clean) < 0.08 * np.linalg.norm(drawn.clean)


def many_directions():
    """A noisy matrix of rank 30."""
    rng = np.random.RandomState(105)
    clean = rng.standard_normal((400, 30)) @ rng.standard_normal((30, 120))
    data = clean + 0.05 * clean.std() * rng.standard_normal(clean.shape)
    data[rng.uniform(size=data.shape) < 0.1] = np.nan
    return data


def test_a_sharp_rank_beyond_the_directions_that_are_looked_for_first_is_found():
    """What the fit of that rank leaves has a little more in common than most noise has."""
    model = RobustMatrixCompletion().fit(many_directions())
    assert model.stop_reason_ == "noisy" and model.rank_ == 30


@pytest.mark.parametrize(("uneven", "seed"), [(False, 600), (True, 604)])
def test_a_member_of_little_weight_does_not_set_the_noise(uneven, seed):
    """A Gaussian member had taken errors for noise: at a weight of 0.02, what it had made of it was half of all."""
    rng = np.random.RandomState(seed)
    clean = rng.standard_normal((120, 80)) * np.arange(1, 81) ** -1.5 @ np.linalg.qr(rng.standard_normal((80, 80)))[0]
    clean /= clean.std()
    rate = np.full(clean.shape, 10 * 3 * 197 / (clean.size * 0.8))
    if uneven:
        rate *= np.outer(rng.uniform(0.4, 1.6, 120), rng.uniform(0.4, 1.6, 80))
    seen, wrong = (rng.uniform(size=clean.shape) < share for share in (rate, 0.2))
    data = clean + 0.2 * rng.standard_normal(clean.shape)
    data[wrong] += 10.0 * rng.choice([-1.0, 1.0], wrong.sum())
    data[~seen] = np.nan
    model = RobustMatrixCompletion().fit(data)
    assert model.stop_reason_ == "approximate" and model.scale_ < 2.2 * 0.2
    moved = seen & ~wrong & (rng.uniform(size=clean.shape) < 0.05)
    data[moved] += 8.0 * 0.2 * rng.choice([-1.0, 1.0], moved.sum())
    assert model.detect_outliers(data)[moved].mean() > 0.6


@pytest.mark.filterwarnings("ignore:250 rows of X:UserWarning", "ignore:.* columns? of X:UserWarning")
def test_a_callback_stops_the_fits_that_tell_whether_a_spectrum_ends():
    """That fit leaves more than noise, and would not be gone on with."""
    rng = np.random.RandomState(0)
    data = rng.standard_normal((250, 40)) * 10.0 ** (-3 * np.arange(40) / 39)
    data = data @ np.linalg.qr(rng.standard_normal((40, 40)))[0]
    data /= data.std()
    wrong = rng.uniform(size=data.shape) < 0.05
    data[wrong] += 10.0 * rng.standard_normal(int(wrong.sum()))
    data[rng.uniform(size=data.shape) < 0.2] = np.nan
    recorder = Recorder()
    model = RobustMatrixCompletion().set_callbacks(recorder).fit(data)
    (step,) = [task for task in recorder.tasks if task.startswith("rank")]
    assert model.stop_reason_ == "approximate"
    with pytest.warns(ConvergenceWarning, match="a callback asked it to stop"):
        model = RobustMatrixCompletion().set_callbacks(Recorder(stop_at=step)).fit(data)
    assert not model.converged_ and model.stop_reason_ == "interrupted"


def test_a_long_search_is_given_up_beside_a_model_that_predicts_well():
    """Spectra whose bands move have no sharp rank: 45 fits of up to rank 25 were made to find that out."""
    rng, band = np.random.RandomState(0), np.linspace(0.0, 1.0, 200)
    share, shift = rng.dirichlet(np.full(5, 0.5), size=600), 0.03 * rng.standard_normal((600, 1))
    bands = ((0.2, 0.08), (0.4, 0.15), (0.6, 0.1), (0.8, 0.2), (0.5, 0.05))
    shapes = [1.0 + np.exp(-(((band - at - shift) / wide) ** 2)) for at, wide in bands]
    X = sum(share[:, [k]] * shape for k, shape in enumerate(shapes)) * rng.gamma(5.0, 0.2, size=(600, 1))
    X += 0.003 * rng.standard_normal(X.shape)
    hidden = rng.uniform(size=X.shape) < 0.5
    model = RobustMatrixCompletion().fit(np.where(hidden, np.nan, X))
    assert model.stop_reason_ == "approximate" and model.n_iter_ < 1300
    assert np.sqrt(np.mean((model.transform(np.where(hidden, np.nan, X)) - X)[hidden] ** 2)) < 0.05 * X.std()
