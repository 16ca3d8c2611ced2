"""
Repair a damaged table
======================

This is a real table: 30 measurements of the cell nuclei of 569 tissue samples. Here 20 % of the values are missing
(NaN), and in 5 % of the others the decimal point has slipped by one place.
:class:`~sklearn_robustlr.RobustMatrixCompletion` is used as an imputer. It is not told which values are wrong, how
many, or how many patterns the table is made of. The units of the columns do not matter.

What to look at: the picture shows each column in units of its own spread. The repaired table looks like the table
before the damage. The other imputers keep the wrong values, and the values that they fill in are drawn towards the
wrong ones. What failed: a slip that leaves a value in the usual range is not noticed, and a few true values of rare
samples are replaced.
"""

# %%
# The damage
# ----------
import sys
import time
import warnings
from pathlib import Path

import matplotlib

if "sphinx_gallery" not in sys.modules:
    matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.metrics import outlier_precision_recall

rng = np.random.RandomState(0)
table = load_breast_cancer().data
missing = rng.uniform(size=table.shape) < 0.2
slipped = ~missing & (rng.uniform(size=table.shape) < 0.05)
damaged = np.where(slipped, table * rng.choice([0.1, 10.0], table.shape), table)
damaged[missing] = np.nan

# %%
# The repair, and what other imputers make of it
# ----------------------------------------------
# The other imputers get robustly scaled columns; this package needs no scaling.
scaler = RobustScaler().fit(table)
imputers = {
    "this package": RobustMatrixCompletion(),
    "medians": SimpleImputer(strategy="median"),
    "nearest neighbours": make_pipeline(RobustScaler(), KNNImputer()),
    "iterative": make_pipeline(RobustScaler(), IterativeImputer(max_iter=5, n_nearest_features=10, random_state=0)),
}
filled, seconds = {}, {}
RobustMatrixCompletion().fit(damaged[:40])  # compiled once, by the very first fit on a machine
for name, imputer in imputers.items():
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of the iterative one
        filled[name] = imputer.fit_transform(damaged)
    seconds[name] = time.perf_counter() - began
    if hasattr(imputer, "steps"):
        filled[name] = imputer[0].inverse_transform(filled[name])

# %%
# How well they did
# -----------------
# Errors are in units of the spread of each column (its interquartile range). Each imputer is judged by the root mean
# square error at the missing values. Only this package looks for slipped values. The verdict "approximate" is the usual
# one for a real table: the fit is useful, but the table has no true rank.
model = imputers["this package"]
precision, recall = outlier_precision_recall(slipped, model.outliers_)
truth = scaler.transform(table)
print(f"verdict: {model.stop_reason_}, converged: {model.converged_}")
print(f"slipped values flagged: {recall:.0%}; flagged values that had slipped: {precision:.0%}")
errors = {}
for name, values in filled.items():
    away = np.abs(scaler.transform(values) - truth)
    errors[name] = np.sqrt(np.mean(away[missing] ** 2)), np.median(away[missing]), np.median(away[slipped])
    print(
        f"{name:>18}: missing values {errors[name][0]:5.2f} (median {errors[name][1]:.2f}), "
        f"slipped ones {errors[name][2]:5.2f} (median), {seconds[name]:4.1f} s"
    )

# %%
# Before, damaged, repaired
# -------------------------
panels = {"before": table, "20 % missing (grey),\n5 % slipped": damaged, **filled}
figure, axes = plt.subplots(2, 3, figsize=(8, 7.5), layout="constrained")
colours = plt.get_cmap("RdBu_r").with_extremes(bad="#888888")
shown = slice(0, 60)
for ax, (name, values) in zip(axes.flat, panels.items(), strict=True):
    ax.imshow(scaler.transform(values)[shown], cmap=colours, vmin=-3, vmax=3, aspect="auto", interpolation="nearest")
    ax.set_title(f"{name}\nerror {errors[name][0]:.2f}" if name in errors else name, fontsize=13)
    ax.set_xticks([])
    ax.set_yticks([])
figure.supylabel("60 of the 569 samples", fontsize=12)
figure.supxlabel("30 measurements; dark: far from the median. Errors are in interquartile ranges", fontsize=12)

if "sphinx_gallery" not in sys.modules:
    target = Path("repaired_table.png")
    figure.savefig(target, dpi=120)
    print(f"picture: {target}")
