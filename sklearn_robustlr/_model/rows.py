"""The posterior of rows, each alone, by what the low-rank model knows of the columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammaincc, gammaln, ndtr

from .._kernels.posterior import entry_means, entry_moments
from .._utils.linalg import pack, packed_diagonals, unpack
from .._utils.rules import FLAG_WIDTH, LEAST_FREE
from .._utils.threads import check_interrupt
from .columns import BY_CHANCE, FLAT, Columns
from .noise import FREEDOM, NoiseLaw, log_variances_of_lines
from .row_passes import WHOLE, row_passes
from .table import Table

# Sweeps in which a robust law is cooled for rows. Of nine real tables with five kinds of damage the error is 0.999 of
# that of exact sweeps, 1.000 with six (at worst 1.07).
_COOLING = 8
# Degrees of freedom of the law of rows by which one that is far from the others is told from one of errors. Of 72
# tables with rows from Student's law or a lognormal one (and two real ones; 15 % missing, none or 5 % errors) the error
# is 1.38 of that of IterativeImputer that is told the errors without such rows, 1.20 with them, and of the right
# entries 0.4 and 0.2 % are flagged.
_TAILS = 3.0
# Probability of a row to be all errors, or to have noise of its own, before anything is seen of it. Of 60 cases of 30
# real tables with gross or swapped values the error is 1.000 of that without rows that are all errors; with the share
# of errors, 1.018 and 1.008. With 1e-3 rows of 8 channels that failed are a tenth nearer, but one with four errors by
# chance is lost. Of 150 cases of these tables (``asv_bench/studies/many_tables.py``) the error is 0.997 of that without
# rows that have noise of their own, at most 1.000; with 3e-4 0.996, at most 1.000, with 0.05 0.996, at most 1.03.
_UNLIKE = 1e-5
# Share of errors that a row with noise of its own, and its rival, may have. With that of the law alone 0.32 of 20 %
# errors of 2 to 5 standard deviations in new rows (240 x 150, spectrum 1 / k) are found, with 0.1 too 0.998, with 0.2
# 0.999, but then intervals of samples that were measured several times (``asv_bench/studies/new_rows.py``) hold less.
_WRONG = 0.1
# Standard deviation of the logarithm of the square of a normal number.
_LOG_SPREAD = np.pi / np.sqrt(2.0)
# What a posterior of rows has of each entry.
_OF_ENTRIES = ("precision", "gross")


@dataclass(frozen=True)
class RowPosterior:
    """Posterior means and packed covariances of the coefficients of rows; precision and gross share of each entry.

    `noise` are the noise variances of rows, in units of those of columns, and `prior` the precisions of their priors
    (None: all are one).
    """

    means: np.ndarray
    covariances: np.ndarray
    precision: np.ndarray
    gross: np.ndarray
    noise: np.ndarray | None = None
    prior: np.ndarray | None = None

    @classmethod
    def joined(cls, table: Table, parts: list[tuple[np.ndarray, RowPosterior]]) -> RowPosterior:
        """That of all rows of a table, from parts that each come with the mask of their rows."""

        def joined(name: str, masks: list[np.ndarray]) -> Any:
            own = [getattr(part, name) for _, part in parts]
            if own[0] is None:
                return None
            whole = np.empty((len(masks[0]), *own[0].shape[1:]))
            for mask, values in zip(masks, own, strict=True):
                whole[mask] = values
            return whole

        rows = [mask for mask, _ in parts]
        entries = [mask[table.rows] for mask in rows]
        return cls(**{name: joined(name, entries if name in _OF_ENTRIES else rows) for name in cls.__annotations__})

    def of_rows(self) -> dict[str, np.ndarray]:
        """What it has of each row, by names."""
        return {name: part for name, part in vars(self).items() if not (part is None or name in _OF_ENTRIES)}

    def adopt(self, table: Table, rows: np.ndarray, other: RowPosterior, part: Table, wanted: np.ndarray) -> None:
        """Take over those `wanted`, a mask, of another posterior: that of some `rows`, a mask, of a `table`."""
        into = np.zeros(len(rows), dtype=bool)
        into[np.flatnonzero(rows)[wanted]] = True
        for name in vars(self):
            own, new = getattr(self, name), getattr(other, name)
            if not (own is None or new is None):
                of_entries = name in _OF_ENTRIES
                own[into[table.rows] if of_entries else into] = new[wanted[part.rows] if of_entries else wanted]


def regress_all(table: Table, columns: Columns) -> RowPosterior:
    """Posterior of the rows of a table, those that are far from the others among them, and those that are all errors.

    A row half of which is gross under a robust law may be far away instead: where its entries, two for each coefficient
    at least, agree with one another, what they say without the prior leads to a likelier posterior. Or all of it is
    wrong, as a scan that failed: then nothing is known of it but the prior. Rows with noise of their own have a prior
    for that already.
    """
    rows = regress_alone(table, columns)
    seen = np.diff(table.indptr)
    lost = (seen > 0) & (2.0 * np.bincount(table.rows, rows.gross, len(seen)) >= seen)
    if not (columns.law.robust and lost.any()) or np.isfinite(columns.law.freedom):
        return rows
    part = table.of_rows(lost)
    far, wrong = regress_alone(part, columns, are_far=True), _all_errors(part, columns)
    before = replace(rows, **{name: part[lost] for name, part in rows.of_rows().items()})
    best, others = (_evidence(part, columns, each) for each in (before, far))
    others[seen[lost] < max(2 * columns.rank, 2)] = -np.inf
    rows.adopt(table, lost, far, part, others > best)
    rows.adopt(table, lost, wrong, part, _evidence_of_errors(part, columns) > np.maximum(best, others))
    return rows


def with_loud_rows(table: Table, columns: Columns, rows: RowPosterior) -> RowPosterior:
    """The posterior of rows, those with noise of their own where that is likelier than errors, or what the noise is.

    New rows may be further from the columns than those by which these were learnt: as samples of which there were few,
    measured several times, or sensors that are slow. Where nearly all entries of a row are missed by more than noise,
    it has no errors, but all of it is less certain. It is wrong as a whole if the columns explain no more of it than of
    noise, or its noise is larger than any that is not flagged.
    """
    law, n = columns.law, table.shape[0]
    if np.isfinite(law.freedom):
        return rows
    seen, fitted = np.diff(table.indptr), np.empty(len(table.values))
    entry_means(table.indptr, table.cols, rows.means, columns.loadings, fitted)
    missed = table.root_weight * (table.values - fitted - columns.mean[table.cols])
    size = log_variances_of_lines(missed**2 / law.variances[table.cols], table.rows, n, FREEDOM)
    loud = size > BY_CHANCE * _LOG_SPREAD / np.sqrt(seen + FREEDOM)
    if not loud.any():
        return rows
    part = table.of_rows(loud)
    doubtful = replace(columns, law=law.with_errors(_WRONG))
    own, usual = (
        regress_alone(part, replace(one, law=replace(one.law, freedom=FREEDOM))) for one in (doubtful, columns)
    )
    before = regress_alone(part, doubtful)
    evidence = _evidence(part.with_noise_of_rows(own.noise), doubtful, own)
    gained = evidence - _evidence(part, doubtful, before)
    likelier = gained + np.log(_UNLIKE) > 0.5 * np.log(np.maximum(seen[loud], 1))  # a parameter more
    likelier &= own.noise * np.mean(law.variances) < FLAG_WIDTH**2
    likelier &= _are_explained(part, columns, own)
    if likelier.any():
        one = np.ones(n)
        rows = replace(rows, noise=one if rows.noise is None else rows.noise, prior=one.copy())
        rows.adopt(table, loud, own, part, likelier)
        has_few = _evidence(part.with_noise_of_rows(usual.noise), columns, usual) > evidence
        rows.adopt(table, loud, usual, part, likelier & has_few)
    return rows


def _are_explained(table: Table, columns: Columns, rows: RowPosterior) -> np.ndarray:
    """Mask of rows whose inliers are nearer to the fit than to what is expected of any row, by more than chance."""
    fitted, n, inlier = np.empty(len(table.values)), table.shape[0], 1.0 - rows.gross
    entry_means(table.indptr, table.cols, rows.means, columns.loadings, fitted)
    before, after = (
        np.bincount(table.rows, inlier * (table.root_weight * missed) ** 2 / columns.law.variances[table.cols], n)
        for missed in (table.values - columns.prior_mean[table.cols], table.values - fitted - columns.mean[table.cols])
    )
    prior = np.ones(n) if rows.prior is None else rows.prior
    free = columns.rank - prior * np.sum(packed_diagonals(rows.covariances), axis=1)  # as many as are not shrunk
    before, after = (np.maximum(part, np.finfo(np.float64).tiny) for part in (before, after))
    gained = np.maximum(np.bincount(table.rows, inlier, n) * np.log(before / after), 0.0)
    return gammaincc(0.5 * free, 0.5 * gained) < ndtr(-BY_CHANCE)  # of noise it is chi-squared


def _all_errors(table: Table, columns: Columns) -> RowPosterior:
    """The posterior of rows of which all is wrong: the prior."""
    (n, m), k = (table.shape[0], len(table.values)), columns.rank
    means = np.zeros((n, k)) if columns.center is None else np.tile(columns.center, (n, 1))
    return RowPosterior(means, np.tile(pack(np.eye(k)), (n, 1)), np.zeros(m), np.ones(m))


def _evidence_of_errors(table: Table, columns: Columns) -> np.ndarray:
    """Logarithm of the evidence that all entries of a row are gross errors, but for the constant of the others'."""
    law = replace(columns.law, shares=np.array([0.0, 0.0, 1.0]))
    return np.log(_UNLIKE) + _log_density(table, law, table.values - columns.prior_mean[table.cols])


def regress_alone(table: Table, columns: Columns, *, are_far: bool = False) -> RowPosterior:
    """What :func:`regress` returns, how a row is computed depending on that row alone: its bits, but for the last."""
    whole = np.diff(table.indptr) >= WHOLE * table.shape[1]
    if not whole.any() or whole.all():
        return regress(table, columns, are_far=are_far)
    parts = [(kept, regress(table.of_rows(kept), columns, are_far=are_far)) for kept in (whole, ~whole)]
    return RowPosterior.joined(table, parts)


def regress(
    table: Table, columns: Columns, *, n_cooling: int = _COOLING, n_sweeps: int = 3, are_far: bool = False
) -> RowPosterior:
    """Posterior of the rows of a table, from the prior and the entries of each.

    A robust law begins at the spread of the prior prediction and is cooled to its own noise: begun at that, it would
    take all entries of a row for gross, for the prior mean is far from them. Rows that `are_far`, beyond that spread,
    begin at their largest residual, and without the prior. The weights are found by conjugate gradients; the posterior
    that they speak for is exact.
    """
    n, k = table.shape[0], columns.rank
    law, loadings, cols, rows = columns.law, columns.loadings, table.cols, table.rows
    passes = row_passes(table.indptr, cols, table.shape[1])
    variances = packed_diagonals(columns.covariances)
    means, own = np.zeros((2, n, k))
    target = table.values - columns.prior_mean[cols]
    placed = passes.placed(target)
    fitted, variance = np.zeros((2, len(target)))
    prior = np.ones(k)
    heat = np.ones(len(loadings)) if are_far else 1.0 + np.einsum("jk,jk->j", loadings, loadings) / law.variances
    for t in range(n_cooling + n_sweeps - 1 if law.robust else 0):
        check_interrupt()
        warm = replace(law, variances=law.variances * heat ** max(1.0 - t / n_cooling, 0.0))
        if t > n_cooling:
            passes.moments(means, own, loadings, variances, fitted, variance)
        elif t:  # what is left of the heat exceeds the variance
            passes.means(means, loadings, fitted)
        squares = (target - fitted) ** 2 + variance
        left = max(1.0 - t / n_cooling, 0.0)
        if t == 0:
            first = table.largest_of_rows(law, squares) if are_far else table.by_rows(warm, squares).noise_of_rows
        where, pull = table, None
        if first is not None:
            if t > n_cooling:  # before, noise of rows would make up for the heat
                where, pull = table.by_rows(law, squares), law.precision_of_rows(means, own)
            else:
                where = table.with_noise_of_rows(np.maximum(first, 1.0) ** left)
        precise = where.weigh(warm, squares).precision
        precise = precise if pull is None else precise / pull[rows]
        pulled = np.full(k, FLAT) if are_far and t <= n_cooling else prior
        passes.relax(placed, passes.placed(precise), loadings, variances, pulled, means, own)
        own = own if pull is None else own / pull[:, None]
    if law.robust:
        passes.moments(means, own, loadings, variances, fitted, variance)
    squares = (target - fitted) ** 2 + variance
    table = table.by_rows(law, squares)
    weights = table.weigh(law, squares)
    covariances = np.empty((n, k * (k + 1) // 2))
    pull = law.precision_of_rows(means, own)
    precise = weights.precision if pull is None else weights.precision / pull[rows]
    passes.posterior(placed, passes.placed(precise), loadings, columns.covariances, prior, means, covariances)
    if pull is not None:
        covariances /= pull[:, None]
    if columns.center is not None:
        means += columns.center
    return RowPosterior(means, covariances, weights.precision, law.error_chances(weights), table.noise_of_rows, pull)


def _evidence(table: Table, columns: Columns, rows: RowPosterior) -> np.ndarray:
    """Logarithm of the evidence of each row by Laplace's approximation, but for a constant.

    Coefficients of rows have Student's law, not the normal one: rows may be as far from the others as errors may be.
    """
    k = columns.rank
    away = rows.means if columns.center is None else rows.means - columns.center
    fitted = np.einsum("pk,pk->p", rows.means[table.rows], columns.loadings[table.cols]) + columns.mean[table.cols]
    likely = _log_density(table, columns.law, table.values - fitted)
    prior = -0.5 * (_TAILS + k) * np.log1p(np.sum(away**2, axis=1) / _TAILS)
    prior += gammaln(0.5 * (_TAILS + k)) - gammaln(0.5 * _TAILS) - 0.5 * k * np.log(0.5 * _TAILS)
    return likely + prior + 0.5 * np.linalg.slogdet(unpack(rows.covariances))[1]


def _log_density(table: Table, law: NoiseLaw, missed: np.ndarray) -> np.ndarray:
    """Sum over the entries of each row of the logarithm of the density of what they are missed by."""
    root = table.root_weight
    density = root * law.density(root * missed, np.zeros(len(root)), table.cols)
    return np.bincount(table.rows, np.log(np.maximum(density, np.finfo(np.float64).tiny)), table.shape[0])


def moments(rows: RowPosterior, columns: Columns, where: Table) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance, without the noise, of the entries at the places of a table."""
    mean, variance = np.empty((2, len(where.cols)))
    factors = rows.means, rows.covariances, columns.loadings, columns.covariances
    entry_moments(where.indptr, where.cols, *factors, mean, variance)
    return mean + columns.mean[where.cols], variance


class MemberRows(NamedTuple):
    """A member of an average, the entries that rows have under it, and their posterior."""

    columns: Columns
    table: Table
    rows: RowPosterior

    @classmethod
    def of(cls, columns: Columns, table: Table) -> MemberRows:
        """The posterior of the rows of a table.

        Rows with an error that the law has no part for are regressed by one that has, if no more are errors then. In
        rows so far away that loadings are not known well enough for them, all may be.
        """
        member = cls(columns, table, regress_all(table, columns))
        if columns.law.robust:
            return member._replace(rows=with_loud_rows(table, columns, member.rows))
        n = table.shape[0]
        errors = np.bincount(table.rows[member._gross(table, columns) > 0.5], minlength=n)
        few = replace(columns, law=NoiseLaw.with_few_errors(columns.law.variances))
        if errors.any():
            part = table.of_rows(errors > 0)
            again = regress_all(part, few)
            fewer = np.bincount(part.rows[again.gross > 0.5], minlength=part.shape[0]) <= errors[errors > 0]
            member.rows.adopt(table, errors > 0, again, part, fewer)
        return member._replace(rows=with_loud_rows(table, few, member.rows))

    def gross(self, table: Table) -> np.ndarray:
        """Probability of all entries of these rows to be gross errors.

        A Gaussian member knows of none. Where it predicts best there are hardly any: it is asked by a law that has few.
        Its rows have been fitted to the errors, too: residuals are divided by what that leaves of the noise.
        """
        known = replace(self.columns, covariances=np.zeros_like(self.columns.covariances))
        return self.rows.gross if self.columns.law.robust else self._gross(table, known)

    def _gross(self, table: Table, columns: Columns) -> np.ndarray:
        table = table.with_noise_of_rows(self.rows.noise)
        mean, variance = moments(self.rows, columns, table)
        law = NoiseLaw.with_few_errors(columns.law.variances)
        own = table.root_weight**2 * variance / law.variances[table.cols]
        return table.weigh(law, (table.values - mean) ** 2 / np.maximum(1.0 - own, LEAST_FREE)).gross
