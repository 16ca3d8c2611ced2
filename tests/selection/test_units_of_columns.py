"""An exact matrix is exact in any units of its rows and columns."""

import numpy as np
import pytest

from sklearn_robustlr import RobustMatrixCompletion


@pytest.mark.parametrize("powers", [2.0, 3.0])
@pytest.mark.parametrize("side", ["rows", "columns"])
def test_an_exact_matrix_in_unlike_units(powers, side):
    rng = np.random.RandomState(0)
    shape = (120, 30) if side == "columns" else (30, 120)
    matrix = rng.standard_normal((shape[0], 3)) @ rng.standard_normal((3, shape[1])) + rng.standard_normal(shape[1])
    hidden, wrong = rng.uniform(size=shape) < 0.2, rng.uniform(size=shape) < 0.05
    seen = np.where(hidden, np.nan, matrix + wrong * 8.0 * rng.standard_normal(shape))
    units = 10.0 ** rng.uniform(-powers, powers, shape[1] if side == "columns" else (shape[0], 1))
    model = RobustMatrixCompletion()
    repaired = model.fit_transform(seen * units) / units
    assert model.stop_reason_ == "exact"
    assert model.rank_ == 4
    np.testing.assert_allclose(repaired, matrix, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(model.outliers_, wrong & ~hidden)
