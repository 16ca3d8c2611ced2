"""Whatever comes in: a finite result, right where that is easy, or an honest no, or one clear refusal.

`SKLEARN_ROBUSTLR_EXAMPLES=10000 python -m pytest tests/test_fuzz.py` makes so many examples, new ones at each run.
"""

import os
import warnings
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.metrics import relative_recovery_error

SLOW = int(os.environ.get("SKLEARN_ROBUSTLR_EXAMPLES", "0"))


def examples(count, share):
    """Settings of a test: `count` examples that are always the same, or in the slow mode a share of those asked for."""
    return settings(
        max_examples=int(share * SLOW) if SLOW else count,
        derandomize=not SLOW,
        database=None,
        deadline=timedelta(seconds=60),  # of an example: next to none takes a second
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


# What is given

FACTORS = [1.0, 1.0, 1e-300, 1e-20, 1e8, 1e250, 1e295]
# Of errors that are far from the truth, and from one another, a few can neither be missed nor believed.
PLAIN = ["none", "huge", "one-sided"]
ERRORS = [*PLAIN, "gaussian", "absurd", "stuck", "sign-flip", "row", "block", "inf"]
BLANKS = ["none", "none", "row", "column", "most"]
HOLES = ["none", "some", "half", "row", "column", "all"]
DTYPES = ["f8", "f8", "f4", ">f8", "f2", "i1", "i8", "u1", "b1", "O", "g"]
LAYOUTS = ["C", "F", "reversed", "strided", "read-only", "list", "broadcast"]
STORAGE = ["dense", "dense", "dense", "csr", "csc", "coo", "lil"]

SHARED = {  # what is valid, and what is not
    "init_scale": (
        [1e-3, 1e-3, 1e-6, 0.5, np.float32(0.01), 1e-15, 10.0],
        [0, -1.0, np.nan, np.inf, 1e-300, 1e300, "x", None],
    ),
    "step_size": (["auto", "auto", "polyak", "geometric", "constant"], ["fast", 1, None, ["auto"]]),
    "max_iter": ([300, 300, 1, np.int64(40)], [0, 1.0, None, "many", False]),
    "tol": ([1e-4, 1e-4, 0, 1e300], [-1.0, np.nan, np.inf, None]),
    "polish": ([True, True, True, False], [1, "yes", None]),
    "n_init": ([1, 1, 1, 2, 3], [0, 1.5, None, "2"]),
    "n_jobs": ([None, 1, 2], [0, 1.5, "all"]),
    "random_state": ([None, 0, 7], ["seed", -1, 1.5]),
    "warm_start": ([False, True], [1, "yes", None]),
    "verbose": ([0, False], [-1, "loud", None, 0.5]),
    "checkpoint": ([None], [3, ["folder"]]),
}
BENIGN = {"init_scale": (1e-3, 1e-6), "step_size": ("auto",), "max_iter": (300,), "tol": (1e-4, 0), "polish": (True,)}
RANKS = [None, None, 1, 2], [0, -1, 99, 1.5, "all", True, np.nan]
# Factors of a first guess, by what they are made of.
STARTS = st.sampled_from([None] * 8 + ["normal", "zero", "huge", "wide", "nan", "short", "text"])


@st.composite
def parameters(draw, **own):
    """Parameters, and the name of the one that is not valid, or None."""
    table = SHARED | own
    chosen = {name: draw(st.sampled_from(good)) for name, (good, _) in table.items()}
    bad = draw(st.sampled_from([None] * 20 + list(table)))
    if bad is not None:
        chosen[bad] = draw(st.sampled_from(table[bad][1]))
    return chosen, bad


def recipes(easy, hard):
    """Recipes of data: choices of each part, for data that are easily fitted and for others."""
    return st.booleans().flatmap(
        lambda is_easy: st.fixed_dictionaries(
            {
                "easy": st.just(is_easy),
                "seed": st.integers(0, 2**31 - 1),
                **{
                    name: choices if isinstance(choices, st.SearchStrategy) else st.sampled_from(choices)
                    for name, choices in (easy if is_easy else hard).items()
                },
            }
        )
    )


MATRICES = recipes(
    {
        "shape": st.tuples(st.integers(15, 24), st.integers(15, 24)),
        "rank": [1],
        "errors": PLAIN,
        "share": [0.04],
        "noise": [0.0],
        "blank": BLANKS[:1],
        "holes": HOLES[:2],
        "factor": FACTORS,
        "dtype": ["f8", "f8", ">f8", "f4", "O"],
        "layout": LAYOUTS[:-1],
        "storage": STORAGE,
    },
    {
        "shape": st.tuples(st.integers(1, 14), st.integers(1, 14)),
        "rank": [0, 1, 1, 2, 3],
        "errors": ERRORS,
        "share": [0.1, 0.5],
        "noise": [0.0, 0.2],
        "blank": BLANKS,
        "holes": HOLES,
        "factor": FACTORS,
        "dtype": DTYPES,
        "layout": LAYOUTS,
        "storage": STORAGE,
    },
)

MEASURED = recipes(
    {
        "kind": ["matrix", "sparse", "rank_one", "entries"],
        "shape": st.tuples(st.integers(6, 9), st.integers(6, 9)),
        "rank": [1],
        "many": [1.0],
        "design": ["normal"],
        "errors": PLAIN,
        "share": [0.05],
        "noise": [0.0],
        "factor": [1.0, 1.0, 1e-200, 1e200],
        "units": [1.0, 1.0, 1e-30, 1e30],
        "dtype": ["f8", "f8", "f4", ">f8", "O"],
        "layout": LAYOUTS[:-1],
    },
    {
        "kind": ["matrix", "sparse", "rank_one", "entries"],
        "shape": st.tuples(st.integers(1, 6), st.integers(1, 6)),
        "rank": [0, 1, 1, 2, 3],
        "many": st.floats(0.0, 1.0),
        "design": ["normal", "idle", "equal", "zero", "few"],
        "errors": ERRORS,
        "share": [0.1, 0.5],
        "noise": [0.0, 0.2],
        "factor": [1.0, 1.0, 1e-200, 1e200],
        "units": [1.0, 1.0, 1e-30, 1e30],
        "dtype": DTYPES,
        "layout": LAYOUTS,
    },
)


def low_rank(shape, rank, easy, rng):
    """A matrix; an easy one has no row or column that hardly differs from zero."""
    if not easy:
        return rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
    factors = (rng.choice([-1.0, 1.0], (d, rank)) * rng.uniform(0.5, 2.0, (d, rank)) for d in shape)
    return next(factors) @ next(factors).T


def spoil(values, kind, share, rng):
    """Values with errors of this kind in about a share of them."""
    wrong = rng.uniform(size=values.shape) < share
    if kind in ("row", "block"):
        wrong[:] = False
        first = rng.randint(len(wrong))
        wrong[first : first + (1 if kind == "row" else 3), ...] = True
        if kind == "block":
            wrong[..., wrong.shape[-1] // 2 :] = False
    size = np.abs(values).max(initial=0.0) or 1.0
    normal = rng.standard_normal(values.shape)
    errors = {
        "none": values,
        "gaussian": size * normal,
        "one-sided": values + size * rng.uniform(2, 20, values.shape),
        "absurd": 1e30 * np.sign(normal),
        "stuck": np.full_like(values, size),
        "sign-flip": -values,
        "inf": np.full_like(values, np.inf),
    }.get(kind, 1e3 * size * normal)
    return np.where(wrong, errors, values)


def cast(values, dtype):
    """Values in a type, cut off to its range."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        top = float(np.finfo(dtype).max) if dtype.itemsize <= 8 else np.inf
        return np.where(np.isfinite(values), np.clip(values, -top, top), values).astype(dtype)
    if dtype.kind == "O":
        return values.astype(object)
    size = np.abs(values[np.isfinite(values)]).max(initial=0.0) or 1.0
    values = np.nan_to_num(127 * (values / size), nan=0.0, posinf=0.0, neginf=0.0)
    low = {"i": -128, "u": 0, "b": 0}[dtype.kind]
    return values > 0 if dtype.kind == "b" else np.clip(np.round(values), low, 127).astype(dtype)


def lay_out(array, layout):
    """The same numbers (of "broadcast": the first row, all over) in another order of memory."""
    if layout == "F":
        return np.asfortranarray(array)
    if layout == "reversed":
        return np.flip(np.flip(array).copy())
    if layout == "strided":
        return np.repeat(array, 2, axis=0)[::2]
    if layout == "broadcast":
        return np.broadcast_to(array[:1], array.shape)
    if layout == "list":
        return array.tolist()
    array = array.copy()
    array.flags.writeable = layout != "read-only"
    return array


def make_matrix(recipe):
    """A matrix, its truth, and what a fit should come to: "right", "fit", or a part of a message."""
    rng = np.random.RandomState(recipe["seed"])
    shape, dtype, factor = recipe["shape"], recipe["dtype"], recipe["factor"]
    if dtype == "f4":
        factor = {1e-300: 1e-30, 1e250: 1e30, 1e295: 1e30}.get(factor, factor)
    elif dtype == "f2":
        factor = 1.0
    truth = factor * low_rank(shape, recipe["rank"], recipe["easy"], rng)
    data = truth + factor * recipe["noise"] * rng.standard_normal(shape)
    if recipe["blank"] == "most":
        data[rng.uniform(size=shape) < 0.7] = 0.0
    elif recipe["blank"] != "none":
        np.moveaxis(data, recipe["blank"] == "column", 0)[rng.randint(2) :: 2] = 0.0
    data = spoil(data, recipe["errors"], recipe["share"], rng)
    seen = rng.uniform(size=shape) >= {"some": 0.1, "half": 0.5, "all": 1.0}.get(recipe["holes"], 0.0)
    if recipe["holes"] == "row":
        seen[rng.randint(shape[0])] = False
    elif recipe["holes"] == "column":
        seen[:, rng.randint(shape[1])] = False
    data = cast(np.where(seen, data, np.nan), dtype)
    if recipe["storage"] != "dense" and data.dtype.char in "fdbBl" and data.dtype.isnative:
        X, values = store(data, recipe["storage"], rng)
    else:
        X = lay_out(data, recipe["layout"])
        values = np.array(X, dtype=float)
    if np.isinf(values).any():
        return X, truth, "infinity"
    if not np.isfinite(values).any():
        return X, truth, "no observed entry"
    return X, truth, "right" if recipe["easy"] else "fit"


def store(data, kind, rng):
    """A sparse matrix with some of the NaN and all else stored; of kind "coo" in two halves that add up."""
    rows, cols = np.nonzero(~np.isnan(data) | (rng.uniform(size=data.shape) < 0.2))
    values = data[rows, cols]
    if kind == "coo" and data.dtype.kind == "f":
        halves = np.concatenate([values / 2, values / 2])
        return sparse.coo_array((halves, (np.tile(rows, 2), np.tile(cols, 2))), shape=data.shape), values
    return sparse.coo_array((values, (rows, cols)), shape=data.shape).asformat(kind), values


def make_measured(recipe, symmetric):
    """Measurements X and targets y of a matrix, that matrix, and what a fit should come to."""
    rng = np.random.RandomState(recipe["seed"])
    shape, kind, dtype = recipe["shape"], recipe["kind"], recipe["dtype"]
    factor, units = recipe["factor"], recipe["units"]
    if dtype == "f4":
        factor, units = min(max(factor, 1e-15), 1e15), min(max(units, 1e-5), 1e5)
    elif np.dtype(dtype).kind in "iub" or dtype == "f2":
        factor, units = 1.0, 1.0
    truth = low_rank(shape, recipe["rank"], recipe["easy"], rng)
    if symmetric and shape[0] == shape[1]:
        truth = truth @ truth.T
    if kind == "entries":
        n = 1 + int((4 if recipe["easy"] else 2) * recipe["many"] * truth.size)
        X = np.column_stack([rng.randint(d, size=n) for d in shape])
        y = truth[X[:, 0], X[:, 1]]
        X = lay_out(X, "read-only" if recipe["layout"] == "broadcast" else recipe["layout"])
        units = 1.0
    else:
        n = 1 + int(120 * recipe["many"])
        X = rng.standard_normal((n, sum(shape) if kind == "rank_one" else truth.size))
        X *= {"zero": 0.0, "idle": rng.uniform(size=X.shape[1]) < 0.7}.get(recipe["design"], 1.0)
        if recipe["design"] == "few":
            X *= rng.uniform(size=X.shape) < 0.2
        elif recipe["design"] == "equal":
            X[:] = X[0]
        X = cast(units * X, dtype)
        if kind == "sparse" and X.dtype.char in "fdbBl" and X.dtype.isnative:
            X = sparse.csr_array(X)
        else:
            X = lay_out(X, recipe["layout"])
        a = (X.toarray() if sparse.issparse(X) else np.array(X)).astype(float) / units
        if kind == "rank_one":
            y = np.einsum("ni,ij,nj->n", a[:, : shape[0]], truth, a[:, shape[0] :])
            units = units**2
        else:
            y = a @ truth.ravel()
    y = spoil(y + recipe["noise"] * rng.standard_normal(n), recipe["errors"], recipe["share"], rng)
    y = lay_out(cast(factor * y, dtype), recipe["layout"])
    expected = "infinity" if np.isinf(np.array(y, dtype=float)).any() else "right" if recipe["easy"] else "fit"
    return X, y, truth * (factor / units), expected


def make_start(kind, shape):
    """A first guess of this kind as an argument of `fit`, and whether it is valid."""
    if kind is None:
        return {}, True
    rng = np.random.RandomState(0)
    rank = min(shape) if kind == "wide" else 1
    scale = {"zero": 0.0, "huge": 1e30, "nan": np.nan}.get(kind, 1.0)
    left, right = (scale * rng.standard_normal((d, rank)) for d in shape)
    start = {"short": (left[:-1], right), "text": "text"}.get(kind, (left, right))
    return {"start": start}, kind not in ("nan", "short", "text")


# What has to hold


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
        known = warning.category is ConvergenceWarning or "have too few inliers" in str(warning.message)
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
    assert model.stop_reason_
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


@examples(120, 0.3)
@given(MATRICES, parameters(rank=RANKS, replace=(["all", "outliers", "missing"], ["both", None, 1])), STARTS)
def test_completion(recipe, drawn, start):
    check_matrix(RobustMatrixCompletion, recipe, *drawn, start, "rank")


@examples(120, 0.3)
@given(MATRICES, parameters(n_components=RANKS, center=([True, False], [1, None, "yes"])), STARTS)
def test_pca(recipe, drawn, start):
    check_matrix(RobustPCA, recipe, *drawn, start, "n_components")


def check_matrix(cls, recipe, chosen, bad, start, rank):
    X, truth, expected = make_matrix(recipe)
    told, valid = make_start(start, truth.shape)
    bad = ([] if bad is None else [bad]) + ([] if valid else ["start"])
    bad += [rank] if chosen[rank] == 2 and min(truth.shape) == 1 else []
    model = cls(**chosen)
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
    size = np.abs(truth).max(initial=0.0) or 1.0
    odd = odd_rows(truth.shape[1], size, np.random.RandomState(0))
    for rows in (odd, odd[::-2], np.asfortranarray(odd[:1]), odd.astype(object)):
        out = use(model, "transform", rows)
        assert out.shape[0] == len(rows)
        if cls is RobustPCA:
            out = use(model, "inverse_transform", out)
        assert out.shape == rows.shape
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


PLAIN = {"easy": False, "seed": 0, "rank": 3, "errors": "absurd", "share": 0.5, "noise": 0.0, "blank": "none",
         "holes": "half", "factor": 1e295, "dtype": "f8", "layout": "C", "storage": "dense"}  # fmt: skip


@pytest.mark.parametrize(
    ("cls", "rank", "recipe"),
    [
        (RobustMatrixCompletion, "rank", {"shape": (14, 14)}),  # singular values beyond all numbers
        (RobustMatrixCompletion, "rank", {"shape": (14, 6)}),  # the square of a ratio was, in the score
        (
            RobustPCA,
            "n_components",  # that of a residual was
            {"shape": (5, 4), "rank": 0, "errors": "row", "share": 0.1, "noise": 0.2, "blank": "column",
             "holes": "none", "factor": 1.0},
        ),
        (
            RobustMatrixCompletion,
            "rank",  # nothing sound was seen of a row: the way of least squares had no end
            {"shape": (9, 8), "rank": 1, "errors": "block", "share": 0.1, "noise": 0.2, "holes": "row",
             "factor": 1e250, "dtype": "f4"},
        ),
        (
            RobustMatrixCompletion,
            "rank",  # coefficients were told from what was rounded
            {"shape": (9, 8), "rank": 0, "errors": "block", "share": 0.1, "noise": 0.2, "holes": "column",
             "blank": "column", "factor": 1e250, "dtype": "f4", "seed": 8,
             "parameters": {"rank": 2, "init_scale": 0.01}},
        ),
        (
            RobustMatrixCompletion,
            "rank",  # the smaller half of the entries were 1e-220 of the others
            {"shape": (3, 2), "rank": 1, "share": 0.1, "holes": "none", "factor": 1e250,
             "parameters": {"step_size": "geometric", "max_iter": 1}},
        ),
        # the loss, of errors near the largest number, was more than that
        (RobustMatrixCompletion, "rank", {"shape": (12, 14), "share": 0.1, "blank": "most", "holes": "none"}),
        (
            RobustPCA,
            "n_components",  # the ratio of two rows was more than a single-precision number
            {"shape": (2, 9), "rank": 1, "blank": "row", "holes": "none", "factor": 1e8, "dtype": "f4"},
        ),
    ],
)  # fmt: skip
def test_examples_that_failed(cls, rank, recipe):
    parameters = cls().get_params() | recipe.pop("parameters", {})
    check_matrix(cls, PLAIN | recipe, parameters, None, None, rank)


@pytest.mark.parametrize(
    ("recipe", "parameters"),
    [
        # symmetric factors, whose product is not negative, vanish on the way
        ({"seed": 2, "kind": "matrix", "shape": (6, 6), "rank": 1, "many": 0.0}, {"rank": 2, "n_init": 2}),
        # so few that none was held out to be told from the others
        ({"seed": 0, "kind": "entries", "shape": (4, 4), "rank": 3, "many": 0.40625}, {}),
        # factors overflowed on the way of a run that diverges
        (
            {"seed": 2, "kind": "sparse", "shape": (2, 2), "rank": 1, "many": 0.3125, "errors": "absurd", "share": 0.5,
             "dtype": "f4"},
            {"init_scale": 1e-15, "step_size": "geometric", "symmetric": False},
        ),
    ],
)  # fmt: skip
def test_measurements_that_failed(recipe, parameters):
    plain = {"easy": False, "design": "normal", "errors": "none", "share": 0.1, "noise": 0.0, "factor": 1.0,
             "units": 1.0, "dtype": "f8", "layout": "C"}  # fmt: skip
    parameters = {"symmetric": True} | parameters
    X, y, truth, expected = make_measured(plain | recipe, parameters["symmetric"])
    kind = "matrix" if recipe["kind"] == "sparse" else recipe["kind"]
    model = RobustLowRankRecovery(measurements=kind, shape=truth.shape, **parameters)
    fit(model, X, y, expected=expected, bad=[])


@examples(120, 0.4)
@given(
    MEASURED,
    parameters(
        rank=RANKS,
        symmetric=([False, False, True], [1, None, "yes"]),
        measurements=([None], ["pixels", None, 1]),
        shape=([None], [(0, 3), "ab", (1, 2, 3), 3.5, (2, True)]),
    ),
    STARTS,
)
def test_recovery(recipe, drawn, start):
    chosen, bad = drawn
    X, y, truth, expected = make_measured(recipe, chosen["symmetric"] is True)
    kind = "matrix" if recipe["kind"] == "sparse" else recipe["kind"]
    chosen |= {} if bad == "measurements" else {"measurements": kind}
    chosen |= {} if bad == "shape" else {"shape": truth.shape}
    told, valid = make_start(start, truth.shape)
    bad = ([] if bad is None else [bad]) + ([] if valid else ["start"])
    bad += ["rank"] if chosen["rank"] == 2 and min(truth.shape) == 1 else []
    bad += ["symmetric"] if chosen["symmetric"] is True and truth.shape[0] != truth.shape[1] else []
    model = RobustLowRankRecovery(**chosen)
    if not fit(model, X, y, expected=expected, bad=bad, **told):
        return
    if chosen["warm_start"] and recipe["seed"] % 4 == 0:
        fit(model, X, y, expected=expected, bad=[])
    assert_finite(**{name: getattr(model, name) for name in ("coef_", "left_", "right_", "singular_values_", "scale_")})
    assert model.coef_.shape == truth.shape and model.outliers_.shape == (len(np.array(y)),)
    use(model, "score", X, y)
    features = use(model, "transform", X)
    predicted = use(model, "predict", X)
    size = max(np.abs(truth).max(initial=0.0), np.abs(predicted).max()) or 1.0  # a fit may have followed absurd errors
    if recipe["design"] == "equal":  # or be of rounding alone, at right angles to all that is measured
        top = np.abs(X.toarray() if sparse.issparse(X) else np.array(X, dtype=float)).max()
        with np.errstate(over="ignore"):
            size = max(size, np.abs(model.coef_).max() * top ** (2 if kind == "rank_one" else 1))
    np.testing.assert_allclose(features @ (model.singular_values_ / size), predicted / size, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match=r"features|pair"):
        model.predict(np.ones((2, model.n_features_in_ + 1)))
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.full((2, model.n_features_in_), np.nan))
    if expected == "right" and is_benign(chosen):
        assert model.converged_, model.stop_reason_
        error = relative_recovery_error(truth / size, model.coef_.astype(float) / size)
        assert error < (1e-6 if model.left_.dtype == np.float64 else 1e-3)
