"""What the estimators of a matrix share: input to entries, the fit, the regression of new rows, the score."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from . import _blocks
from ._base import FitMixin, flag_width
from ._factors import product_svd
from ._measurements import EntryMeasurements
from ._rows import RowSpace
from ._validation import check_options, index32
from .metrics import robust_r2_score

# Share of a row that `score` hides at a time.
_FOLDS = 5


class Entries:
    """Observed entries of a matrix in compressed sparse row form, whatever they came in."""

    def __init__(self, X):
        self.shape = X.shape
        self.dtype = X.dtype
        self.is_sparse = sparse.issparse(X)
        if self.is_sparse:
            X = index32(X)
            seen = np.isfinite(X.data)
            if not seen.all():  # a stored NaN is a missing value
                rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))[seen]
                X = sparse.csr_matrix((X.data[seen], (rows, X.indices[seen])), shape=X.shape)
            self.indptr, self.cols, self.y = X.indptr, X.indices, X.data
            return
        seen = np.isfinite(X)
        count = seen.sum(axis=1)
        self.indptr = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
        self.cols = np.broadcast_to(np.arange(X.shape[1], dtype=np.int32), X.shape)[seen]
        self.y = X[seen]

    @classmethod
    def of(cls, indptr, cols, y, shape):
        """Entries given in compressed sparse row form."""
        new = cls.__new__(cls)
        new.indptr, new.cols, new.y, new.shape, new.dtype, new.is_sparse = indptr, cols, y, shape, y.dtype, True
        return new

    @property
    def rows(self):
        return np.repeat(np.arange(self.shape[0], dtype=np.int32), np.diff(self.indptr))

    def subset(self, keep):
        """Return (indptr, cols, y) of the entries of a mask."""
        indptr = np.concatenate([[0], np.cumsum(keep)])[self.indptr].astype(np.int32)
        return indptr, self.cols[keep], self.y[keep]

    def mask(self, flags):
        """Flags of the entries as a boolean matrix of the shape of X, sparse where X was."""
        if self.is_sparse:
            where = self.rows[flags], self.cols[flags]
            return sparse.csr_matrix((np.ones(len(where[0]), dtype=bool), where), shape=self.shape)
        out = np.zeros(self.shape, dtype=bool)
        out[self.rows[flags], self.cols[flags]] = True
        return out


def count(index, size, flags, *, chunk=1_000_000):
    """How many flagged entries have each index, without temporaries of the length of the data."""
    total = np.zeros(size, dtype=np.int64)
    for lo in range(0, len(index), chunk):
        total += np.bincount(index[lo : lo + chunk][flags[lo : lo + chunk]], minlength=size)
    return total


def core(entries, least=2):
    """Masks of the rows and columns that keep `least` entries each once all others are gone.

    A row with a single entry says nothing about the others, whatever the rank.
    """
    rows, cols = entries.rows, entries.cols
    keep_rows, keep_cols = np.ones(entries.shape[0], bool), np.ones(entries.shape[1], bool)
    while True:
        alive = keep_rows[rows] & keep_cols[cols]
        few_rows = keep_rows & (count(rows, len(keep_rows), alive) < least)
        few_cols = keep_cols & (count(cols, len(keep_cols), alive) < least)
        if not (few_rows.any() or few_cols.any()):
            return keep_rows, keep_cols
        keep_rows &= ~few_rows
        keep_cols &= ~few_cols


class MatrixMixin(FitMixin):
    """Fit a matrix with holes and lies in it, and regress new rows on its row space."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()  # type: ignore[misc]  # of BaseEstimator
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags

    def _entries(self, X, *, reset):
        """Validated X and its observed entries."""
        X = validate_data(
            self,
            X,
            reset=reset,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            order="C",
            ensure_all_finite="allow-nan",
        )
        return X, Entries(X)

    def _fit_matrix(self, X):
        """Fit; sets all attributes that do not depend on the estimator, and the row space."""
        X, entries = self._entries(X, reset=True)
        options = check_options(self, entries.shape)
        if not len(entries.y):
            raise ValueError(f"X has no observed entry: all {X.shape[0]} x {X.shape[1]} values are missing.")
        self._n_observed = len(entries.y)
        keep_rows, keep_cols = core(entries)
        if keep_rows.any():
            self._fit_core(entries, keep_rows, keep_cols, options)
        else:
            self._fit_location(entries)
        self._settle(entries, keep_rows, keep_cols)
        return self

    def _fit_core(self, entries, keep_rows, keep_cols, options):
        if len(entries.y) > _blocks.LARGE and self._fit_block(entries, options):
            return
        self._fit_part(entries, keep_rows, keep_cols, options)
        for name, keep in (("left_", keep_rows), ("right_", keep_cols)):
            factor = getattr(self, name)
            whole = np.zeros((len(keep), factor.shape[1]), factor.dtype)
            whole[keep] = factor
            setattr(self, name, whole)

    def _fit_part(self, entries, keep_rows, keep_cols, options):
        """Fit the submatrix of the masked rows and columns."""
        rows, cols, y, shape = entries.rows, entries.cols, entries.y, entries.shape
        if not (keep_rows.all() and keep_cols.all()):
            alive = keep_rows[rows] & keep_cols[cols]
            rows = (np.cumsum(keep_rows, dtype=np.int32) - 1)[rows[alive]]
            cols = (np.cumsum(keep_cols, dtype=np.int32) - 1)[cols[alive]]
            y, shape = y[alive], (int(keep_rows.sum()), int(keep_cols.sum()))
        rank = None if options.rank is None else min(options.rank, *shape)
        self._run(EntryMeasurements(rows, cols, y, shape), replace(options, rank=rank))

    def _fit_block(self, entries, options):
        """Fit a block and extend it; returns whether that went well."""
        rows, cols = _blocks.choose_block(entries.shape, len(entries.y))
        alive = rows[entries.rows] & cols[entries.cols]
        indptr, j, y = entries.subset(alive)
        block = Entries.of(indptr, j, y, entries.shape)
        rows, cols = core(block)
        if not rows.any():
            return False
        self._fit_part(block, rows, cols, options)
        if self.rank_ == 0:
            return False
        share = float(np.mean(self.outliers_))
        matrix = sparse.csr_matrix((entries.y, entries.cols, entries.indptr), shape=entries.shape, copy=False)
        scale = self._row_scale()
        left, right = _blocks.extend(
            matrix,
            self.left_ * self.singular_values_,
            self.right_,
            rows,
            cols,
            scale=scale,
            efficient=not self._heavy,
            n_jobs=self.n_jobs,
        )
        residual = RowSpace.learn(right, left, slice(None), scale).residual(
            entries.indptr, entries.cols, entries.y, left
        )
        # a block that knows nothing of a direction; where it has not converged, the whole would not either
        if self.converged_ and np.mean(np.abs(residual) > self.threshold_) > 1.2 * share + 0.02:
            return False
        u, s, v = product_svd(left, right)
        dtype = entries.dtype
        self.left_, self.singular_values_, self.right_ = u.astype(dtype), s.astype(dtype), v.astype(dtype)
        return True

    def _row_scale(self):
        """Noise scale that rows are regressed with: that of the flags, so that rounding counts as noise."""
        return min(self.threshold_ / flag_width(self._heavy), np.finfo(np.float64).max)

    def _fit_location(self, entries):
        """Nothing but a location can be learnt: the median of each column, of all where it is empty."""
        dtype = entries.dtype
        location = np.full(entries.shape[1], np.median(entries.y), dtype)
        for j in np.unique(entries.cols):
            location[j] = np.median(entries.y[entries.cols == j])
        norm = np.linalg.norm(location)
        n = entries.shape[0]
        self.left_ = np.full((n, 1), 1 / np.sqrt(n), dtype)
        self.right_ = (location / norm if norm > 0 else np.zeros_like(location))[:, None]
        self.singular_values_ = np.array([norm * np.sqrt(n)], dtype)
        self.rank_, self.n_iter_ = 1, 0
        self.scale_, self.threshold_, self._heavy = 0.0, np.inf, True
        self.converged_ = False
        self.stop_reason_ = "no two rows share two columns: only a location of the columns was estimated"
        self.history_ = {}
        self.restart_scores_ = np.zeros(self.n_init)
        warnings.warn(f"{type(self).__name__} did not converge: {self.stop_reason_}.", ConvergenceWarning, stacklevel=4)

    def _settle(self, entries, keep_rows, keep_cols):
        """Estimate what the fit has not determined, learn the row space, flag the outliers."""
        scale = self._row_scale()
        left, right, s = self.left_, self.right_, self.singular_values_
        residual = RowSpace.learn(right, left * s, keep_rows, scale).residual(
            entries.indptr, entries.cols, entries.y, (left * s).astype(np.float64)
        )
        sound = np.abs(residual) <= self.threshold_
        del residual
        known_rows = keep_rows & (count(entries.rows, len(keep_rows), sound) > self.rank_)
        known_cols = keep_cols & (count(entries.cols, len(keep_cols), sound) > self.rank_)
        if self.rank_ and keep_rows.any() and not known_cols.all():
            space = RowSpace.learn(left * s, right, known_cols, scale)
            turned = sparse.csr_matrix((entries.y, entries.cols, entries.indptr), shape=entries.shape).T.tocsr()
            lost = turned[np.flatnonzero(~known_cols)]
            right = right.copy()
            right[~known_cols] = space.regress(lost.indptr, lost.indices, lost.data, n_jobs=self.n_jobs)[0]
            left, s, right = product_svd(left * s, right)
        self._space = RowSpace.learn(right, left * s, known_rows, scale, efficient=not self._heavy)
        factors, met = self._space.regress(entries.indptr, entries.cols, entries.y, n_jobs=self.n_jobs)
        if not known_rows.all():
            left = (left * s).astype(np.float64)
            left[~known_rows] = factors[~known_rows]
            left, s, right = product_svd(left, right)
            # the coefficients refer to the old basis: learn the new one
            self._space = RowSpace.learn(right, left * s, known_rows, scale, efficient=not self._heavy)
            factors, met = self._space.regress(entries.indptr, entries.cols, entries.y, n_jobs=self.n_jobs)
        dtype = entries.dtype
        self.left_, self.singular_values_, self.right_ = left.astype(dtype), s.astype(dtype), right.astype(dtype)
        self._known_columns = known_cols
        self.outliers_ = entries.mask(self._space.flags(entries, factors, met, known_cols, self.threshold_)[1])
        self.location_ = (self._space.basis @ self._space.center).astype(dtype)
        self.undetermined_rows_ = np.flatnonzero(~known_rows | (met <= self.rank_))
        self.undetermined_columns_ = np.flatnonzero(~known_cols)
        for name, index in (("rows", self.undetermined_rows_), ("columns", self.undetermined_columns_)):
            if len(index) and keep_rows.any():  # else all are, and that has been said
                listed = ", ".join(str(i) for i in index[:5]) + (", ..." if len(index) > 5 else "")
                warnings.warn(
                    f"{len(index)} {name} of X have too few sound observations to be determined ({listed}): they were "
                    f"estimated from the few they have and from the other {name} (see undetermined_{name}_).",
                    UserWarning,
                    stacklevel=4,
                )

    def _regress(self, entries):
        """Coefficients of rows in the learned row space, and how many entries each meets."""
        return self._space.regress(entries.indptr, entries.cols, entries.y, n_jobs=self.n_jobs)

    def score(self, X, y=None):
        """Robust R2 on entries hidden from the regression of their own row.

        The columns are dealt into five groups; the entries of each are predicted from the other entries of
        their row. With p the predictions and x the entries, ``1 - (median|x - p| / median|x - median x|)^2``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, NaN or not stored where missing.
        y : None
            Ignored.

        Returns
        -------
        score : float
            At most 1; the same at each call.

        Raises
        ------
        ValueError
            If X is not as described or has no observed entry, or the estimator is not fitted (NotFittedError).
        """
        check_is_fitted(self)
        X, entries = self._entries(X, reset=False)
        if not len(entries.y):
            raise ValueError("X has no observed entry to score on.")
        n_groups = min(_FOLDS, max(X.shape[1], 1))
        group = np.random.RandomState(0).permutation(X.shape[1]) % n_groups
        group_of = group[entries.cols]
        predicted = np.empty(len(entries.y))
        for fold in range(n_groups):
            hidden = group_of == fold
            factors = self._space.regress(*entries.subset(~hidden), n_jobs=self.n_jobs)[0]
            indptr, cols, values = entries.subset(hidden)
            predicted[hidden] = self._space.residual(indptr, cols, values, factors) + values
        return robust_r2_score(entries.y, predicted)
