"""
Which figure tells a good fit from a bad one?
=============================================

When the truth is not known, fits have to be compared by another measure: the training loss, the median residual of
held-out measurements, the share of measurements met exactly, or the gap in the spectrum. Here many fits, with several
rank bounds, starts and step rules, are ranked by each of these four measures and by their true error. The two rankings
are compared by Kendall's tau: 1 means the same order, 0 no relation, -1 the reverse order.

What to look at: the held-out median is the only measure that ranks well with and without noise. The training loss is
lowest for the fits with the most freedom, and the fit that it would choose is useless. What failed: the share of
measurements met exactly cannot rank fits that meet nothing exactly, and with noise no fit does. The gap does not rank
fits at all, although it shows the rank of a good fit. The median needs held-out measurements. With noise, even the best
of these fits (all made with ``polish=False``) is far from what the default settings reach (printed below).
:ref:`Another page <sphx_glr_gallery_science_plot_science_table_measures.py>` asks the same question about tables, whose
spectra decay, and about the measures that an approximate fit has: expected error, log-likelihood and held-out clipped
squares.
"""

# %%
import sys
import warnings
from itertools import product

import matplotlib

if "sphinx_gallery" not in sys.modules:
    matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FixedLocator
from scipy.stats import kendalltau
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr.datasets import make_measurements
from sklearn_robustlr.metrics import relative_recovery_error

SHAPE, RANK = (20, 20), 2
FITS = list(product((1, 2, 3, 5, 20), (1e-1, 1e-4), ("geometric", "auto", "constant")))
MEASURES = ("training loss", "held-out median", "exact-fit share", "spectral gap")
CASES = {"no noise": 0.0, "20 % noise": 0.2}


def judge(problem, rank, init_scale, step_size):
    """True error of a fit, and the four measures, each the lower the better."""
    train, held_out = slice(0, 320), slice(320, None)
    model = RobustLowRankRecovery(
        rank, shape=SHAPE, polish=False, step_size=step_size, init_scale=init_scale, max_iter=600, tol=0.0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(problem.data[train], problem.target[train])
    residual = np.abs(problem.target - model.predict(problem.data))
    exact = np.mean(residual[train] < 1e-3 * np.median(np.abs(problem.target)))
    values = model.singular_values_
    gap = np.max(values[:-1] / np.maximum(values[1:], 1e-12 * values[0]), initial=1.0)
    error = relative_recovery_error(problem.coef, model.matrix_)
    return error, residual[train].mean(), np.median(residual[held_out]), -exact, -gap


def default_error(problem):
    """Error of the default settings on the same measurements."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = RobustLowRankRecovery(shape=SHAPE).fit(problem.data[:320], problem.target[:320])
    return relative_recovery_error(problem.coef, model.matrix_)


# %%
# Tau of each measure with the true error, and the error of the fit it would choose
# ---------------------------------------------------------------------------------
# Medians over three problems of 400 measurements, 80 of them held out, 20 % with gross errors.
problems = {
    case: [
        make_measurements(400, SHAPE, RANK, outliers=0.2, noise=noise, condition=3.0, random_state=seed)
        for seed in range(3)
    ]
    for case, noise in CASES.items()
}
tables = {
    case: [np.array([judge(problem, *options) for options in FITS]) for problem in problems[case]] for case in CASES
}
taus = {
    case: [np.median([kendalltau(t[:, 0], t[:, j]).statistic for t in table]) for j in range(1, 5)]
    for case, table in tables.items()
}
for case, table in tables.items():
    print(f"{case}: best error of {len(FITS)} fits {np.median([t[:, 0].min() for t in table]):.1e}")
    for j, name in enumerate(MEASURES, 1):
        chosen = np.median([t[np.argmin(t[:, j]), 0] for t in table])
        print(f"    {name:16s} tau {taus[case][j - 1]:5.2f}, chosen fit has error {chosen:.1e}")
    print(f"    default settings: error {np.median([default_error(problem) for problem in problems[case]]):.1e}")

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", width_ratios=(1.2, 1))
place = np.arange(len(MEASURES))
for i, (case, color) in enumerate(zip(CASES, ("#0072b2", "#e69f00"), strict=True)):
    axes[0].bar(place + 0.4 * (i - 0.5), taus[case], 0.38, color=color, label=case)
axes[0].axhline(0, color="black", lw=0.8)
axes[0].set_xticks(place, [name.replace(" ", "\n") for name in MEASURES])
axes[0].set(ylabel="Kendall's tau with the true error", ylim=(-0.2, 1))
axes[0].set_title("Which measure orders fits by their error?")
axes[0].legend(frameon=False)
noisy = tables["20 % noise"][0]
axes[1].loglog(noisy[:, 0], noisy[:, 1], "s", color="#d55e00", label="training loss")
axes[1].loglog(noisy[:, 0], noisy[:, 2], "^", color="#009e73", label="held-out median")
axes[1].set(
    xlabel="true relative error", ylabel="measure (units of the data)", title="the fits of one problem, 20 % noise"
)
axes[1].xaxis.set_major_locator(FixedLocator([0.3, 0.5, 1.0]))
axes[1].xaxis.set_major_formatter("{x:g}")
axes[1].yaxis.set_major_locator(FixedLocator([5, 10, 20, 40]))
axes[1].yaxis.set_major_formatter("{x:g}")
axes[1].minorticks_off()
axes[1].legend(frameon=False)
if "sphinx_gallery" not in sys.modules:
    figure.savefig("science_measures.png", dpi=120)
