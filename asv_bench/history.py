"""The figures of a few commits, stored for the page "Benchmarks over time": what is measured, and what is kept of it.

    python asv_bench/history.py commits           # those to measure, as history.toml names them
    python asv_bench/history.py patterns time_    # benchmarks for asv, times alone
    python asv_bench/history.py missing           # modules of benchmarks that import what the package does not have
    python asv_bench/history.py collect FOLDER    # what is kept of results of asv, on standard output

`bash .ci/bench history` does all of it. FOLDER has one file of results a commit, named after it.
"""

import importlib
import json
import platform
import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

from judge import COVERAGE, read

PLAN = Path(__file__).with_name("history.toml")
STORED = Path(__file__).with_name("history.json")
# What is kept, and with how many digits.
DIGITS = {"time": 3, "memory": 3, "error": 2}


def load_plan(path=PLAN):
    """Read what is to be measured.

    Parameters
    ----------
    path : path-like
        A file of TOML.

    Returns
    -------
    plan : dict
        Lists `commits` and `benchmarks`.
    """
    return tomllib.loads(Path(path).read_text())


def names(benchmark):
    """Names of asv of a benchmark of the plan.

    Parameters
    ----------
    benchmark : dict
        One of the plan.

    Returns
    -------
    names : dict
        Of "time", "memory" and "error".
    """
    of, what, case = (benchmark[key] for key in ("of", "what", "case"))
    methods = {"time": f"time_{what}", "memory": f"peakmem_{what}", "error": benchmark["error"]}
    return {kind: f"{of}.{method}({case})" for kind, method in methods.items()}


def patterns(plan, start=""):
    """Regular expressions that select the benchmarks of a plan.

    Parameters
    ----------
    plan : dict
        As :func:`load_plan` reads it.

    start : str, default=""
        How the names of methods begin.

    Returns
    -------
    patterns : list of str
    """
    found = [name for benchmark in plan["benchmarks"] for name in names(benchmark).values()]
    return [f"^{re.escape(name)}$" for name in found if name.split("(")[0].split(".")[-1].startswith(start)]


def collect(plan, folder):
    """Keep the fastest time, the peak of memory and the error of each benchmark and commit.

    Parameters
    ----------
    plan : dict
        As :func:`load_plan` reads it.

    folder : path-like
        It has a file of results of asv for each commit.

    Returns
    -------
    kept : dict
        `machine`, `versions`, `commits` and `benchmarks`; a figure that there is not is None.
    """
    benchmarks = [{"title": one["title"], "time": [], "memory": [], "error": []} for one in plan["benchmarks"]]
    for commit in plan["commits"]:
        path = Path(folder) / f"{commit['hash']}.json"
        result, samples = read(path), read(path, "samples")
        for one, kept in zip(plan["benchmarks"], benchmarks, strict=True):
            for kind, name in names(one).items():
                value = result.get(name)
                if kind == "time" and value is not None:
                    value = min(samples[name])
                if "coverage" in name and value is not None:
                    value = abs(value - COVERAGE)
                kept[kind].append(_rounded(value, DIGITS[kind]))
    versions = {"python": platform.python_version(), **{name: version(name) for name in ("numpy", "scipy", "numba")}}
    return {"machine": plan["machine"], "versions": versions, "commits": plan["commits"], "benchmarks": benchmarks}


def missing():
    """Find the modules of benchmarks that import what the package on the path does not have.

    Returns
    -------
    modules : list of str
        Their names.
    """
    found = []
    for path in sorted(Path(__file__).with_name("benchmarks").glob("[!_]*.py")):
        try:
            importlib.import_module(f"benchmarks.{path.stem}")
        except Exception:  # whatever an old package lacks
            found.append(path.stem)
    return found


def _rounded(value, digits):
    """The same with so many digits; None for what is no number."""
    if value is None or value != value:
        return None
    kept = float(f"{value:.{digits}g}")
    return int(kept) if kept.is_integer() else kept


def _text(kept):
    """JSON with one line for a list of figures."""
    return re.sub(
        r"\[\s+([^\[\]{}]+?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", json.dumps(kept, indent=1)
    )


def main(task, *arguments):
    """Print what a task asks for."""
    plan = load_plan()
    if task == "commits":
        print(*(commit["hash"] for commit in plan["commits"]), sep="\n")
    elif task == "patterns":
        print(*patterns(plan, *arguments), sep="\n")
    elif task == "missing":
        print(*missing(), sep="\n")
    elif task == "collect":
        print(_text(collect(plan, *arguments)))
    else:
        sys.exit(f"no such task: {task}")


if __name__ == "__main__":
    main(*sys.argv[1:])
