"""
New rows, after the fit
=======================

A table is repaired once, and then new rows arrive: tomorrow's samples, with missing and wrong values of their own.
:class:`~sklearn_robustlr.RobustMatrixCompletion` regresses each new row robustly on what the fit has learnt. Nothing is
fitted again, and the other rows of the same batch do not matter.

What to look at: missing values of new rows are filled as well as those of the rows that were fitted, and wrong values
do not spoil the rest of their row as they do with other imputers. (The later samples happen to be easier: all imputers
have smaller errors there.) Rows that are patched together from other rows have a
low likelihood. What failed: one in seven of the slipped values is not found. A row of which hardly anything is known is
filled with little more than the means of the columns; its intervals are accordingly wide.
"""

# %%
# A table for the fit, and new rows
# ---------------------------------
# The table has 30 measurements of 569 tissue samples. 400 samples are there from the beginning, 169 come later. 20 % of
# the values are missing, and in 5 % of the others the decimal point has slipped by one place.
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler

from sklearn_robustlr import RobustMatrixCompletion

rng = np.random.RandomState(0)
table = load_breast_cancer().data
missing = rng.uniform(size=table.shape) < 0.2
slipped = ~missing & (rng.uniform(size=table.shape) < 0.05)
damaged = np.where(slipped, table * rng.choice([0.1, 10.0], table.shape), table)
damaged[missing] = np.nan
old, new = slice(0, 400), slice(400, None)

# %%
# Fit once, transform what comes
# ------------------------------
model = RobustMatrixCompletion().fit(damaged[old])
print(f"verdict of the fit: {model.stop_reason_}")
repaired = model.transform(damaged[new])
one_by_one = np.vstack([model.transform(row[None]) for row in damaged[new]])
same = np.allclose(repaired, one_by_one, rtol=1e-12)
print(f"one row at a time gives the same, but for rounding: {same}")
flags = model.detect_outliers(damaged[new])
print(f"slipped values flagged in new rows: {flags[slipped[new]].mean():.0%}, ", end="")
print(f"of the other values {flags[~slipped[new] & ~missing[new]].mean():.1%}")

# %%
# Beside other imputers
# ---------------------
# All are fitted to the same 400 rows. Errors are in units of the interquartile range of each column.
scaler = RobustScaler().fit(table)
imputers = {
    "this package": RobustMatrixCompletion(),
    "medians": SimpleImputer(strategy="median"),
    "nearest neighbours": make_pipeline(RobustScaler(), KNNImputer()),
    "iterative": make_pipeline(RobustScaler(), IterativeImputer(max_iter=5, n_nearest_features=10, random_state=0)),
}
errors = {}
for name, imputer in imputers.items():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of the iterative one
        imputer.fit(damaged[old])
    errors[name] = []
    for rows in (old, new):
        filled = imputer.transform(damaged[rows])
        if hasattr(imputer, "steps"):
            filled = imputer[0].inverse_transform(filled)
        away = np.abs(scaler.transform(filled) - scaler.transform(table[rows]))[missing[rows]]
        errors[name].append(np.sqrt(np.mean(away**2)))
    print(f"{name:>18}: error in fitted rows {errors[name][0]:.2f}, in new rows {errors[name][1]:.2f}")

# %%
# Strange rows, and rows of which little is known
# -----------------------------------------------
# The log-likelihood of a row says how well the row fits in. Rows that are patched together from the values of many
# other rows are strange, although each of their values is usual. Intervals show how much a few values tell about a row.
patched = np.array([[rng.choice(column) for column in table[new].T] for _ in range(169)])
likelihood = {"real": model.score_samples(table[new]), "patched together": model.score_samples(patched)}
for name, values in likelihood.items():
    print(f"{name} rows: median log-likelihood {np.median(values):.0f}")
above = np.mean(likelihood["real"][:, None] > likelihood["patched together"])
print(f"a real row has the higher one of a pair in {above:.0%}")

widths, counts = [], (1, 2, 3, 5, 8, 12, 20, 29)
for count in counts:
    few = table[new].copy()
    for row in few:
        row[rng.permutation(30)[count:]] = np.nan
    lower, upper = model.predict_interval(few, coverage=0.9)
    widths.append(np.median(((upper - lower) / scaler.scale_)[np.isnan(few)]))
print("median width of 90 % intervals, by the number of values known in a row:")
print(" ".join(f"{count}: {width:.2f}" for count, width in zip(counts, widths, strict=True)))

# %%
figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained", width_ratios=[3, 2])
for k, (label, color) in enumerate({"fitted rows": "#999999", "new rows": "#0072b2"}.items()):
    bars = axes[0].bar(np.arange(4) + 0.4 * k - 0.2, [e[k] for e in errors.values()], 0.38, color=color, label=label)
    axes[0].bar_label(bars, fmt="%.2f", padding=2)
axes[0].set_xticks(range(4), errors)
axes[0].set(
    title="Error at missing values", ylabel="interquartile ranges", ylim=(0, 1.2 * max(map(max, errors.values())))
)
axes[0].legend(frameon=False, loc="upper left")
axes[1].plot(counts, widths, "o-", color="#0072b2")
axes[1].set(
    title="What a few values tell about a row",
    xlabel="values known, of 30",
    ylabel="width of 90 % intervals\n(interquartile ranges)",
    ylim=(0, None),
)
plt.show()
