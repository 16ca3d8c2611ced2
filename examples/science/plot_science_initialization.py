"""
The size of the start bounds the error, whatever the rank bound
===============================================================

The paper's algorithm (:cite:t:`ma2023global`, algorithm 1) factorises X = U U\\ :sup:`T`. U has far more columns than
the rank and starts at ``init_scale`` times a spectral estimate. Then it follows the sub-gradient of the l1 loss with a
geometric step. The paper claims that the error falls with the size of the start, and that the number of columns hardly
matters. Here X is 30 x 30 of rank 2, and 10 % of the measurements are outliers.

What to look at: on the left, with plenty of measurements, the errors for the bounds 4, 10 and 30 fall together, nearly
in proportion to the start. On the right, the bounds 10 and 30 need the same number of measurements, although a matrix
of rank 30 has more degrees of freedom (printed below) than there are measurements. With very few measurements, both
come closer to the truth than the fit that is given the true rank. What failed: with fewer measurements, the error of an
over-parameterised fit falls more slowly than the size of the start. And the bound does matter: given the true rank, the
error is smaller by orders of magnitude as soon as there are 220 measurements.
"""

# %%
# The algorithm
# -------------
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

SHAPE, RANK = (30, 30), 2
BOUNDS = (2, 4, 10, 30)
STYLES = dict(zip(BOUNDS, (("#0072b2", "o"), ("#e69f00", "s"), ("#009e73", "^"), ("#d55e00", "D")), strict=True))


def error(problem, bound, init_scale):
    """Relative error of the paper's algorithm."""
    model = RobustLowRankRecovery(
        rank=bound,
        shape=SHAPE,
        symmetric=True,
        polish=False,
        step_size="geometric",
        init_scale=init_scale,
        max_iter=5000,
        tol=0.0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the gap is judged here by eye
        model.fit(problem.data, problem.target)
    return relative_recovery_error(problem.coef, model.matrix_)


def problem(n_measurements, seed=0):
    return make_measurements(
        n_measurements, SHAPE, RANK, outliers=0.1, condition=2.0, symmetric=True, random_state=seed
    )


# %%
# Error by the size of the start, and by the number of measurements
# -----------------------------------------------------------------
# On the left: one problem with 900 measurements. On the right: a start of 1e-4, and medians over three problems.
SCALES = np.array([1e-1, 1e-2, 1e-3, 1e-4, 1e-5])
SIZES = (110, 150, 220, 320, 450)
many = problem(900)
by_scale = {bound: [error(many, bound, scale) for scale in SCALES] for bound in BOUNDS}
some = {size: [problem(size, seed) for seed in range(3)] for size in SIZES}
by_size = {bound: [np.median([error(p, bound, 1e-4) for p in some[size]]) for size in SIZES] for bound in BOUNDS}

print(f"degrees of freedom at rank {SHAPE[0]}: {SHAPE[0] * (SHAPE[0] + 1) // 2}")
print("rank bound " + "".join(f"{scale:>9.0e}" for scale in SCALES) + "   slope")
for bound, values in by_scale.items():
    slope = np.polyfit(np.log10(SCALES), np.log10(values), 1)[0]
    print(f"{bound:10d} " + "".join(f"{value:9.1e}" for value in values) + f"{slope:8.2f}")
print("\nrank bound " + "".join(f"{size:>9d}" for size in SIZES))
for bound, values in by_size.items():
    print(f"{bound:10d} " + "".join(f"{value:9.1e}" for value in values))

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True, layout="constrained")
for x, table, ax in ((SCALES, by_scale, axes[0]), (SIZES, by_size, axes[1])):
    for bound, values in table.items():
        color, marker = STYLES[bound]
        label = f"{bound} (the true rank)" if bound == RANK else str(bound)
        ax.loglog(x, values, color=color, marker=marker, label=label)
axes[0].loglog(SCALES, SCALES * 0.3, ":", color="0.3", label="slope 1")
axes[0].set(xlabel="init_scale (relative to the data)", ylabel="relative error")
axes[1].set(xlabel="measurements", title="Few measurements")
axes[0].set_title("The error falls with the start")
axes[1].set_xticks(SIZES, [str(size) for size in SIZES])
axes[1].minorticks_off()
axes[0].legend(title="rank bound", frameon=False)
if "sphinx_gallery" not in sys.modules:
    figure.savefig("science_initialization.png", dpi=120)
