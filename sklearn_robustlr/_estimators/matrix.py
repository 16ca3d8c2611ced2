"""What the estimators of a matrix share: its entries, the fit, the regression of new rows, the score."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_array, validate_data

from .._fits.copies import fit_copies
from .._fits.matrix import fit_matrix
from .._fits.matrix_fit import MatrixFit, noise_of_columns
from .._model.space import ModelSpace
from .._operators.observed import Entries
from .._rows.regression import Regression, RowSpace
from .._utils.values import Factors, Masks, Options, StopReason
from .._utils.warn import warn_user
from . import memory
from .base import FitMixin, warn_of_open
from .sample_weight import Copies, in_units_of
from .scores import score_in_columns
from .validation import check_choice, check_entry_weight, check_init, check_jobs, check_numeric, with_nan

# What entries that a sparse matrix does not store may be.
ABSENT = ("missing", "zero")
_NOT_IDENTIFIABLE = (
    "no observed value, too few inliers, nothing in common with the others, or as many entries of the other sign as of "
    "one. The estimates are from what values there are, and from the other {kind}"
)


class Judged(NamedTuple):
    """Observed entries, what the fit leaves of them, and the flags, each in the form of X."""

    X: np.ndarray | sparse.csr_matrix
    residual: np.ndarray | sparse.csr_matrix
    outliers: np.ndarray | sparse.csr_matrix


class SeenRows(NamedTuple):
    """The entries of X, and what a fit sees of its rows; None and the same where each counts once and none is another.

    Weights of entries are in units of the median of those that are seen.
    """

    entries: Entries
    copies: Copies | None
    seen: Entries

    @classmethod
    def of(cls, X: Any, entries: Entries, sample_weight: Any) -> SeenRows:
        """Those of X, which has these entries."""
        copies = Copies.of_rows(X, entries, sample_weight)
        seen = entries if copies is None else copies.entries(entries)
        if entries.weight is None or seen.weight is None or not len(seen.y):
            return cls(entries, copies, seen)
        even = [in_units_of(seen.weight, weight) for weight in (entries.weight, seen.weight)]
        return cls(entries.weighted(even[0]), copies, seen.weighted(even[1]))


class Learnt(NamedTuple):
    """A fit of the rows of X, and that of what is seen of them; the same where each counts once."""

    entries: Entries
    found: MatrixFit
    seen: Entries
    of_seen: MatrixFit


class MatrixMixin(FitMixin):
    """Fit a matrix with missing and corrupted entries, and regress new rows on its row space."""

    absent: str
    rank_: int
    threshold_: float
    warm_start: bool
    _space: RowSpace | ModelSpace

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()  # type: ignore[misc]  # of BaseEstimator
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _entries(self, X: Any, *, reset: bool, entry_weight: Any = None) -> tuple[Any, Entries]:
        """Validated X, dense where absent entries are zeros, and its observed entries, those of no weight left out."""
        absent = check_choice("absent", self.absent, ABSENT)
        X = _validated(self, self._as_told(with_nan(X)), reset)
        if sparse.issparse(X) and absent == "zero":
            memory.require_dense(X, fit=reset)
            X = X.toarray()
        elif reset:
            memory.require(memory.matrix_need(X))
        if entry_weight is None:
            entries = Entries(X)
        else:
            names = getattr(self, "feature_names_in_", None)
            X, entries = _weighted(X, check_entry_weight(entry_weight, X, names))
            if not len(entries.y):
                raise ValueError("X has no observed entry of positive entry_weight.")
        if reset and entries.is_sparse:
            _warn_of_one_value(entries)
        return X, entries

    def _as_told(self, X: Any) -> Any:
        """X with NaN where it is missing."""
        return X

    def _fit_matrix(self, rows: SeenRows, options: Options, init: Any) -> Learnt:
        """Fit observed entries, from a start given by the user, from the last fit, or from the data alone."""
        entries, copies, seen = rows
        forget_batches(self)
        if options.rank is not None:  # rows that are the same are one
            options = replace(options, rank=min(options.rank, *seen.shape))
        if not len(seen.y):
            what = "values in rows of positive weight" if len(entries.y) else "{} x {} values".format(*entries.shape)
            raise ValueError(f"X has no observed entry: all {what} are missing.")
        start = None
        if init is not None:
            left, right = check_init(init, entries.shape, entries.dtype)
            start = Factors(left if copies is None else left[copies.index], right)
        elif self.warm_start and _tells_factors(self, entries.shape[1]):
            start = Factors(self._space.regress(seen, n_jobs=self.n_jobs).factors, self._space.basis)
        copies, seen, found = _fit_seen(rows, options, start)
        found = _naming_weights(found, seen.row_weight)
        if copies is None:
            return Learnt(entries, found, seen, found)
        return Learnt(entries, copies.of_samples(found, entries, n_jobs=self.n_jobs), seen, found)

    def _set_matrix(self, result: MatrixFit, **own: Any) -> None:
        """Set the fitted attributes of a matrix and an estimator's `own`; warn of what is not identifiable."""
        matrix = {
            "outliers_": result.outliers,
            "location_": result.location,
            "expected_error_": result.expected_error,
            "noise_scale_": noise_of_columns(result.space, result.fit.scale),
            "undetermined_rows_": result.undetermined_rows,
            "undetermined_columns_": result.undetermined_columns,
            "_space": result.space,
            "_n_observed": result.n_observed,
            "_n_flagged": None,
        }
        self._set_fitted(result.fit, **{**matrix, **own})
        _warn_of_undetermined(result, getattr(self, "feature_names_in_", None))

    def _snapshot(self, left, s, right, seen: Masks | None = None) -> dict[str, Any]:
        """Attributes of an estimator that transforms from these singular triplets."""
        # on the way nothing is met yet: rows are regressed by least absolute deviations, without random starts
        scale = 1e-3 * float(s[0]) / np.sqrt(left.size)
        space = RowSpace.learn(right, left * s, slice(None) if seen is None else seen.rows, scale, efficient=False)
        return {
            "left_": left,
            "singular_values_": s,
            "right_": right,
            "rank_": len(s),
            "scale_": 0.0,
            "threshold_": np.inf,
            "stop_reason_": StopReason.INTERRUPTED.value,
            "location_": space.basis @ space.center,
            "_space": space,
        }

    def _regress(self, entries: Entries, **what: Any) -> Regression:
        """Regression of rows on the learned row space."""
        return self._space.regress(entries, n_jobs=check_jobs("n_jobs", self.n_jobs), **what)

    def _judge_entries(self, X: Any) -> Judged:
        X, entries = self._entries(X, reset=False)
        fit = self._regress(entries, residual=True, threshold=self.threshold_)
        outliers = entries.mask(self._space.gross(entries, fit))
        if entries.is_sparse:
            residual = Entries.of(entries.indptr, entries.cols, fit.residual, entries.shape)
            return Judged(entries.matrix, residual.matrix, outliers)
        whole = np.full(X.shape, np.nan, X.dtype)
        whole[entries.rows, entries.cols] = fit.residual
        return Judged(X, whole, outliers)

    def score(self, X, y=None, *, sample_weight=None):
        """Compute the robust R2 of entries, each hidden from the regression of its own row.

        Entries are predicted from those of the same rows in other columns, a fifth of the columns hidden at a time. The
        fit stays as it is: the score of the rows that were fitted is no cross-validation. It is ``1 - (median|(x - p) /
        s| / median|(x - m) / s|)^2``, with the prediction p of each entry x, the median m of the other entries of its
        column in X, and the median s of ``|x - m|`` in that column: units and means of the columns do not matter.
        Columns do not count most of whose values in X are the same; if none counts, m and s are those of all entries.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, seen or new, as for :meth:`transform`.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            How often each row counts. None: each counts once.

        Returns
        -------
        score : float
            At most 1, and the same at each call; 0 is as good as the median of the others of its column.

        Raises
        ------
        ValueError
            If the data are not as described, nothing is observed, or the estimator is not fitted (NotFittedError).

        Examples
        --------
        >>> from sklearn_robustlr import RobustMatrixCompletion
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((40, 30), rank=2, observed=0.8, outliers=0.1, random_state=0)
        >>> model = RobustMatrixCompletion().fit(problem.data)
        >>> round(model.score(problem.data), 6)
        1.0
        """
        return score_in_columns(self, X, sample_weight)


def stored_estimates(space: RowSpace | ModelSpace, entries: Entries, fit: Regression) -> np.ndarray:
    """Estimates at the entries of rows, by their regression: beside huge errors residuals do not tell them."""
    return space.residual(entries.with_values(np.zeros_like(entries.y)), fit.factors)


def entries_told(estimator: Any, X: Any) -> Entries:
    """The entries of X of which a likelihood is known: those in columns that tell of others, if any does."""
    _, entries = estimator._entries(X, reset=False)
    told = np.ones(entries.shape[1], dtype=bool)
    told[list(getattr(estimator, "undetermined_columns_", ()))] = False  # of a fit on its way nothing is known of that
    told &= True if estimator._space.known is None else estimator._space.known
    return entries.subset(told[entries.cols]) if told.any() else entries


def forget_batches(estimator: Any) -> None:
    """Drop what is kept of batches that came before a fit."""
    for name in ("_stream", "n_samples_seen_"):
        vars(estimator).pop(name, None)


def _tells_factors(estimator: Any, n_features: int) -> bool:
    """Whether the last fit tells factors of the matrix, of so many columns."""
    space = getattr(estimator, "_space", None)
    return (
        space is not None
        and bool(estimator.rank_)
        and len(space.basis) == n_features
        and (isinstance(space, RowSpace) or space.long is None)
    )


def _naming_weights(found: MatrixFit, weight: np.ndarray | None) -> MatrixFit:
    """A fit that has not converged, whose message says if rows count so little that they are few."""
    if weight is None or found.fit.converged or weight.sum() >= 0.5 * len(weight):
        return found
    own = f"the sample_weight of {len(weight)} different rows sums to {weight.sum():.3g}, as if there were so few rows"
    message = f"{found.fit.verdict.message} ({own}: divide relative weights by their mean)"
    return replace(found, fit=replace(found.fit, verdict=found.fit.verdict._replace(message=message)))


def _fit_seen(rows: SeenRows, options: Options, start: Factors | None) -> tuple[Copies | None, Entries, MatrixFit]:
    """The copies that are fitted, their entries, and the fit; copies count where nothing is exact without them."""
    entries, copies, seen = rows
    more = None if copies is None else copies.repeated(entries.shape[1])
    if more is not None:
        repeated = more.entries(entries)
        found = fit_copies(repeated, more.index, seen, options)
        if found is not None:
            return more, repeated, found
    return copies, seen, fit_matrix(seen, options, start)


def _validated(estimator: Any, X: Any, reset: bool) -> Any:
    """X as an array or a CSR matrix of floats, in which NaN is allowed."""
    check_numeric(X)
    with np.errstate(invalid="ignore"):  # its sum of the values is inf - inf where they are of extreme size
        try:
            return validate_data(
                estimator,
                X,
                reset=reset,
                accept_sparse="csr",
                dtype=[np.float64, np.float32],
                order="C",
                ensure_all_finite="allow-nan",
            )
        except ValueError as error:
            if "contains infinity" not in str(error):
                raise
            raise ValueError(f"{error} {_where_infinite(X)}") from None


def _where_infinite(X: Any) -> str:
    """The columns of X that hold infinity, by their names where they have any, and the first row that does."""
    whole = check_array(X, accept_sparse="csr", dtype=np.float64, ensure_all_finite=False)
    rows, cols, values = sparse.find(whole) if sparse.issparse(whole) else (*np.indices(whole.shape), whole)
    wrong = np.isinf(values)
    if not wrong.any():  # a number that is too large for its type
        return ""
    found, names = np.unique(cols[wrong]), getattr(X, "columns", range(whole.shape[1]))
    listed = ", ".join(repr(names[j]) for j in found[:5].tolist()) + (", ..." if len(found) > 5 else "")
    where = f"column{'s' if len(found) > 1 else ''} {listed}, first in row {rows[wrong].min()}"
    return f"It is in {where}: set it to NaN if it is missing."


def _weighted(X: Any, weight: np.ndarray | sparse.csr_matrix) -> tuple[Any, Entries]:
    """X without the entries of no weight, and the others with their weights."""
    if sparse.issparse(X):
        rows, cols = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr)), X.indices
        X = X.copy()
        X.data[np.asarray(weight[rows, cols]).ravel() == 0.0] = np.nan
    else:
        weight = np.asarray(sparse.csr_matrix(weight).todense()) if sparse.issparse(weight) else weight
        X = np.where(weight == 0.0, np.nan, X).astype(X.dtype, copy=False)
    entries = Entries(X)
    own = np.asarray(weight[entries.rows, entries.cols]).ravel()
    if not np.isfinite(own).all():
        raise ValueError("entry_weight must be finite wherever X is observed; a weight of 0 leaves an entry out.")
    return X, entries if np.all(own == own[:1]) else entries.weighted(own)


def _warn_of_undetermined(result: MatrixFit, names: np.ndarray | None) -> None:
    """Warn of rows and columns that are not identifiable: without a core all are, and that has been said."""
    if result.has_core:
        lost, of = (result.undetermined_rows, result.undetermined_columns), (None, names)
        warn_of_open(*lost, names=of, of="X", because=_NOT_IDENTIFIABLE)


def _warn_of_one_value(entries: Entries) -> None:
    """Warn of a sparse matrix that stores one value alone: what is not stored is hardly missing then."""
    n, value = len(entries.y), entries.y[:1]
    if 1 < n < np.prod(entries.shape, dtype=float) and np.all(entries.y == value):
        warn_user(
            f"All {n} stored values of the sparse X are {value[0]:g}, and the entries that it does not store are read "
            f"as missing: a matrix that has this value everywhere fits them. If the entries that it does not store are "
            f"zeros, as in one-hot columns or implicit feedback, set absent='zero'."
        )
