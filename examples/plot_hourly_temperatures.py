"""
Repair a year of hourly temperatures
====================================

As a matrix of days by hours, temperatures are close to low-rank: each day is a mix of a few daily shapes, in
proportions that change from day to day. Here some hours are missing. At other hours the sensor does not answer, and the
logger writes a value of its own. For a month the sensor drifts in the morning sun. Nothing says which readings are
corrupted.

What to look at: imputers that trust every reading spread the corrupted readings over the missing entries, and never
repair them. :class:`~sklearn_robustlr.RobustMatrixCompletion` finds them. What failed: a drift of a few degrees looks
like ordinary weather, and one in six readings of the drift is not flagged. Some inliers are flagged, too (printed
below): a passing weather front is not a daily shape.
"""

# %%
# The data, and what is done to them
# ----------------------------------
import sys
import warnings

import matplotlib

if "sphinx_gallery" not in sys.modules:
    matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer
from vega_datasets import data

from sklearn_robustlr import RobustMatrixCompletion

frame = data.seattle_temps()
celsius = (frame["temp"].to_numpy() - 32) / 1.8
n_days = len(celsius) // 24
truth = celsius[: 24 * n_days].reshape(n_days, 24)

rng = np.random.RandomState(0)
readings = truth.copy()
dead = np.zeros(truth.shape, dtype=bool)
dead[rng.uniform(size=truth.shape) < 0.08] = True
readings[dead] = rng.choice([-40.0, 85.0], dead.sum())  # what the logger writes when the sensor does not answer
drift = np.zeros(truth.shape, dtype=bool)
drift[200:230, 9:13] = True  # the sun shines on the sensor for a month of mornings
readings[drift] += np.repeat(np.linspace(0, 15, 30), 4)
wrong = dead | (drift & (np.abs(readings - truth) > 3))
lost = ~dead & (rng.uniform(size=truth.shape) < 0.1)
readings[lost] = np.nan

# %%
# The repair
# ----------
model = RobustMatrixCompletion()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    repaired = model.fit_transform(readings)
told = any(issubclass(w.category, ConvergenceWarning) for w in caught)
print(f"rank {model.rank_}, noise {model.scale_:.2f} degrees, {model.stop_reason_}{' (warned)' if told else ''}")
print(f"wrong readings flagged: {np.mean(model.outliers_[wrong & ~lost]):.0%}")
print(f"readings of the drift flagged: {np.mean(model.outliers_[drift & ~dead & ~lost]):.0%}")
print(f"other readings flagged: {np.mean(model.outliers_[~wrong & ~drift & ~lost]):.1%}")

results = {"robust completion": repaired}
for name, imputer in (
    ("nearest neighbours", KNNImputer()),
    ("iterative imputation", IterativeImputer(random_state=0, max_iter=5)),
):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        results[name] = imputer.fit_transform(readings)
print("median and root-mean-square error in degrees, on lost hours; on wrong ones")
for name, result in results.items():
    error = np.abs(result - truth)
    figures = [f"{np.median(error[m]):.2f} {np.sqrt(np.mean(error[m] ** 2)):.2f}" for m in (lost, wrong & ~lost)]
    print(f"{name:22s} {figures[0]};  {figures[1]}")

# %%
# Two weeks of it
# ---------------
figure, axes = plt.subplots(3, 1, figsize=(10, 6), sharex=True, layout="constrained")
hours = slice(200 * 24, 214 * 24)
figure.suptitle("Two weeks of July: truth, wrong readings, and what each imputer makes of them")
for ax, (name, result) in zip(axes, results.items(), strict=True):
    ax.plot(truth.ravel()[hours], color="0.6", lw=3, label="truth")
    ax.plot(result.ravel()[hours], color="#0072b2", lw=1, label=name)
    ax.plot(np.where(wrong, readings, np.nan).ravel()[hours], ".", color="#d55e00", ms=3, label="wrong readings")
    ax.set_ylim(-12, 52)
    ax.set_ylabel("temperature (°C)")
    ax.legend(loc="upper left", ncols=3, framealpha=1, edgecolor="none")
axes[-1].set_xlabel("hours since 19 July")
if "sphinx_gallery" not in sys.modules:
    figure.savefig("hourly_temperatures.png", dpi=120)
