"""Small files of fitted models: the row space in few bits, as plain arrays without pickle, to transform new rows by."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
from scipy.special import ndtri
from sklearn.utils.validation import check_is_fitted

from ._estimators.completion import RobustMatrixCompletion
from ._estimators.pca import RobustPCA
from ._model.calibration import Calibration
from ._model.noise import NoiseLaw
from ._model.posterior import Columns
from ._model.space import ModelSpace, Screen
from ._model.stuck import StuckValues
from ._operators.observed import Entries
from ._rows.regression import RowSpace
from ._utils.linalg import pack_diagonals, packed_diagonals
from ._utils.rules import FLAG_WIDTH
from ._utils.values import StopReason
from ._version import __version__

__all__ = ["DTYPES", "Stored", "compress", "load"]

#: What numbers of a row space may be stored as.
DTYPES = ("float16", "int8", "nf4")

_ESTIMATORS = {kind.__name__: kind for kind in (RobustMatrixCompletion, RobustPCA)}
_PARTS = {kind.__name__: kind for kind in (ModelSpace, RowSpace, Screen, Columns, NoiseLaw, StuckValues, Calibration)}
# Fitted attributes of single rows, or of the way to the fit, that rows are not transformed by.
_LEFT_OUT = ("left_", "outliers_", "history_", "restart_scores_", "undetermined_rows_", "_seen", "_stream")
# Share of the noise that may be added, rows that it is measured on, and groups of held-out errors that are kept.
_MOST_ADDED, _PROBES, _GROUPS = 0.1, 256, 200
_EXACT, _NOISY = StopReason.EXACT.value, StopReason.NOISY.value
# Version of the format.
_FORMAT = 1


@dataclass(frozen=True)
class Stored:
    """A fitted model in few bits, as :func:`compress` returns it.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Plain arrays by names.
    added_error : float
        Root mean square of what the estimates of new rows change by, in units of the noise of their column.

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
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    def save(self, file):
        """Write an ``.npz`` file that :func:`load` reads; it has no pickle in it.

        Parameters
        ----------
        file : str or path
            The file; one that is there is overwritten.

        Returns
        -------
        None

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

    What new rows are transformed by is kept: the row space, quantised, and its scales, noise and flags in full; what
    belongs to the fitted rows is not. Covariances of columns are kept as variances.

    Parameters
    ----------
    model : RobustMatrixCompletion or RobustPCA
        A fitted model.
    dtype : {"float16", "int8", "nf4"}, default="int8"
        Half precision (an error of about 0.02 %), 8 bits (0.6 %), or 4 bits at quantiles of a normal law (9 %) [1]_.
    block : int, default=64
        Numbers of a direction that share a scale, for "int8" and "nf4".
    allow_loss : bool, default=False
        Whether the estimates may change by more than a tenth of the noise. Those of an exact fit, which has none,
        always do.

    Returns
    -------
    stored : Stored
        With `arrays`, `nbytes`, `added_error` (in units of the noise) and ``save(file)``.

    Raises
    ------
    ValueError, TypeError
        If a parameter is not as described, or more than a tenth of the noise would be added.
    NotFittedError
        If the model is not fitted.

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
    state = {name: value for name, value in vars(model).items() if name not in (*_LEFT_OUT, "_skl_callbacks")}
    state |= {"random_state": None, "checkpoint": None}  # of fits alone
    arrays = _write(model, state, dtype, int(block))
    if isinstance(model._space, RowSpace):  # rows no longer meet it better than its numbers are
        rounding = _rounding(model._space, _read(arrays)._space)
        if rounding > model._space.scale:
            state["_space"] = replace(model._space, scale=rounding)
            state["scale_"] = max(model.scale_, rounding)
            state["threshold_"] = max(model.threshold_, FLAG_WIDTH * rounding)
            state["stop_reason_"] = _NOISY if model.stop_reason_ == _EXACT else model.stop_reason_
            arrays = _write(model, state, dtype, int(block))
    added = _added(model, _read(arrays))
    if not (added <= _MOST_ADDED or allow_loss):
        raise ValueError(
            f"dtype={dtype!r} changes the estimates by {added:.2g} of the noise, more than {_MOST_ADDED:g} of it: take "
            f"more bits ({', '.join(map(repr, DTYPES))}), or set allow_loss=True."
        )
    return Stored(arrays, added)


def load(file):
    """Load a model that :func:`compress` has made and ``save`` has written, to transform new rows.

    Parameters
    ----------
    file : str or path
        The file.

    Returns
    -------
    model : RobustMatrixCompletion or RobustPCA
        A fitted model, without the attributes of the rows that it was fitted to, such as `left_` and `outliers_`.

    Raises
    ------
    ValueError
        If the file is none of these, or of a later version of the format.

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
        with np.load(file, allow_pickle=False) as stored:
            arrays = dict(stored)
        return _read(arrays)
    except (KeyError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file} is no file that sklearn_robustlr.compression.compress has made.") from error


def _write(model: Any, state: dict[str, Any], dtype: str, block: int) -> dict[str, np.ndarray]:
    """The arrays of the state of a model."""
    writer = _Writer(dtype, block, model.n_features_in_)
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
    reader = _Reader(arrays)
    for name, node in tree["state"].items():
        setattr(model, name, reader.read(node))
    return model


@dataclass
class _Writer:
    """Turns values into nodes of a tree of JSON, and puts the arrays that these name aside."""

    dtype: str
    block: int
    n_features: int

    def __post_init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self._seen: dict[int, tuple[Any, Any]] = {}

    def write(self, name: str, value: Any) -> Any:
        """The node of a value."""
        if id(value) in self._seen and not isinstance(value, bool | int | float | str | None):
            return self._seen[id(value)][1]
        node = self._node(name, value)
        self._seen[id(value)] = value, node  # which keeps the value, so that its id stays its own
        return node

    def _node(self, name: str, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | str):
            return {"value": value}
        if isinstance(value, float | np.floating):
            return {"float": float(value).hex(), "kind": type(value).__name__}
        if isinstance(value, np.integer | np.bool_):
            return {"value": value.item()}
        if isinstance(value, np.ndarray):
            if value.ndim == 2 and value.dtype.kind == "f" and self.n_features in value.shape and value.size:
                return self._quantise(name, value)
            return {"array": self._aside(name, value.astype(str) if value.dtype.kind == "O" else value)}
        if isinstance(value, tuple) and not hasattr(value, "_fields"):
            return {"tuple": [self.write(f"{name}.{i}", item) for i, item in enumerate(value)]}
        names = [field.name for field in fields(value)] if is_dataclass(value) else value._fields
        parts = {part: self.write(f"{name}.{part}", getattr(value, part)) for part in names}
        return {"part": type(value).__name__, "fields": parts}

    def _aside(self, name: str, array: np.ndarray) -> str:
        self.arrays[name] = array
        return name

    def _quantise(self, name: str, matrix: np.ndarray) -> dict[str, Any]:
        """The node of a matrix in few bits: each row by its own size, then the numbers of a column by blocks."""
        size = np.abs(matrix).max(axis=1)
        size = np.where(size > 0.0, size, 1.0)
        even = (matrix / size[:, None]).T.astype(np.float64)
        node = {"bits": self.dtype, "shape": matrix.shape, "kind": matrix.dtype.name, "block": self.block}
        node["size"] = self._aside(f"{name}.size", size)
        if self.dtype == "float16":
            node["codes"] = self._aside(name, even.astype(np.float16))
            return node
        blocks = _blocked(even.ravel(), self.block)
        top = np.abs(blocks).max(axis=1).astype(np.float16)
        node["top"] = self._aside(f"{name}.top", top)
        unit = blocks / np.where(top > 0.0, top, 1.0).astype(np.float64)[:, None]
        if self.dtype == "int8":
            node["codes"] = self._aside(name, np.clip(np.rint(unit * 127.0), -127, 127).astype(np.int8))
        else:
            levels = _normal_levels()
            codes = np.searchsorted(0.5 * (levels[1:] + levels[:-1]), unit).astype(np.uint8).ravel()
            codes = np.append(codes, np.zeros(len(codes) % 2, np.uint8))
            node["codes"] = self._aside(name, codes[::2] << 4 | codes[1::2])
        return node


@dataclass(frozen=True)
class _Reader:
    """Turns nodes back into values."""

    arrays: dict[str, np.ndarray]

    def read(self, node: dict[str, Any]) -> Any:
        """The value of a node."""
        if "value" in node:
            return node["value"]
        if "float" in node:
            value = float.fromhex(node["float"])
            return value if node["kind"] == "float" else np.dtype(node["kind"]).type(value)
        if "array" in node:
            return self.arrays[node["array"]]
        if "tuple" in node:
            return tuple(self.read(item) for item in node["tuple"])
        if "part" in node:
            parts = {name: self.read(part) for name, part in node["fields"].items()}
            if node["part"] == "Columns":
                parts["covariances"] = pack_diagonals(parts["covariances"])
            return _PARTS[node["part"]](**parts)
        return self._matrix(node)

    def _matrix(self, node: dict[str, Any]) -> np.ndarray:
        n, k = node["shape"]
        codes = self.arrays[node["codes"]]
        if node["bits"] == "float16":
            even = codes.astype(np.float64)
        else:
            if node["bits"] == "int8":
                unit = codes / 127.0
            else:
                pairs = np.column_stack([codes >> 4, codes & 15]).ravel()
                unit = _blocked(_normal_levels()[pairs][: -(-n * k // node["block"]) * node["block"]], node["block"])
            even = (unit * self.arrays[node["top"]].astype(np.float64)[:, None]).ravel()[: n * k].reshape(k, n)
        size = self.arrays[node["size"]].astype(np.float64)
        return np.ascontiguousarray(even.T * size[:, None], dtype=node["kind"])


def _blocked(flat: np.ndarray, block: int) -> np.ndarray:
    """Numbers in rows of a block each, the last one filled up with zeros."""
    return np.append(flat, np.zeros(-len(flat) % block)).reshape(-1, block)


def _normal_levels() -> np.ndarray:
    """Sixteen levels at the quantiles of a normal law, zero and both ends among them."""
    end = 0.5 * (1.0 - 1.0 / 30.0 + 1.0 - 1.0 / 32.0)
    above, below = ndtri(np.linspace(end, 0.5, 9)[:-1]), -ndtri(np.linspace(end, 0.5, 8)[:-1])
    levels = np.sort(np.concatenate([below, [0.0], above]))
    return levels / levels.max()


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
    return replace(columns, covariances=packed_diagonals(columns.covariances), joint=None)


def _fewer(calibration: Calibration) -> Calibration:
    """Groups of held-out errors in their order, each with its mean and its weight."""
    groups = np.array_split(np.arange(len(calibration.scores)), min(_GROUPS, len(calibration.scores)))
    weights = np.array([calibration.weights[group].sum() for group in groups])
    kept = weights > 0.0
    mass = calibration.scores * calibration.weights
    scores = np.array([mass[group].sum() for group in groups])[kept] / weights[kept]
    return Calibration(scores, weights[kept])


def _rounding(space: RowSpace, small: RowSpace) -> float:
    """Root mean square of what rows of the same coefficients change by."""
    x = space.center + np.random.RandomState(0).standard_normal((_PROBES, space.rank)) @ space.root
    return float(np.sqrt(np.mean((x @ (space.basis - small.basis).T) ** 2)))


def _added(model: Any, small: Any) -> float:
    """Root mean square, in units of the noise, of what the estimates of rows drawn from the model change by."""
    space, rng = model._space, np.random.RandomState(0)
    if isinstance(space, RowSpace):
        rows = (space.center + rng.standard_normal((_PROBES, space.rank)) @ space.root) @ space.basis.T
        noise = np.full(rows.shape[1], max(float(model.scale_), np.finfo(np.float64).tiny))
    else:
        noise = space.noise
        rows = np.zeros((_PROBES, len(noise)))
        for weight, columns in zip(space.weights, space.members, strict=True):
            drawn = rng.standard_normal((_PROBES, columns.rank)) @ columns.loadings.T
            rows += weight * (columns.mean + drawn) * space.scale + weight * space.shift
    entries = Entries(rows + noise * rng.standard_normal(rows.shape))
    estimates = [each.predict(each.regress(entries, n_jobs=1).factors) for each in (space, small._space)]
    with np.errstate(over="ignore"):
        return float(np.sqrt(np.mean(((estimates[0] - estimates[1]) / noise) ** 2)))
