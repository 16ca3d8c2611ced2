"""Values that most entries have, or that stand for missing ones: zeros of rain and counts, codes, columns of grades."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA, compression
from sklearn_robustlr.datasets import make_corrupted_matrix

SHAPE, RANK = (150, 40), 3


def coded(share, *, code=0.0, mean=5.0, noise=0.0, seed=3, shape=SHAPE):
    """A matrix of rank 3 beside a mean, a share of its entries in place of which there is a code, and their mask."""
    rng = np.random.RandomState(seed)
    clean = rng.standard_normal((shape[0], RANK)) @ rng.standard_normal((RANK, shape[1])) / np.sqrt(RANK) + mean
    data, missing = clean + noise * rng.standard_normal(shape), rng.uniform(size=shape) < share
    data[missing] = code
    return clean, data, missing


@pytest.mark.parametrize("share", [0.35, 0.65])
@pytest.mark.parametrize("mean", [0.0, 5.0])
def test_missing_values_that_are_coded_as_zero_are_seen_through(share, mean):
    clean, data, missing = coded(share, mean=mean)
    model = RobustMatrixCompletion().fit(data)
    assert model.stop_reason_ == "exact" and model.rank_ == RANK + (mean > 0.0)
    assert_array_equal(model.outliers_, missing)
    assert_allclose(model.transform(data), clean, atol=1e-8)
    assert_allclose(model.transform(data[:7]), clean[:7], atol=1e-8)


@pytest.fixture(scope="module")
def half_coded():
    """Noise, and half of the entries a code: the truth, the data, where the code is, a fit, and its estimates."""
    clean, data, missing = coded(0.5, noise=0.1)
    model = RobustMatrixCompletion(replace="all")
    estimate = model.fit_transform(data)
    return clean, data, missing, model, estimate


def test_they_are_with_noise_in_streams_and_by_components(half_coded):
    clean, data, missing, model, estimate = half_coded
    told = RobustMatrixCompletion(replace="all").fit_transform(np.where(missing, np.nan, data))
    best = np.sqrt(np.mean((told - clean) ** 2))
    stream = RobustMatrixCompletion(replace="all").partial_fit(data[:110]).partial_fit(data[110:])
    for one in (model, stream):
        assert one.stop_reason_ == "noisy"
        assert np.sqrt(np.mean((one.transform(data) - clean) ** 2)) < 1.05 * best
    assert model.outliers_[missing].all() and model.outliers_[~missing].mean() < 0.01
    again, deviation = model.transform(data, return_std=True)
    assert_array_equal(again, estimate)
    assert 0.85 < np.mean(np.abs(estimate - clean) < 1.645 * deviation) < 0.95
    pca, best = RobustPCA(RANK).fit(data), PCA(RANK).fit(clean)
    assert np.linalg.svd(pca.components_ @ best.components_.T)[1].min() > 0.999
    assert_allclose(pca.explained_variance_, best.explained_variance_, rtol=0.02)


def test_a_code_beyond_all_values_is_seen_through_where_it_is_most_of_them():
    clean, data, missing = coded(0.65, code=-999.0, mean=0.0, noise=0.1)
    model = RobustMatrixCompletion(replace="all").fit(data)
    assert model.stop_reason_ == "noisy" and model.rank_ == RANK
    assert_array_equal(model.outliers_[missing], True)
    assert np.sqrt(np.mean((model.transform(data) - clean) ** 2)) < 0.1 * clean.std()


def test_codes_tell_no_more_of_the_uncertainty_than_missing_values():
    _, data, missing = coded(0.4, code=-999.0, mean=0.0, noise=0.2, seed=2, shape=(200, 60))
    widths, deviations = [], []
    for table in (data, np.where(missing, np.nan, data)):
        model = RobustMatrixCompletion().fit(table)
        widths.append(np.subtract(*model.predict_interval(table)[::-1])[missing])
        deviations.append(model.transform(table, return_std=True)[1][missing])
    assert_allclose(widths[0], widths[1], rtol=1e-6)
    assert_allclose(deviations[0], deviations[1], rtol=1e-6)


def test_a_stored_model_knows_the_code(half_coded, tmp_path):
    clean, data, _, model, _ = half_coded
    path = tmp_path / "model.npz"
    compression.compress(model, allow_loss=True).save(path)
    assert np.sqrt(np.mean((compression.load(path).transform(data) - clean) ** 2)) < 0.1


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_values_that_were_cut_off_say_that_their_rows_are_there(share):
    """They are no codes: of those beside the limit only the ones far beyond it are flagged."""
    clean, data, _ = coded(0.0, mean=0.0, noise=0.1)
    limit = np.quantile(data, share)
    model = RobustMatrixCompletion(replace="all").fit(np.maximum(data, limit))
    near = (data < limit) & (clean > limit - 0.1)
    assert model.stop_reason_ == "noisy" and model.outliers_[near].mean() < 0.1


@pytest.mark.parametrize("value", ["rain", "alarm"])
def test_a_value_that_is_most_of_a_column_and_of_no_other_is_its_own(value):
    """Zeros of a gauge or an alarm beside columns without any: were they left out, nothing would be known of it."""
    _, data, _ = coded(0.0, mean=0.0, noise=0.1)
    rng = np.random.RandomState(0)
    events = rng.uniform(size=len(data)) < 0.2
    column = np.where(events, rng.gamma(1.0, 5.0, len(data)) if value == "rain" else 1.0, 0.0)
    model = RobustMatrixCompletion().fit(np.column_stack([data, column]))
    assert not model.outliers_[~events, -1].any()
    assert_allclose(model.transform(np.column_stack([data, column]))[~events, -1], 0.0)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_limit_of_the_range_is_no_code():
    """Negative values of which only zero is kept: the zeros say that their rows are low there, and are not replaced."""
    rng = np.random.RandomState(0)
    clean = rng.standard_normal((300, 3)) @ rng.standard_normal((3, 40)) / np.sqrt(3.0)
    data = np.maximum(clean + 0.3 * rng.standard_normal(clean.shape), 0.0)
    model = RobustMatrixCompletion().fit(data)
    assert model.outliers_.mean() < 0.03


def rain(rng):
    """Amounts on a quarter of the days, which stations near one another share."""
    wet = rng.standard_normal((300, 3)) @ rng.standard_normal((3, 40)) / np.sqrt(3.0)
    amount = rng.gamma(0.7, 5.0, wet.shape) * np.exp(0.5 * wet)
    return np.where(wet + 0.3 * rng.standard_normal(wet.shape) > 0.6, amount, 0.0)


def pixels(rng):
    """Strokes on a background of zeros."""
    stroke = rng.standard_normal((300, 3)) @ rng.standard_normal((3, 40)) / np.sqrt(3.0)
    return np.maximum(stroke + 0.3 * rng.standard_normal(stroke.shape) - 0.5, 0.0)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", [rain, pixels])
def test_where_most_values_are_zero_the_others_are_no_errors(kind):
    """Where they were, up to half of the other values of clean data were taken away, and intervals had no width."""
    rng = np.random.RandomState(0)
    truth = kind(rng)
    hidden = rng.uniform(size=truth.shape) < 0.2
    data = np.where(hidden, np.nan, truth)
    model = RobustMatrixCompletion().fit(data)
    assert model.outliers_.mean() < 0.03
    low, high = model.predict_interval(data, coverage=0.9)
    assert 0.85 < np.mean(((low <= truth) & (truth <= high))[hidden]) < 0.95


def daily_rain(seed, n=350, p=25):
    """Amounts at stations near one another, in tenths, of long tails; most days are dry."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(0.0, 1.0, (p, 2))
    apart = np.linalg.norm(place[:, None] - place[None], axis=2)
    root = np.linalg.cholesky(np.exp(-apart) + 1e-9 * np.eye(p))
    wet = rng.normal(size=(n, p)) @ root.T + rng.normal(size=(n, 1)) * 0.7 - 0.3
    return np.round(np.where(wet > 0.0, np.exp(1.2 * wet) - 1.0, 0.0) * 3.0, 1)


def test_heavy_rain_is_no_error():
    """Units of columns were those of long tails, which are not long in these: a tenth of the wet days were flagged."""
    truth = daily_rain(0)
    hidden = np.random.RandomState(0).uniform(size=truth.shape) < 0.15
    data = np.where(hidden, np.nan, truth)
    model = RobustMatrixCompletion().fit(data)
    assert model.outliers_[truth > 0.0].mean() < 0.05
    low, high = model.predict_interval(data, coverage=0.9)
    assert np.mean(((low <= truth) & (truth <= high))[hidden]) > 0.88
    assert len(model.log_features_) > 10


def test_rare_alarms_beside_a_sensor_log_are_no_errors():
    """A fit in units of noise that counts the hours without an alarm takes all alarms for errors."""
    rng, hour = np.random.RandomState(510001), np.arange(600)
    day = 2.0 * np.pi * hour / 24.0
    drive = np.column_stack([np.sin(day), np.cos(day), np.cumsum(rng.standard_normal(600)) / 15.0, rng.randn(600)])
    log = drive @ rng.standard_normal((4, 20)) + 0.3 * rng.standard_normal((600, 20))
    spikes = rng.uniform(size=log.shape) < 0.03
    log[spikes] += rng.choice([-10.0, 10.0], np.count_nonzero(spikes))
    data = np.column_stack([log, rng.uniform(size=600) < 0.02])
    data[rng.uniform(size=data.shape) < 0.1] = np.nan
    model = RobustMatrixCompletion().fit(data)
    assert model.stop_reason_ == "noisy"
    assert not model.outliers_[:, -1].any() and model.outliers_[:, :-1][spikes & np.isfinite(data[:, :-1])].all()


@pytest.mark.parametrize("kind", ["grades", "status"])
def test_a_column_of_few_values_beside_a_sharp_rank_is_left_alone(kind):
    rng = np.random.default_rng(5)
    table = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 10)) + 0.5 * rng.normal(size=(300, 10))
    column = {
        "grades": rng.integers(1, 6, 300),
        "status": np.arange(300) % 100 < 10,
    }[kind]
    data = np.column_stack([table, column])
    model = RobustMatrixCompletion().fit(data)
    assert model.converged_ and not model.outliers_[:, -1].any()
    assert_array_equal(model.transform(data)[:, -1], column)


@pytest.mark.parametrize("kind", ["sums", "iris"])
def test_columns_that_depend_on_one_another_do_not_make_the_table_exact(kind):
    """They can be met exactly, and all others would be errors."""
    X = load_diabetes().data
    iris = load_iris().data
    data = {
        "sums": np.column_stack([X, X[:, 2] + X[:, 3], X[:, 4] - X[:, 5]]),
        "iris": np.column_stack([iris, iris[:, 0] + iris[:, 1], iris[:, 2] - iris[:, 3], iris.mean(axis=1)]),
    }[kind]
    model = RobustMatrixCompletion().fit(data)
    assert model.outliers_.mean() < 0.02
    # iris with these columns is of rank 4, without an error
    assert model.stop_reason_ == "approximate" or (kind == "iris" and model.rank_ == 4 and not model.outliers_.any())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_that_meets_a_few_values_is_not_called_noisy():
    """Of rank two, it met most of these logarithms of counts, and estimates were hundreds of times the largest."""
    rng = np.random.RandomState(104)
    latent = rng.standard_normal((500, 3)) @ rng.standard_normal((3, 40)) / np.sqrt(3)
    latent += 0.3 * rng.standard_normal(latent.shape)
    data = np.log1p(rng.poisson(np.exp(0.8 * latent + rng.normal(-1.0, 1.0, 40))))
    hidden = rng.uniform(size=data.shape) < 0.2
    seen = np.where(hidden, np.nan, data)
    model = RobustMatrixCompletion(replace="all").fit(seen)
    assert model.stop_reason_ != "noisy" and np.abs(model.transform(seen)).max() <= np.nanmax(seen)
    missed, by_median = ((estimate - data)[hidden] for estimate in (model.transform(seen), np.nanmedian(seen, axis=0)))
    assert np.mean(missed**2) < 0.75 * np.mean(by_median**2)


def test_half_of_the_columns_are_random():
    """The others are met exactly: the model of tables predicts all of them a little better, and is not better."""
    rng = np.random.RandomState(90001)
    clean = make_corrupted_matrix((100, 80), 3, outliers=0, random_state=rng).clean
    data, lost = clean.copy(), rng.permutation(80)[:40]
    data[:, lost] = 3.0 * clean.std() * rng.standard_normal((100, 40))
    with pytest.warns(UserWarning, match="40 columns of X"):
        model = RobustMatrixCompletion(replace="all").fit(data)
    assert model.stop_reason_ == "exact" and set(model.undetermined_columns_) == set(lost)
    known = np.setdiff1d(np.arange(80), lost)
    assert_allclose(model.transform(data)[:, known], clean[:, known], atol=1e-8)


@pytest.mark.filterwarnings("ignore:2 rows of X:UserWarning")
def test_columns_that_are_cut_off_whole_do_not_cost_an_exact_fit():
    """The model of tables tells their signs, and is worse in all."""
    rng = np.random.RandomState(90004)
    clean = make_corrupted_matrix((100, 80), 3, outliers=0, random_state=rng).clean
    limit = np.quantile(np.abs(clean), 0.7)
    model = RobustMatrixCompletion(replace="all")
    estimate = np.delete(model.fit_transform(np.clip(clean, -limit, limit)), model.undetermined_rows_, axis=0)
    assert_allclose(estimate, np.delete(clean, model.undetermined_rows_, axis=0), atol=1e-8)


def test_a_picture_that_does_not_change_is_noisy_and_no_worse_than_its_medians():
    """By a hundredth it is, beyond chance: these have seen the held-out entries."""
    rng = np.random.default_rng(0)
    data = rng.random((1, 1000)) + 0.01 * rng.normal(size=(60, 1000))
    assert RobustMatrixCompletion().fit(data).stop_reason_ == "noisy"


def test_sensors_that_are_stuck_for_half_of_the_time_are_seen_through():
    """Each at a value of its own, which half of its values have, and none of the others."""
    rng = np.random.RandomState(90000)
    clean = make_corrupted_matrix((100, 80), 3, outliers=0, random_state=rng).clean
    first = rng.randint(100, size=80)
    stuck = (np.arange(100)[:, None] - first) % 100 < 50
    model = RobustMatrixCompletion(replace="all")
    assert_allclose(model.fit_transform(np.where(stuck, clean[first - 1, np.arange(80)], clean)), clean, atol=1e-8)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("seed", [1, 22])
def test_no_fit_of_parts_of_a_whole_is_worse_than_medians(seed):
    """The mean of the rows is one direction, and says no more than the medians do: 2 to 7 % less where it was found."""
    data = np.random.default_rng(seed).dirichlet([3, 2, 3, 4, 5, 1], 100)
    hidden = np.random.default_rng(100 + seed).random(data.shape) < 0.1
    X = np.where(hidden, np.nan, data)
    model = RobustMatrixCompletion().fit(X)
    size = data.std(axis=0)
    medians = np.broadcast_to(np.nanmedian(X, axis=0), X.shape)
    errors = [np.mean(((Z - data) / size)[hidden] ** 2) for Z in (model.transform(X), medians)]
    assert errors[0] < errors[1]


@pytest.mark.parametrize("jitter", [1e-15, 1e-9])
def test_ties_up_to_rounding_are_ties(jitter):
    rng = np.random.default_rng(0)
    data = rng.integers(1, 6, (300, 10)) + jitter * rng.normal(size=(300, 10))
    with pytest.warns(ConvergenceWarning):
        model = RobustMatrixCompletion().fit(data)
    assert not model.converged_ and model.outliers_.mean() < 0.01


def test_a_switch_beside_a_sensor_log_with_spikes_is_left_alone():
    """Its noise is not that of the sensors, which follow one another: it begins with one of its own."""
    rng = np.random.default_rng(0)
    time = np.arange(600)
    day = 2.0 * np.pi * time / 24.0
    drive = np.column_stack([np.sin(day), np.cos(day), np.cumsum(rng.normal(size=600)) / 15, rng.normal(size=600)])
    log = drive @ rng.normal(size=(4, 20)) + 0.3 * rng.normal(size=(600, 20))
    spikes = rng.uniform(size=log.shape) < 0.03
    log[spikes] += rng.choice([-1.0, 1.0], spikes.sum()) * 10.0
    data = np.column_stack([log, time // 40 % 5 == 0])
    data[rng.uniform(size=data.shape) < 0.1] = np.nan
    model = RobustMatrixCompletion().fit(data)
    assert not model.outliers_[:, -1].any()
    assert model.outliers_[:, :-1][spikes & np.isfinite(data[:, :-1])].mean() > 0.99


@pytest.mark.parametrize(("kind", "share"), [("one value", 0.1), ("many values", 0.05)])
def test_errors_in_pixels_that_hardly_ever_have_ink_are_found(kind, share):
    """They were the noise of these pixels, and the leading components of all."""
    X = load_digits().data[:200]
    rng = np.random.RandomState(0)
    wrong = rng.uniform(size=X.shape) < share
    data = np.where(wrong, 80.0 if kind == "one value" else rng.uniform(60.0, 100.0, X.shape), X)
    robust = RobustPCA(10).fit(data)
    assert robust.outliers_[wrong].mean() > 0.97 and robust.outliers_[~wrong].mean() < 0.02
    told = PCA(10).fit(X)
    held = np.var((X - X.mean(axis=0)) @ robust.components_.T, axis=0).sum() / told.explained_variance_.sum()
    assert held > 0.95


def test_rare_switches_are_no_errors_where_errors_are_as_rare():
    """Errors come about as often in all columns, but none of the others have this value."""
    X = load_breast_cancer().data[:300, :20]
    rng = np.random.RandomState(0)
    wrong = rng.uniform(size=X.shape) < 0.1
    switches = rng.uniform(size=(len(X), 7)) < [0.01, 0.03, 0.05, 0.08, 0.12, 0.2, 0.4]
    model = RobustMatrixCompletion().fit(np.column_stack([X + 10.0 * X.std(axis=0) * wrong, switches]))
    assert not model.outliers_[:, 20:].any() and model.outliers_[:, :20][wrong].mean() > 0.98


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rare_values_are_no_errors_where_others_have_few():
    """One of ten, and one of fifty, beside a sharp rank with a few gross errors."""
    rng = np.random.RandomState(0)
    table = rng.standard_normal((400, 3)) @ rng.standard_normal((3, 12)) + 0.3 * rng.standard_normal((400, 12))
    wrong = rng.uniform(size=table.shape) < 0.005
    table[wrong] += 30.0
    rare = rng.uniform(size=(400, 2)) < [0.1, 0.02]
    model = RobustMatrixCompletion().fit(np.column_stack([table, rare]))
    assert not model.outliers_[:, -2:].any() and model.outliers_[:, :-2][wrong].all()


@pytest.mark.parametrize(("n_rows", "n_items", "n_factors", "tenths"), [(200, 4, 1, False), (300, 6, 2, True)])
def test_answers_of_a_short_questionnaire_are_no_errors(n_rows, n_items, n_factors, tenths):
    """Items of five levels, some turned, of which no value is wrong: a fit may meet most of them exactly by chance.

    In tenths some differ by rounding from others of the same level.
    """
    for seed in range(2):
        rng = np.random.RandomState(seed)
        loadings = np.zeros((n_items, n_factors))
        for j in range(n_items):
            loadings[j, j % n_factors] = (1 if j % 3 else -1) * rng.uniform(0.8, 1.2)
        factors, noise = rng.standard_normal((n_rows, n_factors)), 0.6 * rng.standard_normal((n_rows, n_items))
        answers = np.clip(np.round(3.0 + 1.1 * (factors @ loadings.T + noise)), 1.0, 5.0)
        if tenths:
            answers = np.where(rng.uniform(size=answers.shape) < 0.5, answers / 10.0, 0.1 * answers)
            answers = np.where(rng.uniform(size=answers.shape) < 0.5, answers, answers * (1.0 + 2.3e-16))
        hidden = rng.uniform(size=answers.shape) < 0.15
        data = np.where(hidden, np.nan, answers)
        model = RobustMatrixCompletion().fit(data)
        assert np.mean(model.outliers_) < 0.02
        lower, upper = model.predict_interval(data)
        assert np.mean(((lower <= answers) & (answers <= upper))[hidden]) > 0.75


@pytest.mark.parametrize("centre", [13.7, 14.0])
def test_products_with_an_indicator_are_not_stuck_at_zero(centre):
    """Years of schooling from their mean, of one group alone: the others have zero, as the indicator tells."""
    rng = np.random.RandomState(5)
    group = (rng.uniform(size=400) < 0.7).astype(float)
    years = np.clip(np.round(13.7 + 2.7 * rng.standard_normal(400) + 0.8 * group), 8.0, 20.0)
    log_wage = 9.0 + 0.09 * years + 0.3 * group + 0.2 * rng.standard_normal(400)
    score = np.round(100.0 + 3.0 * (years - 14.0) + 10.0 * rng.standard_normal(400))
    table = np.column_stack([group, years, log_wage, score, group * years, group * (years - centre)])
    table[np.random.RandomState(105).uniform(size=table.shape) < 0.2] = np.nan
    model = RobustMatrixCompletion().fit(table)
    assert np.mean(model.outliers_[:, -1]) < 0.03


def test_zeros_of_a_product_stay_where_some_of_it_are_errors():
    """One in twenty in the group without that property was one, and all its zeros were flagged."""
    rng = np.random.default_rng(2)
    factors = rng.normal(size=(400, 2))
    table = factors @ rng.normal(size=(2, 7)) + 0.6 * rng.normal(size=(400, 7))
    number, group = np.round(2.0 * table[:, 0]), (rng.random(400) < 0.7).astype(float)
    table = np.column_stack([table[:, 1:], number, group, group * number])
    wrong = np.random.RandomState(2).uniform(size=table.shape) < 0.06
    wrong[:, -2] = False
    table = np.where(wrong, table + 12.0 * np.random.RandomState(2).choice([-1, 1], table.shape), table)
    model = RobustMatrixCompletion().fit(table)
    assert model.outliers_[(table[:, -1] == 0.0), -1].mean() < 0.05
    assert model.outliers_[wrong].mean() > 0.9


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_intervals_of_right_and_wrong_answers_reach_these():
    """95 % ones ended at 0.998, and held 0.69 to 0.74 of the hidden answers of a Rasch model."""
    held = []
    for seed in (0, 1):
        rng = np.random.RandomState(seed)
        skill, difficulty = rng.standard_normal(300), rng.standard_normal(12) - 1.0
        chance = 1.0 / (1.0 + np.exp(-1.2 * (skill[:, None] - difficulty)))
        answers = (rng.uniform(size=chance.shape) < chance).astype(float)
        hidden = rng.uniform(size=chance.shape) < 0.2
        data = np.where(hidden, np.nan, answers)
        lower, upper = RobustMatrixCompletion().fit(data).predict_interval(data, coverage=0.95)
        held.append(np.mean(((lower <= answers) & (answers <= upper))[hidden]))
    assert np.mean(held) > 0.9
