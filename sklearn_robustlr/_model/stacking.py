"""The weights of the members of an average, by their held-out errors."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from .members import Members

# Weight from which a member counts, and held-out error, in units of the mean one, beyond which it is all one. A member
# of little weight may have taken errors for noise: of 24 tables (120 x 80, a decaying spectrum, a fifth of the entries
# wrong) the noise is 1.24 times the true one in the mean, and up to 3.9 times with 0.02; of 300 cases of 60 real tables
# errors are the same.
_LEAST_WEIGHT, _FAR = 0.1, 1e4
# Error of the average, in units of that of its best member, from which many rows are regressed on that one alone: each
# other one takes as long again.
_WORTH = 0.98


def weighed(members: Members, *, alone: bool = False) -> tuple[Members, np.ndarray]:
    """The members that count, and their weights; if `alone`, the best of them where an average is hardly better."""
    weights = least_absolute_weights(members.judged * members.telling)
    least = members.error(members.predicted[members.best].judged)
    if alone and members.error(weights @ members.judged) > _WORTH * least:
        return members.kept([members.best]), np.ones(1)
    counts = weights > _LEAST_WEIGHT
    members = members.kept([name for name, kept in zip(members.columns, counts, strict=True) if kept])
    return members, weights[counts] / weights[counts].sum()


def least_absolute_weights(missed: np.ndarray) -> np.ndarray:
    """Weights of the average with the least absolute held-out error, from errors (members, entries).

    That is a linear program. Its dual is solved, which has one constraint a member. This is stacking (D. H. Wolpert,
    "Stacked generalization", Neural Networks 5, 1992; L. Breiman, "Stacked regressions", Machine Learning 24, 1996).
    """
    if not missed.size:
        return np.full(len(missed), 1.0 / len(missed))
    size = float(np.mean(np.abs(missed), axis=1).min()) or 1.0
    scaled = np.clip(missed / size, -_FAR, _FAR)
    n_members, n = scaled.shape
    solution = linprog(
        np.append(np.zeros(n), -1.0),
        A_ub=np.column_stack([scaled, np.ones(n_members)]),
        b_ub=np.zeros(n_members),
        bounds=[(-1.0, 1.0)] * n + [(None, None)],
        method="highs",
    )
    if solution.status != 0:  # the best alone
        return (np.arange(n_members) == np.argmin(np.mean(np.abs(missed), axis=1))).astype(np.float64)
    weights = np.maximum(-solution.ineqlin.marginals, 0.0)
    return weights / weights.sum()
