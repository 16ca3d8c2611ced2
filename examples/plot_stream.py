"""
A stream of sensors that drift
==============================

Twenty sensors report every five minutes. They share a daily cycle, the weather and the load. Their gains wander, a
tenth of the readings are missing, and one in twenty is wrong. Each hour is given to ``partial_fit`` once, and is not
needed again.

**What to look at**: with ``forgetting`` the error stays near the noise of a reading. If all hours count alike, the fit
describes gains that are out of date: it needs more directions, and its error grows.

**What failed**: in the first hours there is too little to learn from, and the errors are several times as large.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_robustlr import RobustMatrixCompletion

READINGS, SENSORS, NOISE = 12, 20, 0.1  # in an hour; of each; standard deviation
rng = np.random.RandomState(0)
hours = 120
time = np.arange(hours * READINGS) / (24 * READINGS)
weather = np.cumsum(rng.standard_normal(len(time))) / 20
shared = np.column_stack([np.sin(2 * np.pi * time), weather - weather.mean(), np.sin(14 * np.pi * time)])
steps = rng.standard_normal((len(time), 3, SENSORS))
steps[1:] *= 0.7 / np.sqrt(len(time))
gains = np.cumsum(steps, axis=0)  # at each time
clean = 20.0 + np.einsum("tk,tkj->tj", shared, gains)
data = clean + NOISE * rng.standard_normal(clean.shape)
wrong = rng.uniform(size=data.shape) < 0.05
data[wrong] += 10 * rng.standard_normal(wrong.sum())
data[rng.uniform(size=data.shape) < 0.1] = np.nan

# %%
# Each hour is first repaired with what was learnt before, then judged, then learnt.
models = {
    "forgetting=0.98": RobustMatrixCompletion(replace="all", forgetting=0.98),
    "forgetting=1": RobustMatrixCompletion(replace="all"),
}
errors = {name: [] for name in models}
for hour in range(hours):
    now = slice(hour * READINGS, (hour + 1) * READINGS)
    for name, model in models.items():
        if hour:
            errors[name].append(np.sqrt(np.mean((model.transform(data[now]) - clean[now]) ** 2)))
        model.partial_fit(data[now])

for name, model in models.items():
    print(f"{name}: median error of the last day {np.median(errors[name][-24:]):.3f}, rank {model.rank_}")
print(f"noise {NOISE}, medians of the columns {np.sqrt(np.mean((clean - np.median(clean, axis=0)) ** 2)):.3f}")

# %%
fig, ax = plt.subplots(figsize=(8, 3.5), layout="constrained")
for (name, error), style in zip(errors.items(), ("-", "--"), strict=True):
    ax.plot(np.arange(1, hours) / 24, error, style, label=name)
ax.axhline(NOISE, color="0.5", lw=1, ls=":", label="noise of a reading")
ax.set(xlabel="day", ylabel="error of the next hour", yscale="log", title="A stream whose gains drift")
ax.legend(frameon=False)
plt.show()
