"""Stages of a long fit kept on disk, so that a fit that is begun again goes on where it was interrupted.

Every stage is a function of its input alone, so what it came to can be told from that: a stored result has the bits
that the stage would come to again. Input is compared by content; other data, parameters or versions find nothing.
"""

from __future__ import annotations

import os
import shutil
import uuid
import warnings
from contextlib import suppress
from dataclasses import is_dataclass, replace
from pathlib import Path

import joblib
import numpy as np

from .._version import __version__


class Checkpoint:
    """The stages of one fit, in a folder of their own, named by what is fitted."""

    def __init__(self, folder, what):
        self._folder = Path(folder) / joblib.hash((__version__, what))

    def clear(self):
        """Forget the fit: it is done."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def recall(self, name, compute, what):
        """The result of the stage of this name and input, from the disk or computed and stored."""
        path = self._folder / f"{name}-{joblib.hash([getattr(part, 'digest', part) for part in what])}"
        if path.exists():
            try:
                return joblib.load(path)
            except Exception as error:  # what a damaged file raises may be anything
                warnings.warn(f"the checkpoint {path} is damaged and is computed again: {error}", stacklevel=2)
        result = compute()
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            joblib.dump(result, part)
            os.replace(part, path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            warnings.warn(f"the checkpoint {path} could not be written: {error}", stacklevel=2)
        return result


def stage(checkpoint, name, compute, *what):
    """compute(), or what it came to before with the same input, where there is a checkpoint."""

    def tidied():
        return tidy(compute())

    return tidied() if checkpoint is None else checkpoint.recall(name, tidied, what)


def tidy(result):
    """Copies of strided arrays, within tuples, lists and data classes: on disk they lose the strides.

    Sums over arrays of other strides may differ in the last bit.
    """
    if isinstance(result, np.ndarray):
        return result if result.flags.forc else np.ascontiguousarray(result)
    if isinstance(result, (list, tuple)):
        make = getattr(result, "_make", type(result))  # a named tuple takes its items apart
        return make(tidy(item) for item in result)
    if is_dataclass(result) and not isinstance(result, type):
        return replace(result, **{key: tidy(value) for key, value in vars(result).items()})
    return result
