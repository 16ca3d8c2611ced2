"""Small tables that have a mean, two weak directions and huge errors: a few errors are no direction."""

import numpy as np
import pytest

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_corrupted_matrix
from sklearn_robustlr.metrics import relative_recovery_error


def table(shape, seed, *, errors, observed=1.0, mean=5.0):
    """A mean beside two directions of size one, where a share of the entries is far off, and that without errors."""
    rng = np.random.default_rng(seed)
    u, v = (np.linalg.qr(rng.normal(size=(n, 2)))[0] for n in shape)
    clean = np.sqrt(np.prod(shape)) * u @ v.T + mean
    data = clean.copy()
    wrong = (np.argsort(rng.permutation(clean.size)) < int(errors * clean.size)).reshape(shape)
    data[wrong] += 100 * clean.std() * rng.normal(size=wrong.sum())
    data[rng.uniform(size=shape) > observed] = np.nan
    return data, clean


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("shape", "errors", "observed", "seed"),
    [((40, 24), 0.2, 1.0, 1), ((100, 20), 0.2, 1.0, 4)],
)
def test_completion(shape, errors, observed, seed, turned):
    """Of 40 such tables 25 were "exact" with a direction of their errors, though the model had found the truth."""
    data, clean = table(shape, seed, errors=errors, observed=observed)
    data, clean = (data.T, clean.T) if turned else (data, clean)
    model = RobustMatrixCompletion(replace="all")
    assert relative_recovery_error(clean, model.fit_transform(data)) < 1e-8
    assert (model.stop_reason_, model.rank_) == ("exact", 3)


def test_components():
    data, _ = table((40, 24), 2, errors=0.2)
    assert RobustPCA().fit(data).n_components_ == 2


@pytest.mark.parametrize(
    ("shape", "errors", "observed", "seed"),
    [((40, 24), 0.2, 1.0, 1), ((100, 20), 0.2, 1.0, 2), ((60, 20), 0.1, 0.7, 10)],
)
def test_single_entries(shape, errors, observed, seed):
    """The errors that a fit of one rank too many meets were in the start of the next; stuck rows were left."""
    data, clean = table(shape, seed, errors=errors, observed=observed)
    seen = np.isfinite(data)
    model = RobustLowRankRecovery(measurements="entries", shape=shape).fit(np.argwhere(seen), data[seen])
    assert relative_recovery_error(clean, model.matrix_) < 1e-8
    assert (model.stop_reason_, model.rank_) == ("exact", 3)
    assert not len(model.undetermined_rows_)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_that_beats_a_useless_model_alone_is_no_sharp_one():
    """With two entries for each degree of freedom a fit of the errors' mean was "noisy", its error 1.2."""
    problem = make_corrupted_matrix(
        (186, 193),
        rank=5,
        observed=0.10262456102605234,
        outliers=0.3283737892939938,
        outlier_kind="one-sided",
        condition=2.277794596362851,
        random_state=220033,
    )
    assert RobustMatrixCompletion().fit(problem.data).stop_reason_ != "noisy"
