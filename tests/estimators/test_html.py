"""What notebooks show of an estimator."""

import re
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_html_repr

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import make_measurements

SUMMARY = 'class="robustlr-summary"'


def shown(estimator):
    """HTML as a notebook gets it, by both of its ways."""
    html = estimator._repr_html_()
    bundle = estimator._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    # scikit-learn numbers its containers
    assert re.sub(r"sk-\w+-id-\d+", "", bundle["text/html"]) == re.sub(r"sk-\w+-id-\d+", "", html)
    return html


@pytest.mark.parametrize("estimator", [RobustMatrixCompletion(), RobustPCA(absent="missing")])
@pytest.mark.parametrize("form", [np.asarray, lambda X: sparse.csr_matrix(np.nan_to_num(X))])
def test_fitted_matrix_estimators(estimator, form, small):
    estimator.fit(form(small.data))
    html = shown(estimator)
    n_outliers, n_values = small.outliers.sum(), small.observed.sum()
    assert f"{n_outliers / n_values:.1%} ({n_outliers} of {n_values})" in html
    assert ">2</td>" in html and ">converged</b>: exact</td>" in html and f"{estimator.scale_:.3g}" in html
    assert "sk-top-container" in html and "init_scale" in html  # scikit-learn's own


def test_fitted_recovery_that_did_not_converge():
    problem = make_measurements(60, shape=(20, 20), rank=3, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = RobustLowRankRecovery(shape=(20, 20)).fit(problem.data, problem.target)
    html = shown(model)
    assert ">not converged</b>: undetermined: too few inliers" in html and "of 60)" in html
    for name in ("stop_reason_", "_stop_message"):
        setattr(model, name, f"<script>1 & {name}</script>")
        assert f"&lt;script&gt;1 &amp; {name}&lt;/script&gt;" in shown(model).split("</table>")[0]


@pytest.mark.parametrize("estimator", [RobustLowRankRecovery(), RobustMatrixCompletion(), RobustPCA()])
def test_unfitted_is_as_ever(estimator):
    html = shown(estimator)
    assert SUMMARY not in html
    assert re.sub(r"sk-\w+-id-\d+", "", html) == re.sub(r"sk-\w+-id-\d+", "", estimator_html_repr(estimator))


def test_diagrams_can_be_switched_off(small):
    model = RobustMatrixCompletion().fit(small.data)
    with config_context(display="text"):
        assert not hasattr(model, "_repr_html_")
        assert set(model._repr_mimebundle_()) == {"text/plain"}


def test_inside_a_pipeline(small):
    pipeline = make_pipeline(FunctionTransformer(), RobustMatrixCompletion()).fit(small.data)
    for html in (estimator_html_repr(pipeline), pipeline._repr_html_(), estimator_html_repr(pipeline[-1])):
        assert "RobustMatrixCompletion" in html and "sk-container" in html


def test_rank_zero_and_location_only():
    assert ">0</td>" in shown(RobustMatrixCompletion().fit(np.zeros((6, 5))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        location = RobustPCA().fit([[1.0, np.nan], [np.nan, 2.0]])
    assert "only a location" in shown(location)
