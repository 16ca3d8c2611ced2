"""What tells a fit that is to be trusted from one that is not, beyond what the studies count."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr._operators.dense import DenseMeasurements
from sklearn_robustlr._operators.entries import EntryMeasurements
from sklearn_robustlr._operators.observed import Entries, core
from sklearn_robustlr._rows import regression as _rows
from sklearn_robustlr._rows.regression import RowSpace
from sklearn_robustlr._selection import verdict as _verdict
from sklearn_robustlr._selection.evidence import left_over
from sklearn_robustlr._utils.values import Fit
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import relative_recovery_error


def leftover_of(kind, hidden, rng):
    """`left_over` of a fit that leaves noise, and a hidden direction of this size in noise edges."""
    shape, size = (40, 30), 1000
    u, v = rng.standard_normal(40), rng.standard_normal(30)
    direction = np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v))
    if kind == "entries":
        places = np.sort(rng.permutation(1200)[:size])
        rows, cols = (index.astype(np.int32) for index in np.divmod(places, 30))
        measurements = EntryMeasurements(rows, cols, np.zeros(size), shape)
        seen, edge = direction[rows, cols], (np.sqrt(40) + np.sqrt(30)) / np.sqrt(size / 1200)
    else:
        data = rng.standard_normal((size, 1200))
        measurements = DenseMeasurements(data, np.zeros(size), shape)
        seen, edge = data @ direction.ravel(), (np.sqrt(40) + np.sqrt(30)) / np.sqrt(size)
    residual = rng.standard_normal(size) + hidden * edge * seen
    nothing = np.zeros((40, 1)), np.zeros(1), np.zeros((30, 1))
    return left_over(Fit(*nothing, residual, float(residual.std()), np.ones(size), 69), measurements)


@pytest.mark.parametrize("kind", ["entries", "dense"])
def test_residuals_of_noise_have_nothing_in_common(kind):
    found = {hidden: [leftover_of(kind, hidden, np.random.RandomState(s)) for s in range(20)] for hidden in (0.0, 2.0)}
    assert sum(ratio > 1.0 for ratio in found[0.0]) <= 1
    assert min(found[2.0]) > 1.0


def test_a_weak_direction_that_no_start_led_to_is_found_in_what_is_left():
    p = make_measurements(
        2066, shape=(35, 28), rank=4, ensemble="sign", outliers=0.205, outlier_kind="stuck", condition=6.218,
        noise=0.31, random_state=63028,
    )  # fmt: skip
    model = RobustLowRankRecovery(shape=(35, 28)).fit(p.data, p.target)
    assert model.rank_ == 4
    assert model.converged_
    assert np.linalg.norm(model.coef_ - p.coef) < 0.15 * np.linalg.norm(p.coef)


@pytest.mark.parametrize("init_scale", [1e-4, 1e-3, 0.1, 1.0])
@pytest.mark.parametrize(
    ("shape", "rank", "kind", "seed"),
    [((53, 47), 1, "huge", 19014), ((44, 59), 2, "one-sided", 19045), ((46, 43), 2, "one-sided", 19033)],
)
def test_errors_do_not_pass_for_a_direction_beside_noise(shape, rank, kind, seed, init_scale):
    """From these starts a block of errors was a direction of its own, and the fit of the right rank was stuck."""
    p = make_corrupted_matrix(
        shape, rank, observed=0.83, outliers=0.18, outlier_kind=kind, condition=2.4, noise=0.1, random_state=seed
    )
    model = RobustMatrixCompletion(init_scale=init_scale, max_iter=1000)
    assert np.linalg.norm(model.fit_transform(p.data) - p.clean) < 0.1 * np.linalg.norm(p.clean)
    assert model.rank_ == rank
    assert model.converged_


def error_of_the_known(model, problem):
    """Largest error in the rows and columns that are not said to be undetermined; how many those are."""
    rows = np.setdiff1d(np.arange(problem.clean.shape[0]), model.undetermined_rows_)
    cols = np.setdiff1d(np.arange(problem.clean.shape[1]), model.undetermined_columns_)
    known = np.ix_(rows, cols)
    found = (model.left_ * model.singular_values_) @ model.right_.T
    return np.max(np.abs(found - problem.clean)[known]) / np.abs(problem.clean).max(), (len(rows), len(cols))


@pytest.mark.filterwarnings("ignore:.*to be identifiable")
@pytest.mark.parametrize(
    ("told", "known"),
    [
        # each of those rows met its one entry in a column, whatever that was: it counted four that it met
        (
            {
                "shape": (144, 41), "rank": 1, "observed": 0.08252087343643998, "outliers": 0.10566475271014499,
                "outlier_kind": "cauchy", "condition": 9.74855190586541, "random_state": 64025,
            },
            (90, 35),
        ),
        # two columns were met in rows that were given up after them
        (
            {
                "shape": (66, 81), "rank": 1, "observed": 0.04916002266424659, "outliers": 0.1220810484852802,
                "outlier_kind": "same-size", "condition": 1.9438184259271751, "random_state": 180200,
            },
            (30, 30),
        ),
        # a column has as many entries of the wrong sign, in rows that are known
        (
            {
                "shape": (179, 98), "rank": 2, "observed": 0.09622694577427673, "outliers": 0.17643299825679526,
                "outlier_kind": "sign-flip", "condition": 3.156182093906178, "random_state": 190095,
            },
            (120, 90),
        ),
    ],
)  # fmt: skip
def test_what_rows_tell_that_are_not_known_is_not_known(told, known):
    p = make_corrupted_matrix(**told, sampling="uneven")
    model = RobustMatrixCompletion().fit(p.data)
    error, left = error_of_the_known(model, p)
    assert model.converged_
    assert error < 1e-7
    assert left[0] > known[0] and left[1] > known[1]


@pytest.mark.parametrize(
    ("told", "error"),
    [
        # in fits to nine tenths of the entries a descent was stuck, that from where it began was not
        pytest.param(
            {
                "shape": (55, 199), "rank": 5, "observed": 0.4293928803039989, "outliers": 0.07736019114952437,
                "outlier_kind": "huge", "condition": 3.7246884173207135, "noise": 0.19793564660720278,
                "random_state": 190068,
            }, 0.15, id="parts",
        ),
        # rank 4 left twenty times the noise of rank 3, and was taken for one that gains
        pytest.param(
            {
                "shape": (185, 50), "rank": 3, "observed": 0.6421555286697064, "outliers": 0.431660518994369,
                "outlier_kind": "one-sided", "condition": 5.503747327815631, "noise": 0.13345165679519616,
                "random_state": 190249,
            }, 0.08, id="larger rank",
        ),
        # 2.9 sound entries an unknown at rank 8, of which the residuals of rank 7 speak as well
        pytest.param(
            {
                "shape": (187, 75), "rank": 8, "observed": 0.4773065170690614, "outliers": 0.10974212256926892,
                "outlier_kind": "same-size", "condition": 9.107770240593778, "noise": 0.12856550787136173,
                "random_state": 190118,
            }, 0.11, id="few",
        ),
    ],
)  # fmt: skip
def test_a_right_fit_is_trusted(told, error):
    """Each was warned of, or missed a direction, for another reason."""
    p = make_corrupted_matrix(**told)
    model = RobustMatrixCompletion(replace="all")
    assert relative_recovery_error(p.clean, model.fit_transform(p.data)) < error
    assert model.rank_ == told["rank"]
    assert model.converged_


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (
            {
                "shape": (145, 130), "rank": 6, "observed": 0.8992707768497593, "outliers": 0.5386728912872423,
                "condition": 9.796608197067426, "noise": 0.22876876889406483, "sampling": "uneven",
                "random_state": 190225,
            }, 0.13,
        ),
        (
            {
                "shape": (174, 67), "rank": 2, "observed": 0.24557303972737113, "outliers": 0.37006905640280263,
                "condition": 8.07782686503711, "noise": 0.038865317843980646, "random_state": 180109,
            }, 0.04,
        ),
    ],
)  # fmt: skip
def test_a_row_most_of_which_is_wrong_is_regressed_from_what_is_likely(told, error):
    """One row met 20 entries and not the 45 that are sound; another, three by coefficients twenty times the others."""
    p = make_corrupted_matrix(**told, outlier_kind="one-sided")
    estimate = RobustMatrixCompletion(replace="all").fit_transform(p.data)
    assert relative_recovery_error(p.clean, estimate) < error


def test_a_value_in_more_than_half_of_the_entries_among_others_that_never_repeat():
    p = make_corrupted_matrix(
        (50, 40), 1, observed=0.7, outliers=0.55, outlier_kind="stuck", condition=3.0, random_state=1
    )
    model = RobustMatrixCompletion(replace="all")
    assert relative_recovery_error(p.clean, model.fit_transform(p.data)) < 1e-9
    assert model.converged_


def test_a_column_that_is_stuck_is_regressed_on_the_rows_that_are_known():
    p = make_corrupted_matrix(
        (101, 95), 3, observed=0.15081423885633066, outliers=0.2962090848593664, outlier_kind="stuck",
        condition=8.909235015886974, random_state=63046,
    )  # fmt: skip
    model = RobustMatrixCompletion().fit(p.data)
    assert error_of_the_known(model, p) == (pytest.approx(0.0, abs=1e-9), (101, 95))


@pytest.mark.filterwarnings("ignore:.*to be identifiable")
@pytest.mark.parametrize(
    ("shape", "outliers", "condition", "seed"),
    [
        ((93, 115), 0.3629959620359996, 3.822628094616956, 64041),
        ((148, 85), 0.3848731157278845, 9.487913734244225, 64203),
    ],
)
def test_a_row_half_of_whose_signs_are_wrong_is_not_known(shape, outliers, condition, seed):
    """Of the first matrix three columns were stuck on the minority; of the second, one row has more wrong signs."""
    p = make_corrupted_matrix(
        shape, 1, outliers=outliers, outlier_kind="sign-flip", condition=condition, random_state=seed
    )
    model = RobustMatrixCompletion().fit(p.data)
    error, known = error_of_the_known(model, p)
    assert model.converged_
    assert error < 1e-9
    assert min(known) > 0.75 * min(shape)


def test_rows_of_few_wrong_signs_are_known():
    p = make_corrupted_matrix((60, 50), 2, outliers=0.15, outlier_kind="sign-flip", random_state=0)
    model = RobustMatrixCompletion().fit(p.data)
    assert error_of_the_known(model, p) == (pytest.approx(0.0, abs=1e-9), (60, 50))


@pytest.mark.filterwarnings("ignore:.*to be identifiable")
def test_a_rank_that_the_data_ask_for_but_do_not_determine_is_said():
    p = make_corrupted_matrix(
        (182, 176), 3, observed=0.051449596199152126, outliers=0.2908049019471191, outlier_kind="cauchy",
        condition=9.317587941450961, mean=2.0, random_state=64235,
    )  # fmt: skip
    with pytest.warns(ConvergenceWarning, match="too few to determine it"):
        RobustMatrixCompletion().fit(p.data)


def test_a_step_up_that_explains_what_is_left_is_walked_down_again():
    p = make_corrupted_matrix(
        (84, 56), 4, outliers=0.2636277077146367, outlier_kind="one-sided", condition=9.671526684206492,
        random_state=90133,
    )  # fmt: skip
    model = RobustMatrixCompletion(replace="all")
    assert np.max(np.abs(model.fit_transform(p.data) - p.clean)) < 1e-9 * np.abs(p.clean).max()
    assert model.rank_ == 4


def test_errors_that_an_exact_fit_of_small_targets_meets_are_no_directions():
    """Found from the smaller targets at rank five; of all, the rank is four."""
    p = make_corrupted_matrix(
        (121, 134), 3, observed=0.5262, outliers=0.371, outlier_kind="one-sided", condition=6.879, mean=2.0,
        random_state=70165,
    )  # fmt: skip
    model = RobustMatrixCompletion(replace="all")
    assert np.max(np.abs(model.fit_transform(p.data) - p.clean)) < 1e-9 * np.abs(p.clean).max()
    assert model.rank_ == 4


@pytest.mark.parametrize("multiple", [5, 8, 20])
def test_noise_scale_is_unbiased(multiple):
    ratios = []
    for seed in range(8):
        p = make_measurements(multiple * 76, shape=(20, 20), rank=2, outliers=0.0, noise=0.2, random_state=seed)
        model = RobustLowRankRecovery(shape=(20, 20)).fit(p.data, p.target)
        ratios.append(model.scale_ / np.std(p.target - p.clean_target))
    assert abs(np.median(ratios) - 1.0) < 0.03


def test_one_direction_of_noise_is_not_taken_for_structure_without_a_polish(rng):
    X, y = rng.standard_normal((300, 48)), rng.standard_normal(300)
    told = {"shape": (8, 6), "rank": 1, "polish": False, "max_iter": 500}
    with pytest.warns(ConvergenceWarning, match="what one direction leaves"):
        RobustLowRankRecovery(**told).fit(X, y)
    u, v = rng.standard_normal(8), rng.standard_normal(6)
    assert RobustLowRankRecovery(**told).fit(X, X @ np.kron(u, v) + 0.1 * y).converged_


def test_core_counts_the_entries_of_a_mask_alone():
    """A chain: the last column has two entries, one of them in a row that has no other that counts."""
    X = np.array([[1.0, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1], [0, 0, 2, 1]])
    rows, cols = core(Entries(X), 2, among=X.ravel() == 1)
    np.testing.assert_array_equal(rows, [True, True, True, False])
    np.testing.assert_array_equal(cols, [True, True, True, False])


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_signs_that_cannot_be_told_are_not_trusted(rng, noise):
    """A matrix of rank one with signs of its own agrees with as many entries: 49 % are flipped."""
    X = np.outer(rng.uniform(1, 2, 60), rng.uniform(1, 2, 50))
    X[rng.uniform(size=X.shape) < 0.49] *= -1
    # with noise further ranks may be tried in vain
    said = "are met.*nearly all others with the other sign" if not noise else "did not converge"
    with pytest.warns(ConvergenceWarning, match=said):
        model = RobustMatrixCompletion().fit(X + noise * rng.standard_normal(X.shape))
    assert not model.converged_


@pytest.mark.parametrize(("clear", "open_"), [(1.0, True), (0.4, True), (0.1, False)])
def test_signs_are_told_by_the_entries_that_stand_out_of_the_noise(rng, clear, open_):
    """Where those are few, that most of them have the other sign may be chance, and says nothing of the others."""
    rows, cols = (index.astype(np.int32).ravel() for index in np.indices((60, 50)))
    y = np.where(rng.uniform(size=3000) < clear, 3.0, 0.1) * rng.choice([-1.0, 1.0], 3000)
    prediction = np.where(rng.uniform(size=3000) < 0.55, -y, y)
    base = EntryMeasurements(rows, cols, y, (60, 50))
    nothing = np.zeros((60, 1)), np.zeros(1), np.zeros((50, 1))
    fit = Fit(*nothing, prediction - y, 0.3, np.ones(3000), 109)
    assert _verdict._signs_are_open(fit, base, 1.0) == open_


def test_the_opposite_of_a_matrix_is_not_trusted():
    """With 54 % of the signs turned the fit is that of the opposite, and exact."""
    problem = make_measurements(
        674,
        (15, 16),
        2,
        ensemble="rank_one",
        outliers=0.545,
        outlier_kind="sign-flip",
        condition=5.0,
        random_state=110103,
    )
    with pytest.warns(ConvergenceWarning):
        RobustLowRankRecovery(measurements="rank_one", shape=(15, 16)).fit(problem.data, problem.target)


@pytest.mark.filterwarnings("ignore:.*of the other sign")
def test_a_look_at_some_rows_spares_the_others_and_changes_nothing(monkeypatch):
    """Signs that cannot be told are looked for in all rows only where some rows have wrong signs at all."""
    turned = RowSpace._turned
    shapes, found = [], {}

    def spy(space, entries, *args):
        shapes.append(entries.shape[0])
        return turned(space, entries, *args)

    monkeypatch.setattr(RowSpace, "_turned", spy)
    for kind, looks in (("huge", ["some"]), ("sign-flip", ["some", "all"])):
        problem = make_corrupted_matrix((150, 40), 2, outliers=0.3, outlier_kind=kind, random_state=0)
        for few in (500, 10**9):
            monkeypatch.setattr(_rows, "_FEW_ENTRIES", few)
            shapes.clear()
            model = RobustPCA().fit(problem.data)
            found[few] = [model.undetermined_rows_, model.undetermined_columns_]
            assert ["all" if n == 150 else "some" for n in shapes] == (looks if few == 500 else ["all"])
        assert_array_equal(np.concatenate(found[500]), np.concatenate(found[10**9]))


def test_a_rank_that_gains_much_is_not_passed_over():
    """The weaker directions of a matrix of which little is seen are no noise, though few entries tell them."""
    problem = make_corrupted_matrix(
        (101, 125), 4, observed=0.106, outliers=0.257, outlier_kind="same-size", condition=8.0, mean=2.0,
        random_state=70040,
    )  # fmt: skip
    with pytest.warns(ConvergenceWarning):
        RobustMatrixCompletion().fit(problem.data)


def test_what_is_near_its_opposite_by_chance_has_no_wrong_sign():
    """A stuck value: where the noise is large, much of it lies within the threshold of the opposite of the truth."""
    problem = make_corrupted_matrix(
        (119, 100), 2, observed=0.39104, outliers=0.3233, outlier_kind="stuck", condition=4.5469, noise=0.3938,
        random_state=141094,
    )  # fmt: skip
    model = RobustMatrixCompletion().fit(problem.data)
    assert model.converged_ and not len(model.undetermined_rows_) and not len(model.undetermined_columns_)


def test_a_larger_rank_that_is_stuck_does_not_hide_the_right_one():
    """Over half are Cauchy errors: fits of 6 to 13 directions leave far more than those of 3 and 4."""
    problem = make_measurements(
        1232, (31, 24), 4, ensemble="rank_one", outliers=0.540339231464513, outlier_kind="cauchy",
        condition=9.83697002842913, random_state=141167,
    )  # fmt: skip
    model = RobustLowRankRecovery(measurements="rank_one", shape=(31, 24)).fit(problem.data, problem.target)
    assert model.rank_ == 4
    assert relative_recovery_error(problem.coef, model.coef_) < 1e-6


def test_a_fit_that_does_not_stay_is_not_trusted_beside_a_gap():
    """With 7.5 measurements an unknown that seem sound, and a gap of 3.7, the error is four times what it could be."""
    problem = make_measurements(
        1503, (13, 34), 4, outliers=0.4536135785514847, outlier_kind="same-size", condition=5.786183439975679,
        noise=0.20285143842025583, random_state=200222,
    )  # fmt: skip
    with pytest.warns(ConvergenceWarning):
        RobustLowRankRecovery(shape=(13, 34)).fit(problem.data, problem.target)


def test_noise_that_hides_all_of_the_data_is_not_trusted():
    """With 56 % one-sided errors and a mean, one direction and noise of 0.77 explain all, and nothing is right."""
    problem = make_corrupted_matrix(
        (166, 119), 7, outliers=0.5632194423969583, outlier_kind="one-sided", condition=2.889091712627205,
        noise=0.3567443230017802, mean=2.0, random_state=210115,
    )  # fmt: skip
    with pytest.warns(ConvergenceWarning, match="about as large as the data"):
        RobustPCA().fit(problem.data)


def test_errors_of_the_data_s_own_size_in_nearly_half_are_not_taken_for_noise():
    """What a fit that is stuck leaves falls away as smoothly as errors with a heavy tail: it must stay where it is."""
    problem = make_corrupted_matrix(
        (71, 100), 7, observed=0.8104654186230518, outliers=0.4525544078827234, outlier_kind="same-size",
        condition=4.883538856796564, noise=0.05680502083364132, random_state=150026,
    )  # fmt: skip
    with pytest.warns(ConvergenceWarning):
        RobustMatrixCompletion().fit(problem.data)


def test_the_search_does_not_try_starts_until_one_passes():
    """Fits from many starts leave the same noise, and one of them has parts that agree by chance."""
    problem = make_corrupted_matrix(
        (103, 57), 4, observed=0.17783784092202237, outliers=0.1715218209755319, outlier_kind="same-size",
        condition=2.2617172995800496, mean=2.0, random_state=150200,
    )  # fmt: skip
    with pytest.warns(ConvergenceWarning):
        RobustMatrixCompletion().fit(problem.data)


@pytest.mark.filterwarnings("ignore:.*the noise is about as large")
def test_weak_directions_beside_large_noise_are_kept():
    """With five sound entries an unknown; least squares told rank and errors comes to 0.33."""
    problem = make_corrupted_matrix(
        (168, 55), 6, observed=0.6309132229844372, outliers=0.044953109129217225, outlier_kind="stuck",
        condition=6.172359771452349, noise=0.3949405768354853, leverage="heavy", random_state=141220,
    )  # fmt: skip
    estimate = RobustMatrixCompletion(replace="all").fit_transform(problem.data)
    assert np.linalg.norm(estimate - problem.clean) < 0.32 * np.linalg.norm(problem.clean)
