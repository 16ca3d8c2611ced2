"""The posterior of the low-rank model: surplus directions vanish, rows stand alone, the noise is found."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_robustlr._model.columns import Columns, start_columns
from sklearn_robustlr._model.passes import Gaussian, Passes
from sklearn_robustlr._model.posterior import sweep_until_settled
from sklearn_robustlr._model.rows import regress
from sklearn_robustlr._model.table import Table
from sklearn_robustlr._operators.observed import Entries
from sklearn_robustlr._utils.linalg import pack, unpack
from sklearn_robustlr.datasets import make_corrupted_matrix


def table_of(problem):
    p = problem.data.shape[1]
    return Table.of(Entries(problem.data), np.zeros(p), np.ones(p))


@pytest.mark.parametrize("robust", [False, True])
def test_surplus_directions_are_dropped_and_the_noise_is_found(robust):
    outliers = 0.1 if robust else 0.0
    drawn = make_corrupted_matrix((150, 40), 3, noise=0.2, observed=0.8, outliers=outliers, random_state=0)
    table = table_of(drawn)
    columns = sweep_until_settled(table, start_columns(table, 12, robust))
    rows = regress(table, columns)
    size = np.linalg.norm(columns.loadings, axis=0)
    assert np.count_nonzero(size > 0.05 * size[0]) == 3
    assert np.sqrt(np.mean(columns.law.inlier_variances)) == pytest.approx(0.2, rel=0.15)
    estimate = columns.mean + rows.means @ columns.loadings.T
    assert np.sqrt(np.mean((estimate - drawn.clean) ** 2)) < 0.09


def evidence(table, columns):
    """Lower bound of the log evidence under a Gaussian law, rows at their best: plain NumPy, up to a constant."""
    rows = regress(table, columns)
    c, d = unpack(rows.covariances), unpack(columns.covariances)
    i, j = table.rows, table.cols
    u, v = rows.means[i], columns.loadings[j]
    spread = np.einsum("pk,pkl,pl->p", v, c[i], v) + np.einsum("pk,pkl,pl->p", u, d[j], u)
    spread += np.einsum("pkl,plk->p", c[i], d[j])
    squares = (table.values - columns.mean[j] - np.sum(u * v, axis=1)) ** 2 + spread
    likelihood = -0.5 * np.sum(np.log(columns.law.variances[j]) + squares / columns.law.variances[j])
    prior = np.mean(columns.loadings**2 + np.einsum("jkk->jk", d), axis=0)  # variances, at their best
    of_rows = np.sum(rows.means**2) + np.einsum("ikk->", c) - np.sum(np.linalg.slogdet(c)[1]) - u.shape[1] * len(c)
    of_columns = len(d) * np.sum(np.log(prior)) - np.sum(np.linalg.slogdet(d)[1])
    return likelihood - 0.5 * (of_rows + of_columns + np.sum(columns.mean**2))


@pytest.mark.parametrize(("noise", "observed"), [(1.0, 0.6), (1.5, 1.0)])
def test_the_evidence_does_not_fall_from_sweep_to_sweep(noise, observed):
    """With noise as large as the data, where what the prior says matters."""
    drawn = make_corrupted_matrix((60, 30), 3, noise=noise, observed=observed, outliers=0.0, random_state=0)
    table = table_of(drawn)
    start = start_columns(table, 5, False)
    found = [evidence(table, sweep_until_settled(table, start, n_sweeps=n, free=0)) for n in range(1, 25)]
    steps = np.diff(found)
    assert found[-1] > found[0] + 100.0
    assert steps.min() > -1e-6 * np.ptp(found)


def test_a_row_gets_the_same_wherever_it_stands():
    table = table_of(make_corrupted_matrix((60, 20), 2, noise=0.1, observed=0.7, outliers=0.1, random_state=1))
    columns = sweep_until_settled(table, start_columns(table, 6, True))
    whole = regress(table, columns)
    keep = table.rows >= 30
    part = Table(table.indptr[30:] - table.indptr[30], table.cols[keep], table.values[keep], (30, 20))
    assert_array_equal(regress(part, columns).means, whole.means[30:])


def test_a_row_without_entries_gets_the_mean_of_the_prior():
    table = table_of(make_corrupted_matrix((60, 20), 2, noise=0.1, random_state=1))
    columns = sweep_until_settled(table, start_columns(table, 6, True))
    empty = Table(np.zeros(2, np.int32), np.zeros(0, np.int32), np.zeros(0), (1, 20))
    assert_allclose(regress(empty, columns).means, 0.0)


def test_few_entries_are_shrunk_to_the_mean():
    """One entry cannot move a row by more than the prior has it."""
    loadings = np.random.RandomState(0).standard_normal((8, 2))
    law = start_columns(table_of(make_corrupted_matrix((20, 8), 1, random_state=0)), 2, False).law
    columns = Columns(loadings, np.zeros((8, 3)), np.zeros(8), law)
    one = Table(np.array([0, 1], np.int32), np.array([3], np.int32), np.array([1.5]), (1, 8))
    rows = regress(one, columns)
    assert np.linalg.norm(rows.means) <= 1.5 / np.linalg.norm(loadings[3])
    assert np.linalg.eigvalsh(unpack(rows.covariances[0]))[-1] == pytest.approx(1.0)


def check_moments(passes, table, rows, columns):
    """Means and variances of entries are those of independent rows and columns."""
    mean, variance = passes.moments(rows, columns)
    u, v, c, d = rows.mean[table.rows], columns.mean[table.cols], unpack(rows.covariance), unpack(columns.covariance)
    c, d = c[table.rows], d[table.cols]
    expected = np.einsum("pk,pkl,pl->p", v, c, v) + np.einsum("pk,pkl,pl->p", u, d, u) + np.einsum("pkl,plk->p", c, d)
    assert_allclose(mean, np.sum(u * v, axis=1), atol=1e-10)
    assert_allclose(variance, expected, rtol=1e-8)


@pytest.mark.parametrize("observed", [0.2, 0.9])
def test_passes_are_the_posteriors_of_rows_and_columns_one_by_one(observed, rng):
    """Products of whole matrices, and kernels by entries, beside plain NumPy."""
    n, p, k = 30, 12, 3
    table = table_of(make_corrupted_matrix((n, p), 2, observed=observed, outliers=0.0, random_state=1))
    precision, prior = rng.uniform(0.5, 2.0, len(table.values)), np.array([1.0, 2.0, 0.5])
    spread = rng.standard_normal((p, k, k))
    columns = Gaussian(rng.standard_normal((p, k)), pack(spread @ spread.transpose(0, 2, 1)))
    passes = Passes(table)
    rows = passes.rows(table.values, precision, columns, prior)
    second = columns.mean[:, :, None] * columns.mean[:, None] + unpack(columns.covariance)
    for i in range(n):
        own = slice(*table.indptr[i : i + 2])
        inverse = np.linalg.inv(np.diag(prior) + np.einsum("p,pkl->kl", precision[own], second[table.cols[own]]))
        assert_allclose(unpack(rows.covariance)[i], inverse, atol=1e-10)
        weighted = precision[own] * table.values[own]
        assert_allclose(rows.mean[i], inverse @ (columns.mean[table.cols[own]].T @ weighted), atol=1e-10)
    rows = Gaussian(rows.mean.copy(), rows.covariance.copy())
    check_moments(passes, table, rows, columns)
    turned = passes.columns(table.values, precision, rows, prior)
    second = rows.mean[:, :, None] * rows.mean[:, None] + unpack(rows.covariance)
    for j in range(p):
        own = table.cols == j
        inverse = np.linalg.inv(np.diag(prior) + np.einsum("p,pkl->kl", precision[own], second[table.rows[own]]))
        assert_allclose(unpack(turned.covariance)[j], inverse, atol=1e-10)
        assert_allclose(
            turned.mean[j], inverse @ (rows.mean[table.rows[own]].T @ (precision * table.values)[own]), atol=1e-9
        )
    # whichever rows columns were computed by before
    for others in (rows, Gaussian(2.0 * rows.mean, 0.5 * rows.covariance)):
        check_moments(passes, table, others, columns)
