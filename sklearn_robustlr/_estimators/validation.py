"""Untrusted input to typed arrays: checks of parameters, shapes and indices, in plain sentences."""

from __future__ import annotations

import os
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike
from scipy import sparse

from .._operators.base import Measurements
from .._operators.dense import DenseMeasurements
from .._operators.entries import EntryMeasurements
from .._operators.rank_one import RankOneMeasurements
from .._operators.sparse import SparseMeasurements
from .._solvers.step_rules import STEP_SIZES
from .._utils.arrays import index32
from .._utils.meter import Meter
from .._utils.values import Factors, Options

MEASUREMENTS = ("matrix", "rank_one", "entries")
#: Sizes of the start whose squares are numbers in float32, and whose growth is a matter of some hundred iterations.
INIT_SCALES = (1e-15, 10.0)


def check_integer(
    name: str,
    value: Any,
    low: float,
    *,
    high: float | None = None,
    high_name: str | None = None,
    none: bool = False,
) -> Any:
    """Check an integer parameter; `high_name` says what the upper limit is."""
    if value is None and none:
        return None
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer{' or None' if none else ''}, got {value!r}.")
    number = int(value)
    if number < low or (high is not None and number > high):
        limit = f"at least {low}" if high is None else f"from {low} to {high_name or high}"
        raise ValueError(f"{name} must be {limit}, got {value}.")
    return number


def check_real(
    name: str, value: Any, *, low: float = 0.0, high: float | None = np.inf, low_open: bool = False
) -> float:
    """Check a real parameter, finite unless `high` is None."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    value = float(value)
    low_fails = value <= low if low_open else value < low
    if high is None:
        if np.isnan(value) or low_fails:
            raise ValueError(f"{name} must be at least {low:g}, got {value!r}.")
        return value
    if not np.isfinite(value) or low_fails or value > high:
        bound = f"finite and {'greater than' if low_open else 'at least'} {low:g}"
        bound = bound if high == np.inf else f"from {low:g} to {high:g}"
        raise ValueError(f"{name} must be {bound}, got {value!r}.")
    return value


def check_share(name: str, value: Any) -> float:
    """Check a number above 0 and below 1."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    if not 0.0 < float(value) < 1.0:
        raise ValueError(f"{name} must be above 0 and below 1, got {value!r}.")
    return float(value)


def check_jobs(name: str, value: Any) -> int | None:
    """Check a number of jobs: None or an integer other than 0, the negative ones counted from all processors down."""
    if check_integer(name, value, -np.inf, none=True) == 0:
        raise ValueError(f"{name} must be None or an integer other than 0, got 0.")
    return value


def check_seed(name: str, value: Any) -> Any:
    """Check what random numbers are drawn by, as scikit-learn's `check_random_state` takes it."""
    if value is None or value is np.random or isinstance(value, np.random.RandomState):
        return value
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be None, an integer or a numpy.random.RandomState, got {value!r}.")
    return check_integer(name, value, 0, high=2**32 - 1)


def check_choice(name: str, value: Any, allowed: Iterable[str]) -> str:
    """Check a parameter that takes one of a few strings."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {list(allowed)}, got {value!r}.")
    return value


def with_nan(X: Any) -> Any:
    """X with NaN where a masked array is masked, or a column of objects has NA, which is no number."""
    if isinstance(X, np.ma.MaskedArray) and X.dtype.kind in "biufOUS":
        if X.mask is np.ma.nomask:
            return X.data
        kind = np.result_type(X.dtype, np.float32) if X.dtype.kind in "biuf" else np.dtype(object)
        return np.ma.filled(X.astype(kind), np.nan)
    if hasattr(X, "isna") and np.ndim(X) == 2 and any(str(kind) == "object" for kind in X.dtypes):
        return X.mask(X.isna(), np.nan)
    return X


def check_unmasked(**arrays: Any) -> None:
    """Refuse masked arrays where nothing may be missing."""
    for name, values in arrays.items():
        if np.ma.is_masked(values):
            raise ValueError(f"{name} has masked values: leave out what they belong to.")


def check_numeric(X: Any, name: str = "X") -> None:
    """Refuse text, categories and times: columns of a data frame by their names, other values by their place."""
    if hasattr(X, "collect") and not hasattr(X, "to_numpy"):
        raise TypeError(f"{name} must be in memory, got {type(X).__name__}: pass {name}.collect().")
    columns, types = getattr(X, "columns", None), getattr(X, "dtypes", None)
    if columns is None or types is None:
        _check_values(X, name)
        return
    kinds = enumerate(zip(columns, types, strict=False))
    wrong = [str(column) for j, (column, kind) in kinds if _is_no_number(kind, X, j)]
    if wrong:
        listed = ", ".join(repr(name) for name in wrong[:5]) + (", ..." if len(wrong) > 5 else "")
        raise ValueError(
            f"{name} has columns that are not numbers: {listed}. Encode them first (OneHotEncoder: they are repaired "
            f"as numbers), or leave them out of this step with a ColumnTransformer."
        )


def _check_values(values: Any, name: str) -> None:
    """Refuse an array or nested lists with text that is no number, or with times."""
    if not isinstance(values, (np.ndarray, list, tuple)):
        return
    try:
        values = np.asarray(values)
    except ValueError:  # lists of several lengths
        return
    if values.dtype.kind in "mM":
        raise ValueError(f"{name} must hold numbers, got times ({values.dtype}): take their differences in some unit.")
    for place, value in np.ndenumerate(values) if values.dtype.kind in "USO" else ():
        if isinstance(value, (str, bytes)) and not _are_numbers(np.array([value])):
            text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
            raise ValueError(
                f"{name} must hold numbers, got the text {text!r} at index {', '.join(map(str, place))}. Encode text "
                f"first (OneHotEncoder: it is repaired as numbers), or leave it out."
            )


def _is_no_number(kind: Any, X: Any, j: int) -> bool:
    """Whether the type of column j of pandas or polars is that of text, categories or times, or objects like these."""
    name = str(kind).lower()
    if name == "object" and hasattr(X, "iloc"):
        return not _are_numbers(X.iloc[:, j])
    return name.startswith(("str", "categor", "date", "time", "period", "interval", "enum", "duration"))


def _are_numbers(column: Any) -> bool:
    """Whether all values of a column of objects or text can be read as numbers, as those of a file may."""
    try:
        column.astype(np.float64)
    except (TypeError, ValueError):
        return False
    return True


def check_flag(name: str, value: Any) -> bool:
    """Check a boolean parameter."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def check_folder(name: str, value: Any) -> Any:
    """Check a parameter that names a folder, or is None."""
    if value is not None and not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be the path of a folder or None, got {value!r}.")
    if value is not None and os.path.exists(value) and not os.path.isdir(value):
        raise ValueError(f"{name} must be the path of a folder, but {os.fspath(value)!r} is a file.")
    return value


class Limits(NamedTuple):
    """Least and largest value of each column, arrays of shape (n_features,); None where there is no such limit."""

    low: np.ndarray | None
    high: np.ndarray | None


def check_limits(min_value: Any, max_value: Any, n_features: int) -> Limits:
    """Check the limits of estimates, each None, a number, or one number a column."""
    low, high = (_check_limit(*named, n_features) for named in (("min_value", min_value), ("max_value", max_value)))
    least = np.full(n_features, -np.inf) if low is None else low
    most = np.full(n_features, np.inf) if high is None else high
    for j in np.flatnonzero(least >= most)[:1]:
        raise ValueError(f"min_value must be less than max_value, got {least[j]:g} and {most[j]:g} for column {j}.")
    return Limits(low, high)


def _check_limit(name: str, value: Any, n_features: int) -> np.ndarray | None:
    if value is None:
        return None
    wanted = f"{name} must be None, a number, or {n_features} numbers, one for each column of X"
    try:
        limit = np.asarray(value)
    except ValueError:  # lists of different lengths
        limit = np.asarray(value, dtype=object)
    if limit.dtype.kind not in "iuf":
        raise TypeError(f"{wanted}, got {value!r}.")
    if limit.shape not in ((), (n_features,)):
        raise ValueError(f"{wanted}, got an array of shape {limit.shape}.")
    if np.isnan(limit).any():
        raise ValueError(f"{name} must not hold NaN: use {'-' if name == 'min_value' else ''}inf for no limit.")
    return np.broadcast_to(limit.astype(np.float64), n_features)


def check_options(estimator: Any, shape: tuple[int, int], size: int, *, symmetric: bool = False) -> Options:
    """Check the parameters that all estimators share against the shape (d1, d2) of the matrix; `size` are the data."""
    if hasattr(estimator, "rank"):
        small = min(shape)
        rank = check_integer("rank", estimator.rank, 1, high=small, high_name=f"min(shape) = {small}", none=True)
    else:
        rank = most_directions(estimator.n_components, shape)
    check_integer("n_init", estimator.n_init, 1)
    check_jobs("n_jobs", estimator.n_jobs)
    check_seed("random_state", estimator.random_state)
    check_flag("warm_start", estimator.warm_start)
    check_integer("verbose", int(estimator.verbose) if isinstance(estimator.verbose, bool) else estimator.verbose, 0)
    return Options(
        rank=rank,
        rank_is_loose=not hasattr(estimator, "rank"),
        init_scale=check_real("init_scale", estimator.init_scale, low=INIT_SCALES[0], high=INIT_SCALES[1]),
        step_size=check_choice("step_size", estimator.step_size, STEP_SIZES),
        meter=Meter(check_integer("max_iter", estimator.max_iter, 1), size),
        tol=check_real("tol", estimator.tol),
        polish=check_flag("polish", estimator.polish),
        symmetric=symmetric,
        n_init=estimator.n_init,
        random_state=estimator.random_state,
        n_jobs=estimator.n_jobs,
    )


def check_components(n_components: Any, shape: tuple[int, int]) -> int | float | None:
    """Check a number of components: None or "mle", an integer, or a share of the variance."""
    allowed = "n_components must be an integer, a share of the variance above 0 and below 1, 'mle' or None"
    if isinstance(n_components, str):
        if n_components != "mle":
            raise ValueError(f"{allowed}, got {n_components!r}.")
        return None
    if isinstance(n_components, (float, np.floating)):
        if not 0.0 < n_components < 1.0:
            raise ValueError(f"{allowed}, got {n_components!r}.")
        return float(n_components)
    small = min(shape)
    return check_integer("n_components", n_components, 1, high=small, high_name=f"min(shape) = {small}", none=True)


def most_directions(n_components: Any, shape: tuple[int, int]) -> int | None:
    """Bound of the rank of a fit that components are chosen from; None: there is none.

    It looks at more than are kept: a tight bound would take the structure just beyond them for errors.
    """
    n_components = check_components(n_components, shape)
    return min(2 * n_components + 2, min(shape)) if isinstance(n_components, int) else None


def check_entry_weight(weight: Any, X: Any, names: np.ndarray | None = None) -> np.ndarray | sparse.csr_matrix:
    """Check the relative precisions of the entries of X: real numbers, of its shape, not negative.

    Where both are data frames, `names` are those of the columns of X, which are its own, too.
    """
    check_unmasked(entry_weight=weight)
    own = getattr(weight, "columns", None)
    if own is not None and names is not None and list(own) != list(names):
        raise ValueError(
            f"entry_weight must have the columns of X in the same order, got {list(map(str, own))[:5]} for "
            f"{list(map(str, names))[:5]} (the first five)."
        )
    try:
        if np.iscomplexobj(weight.data if sparse.issparse(weight) else weight):
            raise TypeError
        weight = weight.tocsr().astype(np.float64) if sparse.issparse(weight) else np.asarray(weight, np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"entry_weight must be an array of real numbers, got {type(weight).__name__}.") from None
    if weight.shape != X.shape:
        raise ValueError(f"entry_weight must have the shape of X, {X.shape}, got {weight.shape}.")
    values = weight.data if sparse.issparse(weight) else weight
    if np.any(values < 0.0):
        raise ValueError(f"entry_weight must not be negative, got {np.nanmin(values):g}.")
    return weight


def check_init(init: Any, shape: tuple[int, int], dtype: DTypeLike) -> Factors:
    """Check a pair of factors against the shape (d1, d2) of the matrix; returns arrays of the given type."""
    try:
        left, right = (np.array(factor, dtype=dtype) for factor in init)
    except (TypeError, ValueError):
        raise ValueError(f"init must be a pair of numeric arrays (L, R), got {type(init).__name__}.") from None
    k = left.shape[1] if left.ndim == 2 else 0
    if not (0 < k <= min(shape) and left.shape == (shape[0], k) and right.shape == (shape[1], k)):
        raise ValueError(
            f"init must be a pair of arrays of shapes ({shape[0]}, k) and ({shape[1]}, k), k from 1 to {min(shape)}, "
            f"got {left.shape} and {right.shape}."
        )
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise ValueError("init contains NaN or infinity.")
    return Factors(left, right)


def _check_pair(shape: Any) -> tuple[int, int]:
    try:
        pair = tuple(shape)
    except TypeError:
        pair = ()
    ok = len(pair) == 2 and all(isinstance(d, Integral) and not isinstance(d, bool) and int(d) >= 1 for d in pair)
    if not ok:
        raise ValueError(f"shape must be None or a pair (d1, d2) of positive integers, got {shape!r}.")
    return int(pair[0]), int(pair[1])


def resolve_shape(shape: Any, n_features: int, measurements: str) -> tuple[int, int] | None:
    """Shape (d1, d2) of the matrix that rows of `n_features` numbers measure."""
    given = None if shape is None else _check_pair(shape)
    if measurements == "matrix":
        if given is None:
            d1 = int(np.sqrt(n_features))
            while n_features % d1:
                d1 -= 1
            return d1, n_features // d1
        if given[0] * given[1] != n_features:
            raise ValueError(
                f"shape={given} has {given[0] * given[1]} entries, but X has {n_features} features: with "
                f"measurements='matrix' a row of X is a flattened matrix of that shape."
            )
        return given
    if measurements == "rank_one":
        if given is None:
            if n_features % 2:
                raise ValueError(
                    f"shape must be given for measurements='rank_one' when X has an odd number of features: "
                    f"a row is [a, b] of lengths d1 and d2, got {n_features} features."
                )
            return n_features // 2, n_features // 2
        if given[0] + given[1] != n_features:
            raise ValueError(
                f"shape={given} needs rows of {given[0]} + {given[1]} = {sum(given)} numbers with "
                f"measurements='rank_one', but X has {n_features} features."
            )
        return given
    if n_features != 2:
        raise ValueError(
            f"with measurements='entries' a row of X is a pair (i, j) of indices, but X has {n_features} features."
        )
    return given  # None: from the indices


class Indices(NamedTuple):
    """Rows and columns of entries as int32 arrays, and the shape of the matrix."""

    rows: np.ndarray
    cols: np.ndarray
    shape: tuple[int, int]


class Measured(NamedTuple):
    """Measurements, and the order that has sorted the samples for them; None where they are as given."""

    operator: Measurements
    order: np.ndarray | None


def check_pairs(X: np.ndarray, *, negative: bool = False) -> None:
    """Check that pairs are of integers, of whatever type, none of them negative unless that is allowed."""
    if X.dtype.kind == "f" and not np.all(np.floor(X) == X):
        bad = float(X[np.floor(X) != X][0])
        raise ValueError(f"X must hold pairs (i, j) of integer indices, got {bad}.")
    if X.size and X.min() < 0 and not negative:
        raise ValueError(f"X must hold pairs (i, j) of non-negative indices, got {int(X.min())}.")


def check_entries(X: np.ndarray, shape: tuple[int, int] | None) -> Indices:
    """Check pairs of indices.

    Duplicate pairs are legal: each is a measurement of its own.
    """
    check_pairs(X)
    top = X.max(axis=0) if len(X) else np.array([-1, -1])
    if shape is None:
        if max(top) >= np.iinfo(np.int32).max:
            raise ValueError(f"X holds the index {int(max(top))}, above the largest supported, {2**31 - 2}.")
        shape = (int(top[0]) + 1, int(top[1]) + 1)
    for axis, name in enumerate(("row", "column")):
        if top[axis] >= shape[axis]:
            raise ValueError(
                f"X holds the {name} index {int(top[axis])}, but the matrix has shape {shape}: indices go from 0 to "
                f"{shape[axis] - 1}."
            )
    return Indices(X[:, 0].astype(np.int32), X[:, 1].astype(np.int32), shape)


def make_measurements_object(X: Any, y: np.ndarray, shape: tuple[int, int] | None, kind: str) -> Measured:
    """Build the measurements of checked input."""
    if kind == "entries":
        rows, cols, shape = check_entries(X, shape)
        return Measured(*EntryMeasurements.from_unsorted(rows, cols, y, shape))
    assert shape is not None  # only entries tell it themselves
    if kind == "rank_one":
        a, b = np.ascontiguousarray(X[:, : shape[0]]), np.ascontiguousarray(X[:, shape[0] :])
        return Measured(RankOneMeasurements(a, b, y, shape), None)
    if sparse.issparse(X):
        return Measured(SparseMeasurements(index32(X), y, shape), None)
    return Measured(DenseMeasurements(X, y, shape), None)
