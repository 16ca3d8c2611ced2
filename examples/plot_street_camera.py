"""
Street camera: the background and the pedestrians
=================================================

A fixed camera looks at a street. The background is the same in every frame, except for the light. As a matrix of pixels
by frames, it has a rank of one or two. Pedestrians are gross errors in a few entries.
:class:`~sklearn_robustlr.RobustPCA` separates the two. The frames come from
:func:`~sklearn_robustlr.datasets.fetch_street_camera`.

The frames are not ours to distribute. To run this page, make the file ``street.npz`` as
:func:`~sklearn_robustlr.datasets.fetch_street_camera` says, and set ``SKLEARN_ROBUSTLR_DATA`` to its folder. Without
the file, these pages show the code, but do not run it. This is the picture that it makes:

.. image:: /images/street_camera.png
   :alt: A frame, its ordinary and its robust background, and the pedestrians

What to look at: ordinary PCA keeps ghosts of people who walked by slowly. The robust background is empty. What failed:
somebody who stands still for most of the time becomes part of the background. And with one row for each frame instead
of one for each pixel, the same fit takes several times as long (:doc:`/troubleshooting`).
"""

# sphinx_gallery_thumbnail_path = "images/street_camera.png"
# %%
import sys
import time
import warnings

import matplotlib

if "sphinx_gallery" not in sys.modules:
    matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustPCA
from sklearn_robustlr.datasets import fetch_street_camera

frames = fetch_street_camera().frames
frames = frames[::8]
X = frames.reshape(len(frames), -1).T.astype(np.float64) / 255.0  # a row for each pixel, a column for each frame

start = time.perf_counter()
model = RobustPCA(1)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", ConvergenceWarning)
    background = model.inverse_transform(model.fit_transform(X))
seconds = time.perf_counter() - start
plain = PCA(1).fit(X)
ordinary = plain.inverse_transform(plain.transform(X))
print(
    f"{X.shape[1]} frames of {X.shape[0]} pixels, {seconds:.1f} s; {model.stop_reason_}{' (warned)' if caught else ''}"
)
print(f"flagged as not background: {model.outliers_.mean():.1%}")

# %%
shown = int(np.argmax(model.outliers_.sum(axis=0)))
shape = frames.shape[1:]
panels = [
    (X[:, shown], "frame with most people"),
    (ordinary[:, shown], "PCA"),
    (background[:, shown], "RobustPCA: background"),
    (np.abs(X - background)[:, shown], "what is not background"),
]
figure, axes = plt.subplots(2, 2, figsize=(9, 7), layout="constrained")
for ax, (picture, title) in zip(axes.flat, panels, strict=True):
    ax.imshow(picture.reshape(shape), cmap="gray", vmin=0, vmax=1 if "not" not in title else 0.5)
    ax.set_title(title)
    ax.set_axis_off()
if "sphinx_gallery" not in sys.modules:
    figure.savefig("street_camera.png", dpi=120)
    print("picture: street_camera.png")
