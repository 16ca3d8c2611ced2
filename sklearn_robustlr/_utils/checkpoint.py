"""Checkpoint of a long fit: its stages are kept on disk, so that a repeated fit goes on where it was interrupted.

The result of a stage depends on the input of the stage alone. A stored result therefore has the same bits as a
computed one. Input is compared by content: other data, other parameters or another version find nothing.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import joblib
import numpy as np

from .._version import __version__
from .warn import warn_user

_Result = TypeVar("_Result")


class Checkpoint:
    """The stages of one fit, in a folder of their own; its name is a hash of what is fitted."""

    def __init__(self, folder: str | os.PathLike[str], what: Any) -> None:
        self._folder = Path(folder) / joblib.hash((__version__, what))
        self._has_warned = False

    def clear(self) -> None:
        """Remove the stages: the fit is done."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def recall(self, name: str, compute: Callable[[], _Result], what: tuple[Any, ...]) -> _Result:
        """Return the result of the stage of this name and input: from disk, or else computed and stored."""
        path = self._folder / f"{name}-{joblib.hash([getattr(part, 'digest', part) for part in what])}"
        if path.exists():
            try:
                return joblib.load(path)
            except Exception as error:  # a damaged file may raise anything
                warn_user(f"the checkpoint {path} is damaged and is computed again: {error}")
        result = compute()
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            joblib.dump(result, part)
            os.replace(part, path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            if not self._has_warned:
                self._has_warned = True
                warn_user(f"the checkpoint {path} could not be written: {error}")
        return result


def stage(checkpoint: Checkpoint | None, name: str, compute: Callable[[], _Result], *what: Any) -> _Result:
    """Return compute(), or its stored result where the checkpoint holds one for the same input `what`."""

    def tidied() -> _Result:
        return tidy(compute())

    return tidied() if checkpoint is None else checkpoint.recall(name, tidied, what)


def tidy(result: Any) -> Any:
    """Return a result whose strided arrays are contiguous copies, within tuples, lists and dataclasses.

    Arrays lose their strides on disk, and sums over other strides may differ in the last bit.
    """
    if isinstance(result, np.ndarray):
        return result if result.flags.forc else np.ascontiguousarray(result)
    if isinstance(result, (list, tuple)):
        make = getattr(result, "_make", type(result))  # the constructor of a named tuple takes its items one by one
        return make(tidy(item) for item in result)
    if is_dataclass(result) and not isinstance(result, type):
        return replace(result, **{key: tidy(value) for key, value in vars(result).items()})
    return result
