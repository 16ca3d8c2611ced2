"""Hyper-parameters chosen on some seeds and reported on others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from .._estimators.validation import check_integer, check_real


@dataclass(frozen=True, eq=False)
class TuningReport:
    """The choice of :func:`tune_and_report` and all scores.

    The report scores, on seeds that the choice was not made on, are the figures to publish.

    Parameters
    ----------
    best_params_ : dict
        Candidate with the highest mean tuning score, the first of equals.
    candidates_ : list of dict
        All candidates that were tried.
    tuning_seeds_ : list of int
        Seeds that the choice was made on.
    tuning_scores_ : ndarray of shape (n_candidates, n_tuning_seeds)
        Scores of all candidates on the tuning seeds.
    report_seeds_ : list of int
        Seeds that the choice was not made on.
    report_scores_ : ndarray of shape (n_report_seeds,)
        Scores of `best_params_` on the report seeds.

    Attributes
    ----------
    quartiles_ : ndarray of shape (3,)
        Lower quartile, median and upper quartile of the report scores.

    See Also
    --------
    tune_and_report : Makes the report.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_robustlr.model_selection import TuningReport
    >>> scores = np.array([0.5, 0.7, 0.6, 0.8])
    >>> report = TuningReport({}, [{}], [0], np.zeros((1, 1)), [1, 2, 3, 4], scores)
    >>> report.quartiles_
    array([0.575, 0.65 , 0.725])
    """

    best_params_: dict[str, Any]
    candidates_: list[dict[str, Any]]
    tuning_seeds_: list[int]
    tuning_scores_: np.ndarray
    report_seeds_: list[int]
    report_scores_: np.ndarray

    @property
    def quartiles_(self):
        """Lower quartile, median and upper quartile of the report scores."""
        return np.percentile(self.report_scores_, [25, 50, 75])

    def interval(self, *, level=0.95, n_resamples=10000, random_state=0):
        """Compute a bootstrap interval of the mean report score, over seeds.

        Parameters
        ----------
        level : float, default=0.95
            Nominal coverage of the interval, above 0 and below 1.
        n_resamples : int, default=10000
            Number of resamples.
        random_state : int, RandomState instance or None, default=0
            Seed of the resamples.

        Returns
        -------
        low, high : float
            Ends of the percentile interval.

        Raises
        ------
        ValueError, TypeError
            If a parameter is not as described.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_robustlr.model_selection import TuningReport
        >>> scores = np.array([0.5, 0.7, 0.6, 0.8])
        >>> report = TuningReport({}, [{}], [0], np.zeros((1, 1)), [1, 2, 3, 4], scores)
        >>> low, high = report.interval()
        >>> round(low, 2), round(high, 2)
        (0.55, 0.75)
        """
        level = check_real("level", level, low_open=True)
        if level >= 1:
            raise ValueError(f"level must be less than 1, got {level!r}.")
        check_integer("n_resamples", n_resamples, 1)
        n = len(self.report_scores_)
        draws = check_random_state(random_state).randint(n, size=(n_resamples, n))
        tails = [(1 - level) / 2, (1 + level) / 2]
        low, high = np.quantile(self.report_scores_[draws].mean(axis=1), tails)
        return float(low), float(high)


def _check_seeds(name, seeds):
    if not isinstance(seeds, Iterable) or isinstance(seeds, str):
        raise TypeError(f"{name} must be an iterable of integers, such as range(5), got {seeds!r}.")
    seeds = [check_integer(f"each of {name}", seed, 0) for seed in seeds]
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"{name} must hold one seed at least, and none twice, got {seeds}.")
    return seeds


def _fit_and_score(estimator, params, make_problem, score, seed):
    """Score of one candidate on the problem of one seed."""
    problem = make_problem(seed)
    if not isinstance(problem, Mapping) or "data" not in problem:
        raise ValueError(
            f"make_problem must return a dict or Bunch with data, got {type(problem).__name__} for seed {seed}."
        )
    model = clone(estimator).set_params(**{name: clone(value, safe=False) for name, value in params.items()})
    drawn = [name for name in model.get_params() if name.split("__")[-1] == "random_state"]
    model.set_params(**dict.fromkeys(drawn, seed))
    value = float(score(model.fit(problem["data"], problem.get("target")), problem))
    if not np.isfinite(value):
        raise ValueError(f"score returned {value} for {params} on seed {seed}; it must be finite.")
    return value


def tune_and_report(estimator, param_grid, make_problem, *, score, tuning_seeds, report_seeds, n_jobs=None):
    """Choose hyper-parameters on some seeds and report on others, never on the same.

    The score on the seeds that a choice was made on is too good, because it has been maximised. This function follows
    the protocol of Eimer, Lindauer and Raileanu [1]_, which was made for reinforcement learning and holds here too. The
    seeds are set apart before anything is run. Every candidate runs on every tuning seed, the one with the best mean
    score is chosen, and only that one runs on the report seeds. Report its scores there, with both sets of seeds and
    the grid.

    Parameters
    ----------
    estimator : estimator object
        Estimator, cloned for each fit. Each of its parameters called ``random_state``, nested ones too, is set to the
        seed.
    param_grid : dict, list of dict, or another iterable
        Candidates. A dict or a list of dicts is a grid as in :class:`sklearn.model_selection.GridSearchCV`; another
        iterable, such as a :class:`sklearn.model_selection.ParameterSampler`, yields the candidates themselves.
    make_problem : callable
        Function that makes the problem of a seed: ``make_problem(seed)`` returns a dict or
        :class:`sklearn.utils.Bunch` with `data`, perhaps `target`, and whatever `score` needs, such as the truth or a
        test set.
    score : callable
        Function that scores a model fitted to `data` and `target`: ``score(model, problem)`` returns a number, and
        higher is better.
    tuning_seeds : iterable of int
        Seeds to choose on.
    report_seeds : iterable of int
        Seeds to report on.
    n_jobs : int or None, default=None
        Number of fits that run at the same time, as in scikit-learn. The result does not depend on it.

    Returns
    -------
    report : TuningReport
        The choice and all scores, with quartiles and a bootstrap interval of the report scores.

    Raises
    ------
    ValueError
        If a seed is in both sets, is negative, or occurs twice; if there is no seed or no candidate; if a problem has
        no `data`; or if a score is not finite.
    TypeError
        If a seed is not an integer, `param_grid` no iterable, or `make_problem` or `score` no function.

    See Also
    --------
    TuningReport : The result.
    EntryKFold : Folds of the entries of a single matrix.

    References
    ----------
    .. [1] T. Eimer, M. Lindauer and R. Raileanu, "Hyperparameters in reinforcement learning and how to tune them",
       International Conference on Machine Learning, 2023.

    Examples
    --------
    >>> from sklearn_robustlr import RobustLowRankRecovery
    >>> from sklearn_robustlr.datasets import make_measurements
    >>> from sklearn_robustlr.metrics import relative_recovery_error
    >>> from sklearn_robustlr.model_selection import tune_and_report
    >>> def make_problem(seed):
    ...     return make_measurements(shape=(12, 10), rank=1, outliers=0.2, random_state=seed)
    >>> report = tune_and_report(
    ...     RobustLowRankRecovery(shape=(12, 10)),
    ...     {"rank": [1, 2, None]},
    ...     make_problem,
    ...     score=lambda model, problem: float(relative_recovery_error(problem.coef, model.matrix_) < 1e-6),
    ...     tuning_seeds=range(3),
    ...     report_seeds=range(100, 105),
    ... )
    >>> report.tuning_scores_.shape, report.quartiles_.tolist(), report.interval()
    ((3, 3), [1.0, 1.0, 1.0], (1.0, 1.0))
    """
    tuning_seeds, report_seeds = _check_seeds("tuning_seeds", tuning_seeds), _check_seeds("report_seeds", report_seeds)
    both = sorted(set(tuning_seeds) & set(report_seeds))
    if both:
        raise ValueError(f"report_seeds must not have been tuned on, but these are in tuning_seeds too: {both}.")
    for name, function in (("make_problem", make_problem), ("score", score)):
        if not callable(function):
            raise TypeError(f"{name} must be a function, got {function!r}.")
    if not isinstance(param_grid, Iterable) or isinstance(param_grid, str):
        raise TypeError(f"param_grid must be a dict, a list of dicts or another iterable, got {param_grid!r}.")
    candidates = list(ParameterGrid(param_grid) if isinstance(param_grid, Mapping | list) else param_grid)
    if not candidates:
        raise ValueError("param_grid holds no candidate.")
    with Parallel(n_jobs=n_jobs) as parallel:

        def run(jobs):
            return parallel(delayed(_fit_and_score)(estimator, p, make_problem, score, seed) for p, seed in jobs)

        scores = run((params, seed) for params in candidates for seed in tuning_seeds)
        tuning_scores = np.array(scores).reshape(len(candidates), -1)
        best = candidates[int(np.argmax(tuning_scores.mean(axis=1)))]
        report_scores = np.array(run((best, seed) for seed in report_seeds))
    return TuningReport(best, candidates, tuning_seeds, tuning_scores, report_seeds, report_scores)
