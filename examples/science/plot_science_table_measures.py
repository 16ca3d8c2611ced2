"""
Which figure tells a good fit of a table from a bad one?
========================================================

The spectrum of a real table decays. No fit is exactly right, but some are better than others. Which figures can tell
the better ones, without knowing the truth? :ref:`Another page <sphx_glr_gallery_science_plot_science_measures.py>` asks
this question about matrices of a sharp rank. Here two tables, with and without a tenth of gross errors, are fitted with
several rank bounds, to most of the rows or to a fifth of them, and with or without ``polish`` (without it, nothing is
shrunk). Each fit is ranked by its true root mean square error at missing entries and by seven measures, and the two
rankings are compared by Kendall's tau: 1 means the same order, 0 no relation, -1 the reverse order.

What to look at: clipped squares of held-out entries rank best, with and without errors (tau 0.85 to 0.95). They measure
the same thing as the true error, and clipping limits the influence of the gross errors among them. The robust R2 of
held-out rows has 0.63 to 0.88. The log-likelihood of held-out rows
(:func:`~sklearn_robustlr.metrics.log_likelihood_scorer`) has 0.55 to 0.83: it also judges the stated uncertainty, which
is a different question. On the rows that the fit has learnt from, it is no better. What failed: the training residual
prefers the fits with the most freedom, and chooses one with up to sixteen times the smallest error. ``expected_error_``
says nothing about fits that have not converged, which tie for the worst place. (Among the others, tau is 0.43 to 0.79.)
Its value is 0.62 to 1.5 times the true error. It leaves out held-out values that lie three robust deviations or more
out, as possible gross errors. In the cancer data, 3 % of the values lie as far out although they are right, and they
make up most of the true error. ``expected_error_`` is also measured on only a tenth of the entries, some sixty where
the fit learns from 32 rows. None of these measures is a guarantee: even the best one puts some pairs of fits in the
wrong order, and these are only four problems.
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
from scipy.stats import kendalltau, median_abs_deviation
from sklearn.datasets import load_breast_cancer

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.metrics import log_likelihood_scorer

FITS = list(product((1, 2, 4, 8), (1, 4), (True, False)))  # rank bound, one row in how many is learnt from, polish
MEASURES = (
    "training residual",
    "held-out median",
    "held-out clipped squares",
    "robust R2, held-out rows",
    "log-likelihood, own rows",
    "log-likelihood, held-out rows",
    "expected error",
)
CLIP = 3.0  # in robust standard deviations of a column


def decaying(n, p, rng):
    """Singular values that fall as 1 / j, and noise of a tenth."""
    table = rng.standard_normal((n, p)) / np.arange(1, p + 1) @ np.linalg.qr(rng.standard_normal((p, p)))[0]
    return table / table.std() + 0.1 * rng.standard_normal((n, p))


def spoil(truth, share, rng):
    """Observed entries in robust units of their columns, the truth in these, and masks of what is missing or held out.

    A fifth is missing; a tenth of the rest is held out from all fits, gross errors among it.
    """
    low, middle, high = np.percentile(truth, [25, 50, 75], axis=0)
    truth = (truth - middle) * 1.349 / (high - low)
    data = truth.copy()
    wrong = rng.uniform(size=data.shape) < share
    data[wrong] += rng.choice([-1, 1], wrong.sum()) * rng.uniform(5, 15, wrong.sum())
    drawn = rng.uniform(size=data.shape)
    missing, held_out = drawn < 0.2, (drawn >= 0.2) & (drawn < 0.28)
    return np.where(missing, np.nan, data), truth, missing, held_out


def judge(problem, rank, step, polish):
    """True error of a fit, the error that it expects, and its measures, each the lower the better."""
    data, truth, missing, held_out = problem
    seen = np.where(held_out, np.nan, data)
    new = np.arange(len(data)) % 5 == 0  # rows that no fit learns from
    train = seen[~new][::step]
    model = RobustMatrixCompletion(rank, replace="all", polish=polish, max_iter=60_000 if polish else 600)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # convergence, and rows of few entries
        estimate = model.fit(train).transform(seen)
    residual = np.abs(data - estimate)
    spread = median_abs_deviation(train, axis=0, scale="normal", nan_policy="omit")
    expected = np.sqrt(np.mean((model.expected_error_ * spread) ** 2))
    return (
        np.sqrt(np.mean((estimate - truth)[missing] ** 2)),
        expected,
        np.nanmedian(residual[~held_out]),
        np.median(residual[held_out]),
        np.mean(np.minimum(residual[held_out], CLIP) ** 2),
        -model.score(seen[new]),
        -model.log_likelihood(train),
        -log_likelihood_scorer(model, seen[new]),
        expected if model.converged_ else np.inf,
    )


# %%
# Tau of each measure with the true error, and the error of the fit it would choose
# ---------------------------------------------------------------------------------
# The tables are the breast cancer data (30 measurements of each of 240 cell samples) and a simulated table of 160 rows.
rng = np.random.RandomState(0)
tables = {"cancer": load_breast_cancer().data[:240], "decaying": decaying(160, 25, rng)}
cases = {
    f"{name}, {share:.0%} gross errors" if share else f"{name}, no errors": spoil(truth, share, rng)
    for name, truth in tables.items()
    for share in (0.0, 0.1)
}
found = {case: np.array([judge(problem, *options) for options in FITS]) for case, problem in cases.items()}
taus = {case: [kendalltau(t[:, 0], t[:, j]).statistic for j in range(2, 9)] for case, t in found.items()}
for case, t in found.items():
    print(f"{case}: errors of {len(FITS)} fits {t[:, 0].min():.3f} to {t[:, 0].max():.3f}")
    for j, name in enumerate(MEASURES, 2):
        print(f"    {name:30s} tau {taus[case][j - 2]:5.2f}, chosen fit has error {t[np.argmin(t[:, j]), 0]:.3f}")
    known = t[np.isfinite(t[:, 1])]
    stated, tau = known[:, 1] / known[:, 0], kendalltau(known[:, 0], known[:, 1]).statistic
    print(f"    of the {len(known)} fits that have converged: tau {tau:.2f}, ", end="")
    print(f"expected error over true error {stated.min():.2f} to {stated.max():.2f}")

# %%
figure, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained", width_ratios=(1.25, 1))
colors, marks = ("#56b4e9", "#0072b2", "#e69f00", "#d55e00"), "osD^"
place = np.arange(len(MEASURES))[::-1]
for i, (case, t) in enumerate(found.items()):
    axes[0].barh(place + 0.2 * (1.5 - i), taus[case], 0.18, color=colors[i], label=case)
    axes[1].loglog(t[:, 0], t[:, 1], marks[i], color=colors[i])
axes[0].set_yticks(place, [name.replace(", ", ",\n") for name in MEASURES])
axes[0].set(xlabel="Kendall's tau with the true error", xlim=(0, 1))
figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, ncols=4, loc="outside upper center")
ends = np.nanmin([t[:, 1] for t in found.values()]) / 1.1, 1.3
axes[1].loglog(ends, ends, color="0.4", lw=1)
axes[1].annotate("what is stated is true", (1.0, 1.0), (0.57, 1.12), arrowprops={"arrowstyle": "-", "color": "0.4"})
axes[1].set(xlabel="true error", ylabel="expected error, where the fit has converged")
for axis in (axes[1].xaxis, axes[1].yaxis):
    axis.set_major_locator(FixedLocator([0.4, 0.5, 0.6, 0.8, 1.0, 1.2]))
    axis.set_major_formatter("{x:g}")
axes[1].minorticks_off()
if "sphinx_gallery" not in sys.modules:
    figure.savefig("science_table_measures.png", dpi=120)
