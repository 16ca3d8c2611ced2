"""
Digits with occlusions: PCA against RobustPCA before a classifier
=================================================================

Handwritten digits of 8 x 8 pixels are reduced to principal components and classified. Then a share of the pixels of
every picture, in training and in test, is set to a value that no pen writes. The components of ordinary PCA follow the
errors, and so do its scores. :class:`~sklearn_robustlr.RobustPCA` finds the components of the inliers, and regresses
each picture on these components without its corrupted pixels.

What to look at: the accuracy as the share of corrupted pixels grows. Without errors both reach 0.92. With 10 and 15 %
of the pixels wrong, RobustPCA still reaches 0.91 and 0.90, while PCA falls to 0.16 and 0.13. If the data are clean, use
PCA.
"""

# %%
import sys
import warnings

import matplotlib

if "sphinx_gallery" not in sys.modules:
    matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_robustlr import RobustPCA

X, y = load_digits(return_X_y=True)
shares = [0.0, 0.05, 0.1, 0.15]
accuracy = {"PCA": [], "RobustPCA": []}
for share in shares:
    rng = np.random.RandomState(0)
    spoilt = X.copy()
    spoilt[rng.uniform(size=X.shape) < share] = 80.0  # ink goes from 0 to 16
    train, test, y_train, y_test = train_test_split(spoilt, y, random_state=0, train_size=600)
    for name, reduction in (("PCA", PCA(10)), ("RobustPCA", RobustPCA(10))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # digits are only nearly low-rank
            pipeline = make_pipeline(reduction, LogisticRegression(C=0.01, max_iter=500)).fit(train, y_train)
        accuracy[name].append(pipeline.score(test, y_test))
    print(f"{share:4.0%} wrong pixels: " + ", ".join(f"{name} {a[-1]:.3f}" for name, a in accuracy.items()))

# %%
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, values), marker, color in zip(accuracy.items(), "so", ("#d55e00", "#0072b2"), strict=True):
    ax.plot(np.array(shares) * 100, values, marker=marker, color=color, label=name)
ax.set_title("Digits from ten components, with wrong pixels")
ax.set_xlabel("wrong pixels (%)")
ax.set_ylabel("accuracy on test pictures")
ax.set_ylim(0, 1)
ax.set_xticks(np.array(shares) * 100)
ax.legend(frameon=False)
if "sphinx_gallery" not in sys.modules:
    figure.savefig("digits_occlusions.png", dpi=120)
