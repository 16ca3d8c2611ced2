"""Weights of samples: a weight of two is a sample twice, zero is absence, a fraction counts in part."""

import numpy as np
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import relative_recovery_error, robust_r2_score


def _table(n=80, p=12, seed=0, missing=0.15):
    """A table whose spectrum decays, with gross errors and missing entries."""
    rng = np.random.RandomState(seed)
    X = rng.standard_normal((n, p)) @ np.diag(1.0 / np.arange(1, p + 1)) @ rng.standard_normal((p, p)) + 3.0
    X[rng.uniform(size=X.shape) < 0.05] += 50.0
    X[rng.uniform(size=X.shape) < missing] = np.nan
    return X, rng.randint(0, 4, n), rng.permutation(n)


SHARP = make_corrupted_matrix((60, 40), rank=2, observed=0.8, outliers=0.2, random_state=0).data
NOISY = make_corrupted_matrix((60, 40), rank=2, observed=0.8, outliers=0.1, noise=0.1, random_state=0).data


@pytest.mark.parametrize(
    ("estimator", "kind"),
    [
        *(
            (RobustMatrixCompletion(replace="all"), kind)
            for kind in ("approximate", "noisy", "sparse", "entry weights")
        ),
        *((RobustPCA(), kind) for kind in ("exact", "entry weights")),
        *((RobustPCA(3), kind) for kind in ("approximate", "sparse")),
    ],
)
def test_rows_repeated_and_weighted_are_the_same(estimator, kind):
    X, weight, order = _table()
    X = {"exact": SHARP, "noisy": NOISY}.get(kind, X)
    weight, order = weight[: len(X)], order[order < len(X)]
    own = np.random.RandomState(1).uniform(0.1, 10.0, X.shape) if kind == "entry weights" else None
    entry = lambda index: {} if own is None else {"entry_weight": own[index]}  # noqa: E731
    form = sparse.csr_matrix if kind == "sparse" else np.asarray
    index = np.repeat(np.arange(len(X)), weight)
    repeated = clone(estimator).fit(form(X[index]), **entry(index))
    weighted = clone(estimator).fit(form(X[order]), sample_weight=weight[order], **entry(order))
    assert repeated.stop_reason_ == weighted.stop_reason_
    form_of = lambda out: out.toarray() if sparse.issparse(out) else out  # noqa: E731
    np.testing.assert_allclose(form_of(weighted.transform(form(X))), form_of(repeated.transform(form(X))), rtol=1e-7)
    for name in ("location_", "expected_error_", "scale_", "mean_", "explained_variance_", "n_samples_"):
        if hasattr(repeated, name):
            np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-7, err_msg=name)
    assert weighted.score(form(X), sample_weight=weight) == pytest.approx(repeated.score(form(X[index])))
    flags = {id(model): form_of(model.outliers_) for model in (repeated, weighted)}
    seen = weight[order] > 0
    np.testing.assert_array_equal(
        flags[id(weighted)][seen],
        flags[id(repeated)][np.searchsorted(index, order[seen])],
    )


@pytest.mark.parametrize("X", [_table()[0], SHARP], ids=["approximate", "exact"])
def test_rows_of_no_weight_are_new_ones(X):
    weight = np.ones(len(X))
    weight[5:9] = 0.0
    model = RobustMatrixCompletion(replace="all")
    repaired = model.fit_transform(X, sample_weight=weight)
    np.testing.assert_allclose(repaired, model.transform(X), rtol=1e-10)
    without = clone(model).fit(np.delete(X, range(5, 9), axis=0), sample_weight=np.ones(len(X) - 4))
    np.testing.assert_allclose(without.transform(X), repaired, rtol=1e-7)
    assert model.left_.shape[0] == model.outliers_.shape[0] == len(X)
    rows, columns = np.indices(X.shape).reshape(2, -1)
    np.testing.assert_allclose(model.predict_entries(rows, columns).reshape(X.shape), repaired, rtol=1e-7, atol=1e-9)


def test_rows_that_are_alike_keep_their_places():
    X, *_ = _table(missing=0.0)
    X[[3, 17, 40]] = X[8]
    model = RobustMatrixCompletion()
    repaired = model.fit_transform(X)
    np.testing.assert_array_equal(repaired, model.transform(X))
    kept = ~model.outliers_
    np.testing.assert_array_equal(repaired[kept], X[kept])
    np.testing.assert_array_equal(repaired[3], repaired[8])


def test_fractions_count_in_part():
    """Of two groups of rows with other directions the heavy one rules the first component, and the mean."""
    rng = np.random.RandomState(0)
    groups = rng.standard_normal((2, 150, 1)) * rng.standard_normal((2, 1, 10)) + np.array([0.0, 4.0])[:, None, None]
    X = np.vstack(groups) + 0.3 * rng.standard_normal((300, 10))
    weight = np.repeat([1.0, 0.02], 150)
    model = RobustPCA(2).fit(X, sample_weight=weight)
    clean = np.average(X, axis=0, weights=weight)
    deviation = np.sqrt(weight)[:, None] * (X - clean)
    power = np.linalg.svd(deviation, compute_uv=False)[:2] ** 2 / (weight.sum() - 1.0)
    np.testing.assert_allclose(model.mean_, clean, atol=0.05)
    np.testing.assert_allclose(model.explained_variance_, power, rtol=0.05)
    assert model.n_samples_ == pytest.approx(weight.sum())
    assert np.abs(RobustPCA(2).fit(X).mean_ - clean).max() > 1.0


def test_precise_measurements_count_more():
    """Measurements of known variance: with their inverse the error is that of weighted least squares."""
    errors = []
    for seed in (0, 2):
        problem = make_measurements(shape=(16, 14), rank=2, n_measurements=600, outliers=0.05, random_state=seed)
        rng = np.random.RandomState(seed)
        deviation = np.where(rng.uniform(size=600) < 0.5, 0.1, 0.6) * problem.clean_target.std()
        y = problem.target + deviation * rng.standard_normal(600)
        models = [RobustLowRankRecovery(shape=(16, 14)) for _ in range(2)]
        models[0].fit(problem.data, y, sample_weight=(0.1 * problem.clean_target.std() / deviation) ** 2)
        models[1].fit(problem.data, y)
        errors.append([relative_recovery_error(problem.coef, model.matrix_) for model in models])
    weighted, alike = np.mean(errors, axis=0)
    assert weighted < 0.9 * alike


@pytest.mark.parametrize("measurements", ["matrix", "entries"])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_measurements_repeated_and_weighted_are_the_same(measurements, noise):
    rng = np.random.RandomState(0)
    if measurements == "entries":
        p = make_corrupted_matrix((40, 30), rank=2, observed=0.9, outliers=0.1, noise=noise, random_state=0)
        X, y = np.argwhere(p.observed), p.data[p.observed]
    else:
        p = make_measurements(shape=(14, 12), rank=2, n_measurements=500, outliers=0.1, noise=noise, random_state=0)
        X, y = p.data, p.target
    weight, order = rng.randint(0 if measurements == "entries" else 1, 3, len(y)), rng.permutation(len(y))
    model = RobustLowRankRecovery(measurements=measurements, shape=(14, 12) if measurements == "matrix" else None)
    repeated = clone(model).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    weighted = clone(model).fit(X[order], y[order], sample_weight=weight[order])
    assert weighted.stop_reason_ == repeated.stop_reason_
    np.testing.assert_allclose(weighted.matrix_, repeated.matrix_, rtol=1e-7, atol=1e-10)
    assert weighted.score(X, y, sample_weight=weight) == pytest.approx(
        repeated.score(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    )
    back = np.argsort(order)
    np.testing.assert_array_equal(weighted.outliers_[back][weight > 0], repeated.outliers_[_first_of_each(weight)])
    beyond = np.abs(y - weighted.predict(X)) > weighted.threshold_
    assert np.mean(weighted.outliers_[back] == beyond) > 0.99


def _first_of_each(weight):
    return (np.cumsum(weight) - weight)[weight > 0]


@pytest.mark.parametrize(
    "weight, message",
    [
        (np.ones(3), "one weight a sample"),
        (-np.ones(60), "Negative values"),
        (np.zeros(60), "zero for all"),
        (np.full(60, np.nan), "sample_weight contains NaN"),
        (np.ones((60, 2)), "one weight a sample"),
    ],
)
def test_bad_weights(weight, message):
    with pytest.raises(ValueError, match=message):
        RobustMatrixCompletion().fit(SHARP, sample_weight=weight)
    with pytest.raises(ValueError, match=message):
        problem = make_measurements(shape=(6, 5), rank=1, n_measurements=60, random_state=0)
        RobustLowRankRecovery(shape=(6, 5)).fit(problem.data, problem.target, sample_weight=weight)


def test_huge_weights_make_no_huge_fit():
    X, *_ = _table()
    weight = np.ones(len(X))
    weight[:10] = 1e9
    model = RobustMatrixCompletion(replace="all").fit(X, sample_weight=weight)
    assert np.isfinite(model.transform(X)).all()


def test_weights_reach_the_steps_of_a_pipeline():
    X, weight, _ = _table()
    with config_context(enable_metadata_routing=True):
        step = RobustPCA(2).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), step)
        pipeline.fit(X, sample_weight=weight)
        alone = RobustPCA(2).fit(StandardScaler().fit_transform(X), sample_weight=weight)
        np.testing.assert_array_equal(pipeline[-1].components_, alone.components_)
        search = GridSearchCV(step, {"n_components": [2]}, cv=2, refit=False).fit(X, sample_weight=weight)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_weighted_medians_of_the_score():
    rng = np.random.RandomState(0)
    y, predicted = rng.standard_normal((2, 30))
    weight = rng.randint(0, 4, 30)
    assert robust_r2_score(y, predicted, weight) == robust_r2_score(np.repeat(y, weight), np.repeat(predicted, weight))


def test_rows_that_repeat_may_be_the_majority_of_what_is_exact():
    """Three rows in many copies: of themselves too few to tell a rank, together they do."""
    rng = np.random.RandomState(0)
    X = np.repeat(rng.standard_normal((3, 20)), 15, axis=0)
    X[rng.uniform(size=X.shape) < 0.05] = 30.0
    model = RobustMatrixCompletion(replace="all").fit(X)
    assert model.stop_reason_ == "exact" and model.rank_ == 3
    constant = RobustMatrixCompletion().fit(np.tile(np.arange(1.0, 9.0), (30, 1)))
    assert (constant.stop_reason_, constant.rank_, constant.left_.shape) == ("exact", 1, (30, 1))
    weighted = RobustMatrixCompletion().fit(np.arange(1.0, 9.0)[None], sample_weight=[30.0])
    assert (weighted.stop_reason_, weighted.rank_) == ("exact", 1)


def test_copies_of_noisy_rows_are_not_taken_for_a_matrix_that_is_met_exactly():
    """Rows that count more often than others are each met by a direction of its own, of 36 copies 26 by four."""
    problem = make_corrupted_matrix((8, 200), rank=2, noise=0.1, outliers=0.1, observed=0.9, random_state=1)
    hidden = np.isnan(problem.data)

    def error(sample_weight):
        model = RobustMatrixCompletion().fit(problem.data, sample_weight=sample_weight)
        assert model.converged_ and model.stop_reason_ != "exact"
        missed = (model.transform(problem.data) - problem.clean)[hidden]
        return np.sqrt(np.mean(missed**2)) / problem.clean.std()

    alone = error(None)
    for weight in (np.arange(1, 9), np.full(8, 3)):
        assert error(weight) < 1.3 * alone < 0.5


def test_what_is_exact_if_rows_count_once_needs_no_copies():
    problem = make_corrupted_matrix((12, 60), rank=2, outliers=0.3, random_state=0)
    model = RobustMatrixCompletion(replace="all").fit(problem.data, sample_weight=np.repeat([1.0, 9.0], 6))
    assert (model.stop_reason_, model.rank_) == ("exact", 2)
    assert relative_recovery_error(model.transform(problem.data), problem.clean) < 1e-10


def test_noise_that_repeats_is_no_structure():
    """Rows or measurements that are there several times, noise and all, do not raise the rank."""
    problem = make_corrupted_matrix((100, 40), rank=3, observed=0.8, outliers=0.1, noise=0.1, random_state=0)
    once = RobustMatrixCompletion(replace="all").fit(problem.data)
    index = np.repeat(np.arange(100), np.random.RandomState(0).randint(1, 5, 100))
    often = RobustMatrixCompletion(replace="all").fit(problem.data[index])
    assert once.rank_ == often.rank_ == 3
    np.testing.assert_allclose(often.transform(problem.data), once.transform(problem.data), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("factor", [1e-300, 1e-8, 1e6, 1e300])
def test_weights_of_measurements_count_by_their_ratios(factor):
    problem = make_measurements(shape=(8, 7), rank=1, n_measurements=200, outliers=0.1, noise=0.1, random_state=0)
    weight = np.random.RandomState(0).randint(1, 4, 200)
    fits = [
        RobustLowRankRecovery(shape=(8, 7)).fit(problem.data, problem.target, sample_weight=w * weight)
        for w in (1.0, factor)
    ]
    bound = 1e-9 if 1e-10 < factor < 1e10 else 0.02  # weights beyond all measure are alike
    assert relative_recovery_error(fits[0].matrix_, fits[1].matrix_) < bound
    assert fits[0].rank_ == fits[1].rank_ == 1


@pytest.mark.parametrize(
    ("weight", "model"), [(1e300, RobustMatrixCompletion(replace="all")), (1e-300, RobustPCA(2))], ids=repr
)
def test_weights_of_extreme_ratios_are_bounded(weight, model):
    X, *_ = _table(40)
    unequal = np.where(np.arange(40) % 2, weight, 1.0)
    assert np.isfinite(model.fit(X, sample_weight=unequal).transform(X)).all()
    rng = np.random.RandomState(0)
    pairs = np.column_stack([rng.randint(0, 6, 200), rng.randint(0, 5, 200)])
    y = np.outer(np.arange(1.0, 7.0), np.arange(1.0, 6.0))[tuple(pairs.T)] + 0.1 * rng.standard_normal(200)
    model = RobustLowRankRecovery(measurements="entries", shape=(6, 5))
    assert np.isfinite(
        model.fit(pairs, y, sample_weight=np.where(rng.uniform(size=200) < 0.3, weight, 1.0)).matrix_
    ).all()


def test_variance_of_less_than_two_rows_is_refused():
    X, *_ = _table()
    weight = np.random.RandomState(0).uniform(size=len(X))
    with pytest.raises(ValueError, match="Multiply weights that sum to one"):
        RobustPCA().fit(X, sample_weight=weight / weight.sum())


def test_components_of_rows_that_are_all_the_same():
    X = np.tile(np.arange(1.0, 9.0), (30, 1))
    model = RobustPCA(3).fit(X)
    assert model.components_.shape == (3, 8) and np.allclose(model.transform(X), 0.0)
    assert np.allclose(model.inverse_transform(model.transform(X)), X)


def test_a_zero_that_is_observed_is_not_a_missing_value():
    """Rows that differ in that alone are two: of 0 and of nothing, in the first column too."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((30, 2)) @ rng.standard_normal((2, 8))
    X[4:7] = X[3]
    X[3, 0], X[4, 0] = 0.0, np.nan
    model = RobustMatrixCompletion(replace="missing").fit(X)
    assert model.transform(X)[3, 0] == 0.0


@pytest.mark.parametrize("weights", [{"sample_weight": 1.0}, {"entry_weight": 3.0}])
def test_weights_that_are_all_alike_say_nothing(weights):
    """Rows were fitted in another order, and long tails not by logarithms: estimates moved by up to 11 sd."""
    rng = np.random.RandomState(8)
    X = np.exp(0.6 * rng.standard_normal((120, 2)) @ rng.standard_normal((2, 8)) + 0.3 * rng.standard_normal((120, 8)))
    X[rng.uniform(size=X.shape) < 0.15] = np.nan
    [(name, value)] = weights.items()
    model = RobustMatrixCompletion()
    found = model.fit_transform(X, **{name: np.full(120 if name == "sample_weight" else X.shape, value)})
    np.testing.assert_array_equal(found, RobustMatrixCompletion().fit_transform(X))


@pytest.mark.filterwarnings("ignore:.*not identifiable:UserWarning")  # some of these rows, of noise alone
def test_rows_that_hardly_count_do_not_widen_intervals():
    rng = np.random.RandomState(0)
    size = 3.0 / np.arange(1.0, 21.0) ** 1.5
    clean = rng.standard_normal((500, 20)) * size @ rng.standard_normal((20, 25))
    loud = np.arange(500) % 2 == 1
    data = clean + np.where(loud, 4.0, 0.3)[:, None] * rng.standard_normal(clean.shape)
    data[rng.uniform(size=data.shape) < 0.2] = np.nan
    model = RobustMatrixCompletion().fit(data, sample_weight=np.where(loud, 0.02, 1.0))
    other = RobustMatrixCompletion().fit(data[~loud])
    widths = [np.mean(np.subtract(*each.predict_interval(data[~loud])[::-1])) for each in (model, other)]
    assert widths[0] < 1.4 * widths[1]


def test_weights_that_sum_to_one_are_named():
    """They count as one row: nothing can be learnt from it, and it is not clear why."""
    X = load_wine().data
    weight = np.full(len(X), 1.0 / len(X))
    weight[:5] *= 2.0
    with pytest.warns(ConvergenceWarning, match=r"sample_weight of 178 different rows sums to 1.03, as if"):
        RobustMatrixCompletion().fit(X, sample_weight=weight)
    assert RobustMatrixCompletion().fit(X, sample_weight=weight / weight.mean()).converged_
