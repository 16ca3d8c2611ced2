"""Problems in the units of the solver."""

import numpy as np

from sklearn_robustlr._operators.dense import DenseMeasurements
from sklearn_robustlr._operators.units import make_problem


def test_problems_are_told_apart_by_their_data_alone(sensing):
    operator = DenseMeasurements(sensing.data, sensing.target, (20, 15))
    before = make_problem(operator).digest
    assert operator.resolution == 0.0  # which it remembers
    assert make_problem(operator.with_threads(2)).digest == before  # of which no result depends
    assert make_problem(operator).digest == before != make_problem(operator.subset(np.arange(300))).digest
