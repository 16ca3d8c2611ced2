"""What the fit of a matrix has come to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .._model.space import ModelSpace
from .._operators.observed import Entries
from .._rows.regression import Regression, RowSpace
from .._utils.rules import FLAG_WIDTH
from .measurements import LowRankFit


@dataclass(frozen=True)
class MatrixFit:
    """A fit of all observed entries of a matrix: `fit` has the factors of all rows and columns.

    New rows are regressed on `space`. `outliers` is a matrix of flags, `location` the mean of the columns of the
    estimate; `undetermined_rows` and `undetermined_columns` are indices. `expected_error` is what an entry of each
    column would be missed by if it were hidden, in units of the sd of the column (NaN: not known). `has_core` is False
    where no two rows share two columns, so that nothing but a location was estimated.
    """

    fit: LowRankFit
    space: RowSpace | ModelSpace
    outliers: np.ndarray
    location: np.ndarray
    undetermined_rows: np.ndarray
    undetermined_columns: np.ndarray
    n_observed: int
    expected_error: np.ndarray
    has_core: bool = True
    #: That of all rows on `space`, where it does not depend on what is asked of it; else None.
    regression: Regression | None = None

    def beside(self, shift: np.ndarray) -> MatrixFit:
        """The same beside a value of each column, on a space that has such a value apart."""
        assert isinstance(self.space, ModelSpace)
        location = (self.location + shift).astype(self.location.dtype)
        return replace(self, fit=self.fit.beside(shift), space=self.space.moved_by(shift), location=location)

    def in_units(self, units: np.ndarray) -> MatrixFit:
        """The same where columns are in other units, in which the present ones are these."""
        fit, space, before = self.fit.in_units(units), self.space.in_units(units), self.space
        if isinstance(space, ModelSpace) and isinstance(before, ModelSpace):  # flags go by the noise of each column
            scale = float(fit.scale * np.linalg.norm(space.noise) / np.linalg.norm(before.noise))
            fit = replace(fit, scale=scale, threshold=FLAG_WIDTH * scale)
        return replace(
            self,
            fit=fit,
            space=space,
            location=(self.location * units).astype(self.location.dtype),
            regression=None if self.regression is None else self.regression.without_residual(),
        )


def noise_of_columns(space: RowSpace | ModelSpace, scale: float) -> np.ndarray:
    """Standard deviation of the noise of the inliers of each column, where that of the fit is `scale`."""
    if isinstance(space, ModelSpace):
        return space.noise
    return float(scale) * (np.ones(len(space.basis)) if space.units is None else space.units)


def counts_of_rows(entries: Entries, outliers: np.ndarray) -> np.ndarray:
    """How often rows count: those most of whose entries are outliers do not."""
    weight = np.ones(entries.shape[0]) if entries.row_weight is None else entries.row_weight
    wrong = np.bincount(entries.rows[outliers], minlength=len(weight))
    return np.where(2 * wrong > np.diff(entries.indptr), 0.0, weight)
