"""Synthetic low-rank problems with known ground truth, and loaders of real data."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from numbers import Integral, Real
from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from sklearn.datasets import get_data_home
from sklearn.utils import Bunch, check_random_state

__all__ = ["OUTLIER_KINDS", "corrupt", "fetch_street_camera", "make_corrupted_matrix", "make_measurements"]

#: The kinds of gross error that the generators know.
OUTLIER_KINDS = ("huge", "one-sided", "same-size", "sign-flip", "stuck", "cauchy")

ENSEMBLES = ("gaussian", "sign", "rank_one")
SAMPLINGS = ("uniform", "uneven")


def _choice(name, value, allowed):
    if value not in allowed:
        raise ValueError(f"{name} must be one of {list(allowed)}, got {value!r}.")


def _share(name, value, *, open_right=True):
    ok = isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) <= 1
    if not ok or (open_right and value == 1):
        raise ValueError(f"{name} must be a number in [0, 1{')' if open_right else ']'}, got {value!r}.")


def _at_least(name, value, low):
    if not isinstance(value, Real) or isinstance(value, bool) or not low <= float(value) < np.inf:
        raise ValueError(f"{name} must be a finite number of at least {low}, got {value!r}.")


def _check_errors(outliers, outlier_kind, magnitude):
    _share("outliers", outliers)
    _choice("outlier_kind", outlier_kind, OUTLIER_KINDS)
    _at_least("magnitude", magnitude, 0)


def _check_shape_rank(shape, rank):
    try:
        d1, d2 = shape
    except (TypeError, ValueError):
        raise ValueError(f"shape must be a pair (d1, d2) of positive integers, got {shape!r}.") from None
    for side in (d1, d2):
        if not isinstance(side, Integral) or isinstance(side, bool) or int(side) < 1:
            raise ValueError(f"shape must be a pair (d1, d2) of positive integers, got {shape!r}.")
    if not isinstance(rank, Integral) or isinstance(rank, bool) or not 1 <= int(rank) <= min(d1, d2):
        raise ValueError(f"rank must be an integer from 1 to min(shape) = {min(d1, d2)}, got {rank!r}.")
    return int(d1), int(d2), int(rank)


def _low_rank(shape, rank, condition, rng, *, symmetric=False, leverage="even"):
    """U diag(linspace(condition, 1)) V^T with independent orthonormal factors, entries of standard deviation 1."""
    d1, d2 = shape

    def factor(d):
        g = rng.standard_normal((d, rank))
        if leverage == "heavy":
            g *= np.abs(rng.standard_t(3, size=(d, 1))) + 0.2
        return np.linalg.qr(g)[0]

    left = factor(d1)
    right = left if symmetric else factor(d2)
    low = (left * np.linspace(condition, 1.0, rank)) @ right.T
    return low * (np.sqrt(d1 * d2) / np.linalg.norm(low))


def corrupt(values, share=0.1, kind="huge", *, magnitude=10.0, random_state=None):
    """Corrupt a share of some values by gross errors of one kind.

    Parameters
    ----------
    values : array-like of float, any shape
        Clean values.
    share : float in [0, 1), default=0.1
        Probability of each value to be corrupted.
    kind : {"huge", "one-sided", "same-size", "sign-flip", "stuck", "cauchy"}, default="huge"
        Kind of gross error, where `scale` is the standard deviation of `values` (1 if that is zero).

        - "huge": ``magnitude * scale * U(0.5, 1.5)`` is added with a random sign.
        - "one-sided": the same is added, always with a positive sign.
        - "same-size": as "huge", with a magnitude of 1.
        - "sign-flip": the value changes its sign.
        - "stuck": the value is replaced by the constant ``1.5 * scale``.
        - "cauchy": `scale` times a standard Cauchy variate is added.
    magnitude : float, default=10.0
        Size of "huge" and "one-sided" errors, in standard deviations of `values`. At least 0.
    random_state : int, RandomState instance or None, default=None
        Determines which values are corrupted, and how.

    Returns
    -------
    corrupted : ndarray of float64, same shape as `values`
        A corrupted copy.
    outliers : ndarray of bool, same shape as `values`
        True where a value was corrupted.

    Raises
    ------
    ValueError
        If `share`, `kind` or `magnitude` is not as described.

    See Also
    --------
    make_corrupted_matrix : A matrix with such errors.
    make_measurements : Measurements with such errors.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_robustlr.datasets import corrupt
    >>> bad, mask = corrupt(np.ones(1000), share=0.2, kind="sign-flip", random_state=0)
    >>> bool((bad[mask] == -1).all()), bool((bad[~mask] == 1).all())
    (True, True)
    """
    _share("share", share)
    _choice("kind", kind, OUTLIER_KINDS)
    _at_least("magnitude", magnitude, 0)
    rng = check_random_state(random_state)
    values = np.asarray(values, dtype=np.float64)
    outliers = rng.uniform(size=values.shape) < share
    n = int(outliers.sum())
    seen = values[np.isfinite(values)]
    scale = float(seen.std() if seen.size else 0.0) or 1.0
    out = values.copy()
    if kind == "sign-flip":
        out[outliers] *= -1.0
    elif kind == "stuck":
        out[outliers] = 1.5 * scale
    elif kind == "cauchy":
        out[outliers] += scale * rng.standard_cauchy(n)
    else:
        size = 1.0 if kind == "same-size" else float(magnitude)
        signs = np.ones(n) if kind == "one-sided" else rng.choice([-1.0, 1.0], n)
        out[outliers] += size * scale * signs * rng.uniform(0.5, 1.5, n)
    return out, outliers


def make_measurements(
    n_measurements=None,
    shape=(30, 30),
    rank=2,
    *,
    ensemble="gaussian",
    outliers=0.1,
    outlier_kind="huge",
    magnitude=10.0,
    noise=0.0,
    condition=1.0,
    symmetric=False,
    random_state=None,
):
    """Make linear measurements of a random low-rank matrix, a share of them grossly wrong.

    The model is y_i = <A_i, M> + e_i with a matrix M of the given rank [1]_.

    Parameters
    ----------
    n_measurements : int or None, default=None
        Number m of measurements. None: 6 times the degrees of freedom, ``6 * rank * (d1 + d2 - rank)``.
    shape : tuple (d1, d2) of int, default=(30, 30)
        Shape of the low-rank matrix.
    rank : int, default=2
        Rank of the low-rank matrix, from 1 to ``min(shape)``.
    ensemble : {"gaussian", "sign", "rank_one"}, default="gaussian"
        Distribution of the measurement matrices A_i: independent entries that are standard normal ("gaussian") or
        random signs ("sign"), or ``a b^T`` with standard normal a and b, stored as the row ``[a, b]`` ("rank_one").
    outliers : float in [0, 1), default=0.1
        Probability of each measurement to have a gross error.
    outlier_kind : str, default="huge"
        Kind of gross error, the `kind` of :func:`corrupt`.
    magnitude : float, default=10.0
        Size of gross errors, as in :func:`corrupt`.
    noise : float, default=0.0
        Standard deviation of Gaussian noise on every measurement, relative to that of the clean measurements.
    condition : float, default=1.0
        Ratio of the largest to the smallest of the `rank` singular values, which are evenly spaced. At least 1.
    symmetric : bool, default=False
        Whether the matrix is symmetric positive semi-definite.
    random_state : int, RandomState instance or None, default=None
        Seed of the problem.

    Returns
    -------
    problem : :class:`sklearn.utils.Bunch`
        The measurements: `data`, ndarray of shape (m, d1 * d2), or (m, d1 + d2) for "rank_one", and `target`, ndarray
        of shape (m,). The truth: `coef`, ndarray of shape (d1, d2) with entries of root mean square 1; `outliers`,
        ndarray of bool, shape (m,); and `clean_target`, ndarray of shape (m,). All floats are float64.

    Raises
    ------
    ValueError
        If a parameter is not as described.

    See Also
    --------
    make_corrupted_matrix : A matrix with missing and corrupted entries.
    sklearn_robustlr.RobustLowRankRecovery : Recovers the matrix.

    References
    ----------
    .. [1] J. Ma and S. Fattahi, "Global convergence of sub-gradient method for robust matrix recovery: small
       initialization, noisy measurements, and over-parameterization", Journal of Machine Learning Research 24(96),
       2023, equation 1.

    Examples
    --------
    >>> from sklearn_robustlr.datasets import make_measurements
    >>> problem = make_measurements(200, shape=(6, 5), rank=1, random_state=0)
    >>> problem.data.shape, problem.target.shape, problem.coef.shape
    ((200, 30), (200,), (6, 5))
    """
    d1, d2, rank = _check_shape_rank(shape, rank)
    _choice("ensemble", ensemble, ENSEMBLES)
    _at_least("noise", noise, 0)
    _at_least("condition", condition, 1)
    _check_errors(outliers, outlier_kind, magnitude)
    if not isinstance(symmetric, (bool, np.bool_)):
        raise ValueError(f"symmetric must be True or False, got {symmetric!r}.")
    if symmetric and d1 != d2:
        raise ValueError(f"shape must be square when symmetric=True, got {shape!r}.")
    m = 6 * rank * (d1 + d2 - rank) if n_measurements is None else n_measurements
    if not isinstance(m, Integral) or isinstance(m, bool) or m < 1:
        raise ValueError(f"n_measurements must be a positive integer or None, got {n_measurements!r}.")
    rng = check_random_state(random_state)
    coef = _low_rank((d1, d2), rank, condition, rng, symmetric=symmetric)
    data, clean = _measure(coef, m, ensemble, rng)
    noisy = clean + noise * clean.std() * rng.standard_normal(m)
    target, mask = corrupt(noisy, outliers, outlier_kind, magnitude=magnitude, random_state=rng)
    return Bunch(data=data, target=target, coef=coef, outliers=mask, clean_target=clean)


def _measure(coef, m, ensemble, rng):
    """Draw m measurements of a matrix; returns the rows that describe them and their values."""
    d1, d2 = coef.shape
    if ensemble == "rank_one":
        data = rng.standard_normal((m, d1 + d2))
        return data, np.einsum("ij,ij->i", data[:, :d1] @ coef, data[:, d1:])
    data = rng.standard_normal((m, d1 * d2))
    if ensemble == "sign":
        np.sign(data, out=data)
    return data, data @ coef.ravel()


def _rates(shape, observed, sampling, rng):
    """Probability of each entry to be seen."""
    if sampling == "uniform":
        return np.full(shape, float(observed))
    rows, cols = (4.0 ** rng.uniform(-0.5, 0.5, d) for d in shape)
    rate = np.outer(rows, cols)
    if observed >= 1.0:
        return np.ones(shape)
    most = 1.0 / rate.min()  # of all entries
    return np.minimum(rate * brentq(lambda times: np.minimum(rate * times, 1.0).mean() - observed, 0.0, most), 1.0)


def make_corrupted_matrix(
    shape=(200, 200),
    rank=3,
    *,
    observed=1.0,
    sampling="uniform",
    outliers=0.1,
    outlier_kind="huge",
    magnitude=10.0,
    noise=0.0,
    condition=1.0,
    leverage="even",
    mean=0.0,
    random_state=None,
):
    """Make a random low-rank matrix with missing and corrupted entries.

    Parameters
    ----------
    shape : tuple (d1, d2) of int, default=(200, 200)
        Shape of the matrix.
    rank : int, default=3
        Rank of the clean matrix before `mean` is added, from 1 to ``min(shape)``.
    observed : float in [0, 1], default=1.0
        Expected share of observed entries. The others are missing (NaN).
    sampling : {"uniform", "uneven"}, default="uniform"
        Whether all entries are observed at one rate, or at rates that vary by a factor of 4 between rows, and between
        columns ("uneven").
    outliers : float in [0, 1), default=0.1
        Probability of each entry to have a gross error.
    outlier_kind : str, default="huge"
        Kind of gross error, the `kind` of :func:`corrupt`.
    magnitude : float, default=10.0
        Size of gross errors, as in :func:`corrupt`.
    noise : float, default=0.0
        Standard deviation of Gaussian noise on every entry. Clean entries have a root mean square of 1 before `mean` is
        added.
    condition : float, default=1.0
        Ratio of the largest to the smallest of the `rank` singular values, which are evenly spaced. At least 1.
    leverage : {"even", "heavy"}, default="even"
        Distribution of the norms of the factor rows: equal on average, or heavy-tailed (Student, 3 degrees of freedom),
        so that a few rows and columns dominate.
    mean : float, default=0.0
        Constant that is added to the clean matrix.
    random_state : int, RandomState instance or None, default=None
        Seed of the problem.

    Returns
    -------
    problem : :class:`sklearn.utils.Bunch`
        The matrix: `data`, ndarray of float64, shape (d1, d2), NaN where an entry is missing. The truth, of the same
        shape: `clean`, ndarray of float64; `outliers`, ndarray of bool, False where an entry is missing; and
        `observed`, ndarray of bool.

    Raises
    ------
    ValueError
        If a parameter is not as described.

    See Also
    --------
    make_measurements : Linear measurements of a low-rank matrix.
    sklearn_robustlr.RobustMatrixCompletion : Repairs the matrix.

    Examples
    --------
    >>> from sklearn_robustlr.datasets import make_corrupted_matrix
    >>> problem = make_corrupted_matrix((30, 20), rank=2, observed=0.5, random_state=0)
    >>> problem.data.shape, bool((problem.outliers <= problem.observed).all())
    ((30, 20), True)
    """
    d1, d2, rank = _check_shape_rank(shape, rank)
    _share("observed", observed, open_right=False)
    _choice("sampling", sampling, SAMPLINGS)
    _choice("leverage", leverage, ("even", "heavy"))
    _at_least("noise", noise, 0)
    _at_least("condition", condition, 1)
    _check_errors(outliers, outlier_kind, magnitude)
    if not isinstance(mean, Real) or isinstance(mean, bool) or not np.isfinite(float(mean)):
        raise ValueError(f"mean must be a finite number, got {mean!r}.")
    rng = check_random_state(random_state)
    clean = _low_rank((d1, d2), rank, condition, rng, leverage=leverage) + mean
    noisy = clean + noise * rng.standard_normal((d1, d2))
    data, mask = corrupt(noisy, outliers, outlier_kind, magnitude=magnitude, random_state=rng)
    rates = _rates((d1, d2), observed, sampling, rng)
    seen = rng.uniform(size=(d1, d2)) < rates
    data[~seen] = np.nan
    return Bunch(data=data, clean=clean, outliers=mask & seen, observed=seen)


_STREET_FILE = "street.npz"
_STREET_SHA256 = "d283657b4d0b2abc7edc0ff2e5057d07fda452722e6208beaf65607ad286563d"


def fetch_street_camera(*, data_home=None):
    """Load the frames of a street camera: a fixed view, pedestrians walking through.

    The frames are those of ``samples/data/vtest.avi`` of OpenCV (github.com/opencv/opencv), which is not ours to
    distribute. Nothing is downloaded: the file ``street.npz`` must be in the data folder, and its content is verified.
    To make it, take every third frame in grey, average blocks of 6 x 6 pixels, round, and save them as uint8 by
    ``numpy.savez_compressed("street.npz", frames=frames)``.

    Parameters
    ----------
    data_home : str, path or None, default=None
        Folder of the file. None: the folder that the environment variable ``SKLEARN_ROBUSTLR_DATA`` names, otherwise
        that of scikit-learn (:func:`sklearn.datasets.get_data_home`).

    Returns
    -------
    street : :class:`sklearn.utils.Bunch`
        With `frames`, ndarray of uint8, shape (265, 96, 128): grey levels, about 3.3 frames a second; and `DESCR`, str.

    Raises
    ------
    OSError
        If the file is not there. The message says how to make it.
    ValueError
        If the content of the file is not the expected one, or the file is a link that leads out of the folder.

    See Also
    --------
    make_corrupted_matrix : A synthetic matrix with gross errors.

    Examples
    --------
    >>> from sklearn_robustlr.datasets import fetch_street_camera
    >>> frames = fetch_street_camera().frames  # doctest: +SKIP
    """
    folder = data_home or os.environ.get("SKLEARN_ROBUSTLR_DATA") or get_data_home()
    path = Path(folder).expanduser() / _STREET_FILE
    if not path.is_file():
        raise OSError(
            f"{_STREET_FILE} was not found in {path.parent}. It is not ours to distribute. Make it from "
            "samples/data/vtest.avi of github.com/opencv/opencv: take every third frame in grey, average blocks of "
            f'6 x 6 pixels, round, and save with numpy.savez_compressed("{_STREET_FILE}", frames=frames), as uint8 of '
            "shape (265, 96, 128). Put it into that folder, or name its folder by data_home or by the environment "
            "variable SKLEARN_ROBUSTLR_DATA."
        )
    if path.resolve().parent != path.parent.resolve():
        raise ValueError(f"{path} leads out of the data folder, to {path.resolve()}: only a file inside it is read.")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:  # numpy may leave it open
            frames = archive["frames"]
        found = f"sha256 {hashlib.sha256(np.ascontiguousarray(frames).tobytes()).hexdigest()}"
    except (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        found = str(error)
    if found != f"sha256 {_STREET_SHA256}":
        raise ValueError(f"{path} does not hold the expected frames of sha256 {_STREET_SHA256} ({found}).")
    return Bunch(frames=frames, DESCR=fetch_street_camera.__doc__)
