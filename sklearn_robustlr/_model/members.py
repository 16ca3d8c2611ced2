"""Fits of several noise laws to samples of a matrix, and what they predict of the entries that are held out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .._utils.values import Factors
from .columns import Columns, columns_of
from .full import FULL, FullColumns, can_be_full, full_columns
from .growth import columns_of_law, grow, with_leading
from .joint import joint_root
from .noise import NoiseLaw
from .posterior import power_of_directions, sweep_until_settled, with_columns_apart
from .rows import moments, regress
from .samples import Samples
from .screen import Screen
from .table import Table
from .turned import Turned, TurnedColumns

#: Name of the member that is learnt from the transpose.
TURNED = "turned"
#: Name of the member that has been fitted to more rows, or with more directions.
GROWN = "grown"
# Sweeps over all entries after those over what is not held out: of nine real tables the error is the same with 15.
_LAST_SWEEPS = 6
# Held-out error in units of that before up to which columns have shares of gross errors of their own. Where it had to
# be less, 10 % errors in a column of diabetes are found in 5 of 8 cases instead of 7; where it might be more by chance,
# one of 150 damaged tables came out 1.5 times as far off.
_NO_WORSE = 1.01


class Predicted(NamedTuple):
    """What columns predict of held-out entries: by how much they miss them, and the variance that they state.

    They are judged by what they miss from entries that are undisputed, where others take them for gross. All are in
    units of the weight of the entry, where it has one: the noise is alike in all.
    """

    missed: np.ndarray
    variance: np.ndarray
    judged: np.ndarray


def predicted(samples: Samples, columns: Columns, train: Table | None = None) -> Predicted:
    """What columns predict of the held-out entries from others of each row: those of `train`, or all others."""
    test = samples.test
    mean, variance = moments(regress(samples.train if train is None else train, columns), columns, test)
    units = samples.units.in_one if isinstance(columns, TurnedColumns) else samples.units
    missed = units.clip(mean, test.cols) - test.values
    missed *= test.root_weight
    return Predicted(missed, test.root_weight**2 * variance, missed)


@dataclass(frozen=True)
class Members:
    """Fits by names, what they predict of held-out entries, and how often each of these counts.

    `telling` is how often it counts where fits are compared.
    """

    columns: dict[str, Columns]
    predicted: dict[str, Predicted]
    counts: np.ndarray
    telling: np.ndarray

    @property
    def best(self) -> str:
        """That of the least error."""
        return min(self.predicted, key=lambda name: self.error(self.predicted[name].judged))

    def error(self, missed: np.ndarray) -> float:
        """Mean absolute error."""
        return float(np.average(np.abs(missed), weights=self.telling if len(missed) else None))

    @property
    def missed(self) -> np.ndarray:
        """Errors of each, (members, entries)."""
        return np.array([predicted.missed for predicted in self.predicted.values()])

    @property
    def judged(self) -> np.ndarray:
        """Errors that each is judged by, (members, entries)."""
        return np.array([predicted.judged for predicted in self.predicted.values()])

    @property
    def variances(self) -> np.ndarray:
        """Variances that each states, (members, entries)."""
        return np.array([predicted.variance for predicted in self.predicted.values()])

    def kept(self, names: list[str]) -> Members:
        """These alone."""
        return replace(
            self, columns={n: self.columns[n] for n in names}, predicted={n: self.predicted[n] for n in names}
        )

    def with_errors_of(self, others: list[Columns]) -> Members:
        """The same, what is wide counting as it does in these columns."""
        columns = {
            name: replace(own, law=replace(own.law, wide_is_errors=other.law.wide_is_errors))
            for (name, own), other in zip(self.columns.items(), others, strict=True)
        }
        return replace(self, columns=columns)


class Tried(NamedTuple):
    """A fit, and what it predicts of held-out entries."""

    columns: Columns
    predicted: Predicted


def all_of(samples: Samples, fits: Iterable[Columns]) -> list[Tried]:
    """Fits, and what they predict of the held-out entries."""
    return [Tried(fit, predicted(samples, fit)) for fit in fits]


def with_own_errors(samples: Samples, tried: Tried) -> Tried:
    """The fit in which some columns have a share of gross errors of their own, unless it predicts worse."""
    columns = with_columns_apart(samples.train, tried.columns) if tried.columns.loadings.any() else None
    if columns is None:
        return tried
    own = Tried(columns, predicted(samples, columns))
    before, after = (float(np.sum(samples.telling * np.abs(each.predicted.missed))) for each in (tried, own))
    return own if after <= _NO_WORSE * before else tried


def best_of(samples: Samples, tried: list[Tried]) -> Tried:
    """The fit that predicts the held-out entries best."""
    return min(tried, key=lambda each: float(np.sum(samples.telling * np.abs(each.predicted.missed))))


@dataclass(frozen=True)
class _Upright:
    """The matrix as it is, where :class:`Turned` has its transpose: what becomes of columns that were fitted to it."""

    fitter: Fitter

    def grown(self, columns: Columns, n_threads: int) -> Columns:
        """The columns with the directions that the residuals have beyond noise."""
        return grow(self.fitter.larger(columns.law), columns, n_threads)

    def settled(self, columns: Columns, n_sweeps: int) -> Columns:
        """The columns after so many sweeps over all entries, those that were held out among them."""
        return sweep_until_settled(self.fitter.table(columns.law), columns, n_sweeps=n_sweeps, free=0)

    def with_joint(self, columns: Columns) -> Columns:
        """The columns with the joint covariance of their loadings, by the posterior weights of the entries."""
        table = self.fitter.table(columns.law)
        rows = regress(table, columns)
        prior = len(columns.loadings) / power_of_directions(columns.loadings, columns.covariances)
        return replace(columns, joint=joint_root(table, rows.means, rows.precision, columns.loadings, prior))

    def trained(self, columns: Columns, where: np.ndarray) -> Columns:
        """The columns of all that is not held out, from those of some, the places of a mask, in a few sweeps."""
        p, k = len(where), columns.rank
        loadings, mean, variances = np.zeros((p, k)), np.zeros(p), np.ones(p)
        covariances = np.zeros((p, k * (k + 1) // 2))
        loadings[where], covariances[where], mean[where] = columns.loadings, columns.covariances, columns.mean
        variances[where] = columns.law.variances
        wrong = None if columns.law.wrong is None else np.zeros(p)
        if wrong is not None:
            wrong[where] = columns.law.wrong
        whole = Columns(loadings, covariances, mean, replace(columns.law, variances=variances, wrong=wrong, large=None))
        return sweep_until_settled(self.fitter.train(columns.law), whole, n_sweeps=_LAST_SWEEPS, free=0)


@dataclass(frozen=True)
class _Full:
    """The matrix as it is: what becomes of columns of any covariance."""

    fitter: Fitter

    def grown(self, columns: Columns, n_threads: int) -> Columns:
        """The columns of more rows, if there are more."""
        return columns if self.fitter.samples.are_all else self._again(columns, self.fitter.larger(columns.law))

    def settled(self, columns: Columns, n_sweeps: int) -> Columns:
        """The columns of all entries, those that were held out among them."""
        return self._again(columns, self.fitter.table(columns.law))

    def with_joint(self, columns: Columns) -> Columns:
        """The columns as they are: what is not known of one is not known of it alone."""
        return columns

    def trained(self, columns: Columns, where: np.ndarray) -> Columns:
        """The columns of all that is not held out."""
        raise AssertionError("there are none of a part of the columns")

    def _again(self, columns: Columns, table: Table) -> Columns:
        assert isinstance(columns, FullColumns)
        fitter = self.fitter
        return full_columns(table, columns.law, fitter.screen.columns, fitter.errors(table, columns.law), columns)


@dataclass(frozen=True)
class Fitter:
    """Fits and judges members of the average; a Gaussian law sees what the screen of a robust one leaves.

    They look for up to `most` directions, and are left with no more than a `bound` (None: there is none). If a robust
    law that is `grown` from one direction is better beyond chance than one that begins with all, so is a Gaussian one.
    """

    samples: Samples
    most: int
    screen: Screen
    near: np.ndarray
    grows: bool
    bound: int | None
    grown: bool = False

    @classmethod
    def of(
        cls, samples: Samples, most: int, robust: Columns, *, grows: bool, bound: int | None, grown: bool = False
    ) -> Fitter:
        """The fitter with the screen of a robust law."""
        screen = Screen.of(samples.table, robust)
        return cls(samples, most, screen, ~screen.hides(samples.table), grows, bound, grown)

    def train(self, law: NoiseLaw) -> Table:
        """What a law is fitted to, of what is not held out."""
        samples = self.samples
        return samples.train if law.robust else samples.train.subset(self.near[~samples.held])

    def table(self, law: NoiseLaw) -> Table:
        """What a law is fitted to at last."""
        return self.samples.table if law.robust else self.samples.table.subset(self.near)

    def larger(self, law: NoiseLaw) -> Table:
        """What a law that grows is fitted to."""
        samples = self.samples
        if samples.are_all:
            return self.train(law)
        return samples.larger if law.robust else samples.larger.subset(~self.screen.hides(samples.larger))

    def predict(self, columns: Columns) -> Predicted:
        """What columns predict of the held-out entries, from the others of each row.

        A Gaussian law follows errors that come together, as those of an outage do, and predicts each of them by the
        others. It is judged by what it predicts of them from what a robust law takes for none.
        """
        train = self.train(columns.law)
        found = predicted(self.samples, columns, train)
        if columns.law.robust or not columns.loadings.any():
            return found
        flags, held = self._disputed
        if not held.any():
            return found
        apart = predicted(self.samples, columns, train.subset(~flags[self.near[~self.samples.held]]))
        return found._replace(judged=np.where(held, apart.missed, found.missed))

    @cached_property
    def _disputed(self) -> tuple[np.ndarray, np.ndarray]:
        """Masks of what a robust law takes for gross among the entries that are not held out, and those that are."""
        samples, robust = self.samples, self.screen.columns
        rows = regress(samples.train, robust)
        mean, variance = moments(rows, robust, samples.test)
        core = robust.law.variances[samples.test.cols]
        squares = (mean - samples.test.values) ** 2 * core / (core + variance)
        return rows.gross > 0.5, samples.test.weigh(robust.law, squares).gross > 0.5

    @cached_property
    def _turned(self) -> Turned:
        """The transpose."""
        return Turned(self.samples)

    def errors(self, table: Table, law: NoiseLaw) -> np.ndarray | None:
        """Mask of what the screen has for errors, which are left out of the covariance under a robust `law`."""
        return regress(table, self.screen.columns).gross > 0.5 if law.robust else None

    def _side(self, columns: Columns) -> Turned | _Upright | _Full:
        """The side of the matrix that columns were fitted to."""
        if isinstance(columns, FullColumns):
            return _Full(self)
        return self._turned if isinstance(columns, TurnedColumns) else _Upright(self)

    def fit(self, start: Callable[[Table], Factors | None] | None, robust: Tried) -> Members:
        """The members that are fitted at first, beside the robust law."""
        samples = self.samples
        fitted = dict(self._laws(start, robust)) if samples.tell_scales else {}
        if samples.have_few_rows:
            fitted[TURNED] = best_of(samples, all_of(samples, self._turned.fits(self.most, self.bound)))
        # a law for which most is an error knows no noise, and predicts what medians do
        fitted = {name: each for name, each in fitted.items() if each.columns.law.tells_errors}
        fitted["medians"] = self._tried(medians_of(samples.train, samples.train_medians))
        counts = samples.test.count(np.ones(len(samples.test.values)))
        columns = {name: each.columns for name, each in fitted.items()}
        return Members(columns, {name: each.predicted for name, each in fitted.items()}, counts, samples.telling)

    def _laws(self, start: Callable[[Table], Factors | None] | None, robust: Tried) -> Iterator[tuple[str, Tried]]:
        """Yield the noise laws by names, the robust one from another `start`, too.

        A Gaussian law that is grown tells what is exact; but for directions that a robust one has not, it is no other
        one, and nothing is exact in bent units.
        """
        train, k = self.samples.train, self.samples.told(self.most)
        near = train.subset(self.near[~self.samples.held])
        tried = []
        for columns in columns_of_law(near, k, self.bound, robust=False, only_grown=self.grown):
            tried.append(self._tried(columns))
            if columns.rank <= robust.columns.rank or self.samples.units.long is not None:
                break
        yield "normal", min(tried, key=lambda one: float(np.sum(self.samples.telling * np.abs(one.predicted.judged))))
        yield "robust", robust
        if self.bound is None and self.samples.columns.all() and can_be_full(self.samples.larger):
            yield FULL[0], self._tried(full_columns(near, tried[0].columns.law, robust.columns))
            law = robust.columns.law
            if robust.columns.loadings.any() and law.tells_errors:
                yield FULL[1], self._tried(full_columns(train, law, robust.columns, self.errors(train, law)))
        estimate = None if start is None else start(train)
        begin = None if estimate is None else columns_of(train, *estimate, k)
        if begin is not None:
            descended = with_leading(train, sweep_until_settled(train, begin), self.bound)
            yield "robust from descent", with_own_errors(self.samples, self._tried(descended))

    def _tried(self, columns: Columns) -> Tried:
        """Columns, and what they predict."""
        return Tried(columns, self.predict(columns))

    def with_grown(self, members: Members, n_threads: int) -> Members:
        """With the best of them fitted to more rows, or grown where it uses all directions that it was given."""
        best = members.columns[members.best]
        if not (self.grows and best.loadings.any()) or (self.samples.are_all and best.n_found < self.most):
            return members
        grown = self._side(best).grown(best, n_threads)
        if self.samples.are_all and grown.rank <= best.rank:
            return members
        predictions = {**members.predicted, GROWN: self.predict(grown)}
        return replace(members, columns={**members.columns, GROWN: grown}, predicted=predictions)

    def widened(self, samples: Samples, members: Members) -> tuple[Fitter, Members]:
        """The fitter and the members of all columns, from those of the chosen ones of a wide matrix."""

        def of_all(columns: Columns, fitter: Fitter) -> Columns:
            if not columns.loadings.any():
                return medians_of(samples.train, samples.train_medians)
            return fitter._side(columns).trained(columns, samples.columns)

        robust = of_all(self.screen.columns, replace(self, samples=samples))
        wide = Fitter.of(samples, self.most, robust, grows=self.grows, bound=self.bound)
        fitted = {
            name: robust if columns is self.screen.columns else of_all(columns, wide)
            for name, columns in members.columns.items()
        }
        predictions = {name: wide.predict(columns) for name, columns in fitted.items()}
        return wide, Members(fitted, predictions, members.counts, members.telling)

    def settle(self, columns: Columns) -> Columns:
        """Columns after a few sweeps over all entries, those that were held out among them."""
        if not columns.loadings.any():
            return medians_of(self.samples.table, np.zeros(len(columns.mean)))
        return self._side(columns).settled(columns, _LAST_SWEEPS)

    def with_joint(self, columns: Columns) -> Columns:
        """Columns with the joint covariance of their loadings."""
        return self._side(columns).with_joint(columns) if columns.loadings.any() else columns


def medians_of(table: Table, medians: np.ndarray) -> Columns:
    """The medians of columns alone, rank 0: what no average of models is to be worse than."""
    p, squares = len(medians), (table.values - medians[table.cols]) ** 2
    law = NoiseLaw.start(np.ones(p), True)
    for _ in range(_LAST_SWEEPS):
        law = table.learn(law, squares, table.weigh(law, squares))
    return Columns(np.zeros((p, 1)), np.zeros((p, 1)), medians, law)
