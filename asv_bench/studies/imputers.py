"""Study of imputers before a linear model: scikit-learn's diabetes and breast cancer data, 20 % lies and 20 % holes.

    python asv_bench/imputer_study.py                   # ten seeds
    python asv_bench/imputer_study.py --data diabetes --kind huge --count 3
    python asv_bench/imputer_study.py --explain         # what is flagged, and what the columns have in common

The pipeline is RobustScaler, imputer, StandardScaler, and Ridge (diabetes: R2) or RidgeClassifier (cancer: accuracy),
five-fold cross-validated. Lies and holes are in training and test rows, targets are true. All imputers get the same
folds, and the robustly scaled columns. A seed draws lies, holes and folds; those below 20000 were used to choose the
rank and are refused.
"""

import argparse
import os
import warnings

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.decomposition import PCA
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
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
    "none": "no lies, 20 % holes",
    "huge": "5 to 15 standard deviations of the column, of either sign",
    "one-sided": "the same, all positive",
    "same-size": "0.5 to 1.5 standard deviations of the column",
    "permuted": "the value of another row",
}
IMPUTERS = {
    "median": SimpleImputer(strategy="median"),
    "knn": KNNImputer(),
    "iterative": IterativeImputer(random_state=0),
    "robust": RobustMatrixCompletion(3),
}
# Other uses of ours, for comparison.
VARIANTS = {
    "rank found": RobustMatrixCompletion(),
    "rank 2": RobustMatrixCompletion(2),
    "holes only": RobustMatrixCompletion(3, replace="missing"),
    "all replaced": RobustMatrixCompletion(3, replace="all"),
}


def spoil(X, kind, seed, *, lies=0.2, holes=0.2):
    """A copy with lies of one kind, column by column, and holes."""
    rng = np.random.RandomState(seed)
    X = X.copy()
    for j in range(X.shape[1]) if kind != "none" else ():
        if kind == "permuted":
            wrong = rng.uniform(size=len(X)) < lies
            X[wrong, j] = rng.choice(X[:, j], wrong.sum())
        else:
            X[:, j], _ = corrupt(X[:, j], lies, kind, random_state=rng)
    X[rng.uniform(size=X.shape) < holes] = np.nan
    return X


def run(data, kind, seed, imputers):
    """Cross-validated score of each imputer."""
    load, model, folds = DATA[data]
    X, y = load(return_X_y=True)
    X = spoil(X, kind, seed)
    cv = folds(5, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            cross_val_score(make_pipeline(RobustScaler(), imputer, StandardScaler(), model), X, y, cv=cv).mean()
            for imputer in imputers.values()
        ]


def explain(data, seeds):
    """Print why: shares of variance, the noise that the robust fit sees, what it flags, and what that costs."""
    load, model, folds = DATA[data]
    clean, y = load(return_X_y=True)
    scaled = RobustScaler().fit_transform(clean)
    shares = PCA().fit(scaled).explained_variance_ratio_[:4]
    print(f"{data}: variance of the first directions " + ", ".join(f"{share:.0%}" for share in shares))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = clone(IMPUTERS["robust"]).fit(scaled)
        print(
            f"    nothing spoilt: rank {fit.rank_}, noise {fit.scale_:.2f} interquartile ranges, flagged by column: ",
            end="",
        )
        print(", ".join(f"{share:.1%}" for share in fit.outliers_.mean(axis=0) if share > 0.005))
        scores = []
        for steps in ([], [clone(IMPUTERS["robust"])]):
            pipeline = make_pipeline(RobustScaler(), *steps, StandardScaler(), model)
            cvs = [folds(5, shuffle=True, random_state=seed) for seed in seeds]
            scores.append(np.mean([cross_val_score(pipeline, clean, y, cv=cv).mean() for cv in cvs]))
        print(f"    nothing spoilt: score {scores[0]:.3f} without an imputer, {scores[1]:.3f} with the robust one")
        for kind in ("huge", "same-size"):
            flagged = []
            for seed in seeds:
                spoilt = spoil(clean, kind, seed)
                lies = (spoilt != clean) & np.isfinite(spoilt)
                found = clone(IMPUTERS["robust"]).fit(RobustScaler().fit_transform(spoilt)).outliers_
                flagged.append((found[lies].mean(), found[~lies & np.isfinite(spoilt)].mean()))
            hit, sound = np.mean(flagged, axis=0)
            print(f"    {kind}: {hit:.1%} of the lies flagged, {sound:.1%} of the sound values", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", choices=sorted(DATA), help="data set (default: both)")
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="kind of lie (default: all)")
    parser.add_argument("--count", type=int, default=10, help="seeds")
    parser.add_argument("--seed", type=int, default=FIRST_TEST_SEED, help="first seed")
    parser.add_argument("--variants", action="store_true", help="other uses of ours, too")
    parser.add_argument("--explain", action="store_true", help="what is flagged, instead of scores")
    parser.add_argument("--jobs", type=int, default=-1, help="processes")
    args = parser.parse_args()
    if args.seed < FIRST_TEST_SEED:
        parser.error(f"seeds below {FIRST_TEST_SEED} were used to choose the rank: results on them are not reported")
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if args.explain:
        for data in args.data or DATA:
            explain(data, range(args.seed, args.seed + args.count))
        return
    imputers = IMPUTERS | (VARIANTS if args.variants else {})
    seeds = range(args.seed, args.seed + args.count)
    print(f"mean score of {args.count} seeds; wins: seeds on which `robust` is above the best of the first three")
    for data in args.data or DATA:
        for kind in args.kind or KINDS:
            scores = np.array(Parallel(n_jobs=args.jobs)(delayed(run)(data, kind, seed, imputers) for seed in seeds))
            listed = ", ".join(f"{name} {mean:.3f}" for name, mean in zip(imputers, scores.mean(axis=0), strict=True))
            wins = int((scores[:, 3] > scores[:, :3].max(axis=1)).sum())
            print(f"{data:8s} {kind:9s} {listed}; wins {wins}/{args.count}   [{KINDS[kind]}]", flush=True)


if __name__ == "__main__":
    main()
