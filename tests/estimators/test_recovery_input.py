"""RobustLowRankRecovery: what it refuses, and what it warns of."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr.datasets import make_measurements


def test_too_few_measurements_warn():
    p = make_measurements(60, shape=(20, 20), rank=3, outliers=0.2, random_state=0)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        fitted = RobustLowRankRecovery(shape=(20, 20)).fit(p.data, p.target)
    assert not fitted.converged_
    assert fitted.stop_reason_ == "undetermined"


def test_pure_noise_warns(rng):
    X = rng.standard_normal((600, 100))
    with pytest.warns(ConvergenceWarning, match="no low-rank structure"):
        RobustLowRankRecovery(shape=(10, 10)).fit(X, rng.standard_normal(600))


def test_zero_measurements_warn(rng):
    with pytest.warns(ConvergenceWarning, match="all of them are zero"):
        RobustLowRankRecovery(shape=(4, 5)).fit(np.zeros((100, 20)), rng.standard_normal(100))


X20, Y20 = np.random.RandomState(0).standard_normal((40, 20)), np.random.RandomState(1).standard_normal(40)
PAIRS = np.random.RandomState(0).randint(0, 5, (40, 2))
BAD_PARAMETERS = [
    ({"rank": 0}, ValueError, "rank must be from 1 to"),
    ({"rank": 5}, ValueError, r"min\(shape\) = 4"),
    ({"rank": 1.5}, TypeError, "rank must be an integer"),
    ({"init_scale": 0}, ValueError, "init_scale must be from 1e-15 to 10, got 0"),
    ({"init_scale": -1.0}, ValueError, "init_scale"),
    ({"init_scale": "small"}, TypeError, "init_scale must be a number"),
    ({"step_size": "newton"}, ValueError, "step_size must be one of"),
    ({"max_iter": 0}, ValueError, "max_iter must be at least 1"),
    ({"tol": -1}, ValueError, "tol"),
    ({"polish": 1}, TypeError, "polish must be True or False"),
    ({"n_init": 0}, ValueError, "n_init must be at least 1"),
    ({"n_jobs": 0}, ValueError, "n_jobs must be None or an integer other than 0"),
    ({"n_jobs": 1.5}, TypeError, "n_jobs must be an integer or None"),
    ({"random_state": "seed"}, TypeError, "random_state must be None, an integer or"),
    ({"random_state": -1}, ValueError, "random_state must be from 0 to 4294967295"),
    ({"warm_start": 1}, TypeError, "warm_start must be True or False"),
    ({"init_scale": 1e300}, ValueError, "init_scale"),
    ({"verbose": -1}, ValueError, "verbose"),
    ({"measurements": "pixels"}, ValueError, "measurements must be one of"),
    ({"shape": (3, 4)}, ValueError, "12 entries, but X has 20 features"),
    ({"shape": 20}, ValueError, "shape must be None or a pair"),
    ({"shape": (0, 5)}, ValueError, "shape must be None or a pair"),
    ({"symmetric": "yes"}, TypeError, "symmetric must be True or False"),
    ({"symmetric": True}, ValueError, "square"),
    ({"measurements": "entries"}, ValueError, "pair"),
    ({"measurements": "rank_one", "shape": (3, 4)}, ValueError, "3 \\+ 4"),
]


@pytest.mark.parametrize(("parameters", "error", "message"), BAD_PARAMETERS)
def test_bad_parameters(parameters, error, message):
    with pytest.raises(error, match=message):
        RobustLowRankRecovery(**parameters).fit(X20, Y20)


def with_value(X, value):
    X = X.copy()
    X[3, 1] = value
    return X


BAD_DATA = [
    (with_value(X20, np.nan), Y20, {}, "NaN"),
    (with_value(X20, np.inf), Y20, {}, "inf"),
    (X20, with_value(Y20[:, None].repeat(2, 1), np.nan)[:, 1], {}, "NaN"),
    (X20.astype(complex), Y20, {}, "[Cc]omplex"),
    (X20.astype(str).astype(object) + "x", Y20, {}, "X must hold numbers, got the text .*x' at index 0, 0"),
    (X20, Y20[:-1], {}, "inconsistent"),
    (X20, np.ma.MaskedArray(Y20, Y20 > 0), {}, "y has masked values"),
    (np.ma.MaskedArray(X20, X20 > 0), Y20, {}, "X has masked values"),
    (X20[:, :0], Y20, {}, "0 feature"),
    (X20[:0], Y20[:0], {}, "0 sample"),
    (X20[:, :5], Y20, {"measurements": "rank_one"}, "odd"),
    (PAIRS + 0.5, Y20, {"measurements": "entries"}, "integer indices"),
    (PAIRS - 1, Y20, {"measurements": "entries"}, "non-negative"),
    (PAIRS, Y20, {"measurements": "entries", "shape": (5, 3)}, "column index 4"),
    (PAIRS, Y20, {"measurements": "entries", "shape": (3, 5)}, "row index 4"),
    (PAIRS * 1e16, Y20, {"measurements": "entries"}, "the id 40000000000000000, .*float64 .* give ids as integers"),
    (PAIRS.astype(np.float32) * 1e8, Y20, {"measurements": "entries"}, "the id 4.*float32 .* give ids as integers"),
    (PAIRS.astype(np.uint64) << 62, Y20, {"measurements": "entries"}, "above the largest supported, 922337"),
    (sparse.csr_array(X20[:, :4]), Y20, {"measurements": "rank_one"}, "[Ss]parse"),
]


@pytest.mark.parametrize(("X", "y", "parameters", "message"), BAD_DATA)
def test_bad_data(X, y, parameters, message):
    with pytest.raises((ValueError, TypeError), match=message):
        RobustLowRankRecovery(**parameters).fit(X, y)


@pytest.mark.parametrize("factor", [-1.0, 1.0])
def test_targets_that_are_not_finite_are_refused_whatever_their_type(factor):
    X = np.random.RandomState(0).standard_normal((20, 4))
    y = np.arange(20.0)
    y[:2] = np.inf, factor * np.inf
    with pytest.raises(ValueError, match="y contains infinity"):
        RobustLowRankRecovery().fit(X, y.astype(object))
    with pytest.raises(ValueError, match="y contains infinity or a value too large for dtype\\('float32'\\)"):
        RobustLowRankRecovery().fit(X.astype(np.float32), factor ** np.arange(20) * 1e39)


def test_measurements_of_zeros_in_single_precision():
    rng = np.random.RandomState(0)
    with pytest.warns(ConvergenceWarning, match="all of them are zero"):
        model = RobustLowRankRecovery(shape=(3, 2)).fit(
            np.zeros((30, 6), np.float32), rng.standard_normal(30).astype(np.float32)
        )
    assert np.isfinite(model.matrix_).all()


def test_measurements_of_zeros_from_a_first_guess():
    model = RobustLowRankRecovery(shape=(3, 2), polish=False)
    with pytest.warns(ConvergenceWarning, match="all of them are zero"):
        model.fit(np.zeros((30, 6)), np.arange(30.0), init=(np.ones((3, 1)), np.ones((2, 1))))
    assert not model.converged_ and np.isfinite(model.matrix_).all()
