"""
A matrix seen through products
==============================

Some instruments never observe single entries of a matrix. They observe products ``a' X b``: a pattern of light times a
pattern of detectors, or the features of a user times those of a film. Each measurement is one number, given with its
two vectors. With ``measurements="rank_one"``, a row of the data is ``[a, b]``. The matrix of coefficients is recovered
from fewer measurements than it has entries, even if some of them are wrong.

What to look at: a picture of 20 x 30 pixels and rank 4, measured by 500 such numbers, a tenth of which are far off. The
picture is recovered exactly, and the wrong numbers are flagged. What failed: ridge regression follows the wrong
numbers, and it has fewer equations than unknowns, because it does not know that the rank is low. And there is a limit.
With 1.9 measurements for each degree of freedom, one of three fits is wrong, and claims to have converged; with 1.6,
all are wrong, and say so.
"""

# %%
# The picture and its measurements
# --------------------------------
# The picture, a window with bars, has a low rank: all of its rows are made of four patterns.
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge

from sklearn_robustlr import RobustLowRankRecovery

picture = np.zeros((20, 30))
picture[2:18, 3:27] = 1.0
picture[9:11, 3:27] = 0.4
picture[2:18, 14:16] = 0.4
picture[12:17, 18:25] = 0.0
picture[4:7, 5:11] = 0.7
rank = np.linalg.matrix_rank(picture)
dof = rank * (20 + 30 - rank)
print(f"rank {rank}, {dof} degrees of freedom, {picture.size} pixels")


def measure(m, seed, wrong=0.1):
    """Vectors [a, b] in rows, and a' X b of each; a share of them wrong by as much as ten times their size."""
    rng = np.random.RandomState(seed)
    left, right = rng.standard_normal((m, 20)), rng.standard_normal((m, 30))
    y = np.einsum("mi,ij,mj->m", left, picture, right)
    hit = rng.uniform(size=m) < wrong
    y[hit] += 10 * y.std() * rng.standard_normal(hit.sum())
    return np.hstack([left, right]), y, hit


# %%
# Recovery
# --------
# A row of the data has 50 numbers: 20 of a and 30 of b. Ridge regression needs all 600 products of these numbers.
X, y, hit = measure(500, seed=0)
model = RobustLowRankRecovery(measurements="rank_one", shape=(20, 30)).fit(X, y)
size = np.linalg.norm(picture)
print(f"found rank {model.rank_}, {model.stop_reason_}; error {np.linalg.norm(model.matrix_ - picture) / size:.0e}")
print(
    f"wrong measurements flagged: {model.outliers_[hit].mean():.0%}; right ones flagged: {model.outliers_[~hit].sum()}"
)
dense = np.einsum("mi,mj->mij", X[:, :20], X[:, 20:]).reshape(len(X), -1)
ridge = Ridge(fit_intercept=False).fit(dense, y).coef_.reshape(20, 30)
print(f"ridge regression: error {np.linalg.norm(ridge - picture) / size:.2f}")

# %%
# How few will do?
# ----------------
# Each number of measurements is drawn three times. If a fit cannot be trusted, ``converged_`` is False.
numbers, curves, claims = (300, 350, 400, 500), [], []
for m in numbers:
    found, trusted = [], []
    for seed in range(3):
        X, y, _ = measure(m, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fit = RobustLowRankRecovery(measurements="rank_one", shape=(20, 30)).fit(X, y)
        found.append(np.linalg.norm(fit.matrix_ - picture) / size)
        trusted.append(fit.converged_)
    curves.append(found)
    claims.append(trusted)
    right = np.sum(np.array(found) < 1e-6)
    print(
        f"{m:5d} measurements, {m / dof:.1f} for each degree of freedom: {right} of 3 right, {sum(trusted)} converged"
    )

# %%
figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
for ax, (title, values) in zip(axes, {"recovered": model.matrix_, "ridge regression": ridge}.items(), strict=False):
    ax.imshow(values, cmap="gray", vmin=0, vmax=1)
    ax.set_title(f"{title}, 500 measurements")
    ax.set_axis_off()
places = np.array(numbers)[:, None] / dof + [-0.03, 0.0, 0.03]  # side by side
for trusted, marker, label in ((True, "o", "converged"), (False, "x", "warned")):
    those = np.equal(claims, trusted)
    axes[2].semilogy(places[those], np.maximum(curves, 1e-16)[those], marker, color="#0072b2", label=label)
axes[2].set(xlabel="measurements for each degree of freedom", ylabel="relative error", title="How few will do?")
axes[2].legend(frameon=False)
plt.show()
