"""
More than half of the measurements wrong
========================================

A median breaks down when half of the values are outliers. A matrix can be recovered in spite of more outliers: errors
that do not agree with one another cancel, while the inliers all point to the same matrix. It only takes more
measurements.

What to look at: the map on the left. With six measurements per degree of freedom, the fit tolerates up to about 40 %
huge errors; with 24, more than half. What failed, on the right: errors that agree with one another. With more than half
of the signs flipped, the data describe -X, and nothing can show that this is wrong: the fit returns -X with
``converged_`` True. Just below one half, the truth still has the majority. Even there it is hardly ever found, not even
from 24 measurements per degree of freedom, and some wrong results have ``converged_`` True as well.
"""

# %%
import sys
import warnings

import matplotlib

if "sphinx_gallery" not in sys.modules:
    matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr.datasets import make_measurements
from sklearn_robustlr.metrics import relative_recovery_error
from sklearn_robustlr.plotting import PhaseTransitionDisplay

SHAPE, RANK = (12, 12), 1
UNKNOWNS = RANK * (sum(SHAPE) - RANK)
SHARES = (0.4, 0.45, 0.55, 0.65)
MULTIPLES = (6, 24)
COUNT = 2


def fit(kind, share, multiple, seed):
    """Errors with respect to X and to -X, and the verdict."""
    problem = make_measurements(multiple * UNKNOWNS, SHAPE, RANK, outliers=share, outlier_kind=kind, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = RobustLowRankRecovery(shape=SHAPE).fit(problem.data, problem.target)
    return *(relative_recovery_error(sign * problem.coef, model.matrix_) for sign in (1, -1)), model.converged_


# %%
# Default settings, rank not given, two problems per cell; recovered means an error below 1e-6
# --------------------------------------------------------------------------------------------
figure, axes = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
for ax, kind in zip(axes, ("huge", "sign-flip"), strict=True):
    cells = [(kind, share, multiple, seed) for share in SHARES for multiple in MULTIPLES for seed in range(COUNT)]
    results = np.array(Parallel(n_jobs=2)(delayed(fit)(*cell) for cell in cells), dtype=float)
    results = results.reshape(len(SHARES), len(MULTIPLES), COUNT, -1)
    PhaseTransitionDisplay.from_predictions(results[..., 0], outliers=SHARES, observations=MULTIPLES, ax=ax)
    ax.set(title=f"errors: {kind}", xlabel="measurements per degree of freedom")
    right, mirrored, converged = results[..., 0] < 1e-6, results[..., 1] < 1e-6, results[..., 2] == 1
    print(f"{kind}: {right.sum()} of {right.size} recovered; {(converged & ~right).sum()} wrong ones called converged,")
    print(f"    {(converged & mirrored).sum()} of them exactly -X")
if "sphinx_gallery" not in sys.modules:
    figure.savefig("science_outliers.png", dpi=120)
