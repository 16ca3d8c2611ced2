"""Study of imputers before a linear model: diabetes and breast cancer data, 20 % corrupted and 20 % missing.

    python asv_bench/studies/imputers.py                   # ten seeds
    python asv_bench/studies/imputers.py --data diabetes --kind huge --count 3
    python asv_bench/studies/imputers.py --explain         # what is flagged, and what the columns have in common

The pipeline is RobustScaler, imputer, StandardScaler, and Ridge (diabetes: R2) or RidgeClassifier (cancer: accuracy),
five-fold cross-validated. Entries are corrupted and missing in training and test rows; the targets are true. All
imputers get the same folds and the same robustly scaled columns. A seed draws the entries and the folds; those below
20000 were used to choose the rank, and are refused.
"""

import numpy as np
from harness import Arguments, Table, over_processes, quiet, write_json
from peers import IMPUTERS
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler, StandardScaler

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.datasets import corrupt

FIRST_TEST_SEED = 20000

DATA = {
    "diabetes": (load_diabetes, Ridge(), KFold),
    "cancer": (load_breast_cancer, RidgeClassifier(), StratifiedKFold),
}
KINDS = {
    "none": "nothing corrupted, 20 % missing",
    "huge": "5 to 15 standard deviations of the column, of both signs",
    "one-sided": "the same, all positive",
    "same-size": "0.5 to 1.5 standard deviations of the column",
    "permuted": "the value of a random row",
}
OURS = RobustMatrixCompletion(3)
COMPARED = {**IMPUTERS, "robust": OURS}
# Other uses of ours, for comparison.
VARIANTS = {
    "rank found": RobustMatrixCompletion(),
    "rank 2": RobustMatrixCompletion(2),
    "missing only": RobustMatrixCompletion(3, replace="missing"),
    "all replaced": RobustMatrixCompletion(3, replace="all"),
}


def spoil(X, kind, seed, *, corrupted=0.2, missing=0.2):
    """A copy in which these shares of the entries are corrupted, column by column, and missing."""
    rng = np.random.RandomState(seed)
    X = X.copy()
    for j in range(X.shape[1]) if kind != "none" else ():
        if kind == "permuted":
            wrong = rng.uniform(size=len(X)) < corrupted
            X[wrong, j] = rng.choice(X[:, j], wrong.sum())
        else:
            X[:, j], _ = corrupt(X[:, j], corrupted, kind, random_state=rng)
    X[rng.uniform(size=X.shape) < missing] = np.nan
    return X


def mean_score(data, X, y, seed, *imputer):
    """Cross-validated score of the pipeline with (or without) an imputer, on folds of the seed."""
    _, model, folds = DATA[data]
    pipeline = make_pipeline(RobustScaler(), *imputer, StandardScaler(), model)
    with quiet():
        return cross_val_score(pipeline, X, y, cv=folds(5, shuffle=True, random_state=seed)).mean()


def run(data, kind, seed, imputers):
    """Score of each imputer."""
    X, y = DATA[data][0](return_X_y=True)
    X = spoil(X, kind, seed)
    return [mean_score(data, X, y, seed, imputer) for imputer in imputers.values()]


def explain(data, seeds):
    """Print why: shares of variance, the noise that the robust fit sees, what it flags, and what that costs."""
    clean, y = DATA[data][0](return_X_y=True)
    scaled = RobustScaler().fit_transform(clean)
    shares = PCA().fit(scaled).explained_variance_ratio_[:4]
    print(f"{data}: variance of the first directions " + ", ".join(f"{share:.0%}" for share in shares))
    with quiet():
        fit = clone(OURS).fit(scaled)
    flagged = ", ".join(f"{share:.1%}" for share in fit.outliers_.mean(axis=0) if share > 0.005)
    print(
        f"    nothing corrupted: rank {fit.rank_}, noise {fit.scale_:.2f} interquartile ranges, "
        f"flagged by column: {flagged}"
    )
    without, ours = (np.mean([mean_score(data, clean, y, seed, *step) for seed in seeds]) for step in ((), (OURS,)))
    print(f"    nothing corrupted: score {without:.3f} without an imputer, {ours:.3f} with the robust one")
    for kind in ("huge", "same-size"):
        flagged = []
        for seed in seeds:
            X = spoil(clean, kind, seed)
            observed = np.isfinite(X)
            corrupted = observed & (clean != X)
            with quiet():
                found = clone(OURS).fit(RobustScaler().fit_transform(X)).outliers_
            flagged.append((found[corrupted].mean(), found[observed & ~corrupted].mean()))
        hit, false = np.mean(flagged, axis=0)
        print(f"    {kind}: {hit:.1%} of the corrupted entries flagged, {false:.1%} of the inliers", flush=True)


def compare(args):
    """Print mean scores; a seed is won where `robust` is above the best of the peers."""
    imputers = COMPARED | (VARIANTS if args.variants else {})
    print(f"mean score of {args.count} seeds; wins: seeds on which `robust` is above the best of its peers")
    table, figures = Table(DATA), {}
    for data in args.data or DATA:
        for kind in args.kind or KINDS:
            tasks = [(data, kind, seed, imputers) for seed in args.seeds]
            scores = figures[f"{data} {kind}"] = np.array(over_processes(run, tasks, args.jobs))
            wins = int((scores[:, len(IMPUTERS)] > scores[:, : len(IMPUTERS)].max(axis=1)).sum())
            means = {name: f"{mean:.3f}" for name, mean in zip(imputers, scores.mean(axis=0), strict=True)}
            table.print({"data": data, "kind": kind, **means, "wins": f"{wins}/{args.count}", "problems": KINDS[kind]})
    write_json(args.json, figures)


def main():
    options = Arguments(__doc__)
    options.add_argument("--data", action="append", choices=sorted(DATA), help="data set (default: both)")
    options.add_argument("--kind", action="append", choices=sorted(KINDS), help="kind of corruption (default: all)")
    options.add_seeds(FIRST_TEST_SEED, count=10, of="seeds", used_to="choose the rank")
    options.add_argument("--variants", action="store_true", help="other uses of ours, too")
    options.add_argument("--explain", action="store_true", help="what is flagged, instead of scores")
    args = options.parse_args()
    if args.explain:
        for data in args.data or DATA:
            explain(data, args.seeds)
    else:
        compare(args)


if __name__ == "__main__":
    main()
