"""
Look at a fit
=============

A fit reports in numbers what it found. Pictures show more quickly whether to believe it. The displays of
:mod:`sklearn_robustlr.plotting` draw the results of a fitted estimator. They follow scikit-learn's convention:
``from_estimator`` draws, on ``ax`` if given, and returns an object with ``ax_`` and ``figure_``.

What to look at: a clear gap between the singular values that are kept and the others; residuals in two groups, with the
threshold between them; flags without a pattern of their own. What is not shown: whether the flagged entries are
corrupted. Here this is known, and printed; with real data it is not known. The loss looks as if nothing had been
learnt, because it consists mostly of the gross errors: look at the quantile instead.
"""

# %%
# In a notebook a fitted estimator shows rank, verdict, noise and outliers
# -------------------------------------------------------------------------
import sys

import matplotlib

if "sphinx_gallery" not in sys.modules:
    matplotlib.use("Agg")
import matplotlib.pyplot as plt

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix
from sklearn_robustlr.metrics import outlier_precision_recall
from sklearn_robustlr.plotting import OutlierDisplay, RecoveryDisplay, SpectrumDisplay

problem = make_corrupted_matrix((120, 80), rank=3, observed=0.7, outliers=0.1, noise=0.1, random_state=0)
model = RobustMatrixCompletion().fit(problem.data)
precision, recall = outlier_precision_recall(problem.outliers, model.outliers_)
print(f"wrong entries flagged: {recall:.1%}; flagged entries that are wrong: {precision:.1%}")
model

# %%
# Four pictures of it
# -------------------
figure, axes = plt.subplots(2, 2, figsize=(11, 8), layout="constrained")
RecoveryDisplay.from_estimator(model, ax=axes[0, 0])
SpectrumDisplay.from_estimator(model, ax=axes[0, 1])
OutlierDisplay.from_estimator(model, problem.data, kind="histogram", ax=axes[1, 0])
OutlierDisplay.from_estimator(model, problem.data, ax=axes[1, 1])
for ax, title in zip(axes.flat, ("Loss and steps", "Spectrum", "Residuals", "Flagged entries"), strict=True):
    ax.set_title(title)
if "sphinx_gallery" not in sys.modules:
    figure.savefig("displays.png", dpi=120)
