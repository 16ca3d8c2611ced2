"""
Repair a table of your own
==========================

A data frame with missing values goes in, and a complete data frame comes out. The table here is a real one, with its
own missing values: six measurements of 406 cars. The fuel consumption is missing for eight cars, and the power for six.
One typing mistake is added: a weight with one zero too many.

What to look at: :class:`~sklearn_robustlr.RobustMatrixCompletion` takes the data frame as it is, finds the added
mistake, and says how far each value that it fills in may be off. It also flags a weight of 3086 pounds that is in the
published table, where other cars with engines as large weigh 4354 pounds and more. What failed: most of the other flags
mark values that are right but rare, such as the power of pickup trucks and of the strongest engines, and a mileage of
47. So read the flags before you let a fit replace anything (``replace="missing"`` keeps all observed values). The year
of a car cannot be told from the other columns: the error is 0.98 times that of filling in the median.
"""

# %%
# The table
# ---------
# Columns may have any units and any size, so nothing is scaled. A low-rank model cannot use columns of text: the name
# becomes the index, and the origin is left out.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from vega_datasets import data

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.plotting import CoverageDisplay

cars = data.cars()
cars["Year"] = pd.DatetimeIndex(cars["Year"]).year
table = cars.set_index("Name").drop(columns=["Origin", "Cylinders"]).astype(float)
table.columns = ["miles per gallon", "displacement", "horsepower", "weight", "acceleration", "year"]
typed = table.copy()
typed.iloc[100, 3] *= 10  # one zero too many
print(typed.isna().sum().to_string())

# %%
# The repair
# ----------
# ``set_output(transform="pandas")`` asks for a data frame. Look at the verdict first: ``converged_`` says whether the
# fit can be trusted, and ``stop_reason_`` says why. "approximate" is the usual code for a real table: the fit is
# useful, but the table has no true rank (:term:`approximate fit`).
model = RobustMatrixCompletion().set_output(transform="pandas")
repaired = model.fit_transform(typed)
print(f"converged: {model.converged_} ({model.stop_reason_}); values flagged: {model.outliers_.sum()}")

flags = [
    {"car": typed.index[i], "column": typed.columns[j], "in the table": typed.iat[i, j], "repaired": repaired.iat[i, j]}
    for i, j in np.argwhere(model.outliers_)
]
print(pd.DataFrame(flags).round(1).to_string(index=False))

# %%
# The Buick's weight, next to the weights of the other cars with engines as large:
large = table[table["displacement"] >= 450]
print(large[["displacement", "weight"]].to_string())

# %%
# How sure is a value that was filled in?
# ---------------------------------------
# These are 90 % intervals for the missing values of fuel consumption and power.
lower, upper = (np.asarray(bound) for bound in model.predict_interval(typed, coverage=0.9))
for j in (0, 2):
    print(typed.columns[j])
    for i in np.flatnonzero(typed.isna().to_numpy()[:, j]):
        print(f"{typed.index[i]:>34} {repaired.iat[i, j]:6.1f}  ({lower[i, j]:.1f} to {upper[i, j]:.1f})")

# %%
# Is that right? Hide values that you know
# ----------------------------------------
# The values that nobody wrote down cannot be checked. So hide a tenth of the known values, repair again, and compare.
# Each error is divided by the error of filling in the median of the column: 1 is no better than the median.
rng = np.random.RandomState(0)
hidden = (rng.uniform(size=table.shape) < 0.1) & table.notna().to_numpy()
test = RobustMatrixCompletion()
holes = typed.mask(hidden)
found = test.fit_transform(holes)
ratios = {}
for j, name in enumerate(table.columns):
    truth, rows = table.to_numpy()[:, j], hidden[:, j]
    ours, medians = (np.sqrt(np.mean((guess - truth[rows]) ** 2)) for guess in (found[rows, j], holes[name].median()))
    ratios[name] = ours / medians
    print(f"{name:>18}: error {ours:7.2f}, of medians {medians:7.2f}, ratio {ratios[name]:.2f}")

figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", width_ratios=[3, 2])
bars = axes[0].barh(list(ratios), list(ratios.values()), color="#0072b2")
axes[0].bar_label(bars, fmt="%.2f", padding=-30, color="white")
axes[0].set_xticks([0, 0.25, 0.5, 0.75, 1])
axes[0].axvline(1, color="black", linewidth=1, linestyle="--")
axes[0].invert_yaxis()
axes[0].set(title="Error at hidden values", xlabel="divided by the error of medians", xlim=(0, 1.1))
CoverageDisplay.from_estimator(test, holes, table.to_numpy(), ax=axes[1])
axes[1].set_title("Intervals hold what they claim")
plt.show()
