"""Reference methods in NumPy, written from their formulas and told the rank; and the errors of oracles.

Each method is a generator that yields a pair of factors after every iteration, so that the time to any accuracy can be
measured. None is told the share of errors, the noise or the optimal loss; the oracles are told which measurements are
inliers. `speed_profiles.py --tune` compares the decays over all workloads.
"""

import numpy as np
from sklearn.utils.extmath import randomized_svd

from sklearn_robustlr.metrics import relative_recovery_error

# Largest number of entries that a median is taken over.
_SAMPLE = 100_000
# Spectral starts clip the values at this multiple of their median size.
_CLIP = 3.0


def _median_size(values):
    """Median of |values|, of a sample where there are many; values that are not finite do not count."""
    some = values.ravel()[:: max(1, values.size // _SAMPLE)]
    return float(np.median(np.abs(some[np.isfinite(some)])))


def _clipped(values):
    bound = _CLIP * _median_size(values)
    return np.clip(values, -bound, bound)


def spectral_start(matrix, rank):
    """Balanced factors of the best approximation of this rank."""
    u, s, vt = randomized_svd(matrix, rank, random_state=0)
    return u * np.sqrt(s), vt.T * np.sqrt(s)


def matrix_start(data, rank):
    """Spectral start of a matrix: values clipped, missing entries zero, scaled by the share observed."""
    clipped = np.nan_to_num(_clipped(data), nan=0.0)
    return spectral_start(clipped / np.mean(np.isfinite(data)), rank)


class MatrixSigns:
    """Residual of the observed entries of a matrix, and the gradients of its absolute sum for the factors."""

    def __init__(self, data):
        self.data = data
        self.observed = None if np.isfinite(data).all() else np.isfinite(data)
        self.size = data.size if self.observed is None else int(self.observed.sum())
        self._residual = np.empty_like(data)

    def __call__(self, left, right):
        residual = self._residual
        np.matmul(left, right.T, out=residual)
        residual -= self.data
        scale = _median_size(residual)
        np.sign(residual, out=residual)
        if self.observed is not None:
            np.copyto(residual, 0.0, where=~self.observed)
        return scale, residual @ right, residual.T @ left


class DenseSigns:
    """The same for measurements whose rows are flattened matrices: two reads of the design."""

    def __init__(self, data, y, shape):
        self.data, self.y, self.shape, self.size = data, y, shape, len(y)

    def start(self, rank):
        return spectral_start((_clipped(self.y) @ self.data).reshape(self.shape) / self.size, rank)

    def __call__(self, left, right):
        residual = self.data @ (left @ right.T).ravel() - self.y
        gradient = (np.sign(residual) @ self.data).reshape(self.shape)
        return _median_size(residual), gradient @ right, gradient.T @ left


class RankOneSigns:
    """The same for measurements a b^T, rows [a, b] of the data."""

    def __init__(self, data, y, shape):
        self.a = np.ascontiguousarray(data[:, : shape[0]])
        self.b = np.ascontiguousarray(data[:, shape[0] :])
        self.y, self.size = y, len(y)

    def start(self, rank):
        return spectral_start((self.a * _clipped(self.y)[:, None]).T @ self.b / self.size, rank)

    def __call__(self, left, right):
        u, v = self.a @ left, self.b @ right
        residual = np.einsum("ij,ij->i", u, v) - self.y
        signs = np.sign(residual)[:, None]
        return _median_size(residual), self.a.T @ (signs * v), self.b.T @ (signs * u)


def scaled_subgradient(signs, left, right, *, decay=0.93, damping=1e-3, n_iter=800):
    """Scaled sub-gradient method with a normalised geometric step.

    P_L = G R (R^T R + damping ||R^T R|| I)^-1 and P_R likewise, with G the adjoint of the signs of the residuals;
    d = <G R, P_L> + <G^T L, P_R>; the factors move by eta_t P / sqrt(d), eta_t = eta_0 decay^t, where eta_0 sqrt(d) is
    the loss at the start, estimated from the median residual. Preconditioning as in Tong, Ma and Chi, 2021
    (arXiv:2010.13364), geometric decay as in Li, Zhu, So and Vidal, 2020.
    """
    eye = np.eye(left.shape[1])
    step = None
    for _ in range(n_iter):
        scale, grad_left, grad_right = signs(left, right)
        move_left, move_right = (
            np.linalg.solve(gram + damping * np.linalg.norm(gram, 2) * eye, grad.T).T
            for gram, grad in ((right.T @ right, grad_left), (left.T @ left, grad_right))
        )
        size = np.sqrt(np.vdot(grad_left, move_left) + np.vdot(grad_right, move_right))
        if not size > 0.0:
            return
        step = scale * signs.size / size if step is None else step * decay
        left = left - step / size * move_left
        right = right - step / size * move_right
        yield left, right


def _regress(basis, weight, values):
    """Weighted least squares of each row of `values` on the basis."""
    k = basis.shape[1]
    products = (basis[:, :, None] * basis[:, None, :]).reshape(len(basis), -1)
    gram = (weight @ products).reshape(-1, k, k)
    ridge = 1e-14 * np.trace(gram, axis1=1, axis2=2) + np.finfo(float).tiny  # a row without entries gets zeros
    gram += ridge[:, None, None] * np.eye(k)
    return np.linalg.solve(gram, ((weight * values) @ basis)[:, :, None])[:, :, 0]


def cauchy_als(data, rank, *, decay=0.8, n_iter=300):
    """Alternating least squares with Cauchy weights 1 / (1 + (r / delta)^2).

    delta follows the median residual down, by at most `decay` an iteration.
    """
    left, right = matrix_start(data, rank)
    missing = None if np.isfinite(data).all() else ~np.isfinite(data)
    values = np.nan_to_num(data, nan=0.0)
    floor = 1e-14 * _median_size(data)
    delta = None
    weight = np.empty_like(data)
    for _ in range(n_iter):
        for columns in (False, True):
            np.matmul(left, right.T, out=weight)
            weight -= data
            middle = _median_size(weight)
            delta = middle if delta is None else max(min(delta, max(middle, decay * delta)), floor)
            weight /= delta
            weight *= weight
            weight += 1.0
            np.reciprocal(weight, out=weight)
            if missing is not None:
                np.copyto(weight, 0.0, where=missing)
            if columns:
                left = np.linalg.qr(left)[0]
                right = _regress(left, weight.T, values.T)
            else:
                right = np.linalg.qr(right)[0]
                left = _regress(right, weight, values)
        yield left, right


def als_sweeps(data, rank, *, n_iter=20):
    """Plain alternating least squares over the observed entries, kept sorted by row and by column; not robust."""
    i, j = np.nonzero(np.isfinite(data))
    y = data[i, j]
    order = np.lexsort((i, j))
    passes = [(i, j, y), (j[order], i[order], y[order])]
    rng = np.random.RandomState(0)
    factors = [rng.standard_normal((n, rank)) for n in data.shape]
    for _ in range(n_iter):
        for side, (index, other, values) in enumerate(passes):
            b = factors[1 - side][other]
            starts = np.flatnonzero(np.r_[True, np.diff(index) > 0])
            products = np.einsum("pi,pj->pij", b, b).reshape(len(b), -1)
            gram = np.add.reduceat(products, starts, axis=0).reshape(-1, rank, rank)
            right_side = np.add.reduceat(b * values[:, None], starts, axis=0)
            factors[side][index[starts]] = np.linalg.solve(gram + 1e-12 * np.eye(rank), right_side[:, :, None])[:, :, 0]
        yield tuple(factors)


def _least_squares(design, y):
    return np.linalg.solve(design.T @ design, design.T @ y)


def measurements_oracle_error(data, target, inliers, coef, rank, *, sweeps=40):
    """Error of alternating least squares told the rank and the inliers, and started at the truth `coef`."""
    u, s, vt = np.linalg.svd(coef, full_matrices=False)
    left, right = u[:, :rank] * s[:rank], vt[:rank].T
    a = data[inliers].reshape(-1, *coef.shape)
    y = target[inliers]
    for _ in range(sweeps):
        right = np.linalg.qr(right)[0]
        left = _least_squares((a @ right).reshape(len(y), -1), y).reshape(-1, rank)
        left = np.linalg.qr(left)[0]
        design = (a.transpose(0, 2, 1) @ left).reshape(len(y), -1)
        right = _least_squares(design, y).reshape(-1, rank)
    return relative_recovery_error(coef, left @ right.T)


def matrix_oracle_error(clean, data, inliers, rank, *, sweeps=60):
    """The same for a matrix of which `inliers` masks the entries that are observed and not corrupted."""
    vt = np.linalg.svd(clean, full_matrices=False)[2]
    right = vt[:rank].T
    filled = np.where(inliers, np.nan_to_num(data), 0.0)
    weight = inliers.astype(float)

    def regress(basis, values, weight):
        products = np.einsum("jk,jl->jkl", basis, basis).reshape(len(basis), -1)
        gram = (weight @ products).reshape(-1, rank, rank)
        return np.linalg.solve(gram, (values @ basis)[:, :, None])[:, :, 0]

    for _ in range(sweeps):
        left = regress(np.linalg.qr(right)[0], filled, weight)
        left = np.linalg.qr(left)[0]
        right = regress(left, filled.T, weight.T)
    return relative_recovery_error(clean, left @ right.T)
