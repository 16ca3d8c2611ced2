"""Study of values that repeat: codes for missing ones, tables of mostly zeros, columns of few values beside a log.

    python asv_bench/studies/repeated.py
    python asv_bench/studies/repeated.py --row codes --count 20

codes: 300 x 60 of rank 3, with a mean of 0 or 5, without noise or with 10 %; a code (0 or -999) takes the place of a
share of the entries. The error of all estimates, beside that of a fit that is told which entries these are, and the
share of the codes that is flagged.

zeros: 500 x 40 of three latent directions and noise of 0.3, of which values above a limit are kept and all others are
zero (pixels), gamma amounts fall where they are above it (rain), or exponential ones (showers), or that are the
logarithms of rates (counts); 20 % is hidden, and nothing is wrong. The error at hidden entries beside that of the
medians of the columns, the share of the other entries that is flagged, in all and in the worst column, and how many
hidden values are in 90 % intervals.

rare: 600 x 12 of three directions and noise, and three columns of ones, a share of their entries, that have nothing to
do with them, in units of the standard deviations; 15 % is missing. The share of the variance along three components of
PCA that those of RobustPCA have, the largest of their variances, in units of PCA's, and the noise scale of ones.

columns: 1000 x 20 of four directions and noise, 3 % of it spikes, 10 % missing, and a column of few values or events
that has nothing to do with them. The share of that column that is flagged, and that of the spikes.

limits: 300 x 30 of three directions and noise of 0.3, of which a share of each column is below its own limit of
detection, and at that; 10 % is hidden. The error beside that of medians, and the share of the others that is flagged.

offline: 600 x 20 of a spectrum that decays, a share of whose rows is -999; the same of the other rows.

dependent: tables of scikit-learn with columns that are copies, sums or other units of theirs; nothing is wrong. The
share that is flagged, and how often the fit is said to be exact.
"""

import numpy as np
from harness import quiet, run_kinds
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.decomposition import PCA

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA

FIRST_TEST_SEED = 100
CODES, NOISE, SHARES = ((0.0, 0.0), (0.0, 5.0), (-999.0, 0.0)), (0.0, 0.1), (0.2, 0.35, 0.5, 0.65)
N, P = 500, 40


def run_code(code, mean, noise, share, seed):
    rng = np.random.RandomState(seed)
    clean = rng.standard_normal((300, 3)) @ rng.standard_normal((3, 60)) / np.sqrt(3) + mean
    data, coded = clean + noise * rng.standard_normal(clean.shape), rng.uniform(size=clean.shape) < share
    data[coded] = code
    with quiet():
        models = [RobustMatrixCompletion(replace="all").fit(X) for X in (data, np.where(coded, np.nan, data))]
    error, told = (
        float(np.sqrt(np.mean((model.transform(X) - clean) ** 2)))
        for model, X in zip(models, (data, np.where(coded, np.nan, data)), strict=True)
    )
    return {"error": error, "told": told, "flagged": float(models[0].outliers_[coded].mean())}


def pixels(latent, rng):
    return np.maximum(latent - 0.5, 0.0)


def rain(latent, rng):
    return np.where(latent > 0.6, rng.gamma(0.7, 5.0, latent.shape) * np.exp(0.5 * latent), 0.0)


def showers(latent, rng):
    return np.where(latent > 0.2, np.exp(1.5 * latent) - np.exp(0.3), 0.0)


def counts(latent, rng):
    return np.log1p(rng.poisson(np.exp(0.8 * latent + rng.normal(-1.0, 1.0, latent.shape[1]))))


ZEROS = {"pixels": pixels, "rain": rain, "showers": showers, "counts": counts}


def run_zeros(kind, seed):
    rng = np.random.RandomState(seed)
    latent = rng.standard_normal((N, 3)) @ rng.standard_normal((3, P)) / np.sqrt(3) + 0.3 * rng.standard_normal((N, P))
    truth = ZEROS[kind](latent, rng)
    hidden = rng.uniform(size=truth.shape) < 0.2
    data = np.where(hidden, np.nan, truth)
    with quiet():
        model = RobustMatrixCompletion(replace="all").fit(data)
    size, medians = truth.std(axis=0), np.nanmedian(data, axis=0)
    ours, theirs = (
        np.sqrt(np.mean((((guess - truth) / size)[hidden]) ** 2)) for guess in (model.transform(data), medians)
    )
    low, high = model.predict_interval(data, coverage=0.9)
    return {
        "error": float(ours / theirs),
        "flagged": float(model.outliers_[~hidden].mean()),
        "worst": float((model.outliers_.sum(axis=0) / (~hidden).sum(axis=0)).max()),
        "covered": float(np.mean(((low <= truth) & (truth <= high))[hidden])),
    }


def run_rare(share, seed):
    rng = np.random.RandomState(seed)
    others = rng.standard_normal((600, 3)) @ rng.standard_normal((3, 12)) + 0.7 * rng.standard_normal((600, 12))
    ones = rng.uniform(size=(600, 3)) < share
    ones[:2] = True
    data = np.column_stack([others, ones])
    data = (data - data.mean(axis=0)) / data.std(axis=0)
    plain = PCA(3).fit(data)
    with quiet():
        model = RobustPCA(3).fit(np.where(rng.uniform(size=data.shape) < 0.15, np.nan, data))
    return {
        "held": float(np.var(data @ model.components_.T, axis=0).sum() / plain.explained_variance_.sum()),
        "variance": float(np.max(model.explained_variance_ / plain.explained_variance_)),
        "noise": float(model.noise_scale_[-3:].mean()),
    }


COLUMNS = {
    "constant": lambda rng, time: np.full(len(time), 7.0),
    "grades": lambda rng, time: rng.randint(1, 6, len(time)),
    "counts": lambda rng, time: rng.poisson(2.0, len(time)),
    "hour": lambda rng, time: time % 24,
    "switch": lambda rng, time: time // 40 % 5 == 0,
    "alarm, 2 %": lambda rng, time: rng.uniform(size=len(time)) < 0.02,
    "rain, 10 %": lambda rng, time: rng.gamma(1.0, 5.0, len(time)) * (rng.uniform(size=len(time)) < 0.1),
    "rain, 30 %": lambda rng, time: rng.gamma(1.0, 5.0, len(time)) * (rng.uniform(size=len(time)) < 0.3),
}


def run_column(kind, seed):
    rng, time = np.random.RandomState(seed), np.arange(1000)
    day = 2.0 * np.pi * time / 24.0
    drive = np.column_stack([np.sin(day), np.cos(day), np.cumsum(rng.standard_normal(1000)) / 15.0, rng.randn(1000)])
    log = drive @ rng.standard_normal((4, 20)) + 0.3 * rng.standard_normal((1000, 20))
    spikes = rng.uniform(size=log.shape) < 0.03
    log[spikes] += rng.choice([-10.0, 10.0], np.count_nonzero(spikes))
    data = np.column_stack([log, COLUMNS[kind](rng, time)])
    data[rng.uniform(size=data.shape) < 0.1] = np.nan
    with quiet():
        model = RobustMatrixCompletion().fit(data)
    seen = np.isfinite(data)
    return {
        "flagged": float(model.outliers_[seen[:, -1], -1].mean()),
        "spikes": float(model.outliers_[:, :-1][spikes & seen[:, :-1]].mean()),
    }


def run_limits(share, seed):
    rng = np.random.RandomState(seed)
    latent = rng.standard_normal((300, 3)) @ rng.standard_normal((3, 30)) + 0.3 * rng.standard_normal((300, 30))
    truth = np.maximum(latent, np.quantile(latent, share, axis=0)) + 2.0 * rng.standard_normal(30)
    return beside_medians(truth, np.ones(300, dtype=bool), truth, rng)


def run_offline(share, seed):
    rng = np.random.RandomState(seed)
    truth = rng.standard_normal((600, 10)) @ (rng.standard_normal((10, 20)) / np.arange(1, 11)[:, None])
    truth += 0.1 * rng.standard_normal(truth.shape) + rng.uniform(5.0, 50.0, 20)
    good = rng.uniform(size=600) >= share
    return beside_medians(truth, good, np.where(good[:, None], truth, -999.0), rng)


def beside_medians(truth, good, data, rng):
    """Error of hidden entries of the good rows over that of medians, and how many of their others are flagged."""
    hidden = rng.uniform(size=truth.shape) < 0.1
    data = np.where(hidden, np.nan, data)
    with quiet():
        model = RobustMatrixCompletion().fit(data)
    ours, theirs = (
        np.sqrt(np.mean((guess - truth)[good][hidden[good]] ** 2))
        for guess in (model.transform(data), np.nanmedian(data, axis=0))
    )
    return {"error": float(ours / theirs), "flagged": float(model.outliers_[good][~hidden[good]].mean())}


DEPENDENT = {
    "two copies": lambda X: np.hstack([X, X[:, 1:3]]),
    "sum and difference": lambda X: np.column_stack([X, X[:, 0] + X[:, 1], X[:, 2] - X[:, 3]]),
    "other units": lambda X: np.hstack([X, 1.8 * X[:, :3] + 32.0]),
}


def run_dependent(kind, load, missing, seed):
    X = DEPENDENT[kind](load().data)
    X = np.where(np.random.RandomState(seed).uniform(size=X.shape) < missing, np.nan, X)
    with quiet():
        model = RobustMatrixCompletion().fit(X)
    return {"flagged": float(model.outliers_[np.isfinite(X)].mean()), "exact": model.stop_reason_ == "exact"}


LOADERS = (load_iris, load_wine, load_diabetes, load_breast_cancer)
ROWS = {
    "codes": (
        run_code,
        {f"{c:g}, mean {m:g}, noise {s:g}": [(c, m, s, share) for share in SHARES] for c, m in CODES for s in NOISE},
    ),
    "zeros": (run_zeros, {kind: [(kind,)] for kind in ZEROS}),
    "rare": (run_rare, {f"{share:.1%}": [(share,)] for share in (0.005, 0.02, 0.05)}),
    "columns": (run_column, {kind: [(kind,)] for kind in COLUMNS}),
    "limits": (run_limits, {f"{share:.0%}": [(share,)] for share in (0.35, 0.45, 0.5, 0.55, 0.7)}),
    "offline": (run_offline, {f"{share:.0%}": [(share,)] for share in (0.03, 0.05, 0.08)}),
    "dependent": (run_dependent, {k: [(k, load, m) for load in LOADERS for m in (0.0, 0.1)] for k in DEPENDENT}),
}


def summarise(results):
    """Means, the largest of what is flagged, and errors beside those of a fit that is told."""
    cells = {"fits": len(results)}
    for name in results[0]:
        values = np.array([r[name] for r in results], dtype=float)
        cells[name] = f"{values.mean():.3g}"
        if name == "flagged":
            cells["most flagged"] = f"{values.max():.3g}"
    return cells


if __name__ == "__main__":
    run_kinds(__doc__, ROWS, summarise, first_seed=FIRST_TEST_SEED)
