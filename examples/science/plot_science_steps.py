"""
Step rules: a schedule, and one that reads the distance
=======================================================

The paper's steps fall geometrically (:cite:t:`ma2023global`), and how fast they fall must be set for each problem. The
rule ``"auto"`` of this package makes the step proportional to the 0.4 quantile of the residuals. This quantile measures
the distance to the solution as long as fewer than 60 % of the measurements are outliers, so nothing has to be tuned.
Here 20 % are outliers.

What to look at: the error against iterations, for true singular values that differ more and more. Where the matrix is
well conditioned, automatic steps reach the solution in half as many iterations as the schedule or fewer. What failed:
at condition 10 the advantage is gone, because the steps shrink with the residual before the weakest direction has grown
(see :ref:`sphx_glr_gallery_science_plot_science_incremental.py`). The Polyak step assumes that the loss of the solution
is zero, and gets nowhere with outliers. A constant step stalls at an error of the size of the step. No step rule gets
as far as the data allow: the default, ``polish=True``, reaches machine precision (printed last).
"""

# %%
import sys
import warnings

import matplotlib

if "sphinx_gallery" not in sys.modules:
    matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr.datasets import make_measurements
from sklearn_robustlr.metrics import relative_recovery_error

SHAPE, RANK = (24, 24), 3
STYLES = {
    "auto": {"color": "#0072b2", "marker": "o"},
    "geometric": {"color": "#d55e00", "marker": "s"},
    "constant": {"color": "#009e73", "marker": "^"},
    "polyak": {"color": "0.5", "marker": "x"},
}
ITERATIONS = (10, 25, 50, 75, 100, 150, 200, 300, 400)


def run(problem, step_size, max_iter, polish=False):
    model = RobustLowRankRecovery(
        rank=SHAPE[0], shape=SHAPE, symmetric=True, polish=polish, step_size=step_size, max_iter=max_iter, tol=0.0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(problem.data, problem.target)
    return model.n_iter_, relative_recovery_error(problem.coef, model.matrix_)


# %%
# The error after a number of iterations: a run is the beginning of a longer one
# ------------------------------------------------------------------------------
figure, axes = plt.subplots(1, 3, figsize=(12, 4), sharey=True, layout="constrained")
for ax, condition in zip(axes, (1, 3, 10), strict=True):
    problem = make_measurements(800, SHAPE, RANK, outliers=0.2, condition=condition, symmetric=True, random_state=0)
    print(f"condition {condition}")
    for name, style in STYLES.items():
        runs = np.array([run(problem, name, n) for n in ITERATIONS])
        ended = runs[-1, 0] < ITERATIONS[-1] - 10
        print(f"    {name:10s} error {runs[-1, 1]:.1e}" + (f", ended by itself at {runs[-1, 0]:.0f}" if ended else ""))
        ax.semilogy(ITERATIONS, runs[:, 1], label=name, ms=4, **style)
    print(f"    auto and polish=True: error {run(problem, 'auto', 60_000, polish=True)[1]:.1e}")
    ax.set(title=f"condition {condition}", xlabel="iterations")
axes[0].set_ylabel("relative error")
axes[-1].legend(title="step_size", frameon=False)
if "sphinx_gallery" not in sys.modules:
    figure.savefig("science_steps.png", dpi=120)
