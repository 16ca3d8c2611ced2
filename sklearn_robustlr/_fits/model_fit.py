"""A space of the averaged model as a fit of all rows, in the units of the data."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .._model.limits import with_ends, within_reach
from .._model.rows import MemberRows
from .._model.space import ModelSpace
from .._operators.observed import Entries
from .._rows.regression import Regression
from .._utils.linalg import product_svd
from .._utils.rules import FLAG_WIDTH
from .._utils.values import Options, Verdict
from .measurements import LowRankFit


class Approximation(NamedTuple):
    """A fit by the averaged model, the space that rows are regressed on, and the regression of all rows.

    `noise` are root mean squares of the noise of the inliers of each column, over rows.
    """

    fit: LowRankFit
    space: ModelSpace
    regression: Regression
    noise: np.ndarray


def as_fit(
    entries: Entries,
    space: ModelSpace,
    fit: LowRankFit,
    verdict: Verdict,
    options: Options,
    regression: Regression | None = None,
) -> Approximation:
    """A model as a fit of all rows, in the units of the data; it is blind to columns of which it knows nothing.

    Where its rank is not sharp, estimates of a column are held to the range of what is seen. If a
    `regression` is given, it is that of all rows on `space`, which is blind to such columns already.
    """
    dtype, noise_of_rows = entries.dtype, np.ones(entries.shape[0])
    if regression is None:
        space = space.knowing(entries)

        def keep(lo: int, hi: int, members: list[MemberRows]) -> None:
            noise_of_rows[lo:hi] = space.noise_of_rows(members)

        regression = space.regress(entries, n_jobs=options.n_jobs, residual=True, visit=keep)
    if not space.is_sharp:
        space = space.within(entries, regression.beyond)
        space = with_ends(space, entries, regression.residual, regression.beyond)
    if space.long is None:
        u, s, v = product_svd(regression.factors, space.basis)
    else:
        u, s, vt = np.linalg.svd(within_reach(space, space.predict(regression.factors)), full_matrices=False)
        v = vt.T
    kept = s > 1e-12 * s[0]
    u, s, v = u[:, kept], s[kept], v[:, kept]
    space = replace(space, center=np.average(regression.factors, axis=0, weights=entries.row_weight))
    met = np.maximum(regression.met, 0) + np.finfo(np.float64).tiny  # where there is no inlier, all rows count
    met = met if entries.row_weight is None else met * entries.row_weight
    noise = space.noise * np.sqrt(np.average(noise_of_rows, weights=met))
    scale = float(np.linalg.norm(noise / noise.max()) / np.sqrt(len(noise)) * noise.max())
    found = replace(
        fit,
        left=u.astype(dtype),
        singular_values=s.astype(dtype),
        right=v.astype(dtype),
        rank=len(s),
        scale=scale,
        threshold=FLAG_WIDTH * scale,
        heavy_tailed=False,
        outliers=regression.beyond,
        verdict=verdict,
    )
    return Approximation(found, space, regression, noise)
