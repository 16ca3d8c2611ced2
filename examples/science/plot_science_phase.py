"""
How many errors, from how many observations?
============================================

Recovery has a sharp edge: with enough observations, the matrix is recovered exactly; with slightly fewer, it is not
recovered at all. The position of this edge depends on the share of outliers. This page maps it, for linear measurements
and for matrices with missing entries. The peers are the best methods that we know of, in plain NumPy and **given the
rank**. One is the scaled sub-gradient method (:cite:t:`tong2021low`) with steps that fall geometrically. The other, for
matrices, is alternating least squares with Cauchy weights whose scale follows the median residual. The estimators of
this package use their default settings and are given nothing.

What to look at: how far the bright region reaches to the left (few observations) and up (many outliers). No method can
work with less than one inlier per degree of freedom. What failed: beyond the edge every method returns some matrix, and
the peers do not say that it is wrong. This package should say so, by ``converged_`` False or by listing rows and
columns that are not identifiable. (Most of its failures just beyond the edge, on matrices with missing entries, are
exact except for one to three rows or columns.) It mostly does, but with few measurements a wrong fit may have
``converged_`` True (counted below). The map shows only one kind of errors, huge errors of random sign, in small
matrices. For other kinds see :ref:`sphx_glr_gallery_science_plot_science_outliers.py`.
"""

# %%
import sys
import warnings

import matplotlib

if "sphinx_gallery" not in sys.modules:
    matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from joblib import Parallel, delayed

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import relative_recovery_error
from sklearn_robustlr.plotting import PhaseTransitionDisplay

RANK = 2
SHARES = (0.0, 0.2, 0.4, 0.6)
MULTIPLES = (2, 4, 8)
COUNT = 2  # problems per cell; more make a smoother map

# %%
# The peers, given the rank
# -------------------------
# Both start at the leading singular vectors of the data. The data are clipped at three times their median size;
# otherwise the start would show only the large errors. Steps, decay and weights were chosen by trial, on other seeds.


def spectral_start(matrix):
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    return u[:, :RANK] * np.sqrt(s[:RANK]), vt[:RANK].T * np.sqrt(s[:RANK])


def bounded(values):
    size = 3 * np.nanmedian(np.abs(values))
    return np.clip(values, -size, size)


def scaled_subgradient(y, measure, adjoint, start, *, steps=800, decay=0.97, damping=1e-3):
    """Normalised steps that fall geometrically, along the sub-gradient of the l1 loss scaled by the factors."""
    left, right = start

    def scale(gradient, other):
        gram = other.T @ other
        return np.linalg.solve(gram + damping * np.linalg.norm(gram, 2) * np.eye(RANK), (gradient @ other).T).T

    for t in range(steps):
        residual = measure(left @ right.T) - y
        gradient = adjoint(np.sign(residual))
        p_left, p_right = scale(gradient, right), scale(gradient.T, left)
        length = np.sqrt(np.sum((gradient @ right) * p_left) + np.sum((gradient.T @ left) * p_right)) + 1e-300
        if t == 0:
            first = np.median(np.abs(residual)) / length
        step = first * decay**t / length
        left, right = left - step * p_left, right - step * p_right
    return left @ right.T


def cauchy_als(X, *, sweeps=60, fall=0.9):
    """Rows, then columns, by least squares with weights 1 / (1 + (residual / scale)^2)."""
    seen = np.isfinite(X)
    left, right = spectral_start(np.nan_to_num(bounded(X)) / seen.mean())
    X = np.where(seen, X, 0.0)
    scale = np.inf

    def solve(weights, X, other):
        gram = np.einsum("ij,jk,jl->ikl", weights, other, other, optimize=True)
        gram += (1e-15 * np.trace(gram, axis1=1, axis2=2)[:, None, None] + 1e-300) * np.eye(RANK)
        return np.linalg.solve(gram, ((weights * X) @ other)[..., None])[..., 0]

    for half in range(2 * sweeps):
        size = np.abs(left @ right.T - X)
        median = np.median(size[seen])
        # the scale follows the median down, but not faster than this
        scale = max(min(scale, max(median, fall * scale if half else 0)), 1e-6 * np.median(np.abs(X[seen])))
        weights = seen / (1 + (size / scale) ** 2)
        if half % 2:
            right = solve(weights.T, X.T, left)
        else:
            left = solve(weights, X, right)
    return left @ right.T


# %%
# One problem of each kind
# ------------------------
# Every method gets the same data. Two results are recorded: the error, and whether this package claims to be right
# without listing any row or column as not identifiable.


def of_measurements(share, multiple, seed, shape=(12, 12)):
    m = multiple * RANK * (sum(shape) - RANK)
    p = make_measurements(m, shape, RANK, outliers=share, condition=3.0, random_state=seed)
    stack = p.data.reshape(m, *shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = RobustLowRankRecovery(shape=shape).fit(p.data, p.target)
    peer = scaled_subgradient(
        p.target,
        lambda matrix: p.data @ matrix.ravel(),
        lambda values: (values @ p.data).reshape(shape) / m,
        spectral_start(np.tensordot(bounded(p.target), stack, 1) / m),
    )
    return [relative_recovery_error(p.coef, estimate) for estimate in (model.matrix_, peer)], model.converged_


def of_a_matrix(share, multiple, seed, shape=(36, 36)):
    observed = multiple * RANK * (sum(shape) - RANK) / np.prod(shape)
    p = make_corrupted_matrix(shape, RANK, observed=observed, outliers=share, condition=3.0, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = RobustMatrixCompletion(replace="all", keep_empty_features=True).fit(p.data)
        ours = model.transform(p.data)

    def adjoint(values):
        matrix = np.zeros(shape)
        matrix[p.observed] = values
        return matrix / p.observed.sum()

    peer = scaled_subgradient(
        p.data[p.observed],
        lambda matrix: matrix[p.observed],
        adjoint,
        spectral_start(np.nan_to_num(bounded(p.data)) / p.observed.mean()),
    )
    estimates = (ours, peer, cauchy_als(p.data))
    reserved = len(model.undetermined_rows_) + len(model.undetermined_columns_)
    return [relative_recovery_error(p.clean, estimate) for estimate in estimates], model.converged_ and not reserved


# %%
# The maps, two problems per cell
# -------------------------------
NAMES = ("this package, rank unknown", "scaled sub-gradient, given the rank", "Cauchy-weighted ALS, given the rank")
figure, axes = plt.subplots(2, 3, figsize=(12, 7.4), layout="constrained")
for row, (title, problem) in zip(
    axes, {"linear measurements": of_measurements, "matrices with missing entries": of_a_matrix}.items(), strict=True
):
    grid = [(share, multiple, seed) for share in SHARES for multiple in MULTIPLES for seed in range(COUNT)]
    results = Parallel(n_jobs=2)(delayed(problem)(*cell) for cell in grid)
    errors = np.array([error for error, _ in results]).T.reshape(-1, len(SHARES), len(MULTIPLES), COUNT)
    claimed = np.array([verdict for _, verdict in results]).reshape(errors[0].shape)
    right = errors < 1e-6
    print(f"{title}, {right[0].size} problems")
    for i, (name, error, won, ax) in enumerate(zip(NAMES, errors, right, row, strict=False)):
        print(f"    {name}: {won.sum()} recovered")
        if i:
            lead = right[0].sum(axis=-1) - won.sum(axis=-1)
            ahead, behind = np.sum(lead > 0), np.sum(lead < 0)
            print(f"        this package is ahead in {ahead} of {lead.size} cells, behind in {behind}")
        display = PhaseTransitionDisplay.from_predictions(
            error, outliers=SHARES, observations=MULTIPLES, ax=ax, colorbar=False
        )
        ax.set(title=f"{title}:\n{name}", xlabel="observations per degree of freedom")
    silent = claimed & ~right[0]
    print(f"    not recovered by this package: {np.sum(~right[0])}, of which it claims to be right: {silent.sum()}")
figure.colorbar(display.image_, ax=axes, label="share of problems recovered", shrink=0.6)
axes[0, 2].set_axis_off()
if "sphinx_gallery" not in sys.modules:
    figure.savefig("science_phase.png", dpi=120)
