"""
Ratings in long form, with string ids
=====================================

Ratings come as a table with three columns: user, item, rating. Ids are strings, most pairs are not rated, and some
ratings are nonsense. :class:`~sklearn.preprocessing.OrdinalEncoder` turns the ids into numbers, and
:class:`~sklearn_robustlr.RobustLowRankRecovery` with ``measurements="entries"`` does the rest.

What to look at: the error of predicted held-out ratings is 0.44 stars (0.77 with the medians of the items), and 96 % of
the nonsense that is off by more than 1.5 stars is flagged. What failed: nonsense that looks like an honest rating is
not noticed, so only 46 % of all nonsense is flagged. For new users, medians are as good (0.63 stars, ours 0.64): on
the right, what is predicted for them is close to the median of the item.
"""

# %%
# The ratings
# -----------
# Each row is a rating. 300 users and 120 films have ids of any kind; 15 % of the pairs are rated, from 0.5 to 5 stars.
# Tastes have two directions in addition to the mean of each film, and there is noise. One rating in twenty is
# *nonsense*: drawn at random.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from sklearn_robustlr import RobustLowRankRecovery

rng = np.random.RandomState(0)
users = np.array([f"u{k:03d}" for k in rng.choice(1000, 300, replace=False)])
films = np.array([f"film-{k}" for k in rng.choice(np.arange(100, 1000), 120, replace=False)])
tastes = rng.standard_normal((300, 2)) @ rng.standard_normal((2, 120))
opinion = 3.2 + 0.5 * rng.standard_normal(120) + 0.55 * tastes
i, j = np.nonzero(rng.uniform(size=opinion.shape) < 0.15)
stars = opinion[i, j] + 0.3 * rng.standard_normal(len(i))
nonsense = rng.uniform(size=len(i)) < 0.05
stars[nonsense] = rng.uniform(0.5, 5, nonsense.sum())
ratings = pd.DataFrame({"user": users[i], "item": films[j], "rating": np.clip(np.round(2 * stars) / 2, 0.5, 5)})
print(ratings.head(3))

# %%
# Fit and predict
# ---------------
# One in seven ratings is held out, and so are all ratings of ten users, whom the fit has not seen. The encoder gives
# unknown ids the number -1, which belongs to nobody. Predictions are clipped to the scale.
new = ratings["user"].isin(users[:10])
test = new | (rng.uniform(size=len(ratings)) < 1 / 7)
X, y = ratings[["user", "item"]], ratings["rating"]

encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
model = make_pipeline(encoder, RobustLowRankRecovery(measurements="entries"))
model.fit(X[~test], y[~test])
predicted = model.predict(X[test]).clip(0.5, 5)

recovery = model[-1]
print(f"rank {recovery.rank_}, verdict: {recovery.stop_reason_}, noise: {recovery.scale_:.2f} stars")

# %%
# How well it did
# ---------------
# The peer is the median of the item. Nonsense among the held-out ratings, which no method can predict, is left out.
usual = X["item"][test].map(y[~test].groupby(X["item"]).median())
errors = {}
for name, those in {"known users": ~new[test], "new users": new[test]}.items():
    those = those & ~nonsense[test]
    errors[name] = [np.sqrt(np.mean((guess - y[test])[those] ** 2)) for guess in (predicted, usual)]
    print(f"{name}: {those.sum()} ratings, error {errors[name][0]:.2f}, of medians {errors[name][1]:.2f} stars")

# %%
# A new user gets the usual prediction for each item: that of a user whose coefficients are the medians over all users.
# So two new users get the same predictions, which are close to the median of the ratings.
films_asked = np.sort(films)[:4]
for user in ("somebody", "somebody else"):
    print(f"{user:>13}:", model.predict(pd.DataFrame({"user": user, "item": films_asked})).round(2))
print(f"{'median':>13}:", y[~test].groupby(X["item"]).median()[films_asked].to_numpy())

# %%
# The flagged ratings, and the five of them that are farthest from the recovered value:
train = ratings[~test].assign(recovered=model.predict(X[~test]).round(1), nonsense=nonsense[~test])
flagged = train[recovery.outliers_]
far = nonsense[~test] & (np.abs(stars - opinion[i, j])[~test] > 1.5)
print(f"{len(flagged)} of {len(train)} ratings are flagged, {flagged['nonsense'].mean():.0%} of them nonsense")
print(f"of the nonsense {recovery.outliers_[nonsense[~test]].mean():.0%} is flagged, ", end="")
print(f"of that off by more than 1.5 stars {recovery.outliers_[far].mean():.0%}")
away = (flagged["rating"] - flagged["recovered"]).abs()
print(flagged.loc[away.sort_values(ascending=False, kind="stable").index[:5]])

# %%
# In a picture
# ------------
figure, axes = plt.subplots(1, 3, figsize=(13, 4.3), layout="constrained", width_ratios=[3, 4, 4])
ours, peer, wrong = "#0072b2", "#999999", "#d55e00"
for k, (label, colour) in enumerate({"this package": ours, "median of the item": peer}.items()):
    heights = [error[k] for error in errors.values()]
    axes[0].bar_label(axes[0].bar(np.arange(2) + 0.4 * k - 0.2, heights, 0.38, color=colour, label=label), fmt="%.2f")
axes[0].set_xticks([0, 1], errors)
axes[0].set(title="Error of held-out ratings", ylabel="root mean square, stars", ylim=(0, 1))
axes[0].legend(frameon=False, loc="upper center")

jitter = rng.uniform(-0.15, 0.15, len(train))
fitted = model.predict(X[~test])
kinds = {"kept": (~recovery.outliers_, peer, 4), "flagged": (recovery.outliers_, wrong, 14)}
for label, (those, colour, size) in kinds.items():
    axes[1].scatter(fitted[those], (train["rating"] + jitter)[those], size, color=colour, label=label)
axes[1].set(
    title="Ratings that were fitted", xlabel="recovered, stars", ylabel="given, stars (spread a little)", ylim=(0, 6)
)
axes[1].legend(frameon=False, loc="upper center", ncols=2)

axes[2].axline((3, 3), slope=1, color="black", linewidth=1, label="equal")
axes[2].scatter(usual[new[test]], predicted[new[test]], 14, color=ours)
axes[2].set(title="New users", xlabel="median of the item, stars", ylabel="predicted, stars")
axes[2].legend(frameon=False, loc="upper left")
plt.show()
