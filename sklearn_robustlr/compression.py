"""Small files of fitted models that transform new rows: the row space in few bits, as plain arrays without pickle."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from zipfile import BadZipFile

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ._estimators.completion import RobustMatrixCompletion
from ._estimators.pca import RobustPCA
from ._fits.matrix_fit import noise_of_columns
from ._model.calibration import Calibration, ScoresOfColumns
from ._model.noise import NoiseLaw
from ._model.posterior import Columns
from ._model.space import ModelSpace, Screen
from ._model.stuck import StuckValues
from ._operators.observed import Entries
from ._rows.odds import GrossErrors
from ._rows.regression import RowSpace
from ._utils.linalg import pack_diagonals, packed_diagonals
from ._utils.quantised import Reader, Writer
from ._utils.rules import FLAG_WIDTH
from ._utils.values import StopReason
from ._version import __version__

__all__ = ["DTYPES", "Stored", "compress", "load"]

#: The types in which the numbers of a row space may be stored.
DTYPES = ("float16", "int8", "nf4")

_ESTIMATORS = {kind.__name__: kind for kind in (RobustMatrixCompletion, RobustPCA)}
_PARTS: dict[str, Callable[..., Any]] = {
    **{
        kind.__name__: kind
        for kind in (ModelSpace, RowSpace, GrossErrors, Screen, NoiseLaw, StuckValues, Calibration, ScoresOfColumns)
    },
    "Columns": lambda covariances, **others: Columns(covariances=pack_diagonals(covariances), **others),
}
# Fitted attributes of single rows, or of the way to the fit, that rows are not transformed by.
_LEFT_OUT = (
    "left_",
    "outliers_",
    "history_",
    "restart_scores_",
    "undetermined_rows_",
    "_seen",
    "_stream",
    "_skl_callbacks",
)
# Parameters of fits alone, and what scikit-learn keeps of the form of results.
_NOT_WRITTEN = ("random_state", "checkpoint", "_sklearn_output_config")
# Share of the noise that may be added, rows that it is measured on, and groups of held-out errors that are kept.
_MOST_ADDED, _PROBES, _GROUPS = 0.1, 256, 200
_EXACT, _NOISY = StopReason.EXACT.value, StopReason.NOISY.value
# Version of the format.
_FORMAT = 1


@dataclass(frozen=True)
class Stored:
    """A fitted model in few bits, as returned by :func:`compress`.

    It holds plain arrays, without pickle.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Plain arrays by name.
    added_error : float
        Root mean square of the changes that the compression makes to the estimates of new rows, in units of the noise
        of their column; or to the coordinates along a component of :class:`~sklearn_robustlr.RobustPCA`, if these
        change more.

    Attributes
    ----------
    nbytes : int
        Number of bytes of all arrays.

    See Also
    --------
    compress : Makes it from a fitted model.
    load : Loads a model from the file that ``save`` has written.

    Examples
    --------
    >>> from sklearn_robustlr import RobustPCA
    >>> from sklearn_robustlr.compression import compress
    >>> from sklearn_robustlr.datasets import make_corrupted_matrix
    >>> problem = make_corrupted_matrix((300, 60), rank=3, outliers=0.1, noise=0.2, random_state=0)
    >>> compress(RobustPCA().fit(problem.data), "int8").nbytes < 20_000
    True
    """

    arrays: dict[str, np.ndarray]
    added_error: float

    @property
    def nbytes(self) -> int:
        """Number of bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    def save(self, file):
        """Write an ``.npz`` file that :func:`load` reads.

        The file holds no pickle.

        Parameters
        ----------
        file : str or path
            Path of the file, with its suffix. An existing file is overwritten.

        Raises
        ------
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from sklearn_robustlr import RobustPCA
        >>> from sklearn_robustlr.compression import compress
        >>> from sklearn_robustlr.datasets import make_corrupted_matrix
        >>> problem = make_corrupted_matrix((300, 60), rank=3, outliers=0.1, noise=0.2, random_state=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     compress(RobustPCA().fit(problem.data)).save(Path(folder) / "model.npz")
        """
        with open(file, "wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **self.arrays)


def compress(model, dtype="int8", *, block=64, allow_loss=False):
    """Store the row space of a fitted model in few bits for each number.

    The result keeps what new rows are transformed by: the row space, quantised, and its scales, noise and flags in
    full. It does not keep what belongs to the fitted rows. Of the covariances of columns it keeps the variances.

    Parameters
    ----------
    model : RobustMatrixCompletion or RobustPCA
        Fitted model.
    dtype : {"float16", "int8", "nf4"}, default="int8"
        Type of the stored numbers: half precision (an error of about 0.02 %), 8 bits (0.6 %), or 4 bits at quantiles of
        a normal distribution (9 %) [1]_.
    block : int, default=64
        How many numbers of a direction share a scale, for "int8" and "nf4".
    allow_loss : bool, default=False
        Whether the estimates may change by more than a tenth of the noise. An exact fit has no noise to compare with
        and always needs ``allow_loss=True``.

    Returns
    -------
    stored : Stored
        Compressed model. ``save(file)`` writes it, `nbytes` is its size, and `added_error` is the change of the
        estimates in units of the noise.

    Raises
    ------
    ValueError, TypeError
        If a parameter is not as described, or the estimates would change by more than a tenth of the noise.
    NotFittedError
        If the model is not fitted.

    See Also
    --------
    load : Loads the model from the file that ``save`` has written.

    References
    ----------
    .. [1] T. Dettmers, A. Pagnoni, A. Holtzman and L. Zettlemoyer, "QLoRA: efficient finetuning of quantized LLMs",
       Advances in Neural Information Processing Systems 36, 2023.

    Examples
    --------
    >>> from sklearn_robustlr import RobustMatrixCompletion
    >>> from sklearn_robustlr.compression import compress
    >>> from sklearn_robustlr.datasets import make_corrupted_matrix
    >>> problem = make_corrupted_matrix((300, 60), rank=3, outliers=0.1, noise=0.2, random_state=0)
    >>> stored = compress(RobustMatrixCompletion().fit(problem.data), "int8")
    >>> stored.added_error < 0.1
    True
    """
    if type(model).__name__ not in _ESTIMATORS:
        raise TypeError(f"model must be a RobustMatrixCompletion or a RobustPCA, got {type(model).__name__}.")
    check_is_fitted(model)
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(map(repr, DTYPES))}, got {dtype!r}.")
    if isinstance(block, bool) or not isinstance(block, int | np.integer) or block < 1:
        raise ValueError(f"block must be a positive integer, got {block!r}.")
    state = {name: _plain(value) for name, value in vars(model).items() if name not in (*_LEFT_OUT, *_NOT_WRITTEN)}
    arrays = _write(model, state, dtype, int(block))
    if isinstance(model._space, RowSpace):  # rows no longer meet it better than its numbers are
        rounding = _rounding(model._space, _read(arrays)._space)
        if rounding > model._space.scale:
            state["_space"] = replace(model._space, scale=rounding)
            state["scale_"] = max(model.scale_, rounding)
            state["noise_scale_"] = np.maximum(model.noise_scale_, noise_of_columns(state["_space"], rounding))
            state["threshold_"] = max(model.threshold_, FLAG_WIDTH * rounding)
            if "noise_variance_" in state:
                state["noise_variance_"] = max(float(model.noise_variance_), rounding**2)
            state["stop_reason_"] = _NOISY if model.stop_reason_ == _EXACT else model.stop_reason_
            arrays = _write(model, state, dtype, int(block))
    added = _added(model, _read(arrays))
    if not (added <= _MOST_ADDED or allow_loss):
        better = DTYPES[: DTYPES.index(dtype)]
        bits = f"take more bits ({', '.join(map(repr, better))}), or set" if better else "set"
        raise ValueError(
            f"dtype={dtype!r} changes the estimates by {added:.2g} of the noise, more than {_MOST_ADDED:g} of it: "
            f"{bits} allow_loss=True. An exact fit has next to no noise to compare with."
        )
    return Stored(arrays, added)


def load(file):
    """Load a compressed model that transforms new rows, from the file that :meth:`Stored.save` has written.

    Parameters
    ----------
    file : str or path
        Path of the file.

    Returns
    -------
    model : RobustMatrixCompletion or RobustPCA
        Fitted model without the attributes of the rows that it was fitted to, such as `left_` and `outliers_`.

    Raises
    ------
    ValueError
        If the file is not such a file, or is of a later version of the format.
    FileNotFoundError
        If there is no such file.

    See Also
    --------
    compress : Compresses a fitted model.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_robustlr import RobustMatrixCompletion
    >>> from sklearn_robustlr.compression import compress, load
    >>> from sklearn_robustlr.datasets import make_corrupted_matrix
    >>> problem = make_corrupted_matrix((300, 60), rank=3, outliers=0.1, noise=0.2, random_state=0)
    >>> model = RobustMatrixCompletion(replace="all").fit(problem.data[:200])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     compress(model).save(Path(folder) / "model.npz")
    ...     small = load(Path(folder) / "model.npz")
    >>> bool(abs(small.transform(problem.data[200:]) - model.transform(problem.data[200:])).max() < 0.1)
    True
    """
    try:
        with open(file, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
            arrays = dict(stored)
        return _read(arrays)
    except FileNotFoundError:
        raise
    except (KeyError, TypeError, ValueError, EOFError, OSError, BadZipFile) as error:
        if "is of format" in str(error):
            raise
        raise ValueError(f"{file} is no file that sklearn_robustlr.compression.compress has made.") from error


def _write(model: Any, state: dict[str, Any], dtype: str, block: int) -> dict[str, np.ndarray]:
    """The arrays of the state of a model."""
    writer = Writer(dtype, block, model.n_features_in_)
    tree = {
        "format": _FORMAT,
        "version": __version__,
        "class": type(model).__name__,
        "state": {name: writer.write(name, _slim(value)) for name, value in state.items()},
    }
    return {"meta": np.frombuffer(json.dumps(tree).encode(), dtype=np.uint8), **writer.arrays}


def _read(arrays: dict[str, np.ndarray]) -> Any:
    """The model from its arrays."""
    tree = json.loads(bytes(arrays["meta"]).decode())
    if tree["format"] > _FORMAT:
        raise ValueError(f"the file is of format {tree['format']}, written by version {tree['version']}; update.")
    model = _ESTIMATORS[tree["class"]]()
    reader = Reader(arrays, _PARTS)
    for name, node in tree["state"].items():
        setattr(model, name, reader.read(node))
    return model


def _plain(value: Any) -> Any:
    """A value of a parameter without its container: lists and columns as arrays, the NA of pandas as NaN."""
    if type(value).__name__ == "NAType":
        return float("nan")
    return np.asarray(value) if isinstance(value, list) or hasattr(value, "to_numpy") else value


def _slim(value: Any) -> Any:
    """A space with variances in place of covariances, and fewer held-out errors; any other value as it is."""
    if not isinstance(value, ModelSpace):
        return value
    screen = value.screen
    if screen is not None:
        screen = replace(screen, columns=_slim_columns(screen.columns))
    members = tuple(_slim_columns(columns) for columns in value.members)
    return replace(value, members=members, screen=screen, calibration=_fewer(value.calibration))


def _slim_columns(columns: Columns) -> Columns:
    """Columns with variances alone, their mean apart: small loadings are rounded, and would be times a large center."""
    slim = packed_diagonals(columns.covariances)
    return replace(columns, covariances=slim, joint=None, mean=columns.prior_mean, center=None)


def _fewer(calibration: Calibration) -> Calibration:
    """Groups of held-out errors in their order, each with its mean and its weight."""
    groups = np.array_split(np.arange(len(calibration.scores)), min(_GROUPS, len(calibration.scores)))
    weights = np.array([calibration.weights[group].sum() for group in groups])
    kept = weights > 0.0
    mass = calibration.scores * calibration.weights
    scores = np.array([mass[group].sum() for group in groups])[kept] / weights[kept]
    own = calibration.of_columns
    if own is not None:
        shorter = (own.cols.astype(np.int32), own.scores.astype(np.float32), own.weights.astype(np.float16))
        own = ScoresOfColumns(*shorter, own.common)
    return Calibration(scores, weights[kept], own)


def _rounding(space: RowSpace, small: RowSpace) -> float:
    """Root mean square of what rows of the same coefficients change by."""
    x = space.center + np.random.RandomState(0).standard_normal((_PROBES, space.rank)) @ space.root
    return float(np.sqrt(np.mean((x @ (space.evened.basis - small.evened.basis).T) ** 2)))


def _added(model: Any, small: Any) -> float:
    """Root mean square, in units of the noise, of what the estimates of rows drawn from the model change by.

    Or of what their coordinates along the worst of the components change by.
    """
    space, rng = model._space, np.random.RandomState(0)
    if isinstance(space, RowSpace):
        rows = (space.center + rng.standard_normal((_PROBES, space.rank)) @ space.root) @ space.basis.T
        noise = np.full(rows.shape[1], max(float(model.scale_), np.finfo(np.float64).tiny))
    else:
        noise = space.noise
        even = np.zeros((_PROBES, len(noise)))
        for weight, columns in zip(space.weights, space.members, strict=True):
            even += weight * (columns.prior_mean + rng.standard_normal((_PROBES, columns.rank)) @ columns.loadings.T)
        rows = space.straight(even)
    entries = Entries(rows + noise * rng.standard_normal(rows.shape))
    estimates = [each.predict(each.regress(entries, n_jobs=1).factors) for each in (space, small._space)]
    with np.errstate(over="ignore"):
        added = np.sqrt(np.mean(((estimates[0] - estimates[1]) / noise) ** 2))
        if isinstance(model, RobustPCA):
            before, after = (
                (rows - own.mean_) @ own.components_.T for rows, own in zip(estimates, (model, small), strict=True)
            )
            size = np.linalg.norm(model.components_ * noise, axis=1)
            added = max(added, np.max(np.sqrt(np.mean((before - after) ** 2, axis=0)) / size, initial=0.0))
        return float(added)
