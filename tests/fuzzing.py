"""Recipes of data of every kind, valid and not, and what a fit of them should come to."""

import numpy as np
from hypothesis import strategies as st
from scipy import sparse

FACTORS = [1.0, 1.0, 1e-300, 1e-20, 1e8, 1e250, 1e295]
# Of errors that are far from the truth, and from one another, a few can neither be missed nor believed.
PLAIN = ["none", "huge", "one-sided"]
ERRORS = [*PLAIN, "gaussian", "absurd", "stuck", "sign-flip", "row", "block", "inf"]
BLANKS = ["none", "none", "row", "column", "most"]
MISSING = ["none", "some", "half", "row", "column", "all"]
DTYPES = ["f8", "f8", "f4", ">f8", "f2", "i1", "i8", "u1", "b1", "O", "g"]
LAYOUTS = ["C", "F", "reversed", "strided", "read-only", "list", "broadcast"]
STORAGE = ["dense", "dense", "dense", "csr", "csc", "coo", "lil"]
SHARED = {  # what is valid, and what is not
    "init_scale": (
        [1e-3, 1e-3, 1e-6, 0.5, np.float32(0.01), 1e-15, 10.0],
        [0, -1.0, np.nan, np.inf, 1e-300, 1e300, "x", None],
    ),
    "step_size": (["auto", "auto", "polyak", "geometric", "constant"], ["fast", 1, None, ["auto"]]),
    "max_iter": ([60_000, 60_000, 1, np.int64(40)], [0, 1.0, None, "many", False]),
    "tol": ([1e-4, 1e-4, 0, 1e300], [-1.0, np.nan, np.inf, None]),
    "polish": ([True, True, True, False], [1, "yes", None]),
    "n_init": ([1, 1, 1, 2, 3], [0, 1.5, None, "2"]),
    "n_jobs": ([None, 1, 2], [0, 1.5, "all"]),
    "random_state": ([None, 0, 7], ["seed", -1, 1.5]),
    "warm_start": ([False, True], [1, "yes", None]),
    "verbose": ([0, False], [-1, "loud", None, 0.5]),
    "checkpoint": ([None], [3, ["folder"]]),
}
BENIGN = {
    "init_scale": (1e-3, 1e-6),
    "step_size": ("auto",),
    "max_iter": (60_000,),
    "tol": (1e-4, 0),
    "polish": (True,),
}
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
        "missing": MISSING[:2],
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
        "missing": MISSING,
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
    seen = rng.uniform(size=shape) >= {"some": 0.1, "half": 0.5, "all": 1.0}.get(recipe["missing"], 0.0)
    if recipe["missing"] == "row":
        seen[rng.randint(shape[0])] = False
    elif recipe["missing"] == "column":
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
    return {"init": start}, kind not in ("nan", "short", "text")
