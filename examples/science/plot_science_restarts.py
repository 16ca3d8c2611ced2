"""
Do restarts pay?
================

Near the edge of what can be recovered, one start may fail where another succeeds. Here the over-parameterised stage
alone (``polish=False``) begins at random tiny factors, five times for each problem. The shares of flipped signs lie on
both sides of the edge. The number of starts that come close to the truth gives an unbiased estimate of the chance that
the best of k starts does (:func:`~sklearn_robustlr.metrics.pass_at_k`).

What to look at: how far the curves rise from k = 1. Where the curves are flat, all starts of a problem fail or succeed
together: the problem is hard, rather than a start unlucky. The dashed lines are fits with default settings and one
start. Their scan over ranks and their second opinion are worth more than many starts.
"""

# %%
# Eight problems at each share of errors: 16 x 16, rank 2, eight measurements per degree of freedom.

import sys
import warnings

import matplotlib

if "sphinx_gallery" not in sys.modules:
    matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr.datasets import make_measurements
from sklearn_robustlr.metrics import pass_at_k, relative_recovery_error

warnings.simplefilter("ignore")  # failures are what this page counts
SHARES, PROBLEMS, STARTS = (0.22, 0.26, 0.30), range(8), 5
counts, default = {}, {}
for share in SHARES:
    counts[share], default[share] = [], []
    for seed in PROBLEMS:
        problem = make_measurements(
            8 * 60, (16, 16), 2, outliers=share, outlier_kind="sign-flip", condition=3, random_state=seed
        )
        rng = np.random.RandomState(seed)
        close = 0
        for _ in range(STARTS):
            tiny = 1e-2 * rng.standard_normal((2, 16, 12)) * np.sqrt(np.median(np.abs(problem.target)) / 16)
            model = RobustLowRankRecovery(shape=(16, 16), polish=False, max_iter=400)
            model.fit(problem.data, problem.target, init=tiny)
            close += relative_recovery_error(problem.coef, model.matrix_) < 0.1
        counts[share].append(close)
        model = RobustLowRankRecovery(shape=(16, 16)).fit(problem.data, problem.target)
        default[share].append(relative_recovery_error(problem.coef, model.matrix_) < 1e-6)

# %%
# The chance that the best of k starts comes close.

k = np.arange(1, STARTS + 1)
fig, ax = plt.subplots(figsize=(7, 4.2))
for share, colour in zip(SHARES, ("#0072B2", "#E69F00", "#D55E00"), strict=True):
    chance = np.mean([pass_at_k(c, STARTS, k) for c in counts[share]], axis=0)
    ax.plot(k, chance, "o-", color=colour, label=f"{share:.0%} of signs flipped")
    exact = np.mean(default[share])
    ax.axhline(exact, color=colour, linestyle="--", label=f"one default fit: {exact:.2f}")
    print(
        f"{share:.0%} flipped: successes of {STARTS} starts {counts[share]}, best of 1 {chance[0]:.2f}, "
        f"best of {STARTS} {chance[-1]:.2f}; default fit exact in {exact:.2f}"
    )
ax.set_title("The chance that one of k starts succeeds")
ax.set(xlabel="number of starts, k", ylabel="chance that the best of k is close", ylim=(-0.05, 1.05))
ax.set_xticks(k)
ax.legend(loc="center right", ncols=2)
fig.tight_layout()
if "sphinx_gallery" not in sys.modules:
    fig.savefig("science_restarts.png", dpi=120)
