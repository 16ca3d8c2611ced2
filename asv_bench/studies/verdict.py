"""Study of the verdict: how often a fit that claims to have converged is wrong, and a right one warns.

    python asv_bench/studies/verdict.py                      # all estimators, 600 problems each
    python asv_bench/studies/verdict.py --row sensing --count 100

The problems cover those of the studies of recovery and completion, and ones that nobody can recover: 2 to 14
measurements (entries: 1.5 to 30) per degree of freedom, 0 to 60 % errors of every kind, condition number up to 10, and
noise in two of five. Without noise a fit is right where its error is below 1e-6, and wrong above 1e-5. With noise its
error is compared with that of least squares told the inliers, at the best rank up to the true one: right is below 1.5
times that (and below 0.5), wrong is above 2.5 times. Where more than half of the signs are flipped, most measurements
are of the opposite matrix, which then counts as the truth. Rows and columns that the estimator lists as undetermined
are not judged. Where even least squares is not determined by the others, no fit is right, and one with an error above
0.5 is wrong. An approximate fit is no claim of a rank: it is right below 1.5 times the error that it expects itself
(`expected_error_`), and wrong above 2.5 times that. Seeds below 220000 were used to set the verdict, and are refused.
"""

import numpy as np
from harness import RECOVERED, WRONG, Arguments, recorded, run_rows
from references import matrix_oracle_error, measurements_oracle_error

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import OUTLIER_KINDS, make_corrupted_matrix, make_measurements
from sklearn_robustlr.metrics import outlier_precision_recall

FIRST_TEST_SEED = 220_000


def _common(seed, rng):
    return {
        "outliers": float(rng.uniform(0.0, 0.6)) if seed % 4 else float(rng.uniform(0.0, 0.3)),
        "outlier_kind": OUTLIER_KINDS[seed % len(OUTLIER_KINDS)],
        "condition": float(rng.uniform(1, 10)),
        "noise": float(rng.uniform(0.02, 0.4)) if rng.uniform() < 0.4 else 0.0,
        "random_state": seed,
    }


def _told_by_most(told, truth, wrong, observed=True):
    """The matrix that most measurements are of (with most signs flipped, the opposite), and a mask of the others."""
    if told["outlier_kind"] == "sign-flip" and wrong.sum() > 0.5 * np.sum(np.broadcast_to(observed, wrong.shape)):
        return -truth, ~wrong & observed
    return truth, wrong


def _sensing(seed):
    rng = np.random.RandomState(seed)
    shape = tuple(int(d) for d in rng.randint(12, 41, 2))
    rank = int(rng.randint(1, 5))
    n_measurements = int(rng.uniform(2, 14) * rank * (sum(shape) - rank))
    ensemble = ("gaussian", "gaussian", "sign", "rank_one")[rng.randint(4)]
    told = {"n_measurements": n_measurements, "shape": shape, "rank": rank, "ensemble": ensemble, **_common(seed, rng)}
    problem = make_measurements(**told)
    kind = "rank_one" if ensemble == "rank_one" else "matrix"
    data = problem.data
    if kind == "rank_one":
        data = (data[:, : shape[0], None] * data[:, None, shape[0] :]).reshape(len(data), -1)

    truth, wrong = _told_by_most(told, problem.coef, problem.outliers)

    def oracle(k, known):
        return measurements_oracle_error(data, problem.target, ~wrong, truth, k)

    model = RobustLowRankRecovery(measurements=kind, shape=shape)
    fit = lambda: model.fit(problem.data, problem.target).matrix_  # noqa: E731
    return told, model, fit, truth, oracle, rank, wrong, told["noise"] * problem.clean_target.std()


def _matrix(seed, *, pca=False):
    rng = np.random.RandomState(seed)
    shape = tuple(int(d) for d in rng.randint(40, 201, 2))
    rank = int(rng.randint(1, 9))
    dof = rank * (sum(shape) - rank)
    least = 1.5 * dof / (shape[0] * shape[1])
    observed = 1.0 if pca and seed % 2 else float(np.exp(rng.uniform(np.log(min(least, 0.9)), 0.0)))
    told = {"shape": shape, "rank": rank, "observed": observed, **_common(seed, rng)}
    if seed % 5 == 0:
        told.update(({"sampling": "uneven"}, {"leverage": "heavy"}, {"mean": 2.0})[rng.randint(3)])
    problem = make_corrupted_matrix(**told)
    truth, wrong = _told_by_most(told, problem.clean, problem.outliers, problem.observed)
    inliers = problem.observed & ~wrong

    def oracle(k, known):
        part = np.ix_(*known)
        return matrix_oracle_error(truth[part], problem.data[part], inliers[part], k)

    if pca:
        model = RobustPCA()

        def fit():
            return model.inverse_transform(model.fit_transform(problem.data))

    else:
        model = RobustMatrixCompletion(replace="all", keep_empty_features=True)

        def fit():
            return model.fit_transform(problem.data)

    most = rank + bool(told.get("mean"))
    return told, model, fit, truth, oracle, most, wrong, told["noise"] * problem.clean.std()


ROWS = {"sensing": _sensing, "completion": _matrix, "pca": lambda seed: _matrix(seed, pca=True)}


def _least_error(oracle, most, known):
    """Error of least squares at its best rank (a weak direction may add more noise than signal); infinite at none."""
    least = np.inf
    for k in range(min(most, *map(len, known)), 0, -1):
        try:
            error = oracle(k, known)
        except np.linalg.LinAlgError:  # too few inliers even for it
            continue
        if error > least:
            break
        least = error
    return least


def _claimed_error(model, truth, noise, part):
    """Error of the matrix that follows from what an approximate fit expects of hidden entries, their noise included."""
    spread = np.sqrt(truth.var(axis=0) + noise**2)
    expected = np.broadcast_to((spread * model.expected_error_) ** 2 - noise**2, truth.shape)[part]
    return float(np.sqrt(max(np.mean(expected), 0.0) * expected.size) / np.linalg.norm(truth[part]))


def run_problem(row, seed):
    """Fit one problem; returns its options and figures."""
    told, model, fit, truth, oracle, most, wrong, noise = ROWS[row](seed)
    estimate, record = recorded(model, fit)
    lost = [getattr(model, f"undetermined_{side}_", np.empty(0, int)) for side in ("rows", "columns")]
    known = [np.setdiff1d(np.arange(d), index) for d, index in zip(truth.shape, lost, strict=True)]
    part = np.ix_(*known)
    size = float(np.linalg.norm(truth[part]))
    error = float(np.linalg.norm((estimate - truth)[part])) / size if size else 0.0
    limits = (RECOVERED, WRONG)
    if told["noise"]:
        least = _least_error(oracle, most, known)
        limits = (min(1.5 * least, 0.5), 2.5 * least) if least < np.inf else (0.0, 0.5)
    if model.stop_reason_ == "approximate":
        claimed = _claimed_error(model, truth, noise, part)
        limits = (1.5 * claimed, 2.5 * claimed)
    result = {
        **told,
        "error": error,
        "least_error": least if told["noise"] else 0.0,
        "found": int(model.rank_),
        "right": bool(error < limits[0] and size > 0.0),
        "wrong": bool(error > limits[1]),
        "reason": model.stop_reason_,
        "undetermined": sum(len(index) for index in lost),
        **record,
    }
    if told["noise"]:
        inliers = ~wrong & np.isfinite(getattr(model, "outliers_", wrong))
        result["scale_ratio"] = float(model.scale_ / noise)
        result["false_alarms"] = float(np.mean(np.asarray(model.outliers_)[inliers]))
    else:
        result["flags"] = [float(x) for x in outlier_precision_recall(wrong, np.asarray(model.outliers_))]
    return result


def false_verdict(result):
    """Whether a fit claims to have converged and is wrong, or warns and is right."""
    return (result["converged"] and result["wrong"]) or (result["right"] and result["warned"])


def _share(some, of):
    return f"{len(some)}/{len(of)} ({len(some) / max(len(of), 1):.1%})"


def summarise(row, results):
    """Cells of an estimator; `whole` are the right fits that miss no direction."""
    claimed = [r for r in results if r["converged"]]
    right = [r for r in results if r["right"]]
    whole = [r for r in right if r["found"] >= r["rank"] + bool(r.get("mean"))]
    noisy = [r for r in right if r["converged"] and "scale_ratio" in r]
    low, middle, high = np.quantile([r["scale_ratio"] for r in noisy] or np.nan, (0.05, 0.5, 0.95))
    return {
        "problems": len(results),
        "right": len(right),
        "converged": len(claimed),
        "converged and wrong (bar 1 %)": _share([r for r in claimed if r["wrong"]], claimed),
        "right but warned (bar 5 %)": _share([r for r in right if r["warned"]], right),
        "those that miss no direction": _share([r for r in whole if r["warned"]], whole),
        "noise scale": f"{middle:.3f} ({low:.2f} to {high:.2f})",
        "false alarms (bar 1 %)": f"{np.mean([r['false_alarms'] for r in noisy] or np.nan):.2%}",
    }


def main():
    options = Arguments(__doc__).add_rows(ROWS, what="estimator").add_failures("with a false verdict")
    options.add_seeds(FIRST_TEST_SEED, count=600, used_to="set the verdict")
    run_rows(options.parse_args(), ROWS, run_problem, summarise, failed=false_verdict)


if __name__ == "__main__":
    main()
