"""What the estimators of a matrix share: the fit of a block or the whole, the regression of new rows, the score."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from . import _blocks, _memory
from ._base import FitMixin, check_size, flag_width
from ._checkpoint import stage
from ._entries import Entries, core
from ._entry_measurements import EntryMeasurements
from ._factors import product_svd
from ._polish import broken
from ._rank import is_exact
from ._rows import RowSpace
from ._validation import check_options, check_start
from .metrics import robust_r2_score

# Share of a row that `score` hides at a time.
_FOLDS = 5


class MatrixMixin(FitMixin):
    """Fit a matrix with holes and lies in it, and regress new rows on its row space."""

    warm_start: bool

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()  # type: ignore[misc]  # of BaseEstimator
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags

    def _entries(self, X, *, reset):
        """Validated X and its observed entries."""
        with np.errstate(invalid="ignore"):  # its sum of the values is inf - inf where they are of extreme size
            X = validate_data(
                self,
                X,
                reset=reset,
                accept_sparse="csr",
                dtype=[np.float64, np.float32],
                order="C",
                ensure_all_finite="allow-nan",
            )
        if reset:
            _memory.require(_memory.matrix_need(X))
        return X, Entries(X)

    def _fit_matrix(self, entries, start):
        """Fit; sets all attributes that do not depend on the estimator, and the row space."""
        options = check_options(self, entries.shape)
        if not len(entries.y):
            raise ValueError("X has no observed entry: all {} x {} values are missing.".format(*entries.shape))
        self._n_observed = len(entries.y)
        start = self._warm_start(entries, start)
        if start is None:
            done, block = self._fit_small_block(entries, options)
            if done:
                return self
            start = None if block is None else self._block_to_start(entries, *block)
        keep_rows, keep_cols = core(entries)
        if keep_rows.any():
            self._fit_core(entries, keep_rows, keep_cols, options, start)
        else:
            self._fit_location(entries)
        self._settle(entries, keep_rows, keep_cols)
        return self

    def _warm_start(self, entries, start):
        """Factors to begin at: those given, or, with `warm_start`, the rows regressed on the last row space."""
        if start is not None:
            return check_start(start, entries.shape, entries.dtype)
        warm = self.warm_start and hasattr(self, "_space") and self.rank_
        if not warm or len(self._space.basis) != entries.shape[1]:
            return None
        space = self._space
        return space.regress(entries, n_jobs=self.n_jobs).factors, space.basis

    def _solve_part(self, entries, rows, cols, options, start=None):
        """Solve for the submatrix of the masked rows and columns; returns an :class:`Outcome`.

        `start`: factors of a fit to nearly the same data, of all rows and columns.
        """
        if start is not None:
            start = start[0][rows], start[1][cols]
        whole = bool(rows.all() and cols.all())
        if not whole:
            entries = entries.part(rows, cols)
        rank = None if options.rank is None else min(options.rank, *entries.shape)
        measurements = EntryMeasurements(entries.rows, entries.cols, entries.y, entries.shape)
        return self._solve(measurements, replace(options, rank=rank), start, whole)

    def _choose_block(self, entries, size, include=None):
        """Masks of the rows and columns of a block, all of which have entries in it."""
        rows, cols = _blocks.choose_block(entries.shape, len(entries.y), size, include=include)
        for mask, keep in zip((rows, cols), core(entries.part(rows, cols)), strict=True):
            mask[mask] = keep
        return rows, cols

    def _start_from_block(self, entries, options):
        """Factors of the whole from a block, for other measurements of the same entries; None: no such block."""
        done, block = self._fit_small_block(entries, options)
        if done:
            return self.left_ * self.singular_values_, self.right_
        return None if block is None else self._extend(entries, *block)

    def _fit_small_block(self, entries, options):
        """Look for an exact fit of a small block that holds for the whole.

        Returns whether there is one, and, where a block shows that there is noise instead, its masks: its fit is set.
        """
        for size in _blocks.SMALL if options.polish else ():
            if len(entries.y) <= 4 * size:
                break
            include = None
            for _ in range(2):
                rows, cols = self._choose_block(entries, size, include)
                if not rows.any():
                    break
                outcome = self._solve_part(entries, rows, cols, replace(options, hurried=True))
                best = outcome.best
                if not best.converged or best.fit.heavy or not best.rank:
                    break
                self._store(outcome)
                if not is_exact(best.fit):
                    return False, (rows, cols)
                include = self._extend_exactly(entries, rows, cols)
                if include is None:
                    return True, None
                if not any(mask.any() for mask in include):
                    break
        return False, None

    def _block_to_start(self, entries, rows, cols):
        """Factors to begin at, from a fitted block: of the whole, or of the larger block that is fitted next."""
        if len(entries.y) <= _blocks.LARGE:
            return self._extend(entries, rows, cols)
        within = tuple(a | b for a, b in zip(self._choose_block(entries, _blocks.BLOCK), (rows, cols), strict=True))
        part = self._extend(entries.part(*within), rows[within[0]], cols[within[1]])
        start = tuple(np.zeros((n, self.rank_), entries.dtype) for n in entries.shape)
        for factor, mask, known in zip(start, within, part, strict=True):
            factor[mask] = known
        return start

    def _extend_exactly(self, entries, rows, cols):
        """Extend an exact fit of a block to the whole.

        Returns None where that went well, and masks of rows and columns to try another block with where not: those
        that the row space does not explain.
        """
        scale, share = self._row_scale(), 1.0 - float(np.mean(self.outliers_))
        triplets = self.left_, self.singular_values_, self.right_
        options = {"scale": scale, "efficient": True, "n_jobs": self.n_jobs}
        right = _blocks.extend_columns(entries, *triplets, rows, cols, **options)
        space = RowSpace.learn(right, self.left_ * self.singular_values_, slice(None), scale)
        fit = space.regress(entries, n_jobs=self.n_jobs, threshold=self.threshold_)
        sound = ~fit.beyond
        met_rows, met_cols = entries.counts(sound)
        seen_rows, seen_cols = entries.counts(np.ones_like(sound))
        worse = broken(met_rows, seen_rows), broken(met_cols, seen_cols)
        few = met_rows <= self.rank_, met_cols <= self.rank_
        nothing = tuple(np.zeros_like(mask) for mask in worse)
        if any(mask.any() for mask in (*worse, *few)) or met_rows.sum() < (0.9 * share - 0.02) * len(entries.y):
            return worse if max(mask.mean() for mask in worse) < 0.3 else nothing
        known = nothing[0] | True, nothing[1] | True
        self._set_factors(fit.factors, right, entries.dtype)
        self._learn_space(*known)
        self._set_verdicts(entries, fit, *known)
        return None

    def _snapshot(self, left, s, right):
        """Attributes of an estimator that transforms from these singular triplets, all rows and columns known."""
        # on the way nothing is met yet: rows are regressed by least absolute deviations, without random starts
        scale = 1e-3 * float(s[0]) / np.sqrt(left.size)
        space = RowSpace.learn(right, left * s, slice(None), scale, efficient=False)
        return {
            "left_": left,
            "singular_values_": s,
            "right_": right,
            "rank_": len(s),
            "scale_": 0.0,
            "threshold_": np.inf,
            "location_": space.basis @ space.center,
            "_space": space,
        }

    def _set_factors(self, left, right, dtype):
        """Singular vectors and values of left right^T."""
        u, s, v = product_svd(left, right)
        self.left_, self.singular_values_, self.right_ = u.astype(dtype), s.astype(dtype), v.astype(dtype)

    def _fit_core(self, entries, keep_rows, keep_cols, options, start):
        if len(entries.y) > _blocks.LARGE and self._fit_block(entries, options, start):
            return
        self._store(self._solve_part(entries, keep_rows, keep_cols, options, start))
        for name, keep in (("left_", keep_rows), ("right_", keep_cols)):
            factor = getattr(self, name)
            whole = np.zeros((len(keep), factor.shape[1]), factor.dtype)
            whole[keep] = factor
            setattr(self, name, whole)

    def _fit_block(self, entries, options, start):
        """Fit a block and extend it; returns whether that went well."""
        rows, cols = self._choose_block(entries, _blocks.BLOCK)
        if not rows.any():
            return False
        self._store(self._solve_part(entries, rows, cols, options, start))
        if self.rank_ == 0:
            return False
        share = float(np.mean(self.outliers_))
        left, right = self._extend(entries, rows, cols)
        residual = RowSpace.learn(right, left, slice(None), self._row_scale()).residual(entries, left)
        # a block that knows nothing of a direction; where it has not converged, the whole would not either
        if self.converged_ and np.mean(np.abs(residual) > self.threshold_) > 1.2 * share + 0.02:
            return False
        self._set_factors(left, right, entries.dtype)
        return True

    def _extend(self, entries, rows, cols):
        """Factors of the whole from those of a block."""
        block = self.left_, self.singular_values_, self.right_, rows, cols
        options = {"scale": self._row_scale(), "efficient": not self._heavy}

        def compute():
            return _blocks.extend(entries, *block, n_jobs=self.n_jobs, **options)

        return stage(self._checkpoint, "extension", compute, block, options)

    def _row_scale(self):
        """Noise scale that rows are regressed with: that of the flags, so that rounding counts as noise."""
        return min(self.threshold_ / flag_width(self._heavy), np.finfo(np.float64).max)

    def _fit_location(self, entries):
        """Nothing but a location can be learnt: the median of each column, of all where it is empty."""
        dtype = entries.dtype
        top = np.abs(entries.y).max() or dtype.type(1)  # sums and squares of extreme sizes overflow or vanish
        values = entries.y / top
        location = np.full(entries.shape[1], np.median(values), dtype)
        for j in np.unique(entries.cols):
            location[j] = np.median(values[entries.cols == j])
        norm = np.linalg.norm(location)
        n = entries.shape[0]
        self.left_ = np.full((n, 1), 1 / np.sqrt(n), dtype)
        self.right_ = (location / norm if norm > 0 else np.zeros_like(location))[:, None]
        with np.errstate(over="ignore"):
            self.singular_values_ = np.array([norm * np.sqrt(n)], dtype) * top
        check_size(self.singular_values_)
        self.rank_, self.n_iter_ = 1, 0
        self.scale_, self.threshold_, self._heavy = 0.0, np.inf, True
        self.history_ = {}
        self.restart_scores_ = np.zeros(self.n_init)
        self._distrust("no two rows share two columns: only a location of the columns was estimated", stacklevel=5)

    def _learn_space(self, rows, cols):
        """Row space and its prior from the factors of the known rows and columns (masks)."""
        left, known = self.left_ * self.singular_values_, None if cols.all() else cols
        self._space = RowSpace.learn(self.right_, left, rows, self._row_scale(), efficient=not self._heavy, known=known)

    def _set_verdicts(self, entries, fit, rows, cols):
        """Outliers, location and what is not determined, from the regression of the rows."""
        dtype = entries.dtype
        self.outliers_ = entries.mask(self._space.gross(entries, fit))
        self.location_ = (self._space.basis @ self._space.center).astype(dtype)
        rows = rows & (fit.met > self.rank_)
        known = None
        if not (rows.all() and cols.all()):  # what was known by a row or a column that is not falls with it
            linked = core(entries, self.rank_ + 1, ~fit.beyond & rows[entries.rows] & cols[entries.cols])
            rows, cols = rows & linked[0], cols & linked[1]
            known = rows[entries.rows] & cols[entries.cols]
        if self.converged_ and self.rank_:
            turned_rows, turned_cols, hopeless = self._space.is_ambiguous(entries, fit, self.threshold_, known)
            if hopeless:
                self._distrust("the signs of many rows or columns cannot be told: half of the entries differ", 5)
            rows, cols = rows & ~turned_rows, cols & ~turned_cols
        self.undetermined_rows_ = np.flatnonzero(~rows)
        self.undetermined_columns_ = np.flatnonzero(~cols)

    def _settle(self, entries, keep_rows, keep_cols):
        """Estimate what the fit has not determined, learn the row space, flag the outliers.

        Known is what meets more entries than it could by interpolation alone, in rows and columns that are known
        themselves. The others are regressed on those; without noise, they are known where they meet as many there.
        """
        scale = self._row_scale()
        left, right, s = self.left_, self.right_, self.singular_values_
        space = RowSpace.learn(right, left * s, keep_rows, scale)
        sound = np.abs(space.residual(entries, (left * s).astype(np.float64))) <= self.threshold_
        rows, cols = core(entries, self.rank_ + 1, sound)
        rows, cols = rows & keep_rows, cols & keep_cols
        del sound
        if self.rank_ and keep_rows.any() and not cols.all():
            space = RowSpace.learn(left, right * s, cols, scale, known=rows)
            lost = entries.part(np.ones_like(rows), ~cols).transposed()
            right = (right * s).astype(np.float64)  # not divided by values that may be next to nothing
            found = space.regress(lost, n_jobs=self.n_jobs)
            right[~cols] = found.factors
            cols[~cols] = space.is_clean & space.is_determined(found.met)
            self._set_factors(left, right, entries.dtype)
        self._learn_space(rows, cols)
        fit = self._regress_all(entries)
        if not rows.all():
            left = (self.left_ * self.singular_values_).astype(np.float64)
            # one that is known may have met columns that are not, instead of those that are
            stale = ~rows | self._space.is_clean
            left[stale] = fit.factors[stale]
            rows |= self._space.is_clean
            self._set_factors(left, self.right_, entries.dtype)
            # the coefficients refer to the old basis: learn the new one
            self._learn_space(rows, cols)
            fit = self._regress_all(entries)
        self._set_verdicts(entries, fit, rows, cols)
        for name, index in (("rows", self.undetermined_rows_), ("columns", self.undetermined_columns_)):
            if len(index) and keep_rows.any():  # else all are, and that has been said
                listed = ", ".join(str(i) for i in index[:5]) + (", ..." if len(index) > 5 else "")
                warnings.warn(
                    f"{len(index)} {name} of X have too few sound observations to be determined, or as many of the "
                    f"other sign ({listed}): they were estimated from what they have and from the other {name} (see "
                    f"undetermined_{name}_).",
                    UserWarning,
                    stacklevel=4,
                )

    def _regress(self, entries, **what):
        """Regression of rows on the learned row space."""
        return self._space.regress(entries, n_jobs=self.n_jobs, **what)

    def _regress_all(self, entries):
        """Regression of all rows that are fitted, as a stage of the fit."""
        threshold = self.threshold_

        def compute():
            return self._regress(entries, threshold=threshold)

        return stage(self._checkpoint, "rows", compute, self._space, threshold)

    def _judge_entries(self, X):
        """X as validated, the residuals of its observed entries, and the flags, each in the form of X."""
        X, entries = self._entries(X, reset=False)
        fit = self._regress(entries, residual=True, threshold=self.threshold_)
        wrong = self._space.gross(entries, fit)
        if entries.is_sparse:
            residual = Entries.of(entries.indptr, entries.cols, fit.residual, entries.shape)
            return entries.matrix, residual.matrix, entries.mask(wrong)
        residual = np.full(X.shape, np.nan, X.dtype)
        residual[entries.rows, entries.cols] = fit.residual
        return X, residual, entries.mask(wrong)

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

        Examples
        --------
        >>> from sklearn_robustlr import RobustMatrixCompletion
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((40, 30), rank=2, observed=0.8, outliers=0.1, random_state=0)
        >>> model = RobustMatrixCompletion().fit(problem.data)
        >>> round(model.score(problem.data), 6)
        1.0
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
            factors = self._regress(entries.subset(~hidden)).factors
            rest = entries.subset(hidden)
            predicted[hidden] = self._space.residual(rest, factors) + rest.y
        return robust_r2_score(entries.y, predicted)
