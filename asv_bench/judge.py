"""Whether a tree does worse than a commit: benchmarks that fail now, and errors that are clearly larger.

    python asv_bench/judge.py BEFORE AFTER

Both are files of results of asv. Times and memory are not judged, for one quick run tells little of them. The exit code
is 1 if something is worse.
"""

import itertools
import json
import math
import sys
from pathlib import Path

# What counts as exact: errors below are rounding, and stopping a little sooner or later.
EXACT = 1e-8
# Ratio of errors from which one is clearly larger. Other orders of the same sums change errors of noisy fits by less:
# they may end elsewhere, but not at a fit that is so much worse.
CLEARLY = 1.25
# Change of a share or of a ratio, which chance may bring near to what it should be, below which it is none.
BY_CHANCE = 0.02
# What the coverage of the benchmarks should be.
COVERAGE = 0.9


def read(path, column="result"):
    """Read a column of a file of results of asv.

    Parameters
    ----------
    path : path-like
        The file.

    column : str, default="result"
        Its name.

    Returns
    -------
    values : dict of str to object
        Of each benchmark and case, as "module.Class.method(case)". The result is a number, None if the benchmark
        failed, or NaN if it was left out.
    """
    stored = json.loads(Path(path).read_text())
    place = stored["result_columns"].index
    values = {}
    for name, row in stored["results"].items():
        cases = list(itertools.product(*row[place("params")]))
        found = row[place(column)] if place(column) < len(row) else None  # what is empty at the end is left away
        for case, value in zip(cases, found or [None] * len(cases), strict=True):
            values[f"{name}({', '.join(case)})" if case else name] = value
    return values


def is_clearly_worse(name, before, after):
    """Whether the accuracy that a benchmark tracks is clearly worse than it was.

    Parameters
    ----------
    name : str
        The benchmark. Others than those of accuracy are never worse.
    before, after : float
        Its values. NaN after a number is worse.

    Returns
    -------
    worse : bool
    """
    method = name.split("(")[0].split(".")[-1]
    if not method.startswith("track_"):
        return False
    if "error" in method or "difference" in method:
        return not after <= max(EXACT, CLEARLY * before)
    if "deviation" in method:
        return not after <= max(CLEARLY * before, before + BY_CHANCE)
    if "coverage" in method:
        return not abs(after - COVERAGE) <= abs(before - COVERAGE) + BY_CHANCE
    return False


def judge(before, after):
    """Compare the results of a tree with those of a commit.

    Parameters
    ----------
    before, after : dict of str to float or None
        Results as :func:`read` returns them.

    Returns
    -------
    complaints : list of str
        A sentence for each benchmark that ran before and fails now, and for each whose accuracy is clearly worse.
    """
    complaints = []
    for name, old in sorted(before.items()):
        new = after.get(name)
        if not _has_run(old):
            continue
        if new is None:
            complaints.append(f"{name} fails")
        elif is_clearly_worse(name, old, new):
            complaints.append(f"{name} was {old:.3g} and is {new:.3g}")
    return complaints


def _has_run(value):
    """Whether a benchmark gave a number."""
    return value is not None and not math.isnan(value)


def main(before, after):
    """Print what is worse.

    Parameters
    ----------
    before, after : path-like
        Files of results.

    Returns
    -------
    code : int
        1 if anything is worse, or if nothing was compared.
    """
    before, after = read(before), read(after)
    both = [name for name in before if _has_run(before[name]) and _has_run(after.get(name))]
    complaints = judge(before, after)
    for complaint in complaints:
        print(f"worse: {complaint}")
    print(f"{len(both)} results compared, {len(complaints)} worse")
    return int(bool(complaints) or not both)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
