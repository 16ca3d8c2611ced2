"""
Trace regression on digits with corrupted labels
================================================

The target is a rank-2 linear function <A, X> of an 8 x 8 digit X: how much brighter the stroke is in the upper half
than in the lower, plus how far it leans to the right, plus a little noise. A quarter of the labels are corrupted,
always upwards. Ordinary regressions treat the 64 pixels as unrelated; :class:`~sklearn_robustlr.RobustLowRankRecovery`
looks for an 8 x 8 matrix of coefficients with a low rank, and finds it.

What to look at: from 200 training images on, the error of the predictions on clean test labels is about a tenth of
that of the others. What failed: pixels that are dark in nearly every image (the corners) have coefficients that are
hardly identifiable, because hardly any image shows them. Methods that fit these coefficients freely have large errors
on the few test images in which these pixels are bright. With 100 images, this package has such errors, too: two of the
three fits say that they cannot be trusted, and one of them is worse than the other methods. The median does not show
this; the line below it does. With 200 images all three fits are right, and still say that they cannot be trusted.
"""

# %%
# Images are real, labels are made from them by a rank-2 matrix
# --------------------------------------------------------------
import sys
import warnings
from pathlib import Path

import matplotlib

if "sphinx_gallery" not in sys.modules:
    matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import HuberRegressor, QuantileRegressor, Ridge
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from sklearn_robustlr import RobustLowRankRecovery

images = load_digits().data / 16.0
halves = np.repeat([1.0, -1.0], 4)
ramp = np.linspace(-1, 1, 8)
coef = np.outer(halves, np.ones(8)) + np.outer(np.ones(8), ramp)
clean = images @ coef.ravel()

METHODS = {
    "RobustLowRankRecovery": RobustLowRankRecovery(shape=(8, 8)),
    "Huber regression": HuberRegressor(fit_intercept=False, alpha=1e-4, max_iter=2000),
    "quantile regression": QuantileRegressor(fit_intercept=False, alpha=0.0),
    "Ridge": Ridge(fit_intercept=False, alpha=1.0),
}
SIZES = (100, 200, 400, 800, 1400)
SEEDS = range(3)


def errors(n_train, seed):
    """Relative prediction error of each method on clean test labels."""
    rng = np.random.RandomState(seed)
    train, test = train_test_split(np.arange(len(images)), train_size=n_train, random_state=seed)
    y = clean[train] + 0.1 * clean.std() * rng.standard_normal(n_train)
    bad = rng.uniform(size=n_train) < 0.25
    y[bad] += 5.0 * clean.std() * rng.uniform(0.5, 1.5, bad.sum())
    result = {}
    for name, model in METHODS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            prediction = model.fit(images[train], y).predict(images[test])
        result[name] = np.sqrt(np.mean((prediction - clean[test]) ** 2)) / clean[test].std()
    result["converged"] = METHODS["RobustLowRankRecovery"].converged_
    return result


with threadpool_limits(1):  # in products as small as these, threads of BLAS only wait for one another
    table = {size: [errors(size, seed) for seed in SEEDS] for size in SIZES}

# %%
# Relative error of the predictions, median over three splits
# -----------------------------------------------------------
print(f"{'training images':24s}" + "".join(f"{size:>10d}" for size in SIZES))
medians = {name: [np.median([e[name] for e in table[size]]) for size in SIZES] for name in METHODS}
for name, values in medians.items():
    print(f"{name:24s}" + "".join(f"{value:10.3f}" for value in values))
    if "LowRank" in name:
        print(f"{'  largest of three':24s}" + "".join(f"{max(e[name] for e in table[n]):10.3f}" for n in SIZES))
        print(f"{'  converged, of three':24s}" + "".join(f"{sum(e['converged'] for e in table[n]):10d}" for n in SIZES))

# %%
figure, ax = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
COLORS = ("#0072b2", "#d55e00", "#009e73", "0.5")
for (name, values), marker, color in zip(medians.items(), "osD^", COLORS, strict=True):
    ax.plot(SIZES, values, marker=marker, color=color, label=name)
ax.set(xscale="log", yscale="log", xlabel="training images", ylabel="error of clean test labels, relative")
ax.set_yticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
ax.set_xticks(SIZES, [str(size) for size in SIZES])
ax.minorticks_off()
ax.set_title("Trace regression with a quarter of the labels wrong")
figure.legend(loc="outside upper center", ncols=2, frameon=False)
if "sphinx_gallery" not in sys.modules:
    target = Path("digits_regression.png")
    figure.savefig(target, dpi=120)
    print(f"picture: {target}")
