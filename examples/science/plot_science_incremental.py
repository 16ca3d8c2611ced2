"""
Directions are learnt one after the other
=========================================

From a tiny start, every direction grows exponentially, the strongest first. Surplus directions, which the truth does
not have, grow little: when the last true direction has arrived, the step has become too small for them. This is why
over-parameterised factors show the rank (:cite:t:`ma2023global`).

What to look at: four singular values rise one after the other to the true ones (dotted), and the surplus values stay
far below. The surplus values begin at the square of the start and end in proportion to the start itself (the ratio is
printed). So a start that is a thousand times smaller leaves surplus values that are a thousand times smaller, and a gap
that is a thousand times wider. (Half of the surplus values begin at zero, stay there, and are not drawn.) On the right,
the steps follow the residual: they become small once the strong directions are learnt, and the weakest direction grows
slowly. The loss has a plateau there. A plateau is not the end: the run goes on as long as a small direction grows. What
failed: the surplus does not keep the size that it has at the start. It grows while the true directions are being
learnt.
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
from sklearn_robustlr.plotting import SpectrumDisplay

SHAPE, RANK = (30, 30), 4
problem = make_measurements(1200, SHAPE, RANK, outliers=0.1, condition=8.0, symmetric=True, random_state=0)
truth = np.linalg.svd(problem.coef, compute_uv=False)[:RANK]


def fit(init_scale, step_size):
    model = RobustLowRankRecovery(
        shape=SHAPE,
        symmetric=True,
        polish=False,
        step_size=step_size,
        init_scale=init_scale,
        rank=SHAPE[0],
        max_iter=5000,
        tol=0.0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(problem.data, problem.target)


models = {
    f"start {init_scale:.0e}, {step_size} steps": fit(init_scale, step_size)
    for init_scale, step_size in ((1e-3, "geometric"), (1e-6, "geometric"), (1e-6, "auto"))
}

# %%
# When each direction arrives, and what becomes of the surplus
# ------------------------------------------------------------
for name, model in models.items():
    history = model.history_
    spectrum = history["spectrum"]
    arrived = [
        str(history["iteration"][np.argmax(values > 0.5 * size)]) if values.max() > 0.5 * size else "never"
        for values, size in zip(spectrum.T, truth, strict=False)
    ]
    start, end = spectrum[0, RANK], spectrum[-1, RANK]
    print(f"{name}: {model.n_iter_} iterations, rank {model.rank_}")
    print(f"    directions half learnt at iterations {', '.join(arrived)}")
    in_starts = f"{end / model.init_scale:.2g} times init_scale"
    print(f"    fifth value: {start:.1e} at the start, {end:.1e} at the end, {in_starts}")

# %%
figure, axes = plt.subplots(1, 3, figsize=(13, 4.4), sharey=True, layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=True):
    for size in truth:
        ax.axhline(size, color="0.3", ls=":", lw=0.8)
    SpectrumDisplay.from_estimator(model, ax=ax)
    ax.set_title(name)
    ax.label_outer()
    ax.legend(loc="lower right", framealpha=0.9, edgecolor="none")
axes[0].set_ylim(1e-14, 1e2)
if "sphinx_gallery" not in sys.modules:
    figure.savefig("science_incremental.png", dpi=120)
