"""Everyday pipelines with PCA or an imputer: ours take their place by one word, and errors matter less."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import StackingClassifier
from sklearn.impute import KNNImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, RobustScaler, StandardScaler

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA

FOLDS = KFold(3, shuffle=True, random_state=0)
X, Y = load_wine(return_X_y=True)
RNG = np.random.RandomState(0)
WRONG = RNG.uniform(size=X.shape) < 0.06
SPOILT = np.where(WRONG, X + 12 * X.std(axis=0) * RNG.choice([-1, 1], X.shape), X)
MISSING = np.where(RNG.uniform(size=X.shape) < 0.15, np.nan, SPOILT)


def classifier():
    return LogisticRegression(max_iter=2000)


def frame(values):
    return pd.DataFrame(values, columns=load_wine().feature_names).assign(region=np.tile(["a", "b"], 89))


def columns(step):
    numbers = list(load_wine().feature_names)
    return ColumnTransformer(
        [("numbers", make_pipeline(RobustScaler(), step), numbers), ("text", OneHotEncoder(), ["region"])]
    )


# A function of the step, and the data: it returns a score, or None where all that counts is that it runs.
REDUCED = {
    "scaled": lambda step: cross_val_score(
        make_pipeline(RobustScaler(), step, classifier()), SPOILT, Y, cv=FOLDS
    ).mean(),
    "columns": lambda step: cross_val_score(
        make_pipeline(columns(step), classifier()), frame(SPOILT), Y, cv=FOLDS
    ).mean(),
    "search": lambda step: (
        GridSearchCV(
            Pipeline([("scale", RobustScaler()), ("reduce", step), ("classify", classifier())]),
            {"reduce__n_components": [2, 4]},
            cv=FOLDS,
        )
        .fit(SPOILT, Y)
        .best_score_
    ),
    "union": lambda step: cross_val_score(
        make_pipeline(RobustScaler(), FeatureUnion([("reduced", step)]), classifier()), SPOILT, Y, cv=FOLDS
    ).mean(),
    "predictions": lambda step: np.mean(
        cross_val_predict(make_pipeline(RobustScaler(), step, classifier()), SPOILT, Y, cv=FOLDS) == Y
    ),
    "stacked": lambda step: (
        StackingClassifier([("one", make_pipeline(RobustScaler(), step, classifier()))], classifier(), cv=FOLDS)
        .fit(SPOILT[::2], Y[::2])
        .score(SPOILT[1::2], Y[1::2])
    ),
}
IMPUTED = {
    "imputed": lambda step: cross_val_score(
        make_pipeline(step, StandardScaler(), classifier()), MISSING, Y, cv=FOLDS
    ).mean(),
    "calibrated": lambda step: (
        CalibratedClassifierCV(make_pipeline(step, StandardScaler(), classifier()), cv=FOLDS)
        .fit(MISSING[::2], Y[::2])
        .score(MISSING[1::2], Y[1::2])
    ),
}


def mostly_slow(cases):
    """The first of the cases, and the others in the slow suite."""
    return [pytest.param(case, marks=pytest.mark.slow if i > 0 else ()) for i, case in enumerate(cases)]


@pytest.mark.parametrize("case", mostly_slow(REDUCED))
def test_in_the_place_of_pca(case):
    theirs, ours = (REDUCED[case](kind(n_components=4)) for kind in (PCA, RobustPCA))
    assert ours > theirs + 0.05 and ours > 0.88


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # of folds of some sixty rows
@pytest.mark.parametrize("case", IMPUTED)
def test_in_the_place_of_an_imputer(case):
    theirs, ours = (IMPUTED[case](kind()) for kind in (KNNImputer, RobustMatrixCompletion))
    assert ours > theirs and ours > 0.85


@pytest.mark.slow
def test_on_clean_data_nothing_is_lost():
    scores = [
        cross_val_score(make_pipeline(StandardScaler(), kind(n_components=4), classifier()), X, Y, cv=FOLDS).mean()
        for kind in (PCA, RobustPCA)
    ]
    assert scores[1] >= scores[0] - 0.01
    D, t = load_diabetes(return_X_y=True)
    hidden = np.where(np.random.RandomState(0).uniform(size=D.shape) < 0.1, np.nan, D)
    scores = [
        cross_val_score(make_pipeline(kind(), Ridge(1e-3)), hidden, t, cv=FOLDS).mean()
        for kind in (KNNImputer, RobustMatrixCompletion)
    ]
    assert scores[1] >= scores[0] - 0.01


@pytest.mark.slow
def test_cached_and_with_names(tmp_path):
    pipeline = make_pipeline(RobustMatrixCompletion(), RobustPCA(n_components=3), memory=str(tmp_path))
    pipeline.set_output(transform="pandas")
    values = pd.DataFrame(MISSING, columns=load_wine().feature_names)
    first = pipeline.fit_transform(values)
    assert list(first.columns) == ["robustpca0", "robustpca1", "robustpca2"]
    pd.testing.assert_frame_equal(pipeline.fit_transform(values), first)
    pd.testing.assert_frame_equal(pipeline.transform(values), first)


@pytest.mark.parametrize("value", ["broken", pd.Timestamp("2020-01-01")])
def test_columns_of_objects_that_are_no_numbers_are_named(value):
    frame = pd.DataFrame(np.arange(40.0).reshape(10, 4), columns=list("abcd")).astype(object)
    frame.iloc[3, 1] = value
    with pytest.raises(ValueError, match="columns that are not numbers: 'b'"):
        RobustMatrixCompletion().fit(frame)


@pytest.mark.parametrize("text", ["broken", b"broken"])
@pytest.mark.parametrize("kind", [list, np.array, partial(np.array, dtype=object)])
def test_text_in_an_array_is_quoted_with_its_place(text, kind):
    rows = [[1.0, 2.0, 3.0] for _ in range(6)]
    rows[4][1] = text
    with pytest.raises(ValueError, match="X must hold numbers, got the text 'broken' at index 4, 1"):
        RobustMatrixCompletion().fit(kind(rows))
    with pytest.raises(ValueError, match="y must hold numbers, got the text 'broken' at index 2"):
        RobustLowRankRecovery(shape=(1, 3)).fit(np.ones((6, 3)), kind([0.0, 1.0, text, 3.0, 4.0, 5.0]))


def test_times_in_an_array_are_no_numbers():
    times = np.arange(np.datetime64("2020-01-01"), np.datetime64("2020-01-13")).reshape(4, 3)
    for values in (times, times - times[0, 0]):
        with pytest.raises(ValueError, match="X must hold numbers, got times"):
            RobustMatrixCompletion().fit(values)


def test_numbers_that_were_read_as_text_are_numbers():
    plain = MISSING[:60].copy()
    frame = pd.DataFrame(plain).astype(object)
    frame.iloc[3, 1], frame.iloc[4, 1] = str(plain[3, 1]), pd.NA
    plain[4, 1] = np.nan
    np.testing.assert_array_equal(
        RobustMatrixCompletion().fit_transform(frame), RobustMatrixCompletion().fit_transform(plain)
    )
