"""Why a fit ended: each code is reached, is a plain string, and agrees with the claim and with the warning."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from cases import Recorder
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA, StopReason
from sklearn_robustlr.datasets import make_corrupted_matrix, make_measurements


def matrix(estimator, **drawn):
    problem = make_corrupted_matrix((40, 30), rank=2, outliers=0.1, observed=0.8, random_state=0, **drawn)
    return estimator, problem.data


def sensing(*drawn, **params):
    problem = make_measurements(*drawn, random_state=0)
    return RobustLowRankRecovery(shape=drawn[1], **params), problem.data, problem.target


def noise(**params):
    rng = np.random.RandomState(0)
    return RobustLowRankRecovery(shape=(8, 6), **params), rng.standard_normal((300, 48)), rng.standard_normal(300)


def stuck_sensor():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((24, 20))
    X[rng.uniform(size=X.shape) < 0.6] = 2.0
    return RobustMatrixCompletion(1), X


def flipped_signs():
    rng = np.random.RandomState(0)
    signs = np.where(rng.uniform(size=(60, 50)) < 0.49, -1, 1)
    return RobustMatrixCompletion(), signs * np.outer(rng.uniform(1, 2, 60), rng.uniform(1, 2, 50))


def interrupted():
    model, *data = sensing(300, (8, 6), 1, rank=1)
    return (
        model.set_callbacks(Recorder(stop_at="rank 1")),
        *data[:1],
        data[1] + np.random.RandomState(0).normal(size=300),
    )


FITS = {
    "clean matrix": ("exact", lambda: matrix(RobustMatrixCompletion())),
    "clean measurements": ("exact", lambda: sensing(300, (8, 6), 2)),
    "zeros": ("exact", lambda: (RobustPCA(), np.zeros((6, 5)))),
    "noisy matrix": ("noisy", lambda: matrix(RobustPCA(), noise=0.1)),
    "clear gap": ("noisy", lambda: sensing(300, (8, 6), 2, polish=False)),
    "real table": ("approximate", lambda: (RobustMatrixCompletion(), load_iris().data)),
    "few measurements": ("undetermined", lambda: sensing(60, (20, 20), 3)),
    "nothing seen": (
        "undetermined",
        lambda: (RobustLowRankRecovery(shape=(4, 5)), np.zeros((100, 20)), np.arange(100.0)),
    ),
    "location": ("undetermined", lambda: (RobustPCA(), [[1.0, np.nan], [np.nan, 2.0]])),
    "open signs": ("undetermined", flipped_signs),
    "stuck sensor": ("undetermined", stuck_sensor),
    "pure noise": ("unexplained", noise),
    "pure noise, not polished": ("unpolished", lambda: noise(rank=1, polish=False, max_iter=500)),
    "stopped": ("interrupted", interrupted),
}


@pytest.mark.parametrize("name", FITS)
def test_code_claim_and_warning_agree(name):
    code, draw = FITS[name]
    model, *data = draw()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(*data)
    said = [str(warning.message) for warning in caught if warning.category is ConvergenceWarning]
    # a plain string: pickles and dumps of the attributes need no class of this package
    assert type(model.stop_reason_) is str and model.stop_reason_ == code, said
    assert model.converged_ is StopReason(code).converged is (code in ("exact", "noisy", "approximate"))
    assert len(said) == (not model.converged_)
    form = r"{} did not converge: [^.].*[^.]\. The result may be wrong\. "
    form += r"See '{}' under Troubleshooting in the documentation\."
    assert all(re.fullmatch(form.format(type(model).__name__, code), message) for message in said), said


def test_every_code_is_reached():
    assert {code for code, _ in FITS.values()} | {"stuck"} == set(StopReason)


def test_the_documentation_says_what_to_do_about_every_code():
    path = Path(__file__).parents[2] / "doc" / "troubleshooting.rst"
    sections = re.findall(r'^\.\. _stop-(\w+):\n\n"(\w+)"\n~+$', path.read_text(), re.M)
    assert [label for label, _ in sections] == [title for _, title in sections]
    assert {title for _, title in sections} == set(StopReason)
