"""Study of columns and rows unlike the others: of much noise, of nothing in common with the rest, of a few values.

    python asv_bench/studies/unlike.py
    python asv_bench/studies/unlike.py --row noise --count 20

All tables have a sharp rank of 3 beside a mean, 10 % of the entries are hidden, and 5 % are gross errors unless
something else is said.

noise: the noise of columns differs (logarithms with an sd of 0.2, 0.5 or 0.7), or is a tenth of the size of the column.

scarce: 60 x 40 of rank 2, half of the entries hidden, no gross errors; every other column, or every other row, has 1, 2
or 3 times the noise of the others, which is 0.3 or 10 % of the data. Errors are in units of the noise of the entry.

unrelated: 1, 3 or 8 of 80 columns, of random numbers, have nothing in common with the others; with noise of 2, 10 or
40 % of their sd, or without.

rows: half of the rows have 5 or 20 times the noise of the others, without gross errors; or noise is 10 or 20 % of each
entry of a table of sales (lognormal sizes of shops and products).

kinds: each row is what became of something in 12 years, and a share of the 400 is small (rates, about 5), the others
counts of every size (lognormal, sd 2): in the middle of each column there is a gap; 20 % are hidden.

units: the values of one of 20 or 30 columns are multiplied; the figures are those of this column.

apart: 300 x 16, 100 x 80 or 60 x 40 with units of columns from 1e-d to 1e+d, and noise of a tenth or a thousandth of
the data, or none; or with gains from 1e-d to 1, and noise that is the same in all columns. Without noise errors are
beside those of the medians.

spoilt: real tables of scikit-learn, standardised and complete; errors of one size (+10 or +30 sd), of 5 to 15 sd of
either sign, or with an sd of 10 in a tenth of the values of one column alone (5 % of one size as well). The figures are
the share of the errors beyond 5 sd that is found, and the angle of the first two components of RobustPCA to those of
PCA of the table without errors, in degrees: in the mean, and how often it is more than 20.

many: wine, the first 15 columns of breast cancer, and 200 x 12 of rank 3 with noise; a share of all values is moved by
5 to 10 sd of either sign, a tenth is missing. The figures are the share of the errors that is found; the root mean
square error of the repaired table, in sd of its columns, and that of iterative imputation behind a fence of four scaled
median deviations; and the width of 90 % intervals, in the same units (3.3 for a normal column).

few: 12 columns, six of which have 2, 3, 5, 8, 12 or 20 values.

The root mean square error of hidden entries in units of the noise (few: of the sd of the column) beside that of the
medians, or of rows and kinds beside that of IterativeImputer; the share of the clean entries that is flagged, in all
and in the worst column; and how many hidden values are in 90 % intervals, in all and in the worst column.
"""

import numpy as np
from harness import quiet, run_kinds
from scipy.linalg import subspace_angles
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.preprocessing import scale

from sklearn_robustlr import RobustMatrixCompletion, RobustPCA

FIRST_TEST_SEED = 100
SHAPES = (200, 80), (500, 20), (1000, 200)


def judged(data, true, clean, wrong, size, peer, own=slice(None)):
    """Figures of a fit; errors in units of a `size`, beside those of a peer (None: one), of some columns alone."""
    hidden = ~np.isfinite(data)
    with quiet():
        model = RobustMatrixCompletion(replace="all").fit(data)
        estimate = model.transform(data)
        theirs = clean + size if peer is None else peer.fit_transform(data)
        low, high = model.predict_interval(data)
    error, other = (
        np.sqrt(np.mean((((guess - clean) / size)[:, own])[hidden[:, own]] ** 2)) for guess in (estimate, theirs)
    )
    seen = ~(hidden | wrong)
    finite = hidden & np.isfinite(high)
    flags = (model.outliers_ & seen).sum(axis=0) / seen.sum(axis=0)
    inside = ((low <= true) & (true <= high) & finite).sum(axis=0)[own]
    count = finite.sum(axis=0)[own]
    return {
        "error": float(error / other),
        "flagged": float(np.average(flags, weights=seen.sum(axis=0))),
        "worst": float(flags[own].max()),
        "covered": float(inside.sum() / count.sum()) if count.any() else np.nan,
        "least covered": float((inside[count > 0] / count[count > 0]).min()) if count.any() else np.nan,
        "sharp": model.stop_reason_ in ("exact", "noisy"),
    }


def sharp(shape, rng):
    """A matrix of rank 3 beside a mean."""
    return rng.standard_normal((shape[0], 3)) @ rng.standard_normal((3, shape[1])) + 2.0


def spoilt(true, rng, size, gross=0.05):
    """The data, a tenth of them hidden, and which are gross errors."""
    wrong = rng.uniform(size=true.shape) < gross
    data = np.where(wrong, true + size * rng.choice([-1.0, 1.0], true.shape), true)
    data[rng.uniform(size=true.shape) < 0.1] = np.nan
    return data, wrong


def run_noise(kind, shape, seed):
    rng = np.random.RandomState(seed)
    clean = sharp(shape, rng)
    noise = 0.1 * np.exp((kind if kind != "relative" else 1.0) * rng.standard_normal(shape[1]))
    if kind == "relative":
        clean *= 10.0 * noise
    true = clean + noise * rng.standard_normal(shape)
    data, wrong = spoilt(true, rng, 8.0 * noise.max())
    return judged(data, true, clean, wrong, noise, SimpleImputer(strategy="median"))


def run_scarce(ratio, of, noise, seed):
    rng = np.random.RandomState(seed)
    clean = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 40))
    size = noise * np.where(np.arange(40) % 2, 1.0, ratio) * np.ones((60, 1))
    if of == "rows":
        size = noise * np.where(np.arange(60) % 2, 1.0, ratio)[:, None] * np.ones(40)
    true = clean + size * rng.standard_normal(clean.shape)
    data = np.where(rng.uniform(size=true.shape) < 0.5, np.nan, true)
    return judged(data, true, clean, np.zeros(true.shape, dtype=bool), size, None)


def run_unrelated(count, noise, seed):
    rng = np.random.RandomState(seed)
    clean = sharp((200, 80), rng)
    true = clean + noise * rng.standard_normal(clean.shape)
    true[:, :count] = rng.standard_normal((200, count)) + 2.0
    data, wrong = spoilt(true, rng, 8.0)
    return judged(data, true, true, wrong, 1.0, SimpleImputer(strategy="median"), own=slice(count))


def run_rows(kind, amount, seed):
    rng = np.random.RandomState(seed)
    if kind == "instruments":
        true = rng.standard_normal((200, 2)) @ rng.standard_normal((2, 30))
        true += np.where(np.arange(200) < 100, 1.0 / amount, 1.0)[:, None] * rng.standard_normal(true.shape)
    else:
        sizes = np.exp(rng.standard_normal((200, 1))) * np.exp(rng.standard_normal((1, 40)))
        true = sizes * np.exp(amount * rng.standard_normal(sizes.shape))
    data, wrong = spoilt(true, rng, 0.0, gross=0.0)
    return judged(data, true, true, wrong, true.std(axis=0), IterativeImputer(random_state=0))


def run_kinds_of_rows(share, gross, seed):
    rng = np.random.RandomState(seed)
    small = np.arange(400)[:, None] < share * 400
    size = np.where(
        small, 5.0 + 3.0 * rng.standard_normal((400, 1)), np.exp(10.0 + 2.0 * rng.standard_normal((400, 1)))
    )
    true = size * (1.0 + 0.02 * rng.standard_normal((400, 1)) * np.arange(12)) + 0.3 * small * rng.standard_normal(
        (400, 12)
    )
    true *= 1.0 + 0.002 * rng.standard_normal(true.shape)
    sd = true.std(axis=0)
    data, wrong = spoilt(true, rng, 10.0 * sd, gross=gross)
    data[rng.uniform(size=true.shape) < 0.1] = np.nan
    return judged(data, true, true, wrong, sd, IterativeImputer(random_state=0))


def run_units(factor, shape, seed):
    rng = np.random.RandomState(seed)
    clean = sharp(shape, rng)
    true = clean + 0.3 * rng.standard_normal(shape)
    data, wrong = spoilt(true, rng, 8.0)
    units = np.where(np.arange(shape[1]) == 1, factor, 1.0)
    peer = SimpleImputer(strategy="median")
    return judged(data * units, true * units, clean * units, wrong, 0.3 * units, peer, own=slice(1, 2))


def run_apart(decades, noise, gains, shape, seed):
    rng = np.random.RandomState(seed)
    units = 10.0 ** rng.uniform(-decades, 0.0 if gains else decades, shape[1])
    clean = (sharp(shape, rng) - 2.0) * units
    size = noise * (1.0 if gains else units)
    true = clean + size * rng.standard_normal(shape)
    data, wrong = spoilt(true, rng, 8.0 * units)
    peer = SimpleImputer(strategy="median") if noise == 0.0 else None  # errors of an exact fit beside those of medians
    return judged(data, true, clean, wrong, size if noise else units, peer)


def run_few(count, seed):
    rng = np.random.RandomState(seed)
    true = rng.standard_normal((300, 3)) @ rng.standard_normal((3, 12)) + 0.3 * rng.standard_normal((300, 12))
    data, wrong = spoilt(true, rng, 0.0, gross=0.0)
    data[rng.permutation(300)[count:], 0] = np.nan
    size = true.std(axis=0)
    return judged(data, true, true, wrong, size, SimpleImputer(strategy="median"), own=slice(1))


def run_spoilt(load, share, kind, seed):
    rng = np.random.RandomState(seed)
    true = scale(load().data)
    n, p = true.shape
    j, wrong = rng.randint(p), rng.uniform(size=n) < share
    moves = {
        "wide": 10.0 * rng.standard_normal(n),
        "any": rng.uniform(5.0, 15.0, n) * rng.choice([-1.0, 1.0], n),
    }
    data = true.copy()
    data[wrong, j] += moves[kind][wrong] if kind in moves else kind
    with quiet():
        flags = RobustMatrixCompletion().fit(data).outliers_
        found = RobustPCA(2).fit(data).components_
    far = np.abs(data - true) > 5.0
    angle = float(np.rad2deg(subspace_angles(found.T, PCA(2).fit(true).components_.T).max()))
    return {
        "found": float(flags[far].mean()),
        "flagged": float(flags[~far].mean()),
        "angle": angle,
        "off": angle > 20.0,
    }


def run_many(load, share, seed):
    rng = np.random.RandomState(seed)
    true = scale(load()[:200, :15] if load else sharp((200, 12), rng) + 0.3 * rng.standard_normal((200, 12)))
    wrong, missing = rng.uniform(size=true.shape) < share, rng.uniform(size=true.shape) < 0.1
    moved = true + wrong * rng.uniform(5.0, 10.0, true.shape) * rng.choice([-1.0, 1.0], true.shape)
    data = np.where(missing, np.nan, moved)
    with quiet():
        model = RobustMatrixCompletion()
        repaired = model.fit_transform(data)
        low, high = model.predict_interval(data)
        away = np.abs(data - np.nanmedian(data, axis=0))
        fenced = np.where(away > 4.0 * 1.4826 * np.nanmedian(away, axis=0), np.nan, data)
        imputed = IterativeImputer(random_state=0).fit_transform(fenced)
    return {
        "found": float(model.outliers_[wrong & ~missing].mean()),
        "flagged": float(model.outliers_[~(wrong | missing)].mean()),
        "error": float(np.sqrt(np.mean((repaired - true) ** 2))),
        "of fence": float(np.sqrt(np.mean((imputed - true) ** 2))),
        "width": float(np.mean(high - low)),
        "covered": float(np.mean((low <= true) & (true <= high))),
    }


def wine():
    return datasets.load_wine().data


def cancer():
    return datasets.load_breast_cancer().data


ROWS = {
    "many": (
        run_many,
        {
            f"{share:.0%}": [(load, share) for load in (wine, cancer, None)]
            for share in (0.1, 0.2, 0.25, 0.3, 0.35, 0.4)
        },
    ),
    "spoilt": (
        run_spoilt,
        {
            f"{share:.0%}, {kind if kind in ('any', 'wide') else f'+{kind:g}'}": [
                (load, share, kind)
                for load in (datasets.load_wine, datasets.load_diabetes, datasets.load_breast_cancer)
            ]
            for share, kind in ((0.05, 10.0), (0.1, 10.0), (0.1, 30.0), (0.1, "any"), (0.1, "wide"))
        },
    ),
    "noise": (run_noise, {str(kind): [(kind, shape) for shape in SHAPES] for kind in (0.2, 0.5, 0.7, "relative")}),
    "scarce": (
        run_scarce,
        {
            f"{ratio:g} times, {of}": [(ratio, of, noise) for noise in (0.003, 0.1)]
            for of in ("columns", "rows")
            for ratio in (1.0, 2.0, 3.0)
        },
    ),
    "unrelated": (run_unrelated, {f"{q}, {s:.0%} noise": [(q, s)] for q in (1, 3, 8) for s in (0.0, 0.02, 0.1, 0.4)}),
    "rows": (
        run_rows,
        {
            f"{kind} {amount:g}": [(kind, amount)]
            for kind, amount in (("instruments", 5.0), ("instruments", 20.0), ("relative", 0.1), ("relative", 0.2))
        },
    ),
    "kinds": (
        run_kinds_of_rows,
        {
            f"{share:.0%} small, {gross:.0%} errors": [(share, gross)]
            for gross in (0.0, 0.05)
            for share in (0.3, 0.4, 0.45, 0.5, 0.55, 0.6)
        },
    ),
    "units": (
        run_units,
        {f"{factor:g}": [(factor, (100, 20)), (factor, (200, 30))] for factor in (1.0, 1e-6, 1e-3, 10.0, 1e3, 1e6)},
    ),
    "apart": (
        run_apart,
        {
            f"{'gains of' if gains else 'units of'} {decades} decades, {noise:g}": [
                (decades, noise, gains, shape) for shape in ((300, 16), (100, 80), (60, 40))
            ]
            for gains, decades, noise in (
                *((False, decades, noise) for noise in (0.0, 0.001, 0.1) for decades in (1, 3, 6)),
                *((True, decades, noise) for noise in (0.001, 0.1) for decades in (1, 3)),
            )
        },
    ),
    "few": (run_few, {str(count): [(count,)] for count in (2, 3, 5, 8, 12, 20)}),
}


def summarise(results):
    """Means over problems; of the worst columns the worst."""
    cells = {"fits": len(results)}
    for name in results[0]:
        values = np.array([r[name] for r in results], dtype=float)
        values = values[np.isfinite(values)]
        if len(values):
            pick = {"worst": np.max, "least covered": np.min}.get(name, np.mean)
            cells[name] = f"{pick(values):.3g}"
    return cells


if __name__ == "__main__":
    run_kinds(__doc__, ROWS, summarise, first_seed=FIRST_TEST_SEED)
