"""
Repair a damaged photograph
===========================

A photograph is close to low-rank: it is made up of a few dozen patterns of rows and columns. Here 30 % of the pixels
are missing (NaN) and 10 % of the others are replaced by black or white.
:class:`~sklearn_robustlr.RobustMatrixCompletion` is used as an imputer. It is not told which pixels are corrupted, how
many, or what the rank is.

What to look at: most speckles are gone and the missing pixels are filled in, with about half the error of filling them
with the median. What failed: a photograph is only nearly low-rank. Fine details (the edge of the roof, the trees) are
not patterns of whole rows and columns. There, missing pixels are smoothed, and inliers are flagged along with the
corrupted pixels. White speckles stay in the sky, which is nearly white itself. Pixels that are not flagged are left
unchanged.
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
from sklearn.datasets import load_sample_image
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.metrics import outlier_precision_recall

rng = np.random.RandomState(0)
photograph = load_sample_image("china.jpg")[::2, ::2].mean(axis=2) / 255.0  # grey, 214 x 320
lost = rng.uniform(size=photograph.shape) < 0.3
corrupted = ~lost & (rng.uniform(size=photograph.shape) < 0.1)
damaged = photograph.copy()
damaged[corrupted] = rng.choice([0.0, 1.0], corrupted.sum())
damaged[lost] = np.nan

# %%
# The repair
# ----------
# By default, missing and flagged pixels are replaced, and the others are returned unchanged.
model = RobustMatrixCompletion()
start = time.perf_counter()
with warnings.catch_warnings(record=True) as caught:  # what it says is printed below, with the other figures
    warnings.simplefilter("always", ConvergenceWarning)
    repaired = np.clip(model.fit_transform(damaged), 0, 1)
seconds = time.perf_counter() - start
flagged = model.outliers_

# %%
# How well it did
# ---------------
# Errors are root mean squares over all pixels, in units of full white.
naive = np.where(lost, np.nanmedian(damaged), damaged)
precision, recall = outlier_precision_recall(corrupted, flagged)
print(f"rank found: {model.rank_}, {'converged' if model.converged_ else 'not converged'}: {model.stop_reason_}")
for warning in caught:
    print(warning.message)
print(f"error with lost pixels set to the median: {np.sqrt(np.mean((naive - photograph) ** 2)):.3f}")
print(f"error of the repaired photograph: {np.sqrt(np.mean((repaired - photograph) ** 2)):.3f}")
print(f"corrupted pixels flagged: {recall:.0%}; flagged pixels that are corrupted: {precision:.0%}")
print(f"time: {seconds:.1f} s (the very first run also compiles)")

# %%
# Before, damaged, repaired, and the flagged pixels
# -------------------------------------------------
panels = [
    (photograph, "before"),
    (damaged, "damaged: 30 % lost (blue), 10 % wrong"),
    (repaired, f"repaired (rank {model.rank_} found)"),
    (np.where(flagged, 0.0, 1.0), "flagged as wrong (black)"),
]
figure, axes = plt.subplots(2, 2, figsize=(10, 7.2), layout="constrained")
grey = plt.get_cmap("gray").with_extremes(bad="#4477aa")
for ax, (picture, title) in zip(axes.flat, panels, strict=True):
    ax.imshow(picture, cmap=grey, vmin=0, vmax=1, interpolation="nearest")
    ax.set_title(title)
    ax.set_axis_off()

if "sphinx_gallery" not in sys.modules:
    target = Path("repaired_photograph.png")
    figure.savefig(target, dpi=120)
    print(f"picture: {target}")
