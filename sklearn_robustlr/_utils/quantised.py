"""Values as plain arrays and a tree of JSON that names them: matrices in few bits, all else in full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri


@dataclass
class Writer:
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
        if not (is_dataclass(value) or hasattr(value, "_fields")):
            raise TypeError(f"{name} must be a number, a string or an array to be stored, got {type(value).__name__}.")
        names = [field.name for field in fields(value)] if is_dataclass(value) else value._fields
        parts = {part: self.write(f"{name}.{part}", getattr(value, part)) for part in names}
        return {"part": type(value).__name__, "fields": parts}

    def _aside(self, name: str, array: np.ndarray) -> str:
        self.arrays[name] = array
        return name

    def _quantise(self, name: str, matrix: np.ndarray) -> dict[str, Any]:
        """The node of a matrix in few bits: each row by its own size, then the numbers of a column by blocks.

        Where columns are features, sums over these may cancel: half precision is the least.
        """
        dtype = self.dtype if matrix.shape[0] == self.n_features else "float16"
        size = np.abs(matrix).max(axis=1)
        size = np.where(size > 0.0, size, 1.0)
        even = (matrix / size[:, None]).T.astype(np.float64)
        node = {"bits": dtype, "shape": matrix.shape, "kind": matrix.dtype.name, "block": self.block}
        node["size"] = self._aside(f"{name}.size", size)
        if dtype == "float16":
            node["codes"] = self._aside(name, even.astype(np.float16))
            return node
        blocks = _blocked(even.ravel(), self.block)
        top = np.abs(blocks).max(axis=1).astype(np.float16)
        node["top"] = self._aside(f"{name}.top", top)
        unit = blocks / np.where(top > 0.0, top, 1.0).astype(np.float64)[:, None]
        if dtype == "int8":
            node["codes"] = self._aside(name, np.clip(np.rint(unit * 127.0), -127, 127).astype(np.int8))
        else:
            levels = normal_levels()
            codes = np.searchsorted(0.5 * (levels[1:] + levels[:-1]), unit).astype(np.uint8).ravel()
            codes = np.append(codes, np.zeros(len(codes) % 2, np.uint8))
            node["codes"] = self._aside(name, codes[::2] << 4 | codes[1::2])
        return node


@dataclass(frozen=True)
class Reader:
    """Turns nodes back into values."""

    arrays: dict[str, np.ndarray]
    parts: dict[str, Callable[..., Any]]

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
            return self.parts[node["part"]](**parts)
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
                unit = _blocked(normal_levels()[pairs][: -(-n * k // node["block"]) * node["block"]], node["block"])
            even = (unit * self.arrays[node["top"]].astype(np.float64)[:, None]).ravel()[: n * k].reshape(k, n)
        size = self.arrays[node["size"]].astype(np.float64)
        return np.ascontiguousarray(even.T * size[:, None], dtype=node["kind"])


def _blocked(flat: np.ndarray, block: int) -> np.ndarray:
    """Numbers in rows of a block each, the last one filled up with zeros."""
    return np.append(flat, np.zeros(-len(flat) % block)).reshape(-1, block)


def normal_levels() -> np.ndarray:
    """Sixteen levels at the quantiles of a normal law, zero and both ends among them."""
    end = 0.5 * (1.0 - 1.0 / 30.0 + 1.0 - 1.0 / 32.0)
    above, below = ndtri(np.linspace(end, 0.5, 9)[:-1]), -ndtri(np.linspace(end, 0.5, 8)[:-1])
    levels = np.sort(np.concatenate([below, [0.0], above]))
    return levels / levels.max()
