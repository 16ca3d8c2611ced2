"""Whether two commits come to the same bits: fits of every kind, compared array by array.

    python asv_bench/studies/same_bits.py --against 4ac1144           # this tree beside that commit
    python asv_bench/studies/same_bits.py --write bits.json           # the digests of this tree alone
    python asv_bench/studies/same_bits.py --against 4ac1144 --only pca

Each problem is fitted in a process of its own commit with BLAS on one thread; of every fitted attribute and of what
the methods return the bytes, the type and the shape are compared, of the verdict whether it converged. Sentences are
not compared. A refactoring must print "the same bits"; what changes results lists here what it changes.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
# What a fit leaves, of any estimator; that which one has not is skipped.
ATTRIBUTES = """
    left_ right_ singular_values_ components_ mean_ explained_variance_ explained_variance_ratio_ noise_variance_
    n_components_ rank_ scale_ threshold_ location_ outliers_ undetermined_rows_ undetermined_columns_ n_iter_
    restart_scores_ history_ converged_
""".split()  # noqa: SIM905
GROSS = ("huge", "one-sided", "same-size", "sign-flip", "stuck", "cauchy")


def matrix(shape=(60, 45), **drawn):
    """A corrupted matrix, of which the last rows are kept as new ones."""
    return {"shape": shape, **{"rank": 3, "outliers": 0.2, "random_state": 0, **drawn}}


def cases():
    """Name: (estimator, its parameters, kind of data, what it is drawn by, what is done with it)."""
    out = {}
    for estimator in ("RobustMatrixCompletion", "RobustPCA"):
        short = "completion" if estimator.endswith("Completion") else "pca"

        def add(name, drawn, params=None, how="dense", estimator=estimator, short=short):
            out[f"{short} {name}"] = estimator, params or {}, how, drawn

        for kind in GROSS:
            add(f"{kind}", matrix(outlier_kind=kind))
            add(f"{kind} noisy", matrix(outlier_kind=kind, noise=0.1, observed=0.8))
        add("half seen", matrix((80, 70), observed=0.5))
        add("float32", matrix(noise=0.05), how="float32")
        add("float32 clean", matrix(observed=0.7), how="float32")
        add("sparse", matrix((80, 60), observed=0.5), how="sparse")
        add("sparse noisy", matrix((80, 60), observed=0.5, noise=0.1), how="sparse")
        add("wide", matrix((30, 120), noise=0.1))
        add("mean", matrix(mean=3.0, noise=0.1, observed=0.9))
        add("uneven", matrix((90, 60), sampling="uneven", observed=0.5, leverage="heavy", noise=0.05))
        add("half wrong noisy", matrix((100, 80), outliers=0.5, noise=0.1))
        add("blocks", matrix((300, 260), rank=4))
        add("blocks half", matrix((420, 300), rank=4, observed=0.5))
        add("blocks noisy", matrix((300, 260), rank=4, noise=0.1))
        add("large noisy", matrix((1150, 1000), rank=3, noise=0.1))
        add("large half wrong", matrix((700, 500), rank=3, outliers=0.45))
        add("restarts", matrix(outliers=0.35, observed=0.8), {"n_init": 4, "random_state": 1, "n_jobs": 2})
        add("restarts noisy", matrix(noise=0.2, observed=0.7), {"n_init": 3, "random_state": 2})
        add("unpolished", matrix(), {"polish": False, "step_size": "geometric", "max_iter": 500})
        add("polyak", matrix(outliers=0.0), {"polish": False, "step_size": "polyak"})
        add("constant", matrix(), {"step_size": "constant", "init_scale": 1e-4})
        add("warm", matrix(noise=0.1), {"warm_start": True}, how="twice")
        add("start", matrix(noise=0.1), how="start")
        add("thin", matrix((50, 40), rank=2, observed=0.09))
        add("no core", {"rows": 6}, how="diagonal")
        add("zeros", {"rows": 12}, how="zeros")
        add("digits", {"rows": 120}, how="digits")
        add("rank 2", matrix(noise=0.1), {"rank" if short == "completion" else "n_components": 2})
    for ensemble in ("gaussian", "sign", "rank_one"):
        params = {"measurements": "rank_one" if ensemble == "rank_one" else "matrix", "shape": (20, 15)}
        drawn = {"shape": (20, 15), "rank": 2, "ensemble": ensemble, "outliers": 0.2, "random_state": 0}
        for noise in (0.0, 0.1):
            out[f"recovery {ensemble} {noise}"] = "RobustLowRankRecovery", params, "measured", {**drawn, "noise": noise}
        out[f"recovery {ensemble} float32"] = "RobustLowRankRecovery", params, "measured32", {**drawn, "noise": 0.05}
        race = {**params, "n_init": 4, "random_state": 3}
        out[f"recovery {ensemble} restarts"] = "RobustLowRankRecovery", race, "measured", {**drawn, "outliers": 0.35}
    dense = {"shape": (20, 15)}
    drawn = {"shape": (20, 15), "rank": 2, "outliers": 0.2, "random_state": 5}
    out["recovery condition"] = "RobustLowRankRecovery", dense, "measured", {**drawn, "condition": 10.0}
    out["recovery uneven"] = "RobustLowRankRecovery", dense, "uneven", drawn
    many = {**drawn, "n_measurements": 9000}
    out["recovery many"] = "RobustLowRankRecovery", dense, "measured", many
    out["recovery many noisy"] = "RobustLowRankRecovery", dense, "measured", {**many, "noise": 0.2}
    square, psd = {"shape": (16, 16), "symmetric": True}, {**drawn, "shape": (16, 16), "symmetric": True}
    out["recovery symmetric"] = "RobustLowRankRecovery", square, "measured", psd
    paper = {**square, "polish": False, "step_size": "geometric", "max_iter": 600}
    out["recovery paper"] = "RobustLowRankRecovery", paper, "measured", psd
    out["recovery sparse"] = "RobustLowRankRecovery", dense, "masked", drawn
    out["recovery sparse noisy"] = "RobustLowRankRecovery", dense, "masked", {**drawn, "noise": 0.1}
    entries = {"measurements": "entries", "shape": (60, 45)}
    out["recovery entries"] = "RobustLowRankRecovery", entries, "entries", matrix(observed=0.7)
    out["recovery entries noisy"] = "RobustLowRankRecovery", entries, "entries", matrix(observed=0.7, noise=0.1)
    race = {**entries, "n_init": 4, "random_state": 0}
    out["recovery entries restarts"] = "RobustLowRankRecovery", race, "entries", matrix(observed=0.7, outliers=0.35)
    block = {"measurements": "entries", "shape": (300, 260)}
    out["recovery entries blocks"] = "RobustLowRankRecovery", block, "entries", matrix((300, 260), rank=4)
    noisy = matrix((300, 260), rank=4, noise=0.1)
    out["recovery entries blocks noisy"] = "RobustLowRankRecovery", block, "entries", noisy
    out["recovery warm"] = "RobustLowRankRecovery", {**dense, "warm_start": True}, "measured twice", drawn
    return out


def data_of(how, drawn):
    """(X, y, X new, start) of a case."""
    import numpy as np
    from scipy import sparse

    from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements

    rng = np.random.RandomState(0)
    if how == "diagonal":
        X = np.diag(np.arange(1.0, drawn["rows"] + 1))
        X[X == 0] = np.nan
        return X, None, X, None
    if how == "zeros":
        X = np.zeros((drawn["rows"], 5))
        return X, None, X, None
    if how == "digits":
        from sklearn.datasets import load_digits

        X = load_digits().data[: drawn["rows"]]
        return X, None, X[:20], None
    if how in ("measured", "measured32", "measured twice", "uneven", "masked"):
        p = make_measurements(**drawn)
        X, y = p.data, p.target
        if how == "uneven":
            X = X * np.repeat(np.linspace(1, 8, drawn["shape"][0]), drawn["shape"][1])
            y = X @ p.coef.ravel() + (p.target - p.clean_target)
        if how == "masked":
            X = X * (rng.uniform(size=X.shape) < 0.3)
            y = X @ p.coef.ravel() + (p.target - p.clean_target)
            X = sparse.csr_matrix(X)
        if how == "measured32":
            X, y = X.astype(np.float32), y.astype(np.float32)
        return X, y, X[:50], None
    p = make_corrupted_matrix(**drawn)
    X = p.data.astype(np.float32) if how == "float32" else p.data
    if how == "entries":
        index = np.argwhere(p.observed)
        index, y = index[rng.permutation(len(index))], None
        y = X[index[:, 0], index[:, 1]]
        return index, y, index[:50], None
    start = None
    if how == "start":
        u, s, vt = np.linalg.svd(p.clean, full_matrices=False)
        start = u[:, :3] * s[:3], vt[:3].T
    new = p.data[:25].copy()
    new[::5, ::2] = np.nan
    new[3] = np.nan
    if how == "sparse":
        seen = np.argwhere(p.observed)
        X = sparse.csr_matrix((X[p.observed], seen.T), shape=X.shape)
        return X, None, X[:25], start
    return X, None, new.astype(X.dtype), start


def digest(value):
    """Type, shape and bytes, or the number itself."""
    import numpy as np
    from scipy import sparse

    if isinstance(value, dict):
        return {key: digest(part) for key, part in value.items()}
    if sparse.issparse(value):
        value = value.tocsr().sorted_indices()
        return [digest(part) for part in (value.indptr, value.indices, value.data)]
    if isinstance(value, np.ndarray):
        code = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:16]
        return f"{value.dtype.str} {value.shape} {code}"
    return f"{type(value).__name__} {value!r}"


def run(name, case):
    """Digests of all that one case comes to."""
    import numpy as np

    import sklearn_robustlr

    estimator, params, how, drawn = case
    X, y, new, start = data_of(how, drawn)
    model = getattr(sklearn_robustlr, estimator)(**params)
    args = (X,) if y is None else (X, y)
    if hasattr(model, "absent"):  # sparse matrices were read so before it was a parameter
        model.set_params(absent="missing")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if start is not None:
            model.fit(*args, init=start)
        else:
            model.fit(*args)
        if how.endswith("twice"):
            again = 1.001 * X if y is None else X
            model.fit(*((again,) if y is None else (again, y * 1.001)))
        found = {key: digest(getattr(model, key)) for key in ATTRIBUTES if hasattr(model, key)}
        found["transform"] = digest(model.transform(new))
        if hasattr(model, "predict"):
            found["predict"] = digest(model.predict(new))
        if hasattr(model, "predict_entries"):
            found["predict_entries"] = digest(model.predict_entries([0, 1], [2, 3]))
        if hasattr(model, "inverse_transform"):
            found["inverse_transform"] = digest(np.asarray(model.inverse_transform(model.transform(new))))
        found["score"] = digest(model.score(*args))
    return found


def in_tree(tree, only):
    """Digests of all cases by the package of a tree, in a process of its own."""
    environment = {**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONPATH": str(tree)}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "bits.json"
        command = [sys.executable, __file__, "--write", str(target), *(["--only", only] if only else [])]
        subprocess.run(command, check=True, env=environment, cwd=folder)
        return json.loads(target.read_text())


def compare(here, there):
    """Print what differs; returns the number of cases that do."""
    differ = 0
    for name in there:
        keys = sorted({*here.get(name, {}), *there[name]})
        wrong = [key for key in keys if here.get(name, {}).get(key) != there[name].get(key)]
        if wrong:
            differ += 1
            print(f"{name}: {', '.join(wrong)}")
    print(f"{len(there)} problems: " + (f"{differ} differ" if differ else "the same bits"))
    return differ


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", help="commit, or a file that --write has written, to compare this tree with")
    parser.add_argument("--write", help="write the digests of the installed package to this file")
    parser.add_argument("--only", help="cases whose names hold this text")
    args = parser.parse_args()
    if args.write:
        found = {name: run(name, case) for name, case in cases().items() if not args.only or args.only in name}
        Path(args.write).write_text(json.dumps(found, indent=1))
        return 0
    if not args.against:
        parser.error("give --against COMMIT or --write FILE")
    if Path(args.against).is_file():
        there = json.loads(Path(args.against).read_text())
        there = {name: bits for name, bits in there.items() if not args.only or args.only in name}
    else:
        with tempfile.TemporaryDirectory() as folder:
            archive = subprocess.run(
                ["git", "archive", args.against, "sklearn_robustlr"], check=True, cwd=ROOT, capture_output=True
            ).stdout
            subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
            there = in_tree(folder, args.only)
    return 1 if compare(in_tree(ROOT, args.only), there) else 0


if __name__ == "__main__":
    sys.exit(main())
