"""What has to hold of every fuzzed fit: no input changed, a finite result or one clear refusal, right where easy."""

import warnings

import numpy as np
import pytest
from fuzzing import BENIGN, make_matrix, make_measured, make_start
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA, StopReason
from sklearn_robustlr.metrics import relative_recovery_error


def frozen(X):
    """All that can be seen of an array, as bytes or text."""
    if sparse.issparse(X):
        X = X.tocoo()
        return [frozen(part) for part in (X.data, *X.coords)]
    if isinstance(X, np.ndarray) and X.dtype != object:
        return X.dtype.str, X.shape, X.tobytes()
    return repr(X.tolist() if isinstance(X, np.ndarray) else X)


def fit(model, *data, expected, bad, **told):
    """Fit; returns whether that came to a result. All that a user may meet on the way is checked."""
    before, parameters = [frozen(part) for part in data], model.get_params()
    error = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            assert model.fit(*data, **told) is model
        except (ValueError, TypeError) as raised:
            error = raised
    assert [frozen(part) for part in data] == before
    assert all(model.get_params()[name] is value for name, value in parameters.items())
    for warning in caught:
        text = str(warning.message)
        known = "too few inliers" in text or "stored values of the sparse X are" in text
        known |= warning.category is ConvergenceWarning
        assert known, f"{warning.category.__name__}: {warning.message}"
    if error is not None:
        named = bad + ([] if expected in ("right", "fit") else [expected])
        numbers = [np.asarray(part.data if sparse.issparse(part) else part) for part in data]
        sizes = [float(np.abs(part[np.isfinite(part)]).max(initial=0.0)) for part in numbers if part.dtype.kind == "f"]
        limit = 1e33 if len(data) == 2 and numbers[0].dtype == np.float32 else 1e295  # of what the units make of it
        size = max(sizes, default=0.0) / (min(1.0, sizes[0] or 1.0) if len(sizes) == 2 else 1.0)
        named += ["Divide X (or y) by a power of ten"] if size > limit else []
        assert any(name in str(error) for name in named), f"{named}: {error!r}"
        return False
    assert not bad and expected in ("right", "fit")
    assert model.converged_ != any(warning.category is ConvergenceWarning for warning in caught)
    assert type(model.converged_) is bool and model.converged_ == StopReason(model.stop_reason_).converged
    return True


def assert_finite(**arrays):
    for name, array in arrays.items():
        assert np.isfinite(array.data if sparse.issparse(array) else array).all(), f"{name} is not finite"


def use(model, method, *data):
    """What a method of a fitted estimator makes of data that it has to take."""
    before = [frozen(part) for part in data]
    out = getattr(model, method)(*data)
    assert [frozen(part) for part in data] == before
    assert_finite(**{method: out})
    return out


def odd_rows(n, size, rng):
    """Rows of many kinds: full, empty, of zeros, with few entries, and of other sizes."""
    rows = size * rng.standard_normal((7, n))
    rows[1] = np.nan
    rows[2] = 0.0
    rows[3, rng.uniform(size=n) < 0.7] = np.nan
    rows[4] = 1e200 * np.sign(rows[4])
    rows[5] = 1e-300
    return rows


def is_benign(chosen):
    return all(chosen[name] in values for name, values in BENIGN.items())


def check_uncertainty(model, X):
    """Errors and intervals may be infinite, but say something; probabilities are such."""
    _, std = model.transform(X, return_std=True)
    std, *ends = (part.toarray() if sparse.issparse(part) else part for part in (std, *model.predict_interval(X)))
    assert (std >= 0.0).all() and (ends[0] <= ends[1]).all()
    chance = model.outlier_probability(X)
    chance = chance.data if sparse.issparse(chance) else chance[np.isfinite(chance)]
    assert ((chance >= 0.0) & (chance <= 1.0)).all()
    if not sparse.issparse(X):
        assert_finite(draws=model.sample_imputations(X, 2, random_state=0))


def check_matrix(cls, recipe, chosen, bad, start):
    """Fit a matrix by a recipe with these parameters, of which one may be `bad`, and use the result in every way."""
    rank = "n_components" if cls is RobustPCA else "rank"
    X, truth, expected = make_matrix(recipe)
    told, valid = make_start(start, truth.shape)
    bad = ([] if bad is None else [bad]) + ([] if valid else ["init"])
    bad += [rank] if chosen[rank] == 2 and min(truth.shape) == 1 else []
    model = cls(**chosen | {"absent": "missing"})  # the matrices are made so
    if not fit(model, X, expected=expected, bad=bad, **told):
        return
    if chosen["warm_start"] and recipe["seed"] % 4 == 0:
        fit(model, X, expected=expected, bad=[])
    names = ["singular_values_", "location_", "scale_", "n_iter_"]
    names += ["components_", "mean_", "explained_variance_ratio_"] if cls is RobustPCA else ["left_", "right_"]
    assert_finite(**{name: getattr(model, name) for name in names})
    assert model.outliers_.shape == truth.shape and model.outliers_.dtype == bool
    use(model, "score", X)
    fitted = use(model, "transform", X)
    if cls is RobustMatrixCompletion:
        use(model, "predict_entries", np.arange(len(truth)), np.zeros(len(truth), dtype=np.int8))
        check_uncertainty(model, X)
    size = np.abs(truth).max(initial=0.0) or 1.0
    odd = odd_rows(truth.shape[1], size, np.random.RandomState(0))
    for rows in (odd, odd[::-2], np.asfortranarray(odd[:1]), odd.astype(object)):
        out = use(model, "transform", rows)
        assert out.shape[0] == len(rows)
        if cls is RobustPCA:
            out = use(model, "inverse_transform", out)
        n_columns = rows.shape[1] if cls is RobustPCA else len(model.get_feature_names_out())
        assert out.shape == (len(rows), n_columns)
    with pytest.raises(ValueError, match="features, but"):
        model.transform(np.ones((2, truth.shape[1] + 1)))
    with pytest.raises(ValueError, match="no observed entry"):
        model.score(odd[1:2])
    with pytest.raises(ValueError, match="infinity"):
        model.transform(np.full((1, truth.shape[1]), np.inf))
    if expected == "right" and is_benign(chosen):
        assert model.converged_, model.stop_reason_
        if cls is RobustPCA:
            estimate = model.inverse_transform(fitted)
        else:
            estimate = (model.left_ * model.singular_values_) @ model.right_.T
        error = relative_recovery_error(truth / size, np.asarray(estimate, dtype=float) / size)
        assert error < (1e-6 if model.location_.dtype == np.float64 else 1e-3)


def check_measurements(recipe, chosen, bad, start):
    """The same of measurements."""
    X, y, truth, expected = make_measured(recipe, chosen["symmetric"] is True)
    kind = "matrix" if recipe["kind"] == "sparse" else recipe["kind"]
    chosen |= {} if bad == "measurements" else {"measurements": kind}
    chosen |= {} if bad == "shape" else {"shape": truth.shape}
    told, valid = make_start(start, truth.shape)
    bad = ([] if bad is None else [bad]) + ([] if valid else ["init"])
    bad += ["rank"] if chosen["rank"] == 2 and min(truth.shape) == 1 else []
    bad += ["symmetric"] if chosen["symmetric"] is True and truth.shape[0] != truth.shape[1] else []
    model = RobustLowRankRecovery(**chosen)
    if not fit(model, X, y, expected=expected, bad=bad, **told):
        return
    if chosen["warm_start"] and recipe["seed"] % 4 == 0:
        fit(model, X, y, expected=expected, bad=[])
    assert_finite(
        **{name: getattr(model, name) for name in ("matrix_", "left_", "right_", "singular_values_", "scale_")}
    )
    assert model.matrix_.shape == truth.shape and model.outliers_.shape == (len(np.array(y)),)
    use(model, "score", X, y)
    features = use(model, "transform", X)
    predicted = use(model, "predict", X)
    assert (model.predict(X, return_std=True)[1] >= 0.0).all()
    size = max(np.abs(truth).max(initial=0.0), np.abs(predicted).max()) or 1.0  # a fit may have followed absurd errors
    if recipe["design"] == "equal":  # or be of rounding alone, at right angles to all that is measured
        top = np.abs(X.toarray() if sparse.issparse(X) else np.array(X, dtype=float)).max()
        with np.errstate(over="ignore"):
            size = max(size, np.abs(model.matrix_).max() * top ** (2 if kind == "rank_one" else 1))
    np.testing.assert_allclose(features @ (model.singular_values_ / size), predicted / size, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match=r"features|pair"):
        model.predict(np.ones((2, model.n_features_in_ + 1)))
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.full((2, model.n_features_in_), np.nan))
    if expected == "right" and is_benign(chosen):
        assert model.converged_, model.stop_reason_
        error = relative_recovery_error(truth / size, model.matrix_.astype(float) / size)
        assert error < (1e-6 if model.left_.dtype == np.float64 else 1e-3)
