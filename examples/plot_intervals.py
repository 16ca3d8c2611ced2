"""
How sure is a repaired value?
=============================

The data are hourly temperatures of a year, with missing hours and wrong readings.
:class:`~sklearn_robustlr.RobustMatrixCompletion` fills in the missing hours, and says how far off each value may be.

What to look at: the band is narrow on days whose other hours tell much, and wider on days with many missing hours. On
hidden hours, the intervals contain the truth as often as they claim. A wrong reading lies far outside the band and is
flagged.
"""

# %%
# The data, and what is done to them
# ----------------------------------
import matplotlib.pyplot as plt
import numpy as np
from vega_datasets import data

from sklearn_robustlr import RobustMatrixCompletion
from sklearn_robustlr.plotting import CoverageDisplay, IntervalDisplay

celsius = (data.seattle_temps()["temp"].to_numpy() - 32) / 1.8
truth = celsius[: 24 * (len(celsius) // 24)].reshape(-1, 24)
rng = np.random.RandomState(0)
readings = truth.copy()
readings[rng.uniform(size=truth.shape) < 0.3] = np.nan
readings[180, 3:20] = np.nan  # a day of which little is known
wrong = rng.uniform(size=truth.shape) < 0.05
readings[wrong] += rng.choice([-15.0, 15.0], wrong.sum())

# %%
# Estimates with intervals
# ------------------------
# The panels show a day of which little is known, and an ordinary day.
model = RobustMatrixCompletion().fit(readings)
repaired, std = model.transform(readings, return_std=True)
hidden = np.isnan(readings)
print(f"verdict: {model.stop_reason_}; typical standard error of a missing hour: {np.median(std[hidden]):.2f} degrees")
print(f"in the day of which little is known: {np.median(std[180, 3:20]):.2f} degrees")

figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
for ax, day in zip(axes[:2], (180, 100), strict=True):
    display = IntervalDisplay.from_estimator(model, readings, row=day, coverage=0.9, ax=ax)
    display.ax_.plot(truth[day], color="0.2", linestyle=":", linewidth=1, label="truth")
    display.ax_.set(title=f"day {day}", xlabel="hour", ylabel="degrees Celsius")
CoverageDisplay.from_estimator(model, readings, truth, ax=axes[2])
axes[2].set_title("missing hours")
plt.show()
