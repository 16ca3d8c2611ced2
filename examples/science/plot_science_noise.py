"""
Noise: the loss falls while the error rises
===========================================

With noise on every measurement, the over-parameterised factors begin to fit the noise as soon as the true directions
are learnt. The training loss keeps falling, but the matrix gets worse. Here X is 30 x 30 of rank 2, and is observed
through 800 measurements with 30 % noise and 20 % outliers. The steps do not become small.

What to look at: the distance to the truth falls, stays constant for a while, and rises. The training loss does not show
this; the median residual of held-out measurements does. What failed: stopping early is not the best option. The default
settles the rank and then fits that rank efficiently; its error is clearly below the minimum. And the paper's schedule,
whose steps become small, ends at that minimum by itself.
"""

# %%
import sys
import warnings

import matplotlib

if "sphinx_gallery" not in sys.modules:
    matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery
from sklearn_robustlr.datasets import make_measurements
from sklearn_robustlr.metrics import relative_recovery_error

SHAPE, RANK = (30, 30), 2
problem = make_measurements(1000, SHAPE, RANK, outliers=0.2, noise=0.3, symmetric=True, random_state=0)
train, held_out = slice(0, 800), slice(800, None)


def run(**options):
    """Error to the truth, training loss and median residual held out."""
    model = RobustLowRankRecovery(shape=SHAPE, symmetric=True, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(problem.data[train], problem.target[train])
    residual = np.abs(problem.target - model.predict(problem.data))
    return relative_recovery_error(problem.coef, model.matrix_), residual[train].mean(), np.median(residual[held_out])


# %%
# After a number of iterations: a run is the beginning of a longer one
# --------------------------------------------------------------------
ITERATIONS = np.array([10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200, 300, 400, 600, 800])
over_sized = {"polish": False, "rank": SHAPE[0], "tol": 0.0}
error, loss, held = np.array([run(step_size="auto", max_iter=n, **over_sized) for n in ITERATIONS]).T
stops = {"lowest error": np.argmin(error), "lowest loss": np.argmin(loss), "lowest held-out median": np.argmin(held)}
for name, index in stops.items():
    print(f"stopped at the {name:23s} (iteration {ITERATIONS[index]:3d}): error {error[index]:.3f}")
schedule = run(step_size="geometric", max_iter=5000, **over_sized)[0]
full = run()[0]
print(f"the paper's schedule to its end: error {schedule:.3f}")
print(f"default settings: error {full:.3f}")

# %%
figure, (above, below) = plt.subplots(2, 1, figsize=(7, 6), sharex=True, layout="constrained")
above.plot(ITERATIONS, error, "o-", color="#0072b2", ms=4, label="over-sized, automatic steps")
above.axhline(schedule, color="#009e73", ls="-.", label="the paper's schedule, at its end")
above.axhline(full, color="black", ls="--", label="default settings")
above.set(ylabel="relative error to the truth", xscale="log", ylim=(0, 1.05))
above.set_title("The error rises while the loss falls")
above.legend(frameon=False)
for values, color, marker, label in (
    (loss, "#d55e00", "s", "training loss: mean |residual|"),
    (held, "#e69f00", "^", "median |residual| held out"),
):
    below.plot(ITERATIONS, values / values[0], color=color, marker=marker, ms=4, label=label)
below.set(xlabel="iterations", ylabel="relative to the first")
below.legend(frameon=False)
for ax in (above, below):
    ax.axvline(ITERATIONS[stops["lowest error"]], color="0.6", lw=1, zorder=0)
if "sphinx_gallery" not in sys.modules:
    figure.savefig("science_noise.png", dpi=120)
