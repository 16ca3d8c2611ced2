"""Problems on which a fit once went wrong: how to draw them, with which estimator, what went wrong, what to expect.

`FITS` are judged by `tests/selection/test_found_problems.py`; `FUZZED`, recipes of `fuzzing`, as every fuzzed example.

A value of `expected` is one of
    error         bound on the error relative to the truth (Frobenius norm)
    largest_error bound on the largest error relative to the largest entry
    known_error   the same, of the factors in identifiable rows and columns
    known         rows and columns that have to be identifiable, at least so many
    rank          the rank of the fit
    scale         the noise scale, within 5 %
    outliers      bound on the share of the flags
    converged     whether the fit is to be trusted (default True; None: either)
    warning       pattern of the warning of a fit that is not
    identifiable  False: some rows or columns may be named as not identifiable
"""

from dataclasses import dataclass, field

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_robustlr import RobustLowRankRecovery, RobustMatrixCompletion, RobustPCA
from sklearn_robustlr.datasets import corrupt, make_corrupted_matrix, make_measurements


@dataclass(frozen=True)
class Found:
    """A problem that was found: `recipe` are arguments of the generator (or draws the data and the truth)."""

    id: str
    why: str
    expected: dict
    recipe: object
    model: BaseEstimator = field(default_factory=lambda: RobustMatrixCompletion(replace="all"))

    def draw(self):
        """The data, as arguments of `fit`, and the truth."""
        if callable(self.recipe):
            return self.recipe()
        if isinstance(self.model, RobustLowRankRecovery):
            problem = make_measurements(**self.recipe)
            return (problem.data, problem.target), problem.coef
        problem = make_corrupted_matrix(**self.recipe)
        return (problem.data,), problem.clean


FLAGGED = RobustMatrixCompletion()  # what is no outlier is left as it is
NOT_TRUSTED = {"converged": False, "warning": "did not converge"}


def columns_of_zeros():
    rng = np.random.RandomState(0)
    clean = rng.standard_normal((500, 4)) @ rng.standard_normal((4, 500))
    clean[:, rng.uniform(size=500) < 0.6] = 0.0
    return (corrupt(clean, 0.35, random_state=rng)[0],), clean


def picture_by_products():
    """A picture of rank 4, seen by 500 products of two vectors with it, of which a tenth are far off."""
    picture = np.zeros((20, 30))
    picture[2:18, 3:27] = 1.0
    picture[9:11, 3:27] = picture[2:18, 14:16] = 0.4
    picture[12:17, 18:25] = 0.0
    picture[4:7, 5:11] = 0.7
    rng = np.random.RandomState(2)
    left, right = rng.standard_normal((500, 20)), rng.standard_normal((500, 30))
    y = np.einsum("mi,ij,mj->m", left, picture, right)
    hit = rng.uniform(size=500) < 0.1
    y[hit] += 10 * y.std() * rng.standard_normal(hit.sum())
    return (np.hstack([left, right]), y), picture


def noise_of_three_sizes():
    rng = np.random.RandomState(0)
    truth = rng.standard_normal((90, 2)) @ rng.standard_normal((2, 80))
    size = np.where(np.arange(90) % 3 == 0, 1.0, np.where(np.arange(90) % 3 == 1, 0.3, 0.1))[:, None]
    return (truth + size * rng.standard_normal(truth.shape),), truth


FITS = [
    *(
        Found(id=f"huge-{seed}", expected={"error": 1e-6},
            why="the scan ended at a noisy fit of a wrong matrix: only the search for an exact one finds the truth",
            recipe={
                "shape": (60, 60), "rank": 2, "observed": 0.59, "outliers": 0.3, "condition": 3, "random_state": seed},
            model=FLAGGED,
        )
        for seed in (9002, 9005, 9007)
    ),
    *(
        Found(id=f"half-huge-{condition:.0f}-{rank}", expected={"error": 0.041, "rank": 2},
            why="half of the entries beside noise; least squares told the rank and the errors comes to 0.037 and 0.038",
            recipe={
                "shape": (120, 120), "rank": 2, "observed": 0.6, "outliers": 0.5, "noise": 0.1, "condition": condition,
                "random_state": seed},
            model=RobustMatrixCompletion(rank, replace="all"),
        )
        for condition, seed in ((1.0, 5), (10.0, 6))
        for rank in (None, 2)
    ),
    Found(id="half-huge-measurements", expected={"error": 0.04, "rank": 2},
        why="fits of too large a rank are stuck, a small one, which no scan came to, is not; the oracle comes to 0.037",
        recipe={
            "n_measurements": 16 * 76, "shape": (20, 20), "rank": 2, "ensemble": "rank_one", "outliers": 0.5,
            "noise": 0.1, "random_state": 6},
        model=RobustLowRankRecovery(measurements="rank_one", shape=(20, 20)),
    ),
    *(
        Found(id=f"stuck-{seed}", expected={"error": 1e-6},
            why="a stuck value in 42 % of the entries is itself an exact fit, of rank one: the majority must win",
            recipe={"shape": (150, 120), "rank": 3, "outliers": 0.42, "outlier_kind": "stuck", "random_state": seed},
        )
        for seed in range(3)
    ),
    Found(id="stuck-majority", expected={"error": 1e-9},
        why="a value in more than half of the entries, among others that never repeat",
        recipe={
            "shape": (50, 40), "rank": 1, "observed": 0.7, "outliers": 0.55, "outlier_kind": "stuck", "condition": 3.0,
            "random_state": 1},
    ),
    Found(id="one-sided-block", expected={"error": 1e-6, "rank": 5},
        why="with 29 % one-sided errors the fit of one rank too many is exact but for a block",
        recipe={
            "shape": (253, 243), "rank": 5, "observed": 0.58, "outliers": 0.3, "outlier_kind": "one-sided",
            "condition": 4, "random_state": 5057},
    ),
    Found(id="one-column", expected={"error": 0.1, "rank": 5},
        why="the fit of the right rank was stuck on a column, which a rank too many made a direction of its own",
        recipe={
            "shape": (291, 311), "rank": 5, "noise": 0.29, "condition": 4, "outliers": 0.3,
            "outlier_kind": "one-sided", "observed": 0.61, "random_state": 7033},
    ),
    Found(id="block-of-a-rank-too-many", expected={"error": 0.05, "rank": 5},
        why="the fit of a block was stuck on a few rows, and made them a direction of its own, which misled the whole",
        recipe={
            "shape": (383, 336), "rank": 5, "noise": 0.16, "condition": 4, "outliers": 0.27,
            "outlier_kind": "one-sided", "observed": 0.64, "random_state": 7037},
    ),
    Found(id="svd", expected={"converged": None},
        why="LAPACK's divide and conquer gave up on a finite 26 x 26 matrix of this fit",
        recipe={
            "shape": (60, 63), "rank": 2, "observed": 0.8494254787143889, "outliers": 0.13843817072927,
            "condition": 1.892603819633417, "random_state": 0},
        model=RobustMatrixCompletion(init_scale=0.1, max_iter=200_000),
    ),
    Found(id="columns-of-zeros", expected={"largest_error": 1e-9},
        why="any coefficients of a row meet them: three rows were wrong, in a fit that called itself exact",
        recipe=columns_of_zeros,
    ),
    *(
        Found(id=f"full-one-sided-{told['random_state']}", expected={"error": 1e-10},
            why="a third is wrong in one direction: the first fit had no gap in its residuals, all looked like noise",
            recipe={**told, "outlier_kind": "one-sided"},
            model=RobustPCA(),
        )
        for told in (
            {"shape": (169, 200), "rank": 6, "outliers": 0.327, "condition": 9.033667458185727, "random_state": 120127},
            {
                "shape": (145, 60), "rank": 3, "outliers": 0.3703403572770001, "condition": 4.67590497745536,
                "mean": 2.0, "random_state": 150205},
        )
    ),
    *(
        Found(id=f"heavy-tailed-{seed}",
            why="Cauchy errors in nearly half left no gap beside the noise, but fall where they like: they are weighed "
            "down; least squares told the errors comes to 0.018 to 0.020, least absolute deviations to 0.047",
            expected={"error": 0.023, "rank": 4, "scale": 0.05},
            recipe={
                "shape": (120, 100), "rank": 4, "outliers": 0.45, "outlier_kind": "cauchy", "noise": 0.05,
                "condition": 5.0, "random_state": seed},
        )
        for seed in (0, 2, 4)
    ),
    Found(id="noise-of-three-sizes",
        why="noise ten times larger in a third of the rows is heavy-tailed and has no gap, as photographs have: what a "
        "low-rank matrix cannot follow was taken for errors",
        expected={"outliers": 0.2},
        recipe=noise_of_three_sizes,
        model=RobustMatrixCompletion(rank=2, replace="all"),
    ),
    Found(id="weak-direction", expected={"error": 0.15, "rank": 4},
        why="no start led to a weak direction: it is found in what is left",
        recipe={
            "n_measurements": 2066, "shape": (35, 28), "rank": 4, "ensemble": "sign", "outliers": 0.205,
            "outlier_kind": "stuck", "condition": 6.218, "noise": 0.31, "random_state": 63028},
        model=RobustLowRankRecovery(shape=(35, 28)),
    ),
    *(
        Found(id=f"start-{init_scale:g}-{seed}", expected={"error": 0.1, "rank": rank},
            why="from this start a block of errors was a direction of its own, and the fit of the right rank was stuck",
            recipe={
                "shape": shape, "rank": rank, "observed": 0.83, "outliers": 0.18, "outlier_kind": kind,
                "condition": 2.4, "noise": 0.1, "random_state": seed},
            model=RobustMatrixCompletion(init_scale=init_scale, max_iter=200_000),
        )
        for init_scale in (1e-4, 1.0)
        for shape, rank, kind, seed in (
            ((53, 47), 1, "huge", 19014), ((44, 59), 2, "one-sided", 19045), ((46, 43), 2, "one-sided", 19033),
        )
    ),
    Found(id="rows-met-by-interpolation", expected={"known_error": 1e-7, "known": (91, 36), "identifiable": False},
        why="each of these rows met its one entry in a column, whatever that was: it counted four that it met",
        recipe={
            "shape": (144, 41), "rank": 1, "observed": 0.08252087343643998, "outliers": 0.10566475271014499,
            "outlier_kind": "cauchy", "condition": 9.74855190586541, "random_state": 64025, "sampling": "uneven"},
        model=FLAGGED,
    ),
    Found(id="rows-given-up-late", expected={"known_error": 1e-7, "known": (31, 31), "identifiable": False},
        why="two columns were met in rows that were given up after them",
        recipe={
            "shape": (66, 81), "rank": 1, "observed": 0.04916002266424659, "outliers": 0.1220810484852802,
            "outlier_kind": "same-size", "condition": 1.9438184259271751, "random_state": 180200, "sampling": "uneven",
        },
        model=FLAGGED,
    ),
    Found(id="column-of-wrong-signs", expected={"known_error": 1e-7, "known": (121, 91), "identifiable": False},
        why="a column has as many entries of the wrong sign, in rows that are known",
        recipe={
            "shape": (179, 98), "rank": 2, "observed": 0.09622694577427673, "outliers": 0.17643299825679526,
            "outlier_kind": "sign-flip", "condition": 3.156182093906178, "random_state": 190095, "sampling": "uneven"},
        model=FLAGGED,
    ),
    Found(id="one-sided-beside-a-useful-model", expected={"error": 1e-8, "rank": 4},
        why="an approximation was useful, so that no other start was made, although an exact fit could be had from it",
        recipe={
            "shape": (178, 67), "rank": 4, "observed": 0.6, "outliers": 0.3, "outlier_kind": "one-sided",
            "random_state": 50037},
    ),
    Found(id="parts", expected={"error": 0.15, "rank": 5},
        why="the right fit was warned of: in fits to nine tenths a descent was stuck, that from where it began was not",
        recipe={
            "shape": (55, 199), "rank": 5, "observed": 0.4293928803039989, "outliers": 0.07736019114952437,
            "outlier_kind": "huge", "condition": 3.7246884173207135, "noise": 0.19793564660720278,
            "random_state": 190068},
    ),
    Found(id="larger-rank", expected={"error": 0.08, "rank": 3},
        why="rank 4 left twenty times the noise of rank 3, and was taken for one that gains",
        recipe={
            "shape": (185, 50), "rank": 3, "observed": 0.6421555286697064, "outliers": 0.431660518994369,
            "outlier_kind": "one-sided", "condition": 5.503747327815631, "noise": 0.13345165679519616,
            "random_state": 190249},
    ),
    Found(id="few", expected={"error": 0.11, "rank": 8},
        why="2.9 inliers per degree of freedom at rank 8, of which the residuals of rank 7 speak as well",
        recipe={
            "shape": (187, 75), "rank": 8, "observed": 0.4773065170690614, "outliers": 0.10974212256926892,
            "outlier_kind": "same-size", "condition": 9.107770240593778, "noise": 0.12856550787136173,
            "random_state": 190118},
    ),
    Found(id="row-of-few-inliers", expected={"error": 0.13},
        why="one row met 20 entries and not its 45 inliers: it is regressed from what is likely",
        recipe={
            "shape": (145, 130), "rank": 6, "observed": 0.8992707768497593, "outliers": 0.5386728912872423,
            "condition": 9.796608197067426, "noise": 0.22876876889406483, "sampling": "uneven",
            "random_state": 190225, "outlier_kind": "one-sided"},
    ),
    Found(id="row-of-huge-coefficients", expected={"error": 0.04},
        why="a row met three entries by coefficients twenty times those of the others",
        recipe={
            "shape": (174, 67), "rank": 2, "observed": 0.24557303972737113, "outliers": 0.37006905640280263,
            "condition": 8.07782686503711, "noise": 0.038865317843980646, "random_state": 180109,
            "outlier_kind": "one-sided"},
    ),
    Found(id="stuck-column", expected={"known_error": 1e-9, "known": (101, 95)},
        why="a column that is stuck is regressed on the rows that are known",
        recipe={
            "shape": (101, 95), "rank": 3, "observed": 0.15081423885633066, "outliers": 0.2962090848593664,
            "outlier_kind": "stuck", "condition": 8.909235015886974, "random_state": 63046},
        model=FLAGGED,
    ),
    Found(id="fits-that-follow-the-errors", expected={"error": 1e-9, "rank": 1},
        why="only from the leading directions of fits that follow the errors is the right one found",
        recipe={
            "n_measurements": 130, "shape": (18, 11), "rank": 1, "outliers": 0.28682860666262044,
            "outlier_kind": "huge", "random_state": 600231},
        model=RobustLowRankRecovery(shape=(18, 11)),
    ),
    Found(id="scans-from-fits-that-follow-the-errors", expected={"error": 1e-9, "rank": 3},
        why="scans from fits that follow the errors came down to rank 1",
        recipe={
            "n_measurements": 315, "shape": (16, 8), "rank": 3, "outliers": 0.3975336252187537,
            "outlier_kind": "sign-flip", "random_state": 600075},
        model=RobustLowRankRecovery(shape=(16, 8)),
    ),
    Found(id="columns-of-the-minority", expected={"known_error": 1e-9, "known": (70, 70), "identifiable": False},
        why="three columns were stuck on the signs of the minority",
        recipe={
            "shape": (93, 115), "rank": 1, "outliers": 0.3629959620359996, "outlier_kind": "sign-flip",
            "condition": 3.822628094616956, "random_state": 64041},
        model=FLAGGED,
    ),
    Found(id="row-of-wrong-signs", expected={"known_error": 1e-9, "known": (64, 64), "identifiable": False},
        why="a row has more wrong signs than right ones: it is not identifiable",
        recipe={
            "shape": (148, 85), "rank": 1, "outliers": 0.3848731157278845, "outlier_kind": "sign-flip",
            "condition": 9.487913734244225, "random_state": 64203},
        model=FLAGGED,
    ),
    Found(id="rank-not-determined",
        why="the data ask for a rank that they do not determine, which was not said",
        expected={"converged": False, "warning": "too few to determine it", "identifiable": False},
        recipe={
            "shape": (182, 176), "rank": 3, "observed": 0.051449596199152126, "outliers": 0.2908049019471191,
            "outlier_kind": "cauchy", "condition": 9.317587941450961, "mean": 2.0, "random_state": 64235},
        model=FLAGGED,
    ),
    Found(id="step-up-and-down", expected={"largest_error": 1e-9, "rank": 4},
        why="a step up explained what was left, and was not walked down again",
        recipe={
            "shape": (84, 56), "rank": 4, "outliers": 0.2636277077146367, "outlier_kind": "one-sided",
            "condition": 9.671526684206492, "random_state": 90133},
    ),
    Found(id="small-targets", expected={"largest_error": 1e-9, "rank": 4},
        why="found from the smaller targets at rank five, an exact fit met errors; of all entries, the rank is four",
        recipe={
            "shape": (121, 134), "rank": 3, "observed": 0.5262, "outliers": 0.371, "outlier_kind": "one-sided",
            "condition": 6.879, "mean": 2.0, "random_state": 70165},
    ),
    Found(id="opposite", expected=NOT_TRUSTED,
        why="with 54 % of the signs turned the fit is that of the opposite matrix, and exact: it was trusted",
        recipe={
            "n_measurements": 674, "shape": (15, 16), "rank": 2, "ensemble": "rank_one", "outliers": 0.545,
            "outlier_kind": "sign-flip", "condition": 5.0, "random_state": 110103},
        model=RobustLowRankRecovery(measurements="rank_one", shape=(15, 16)),
    ),
    Found(id="rank-that-gains", expected=NOT_TRUSTED,
        why="the weaker directions of a matrix of which little is seen were passed over: they are no noise",
        recipe={
            "shape": (101, 125), "rank": 4, "observed": 0.106, "outliers": 0.257, "outlier_kind": "same-size",
            "condition": 8.0, "mean": 2.0, "random_state": 70040},
        model=FLAGGED,
    ),
    Found(id="near-its-opposite", expected={"known": (119, 100)},
        why="a stuck value, much of which lay within the threshold of the opposite of the truth: the noise is large",
        recipe={
            "shape": (119, 100), "rank": 2, "observed": 0.39104, "outliers": 0.3233, "outlier_kind": "stuck",
            "condition": 4.5469, "noise": 0.3938, "random_state": 141094},
        model=FLAGGED,
    ),
    Found(id="larger-rank-is-stuck", expected={"error": 1e-6, "rank": 4},
        why="over half are Cauchy errors: fits of 6 to 13 directions leave far more than those of 3 and 4, which hid",
        recipe={
            "n_measurements": 1232, "shape": (31, 24), "rank": 4, "ensemble": "rank_one",
            "outliers": 0.540339231464513, "outlier_kind": "cauchy", "condition": 9.83697002842913,
            "random_state": 141167},
        model=RobustLowRankRecovery(measurements="rank_one", shape=(31, 24)),
    ),
    Found(id="moves-beside-a-gap", expected=NOT_TRUSTED,
        why="7.5 measurements per degree of freedom seem to be inliers, the gap is 3.7, the error four times the least",
        recipe={
            "n_measurements": 1503, "shape": (13, 34), "rank": 4, "outliers": 0.4536135785514847,
            "outlier_kind": "same-size", "condition": 5.786183439975679, "noise": 0.20285143842025583,
            "random_state": 200222},
        model=RobustLowRankRecovery(shape=(13, 34)),
    ),
    Found(id="noise-hides-all", expected={"converged": False, "warning": "about as large as the data"},
        why="with 56 % one-sided errors and a mean, one direction and noise of 0.77 explain all, and nothing is right",
        recipe={
            "shape": (166, 119), "rank": 7, "outliers": 0.5632194423969583, "outlier_kind": "one-sided",
            "condition": 2.889091712627205, "noise": 0.3567443230017802, "mean": 2.0, "random_state": 210115},
        model=RobustPCA(),
    ),
    Found(id="same-size-in-half", expected={"converged": None},
        why="what a fit that is stuck leaves falls away as smoothly as heavy-tailed errors: no rank is to be trusted",
        recipe={
            "shape": (71, 100), "rank": 7, "observed": 0.8104654186230518, "outliers": 0.4525544078827234,
            "outlier_kind": "same-size", "condition": 4.883538856796564, "noise": 0.05680502083364132,
            "random_state": 150026},
        model=FLAGGED,
    ),
    Found(id="starts-until-one-passes", expected=NOT_TRUSTED,
        why="fits from many starts leave the same noise, and one of them had parts that agree by chance",
        recipe={
            "shape": (103, 57), "rank": 4, "observed": 0.17783784092202237, "outliers": 0.1715218209755319,
            "outlier_kind": "same-size", "condition": 2.2617172995800496, "mean": 2.0, "random_state": 150200},
        model=FLAGGED,
    ),
    Found(id="weak-beside-noise", expected={"error": 0.32, "converged": None, "warning": "the noise is about as large"},
        why="five inliers per degree of freedom, large noise; least squares told rank and errors comes to 0.33",
        recipe={
            "shape": (168, 55), "rank": 6, "observed": 0.6309132229844372, "outliers": 0.044953109129217225,
            "outlier_kind": "stuck", "condition": 6.172359771452349, "noise": 0.3949405768354853, "leverage": "heavy",
            "random_state": 141220},
    ),
    Found(id="lost-after-the-first-gap", expected={"error": 0.02, "rank": 3},
        why="the rank of the first gap left noise alone; the whole run ended without a gap: the model took its place",
        recipe={
            "shape": (68, 28), "rank": 3, "observed": 0.616115738020153, "outliers": 0.2, "outlier_kind": "stuck",
            "condition": 3.0, "noise": 0.02, "random_state": 910165},
    ),
    Found(id="column-without-noise", expected={"converged": None},
        why="the model met a column to 5e-6 of its size, and an inverse beside such precisions had lost its sign",
        recipe={
            "shape": (14, 24), "rank": 2, "observed": 0.8209477304419568, "outliers": 0.1615464247781062,
            "outlier_kind": "one-sided", "random_state": 662180},
    ),
    Found(id="few-entries-grown", expected={"error": 0.05},
        why="a model that began with twenty directions met all entries, errors too; it now grows from one",
        recipe={
            "shape": (48, 29), "rank": 4, "observed": 0.7969136025553805, "outliers": 0.25056048259832303,
            "noise": 0.02, "random_state": 660260},
    ),
    Found(id="few-entries-exact", expected={"error": 1e-9, "rank": 3},
        why="three inliers per degree of freedom beside a fifth of huge errors: they drown the tiny start, and the "
        "model was no start for others",
        recipe={"shape": (120, 80), "rank": 3, "observed": 0.22, "outliers": 0.2, "random_state": 0},
    ),
    Found(id="few-entries-noisy", expected={"error": 0.09, "rank": 3},
        why="the same with noise",
        recipe={"shape": (120, 80), "rank": 3, "observed": 0.22, "outliers": 0.2, "noise": 0.1, "random_state": 0},
    ),
    Found(id="stuck-rows-of-few", expected={"error": 0.15, "rank": 1, "identifiable": False},
        why="rows and columns of a noisy fit met some of their entries by chance, and took the others for errors",
        recipe={
            "shape": (53, 39), "rank": 1, "observed": 0.44025157232704404, "outliers": 0.4, "condition": 8.0,
            "outlier_kind": "same-size", "noise": 0.05, "random_state": 660026},
    ),
    Found(id="right-beside-medians", expected={"error": 0.08},
        why="medians took the place of a right fit that was not sure of its rank: they had seen the entries that were "
        "held out, and one estimate was far beyond the range of its column; what the transpose tells is sure, "
        "with 0.065 instead of the 0.019 of that fit",
        recipe={
            "shape": (16, 24), "rank": 2, "observed": 0.43870152784730243, "outliers": 0.0, "noise": 0.02,
            "random_state": 910135},
    ),
    Found(id="first-gap-before-others", expected={"error": 1e-9, "rank": 4},
        why="a fit of rank 2 at the first gap was believed before the starts that lead to an exact one were made",
        recipe=picture_by_products,
        model=RobustLowRankRecovery(measurements="rank_one", shape=(20, 30)),
    ),
]  # fmt: skip

# Recipes of `fuzzing.make_matrix`, over those of a plain one.
PLAIN = {
    "easy": False, "seed": 0, "rank": 3, "errors": "absurd", "share": 0.5, "noise": 0.0, "blank": "none",
    "missing": "half", "factor": 1e295, "dtype": "f8", "layout": "C", "storage": "dense",
}  # fmt: skip
PLAIN_MEASURED = {
    "easy": False, "design": "normal", "errors": "none", "share": 0.1, "noise": 0.0, "factor": 1.0, "units": 1.0,
    "dtype": "f8", "layout": "C",
}  # fmt: skip
A_FIT = {"outcome": "fit"}  # or a refusal of data beyond the largest number

FUZZED = [
    Found("values", "singular values were beyond all numbers", A_FIT, {**PLAIN, "shape": (14, 14)}, FLAGGED),
    Found("ratio", "the square of a ratio was, in the score", A_FIT, {**PLAIN, "shape": (14, 6)}, FLAGGED),
    Found(
        "residual", "the square of a residual was", A_FIT,
        {
            **PLAIN, "shape": (5, 4), "rank": 0, "errors": "row", "share": 0.1, "noise": 0.2, "blank": "column",
            "missing": "none", "factor": 1.0},
        RobustPCA(),
    ),
    Found(
        "row-without-inliers", "no inlier was seen of a row: the way of least squares had no end", A_FIT,
        {
            **PLAIN, "shape": (9, 8), "rank": 1, "errors": "block", "share": 0.1, "noise": 0.2, "missing": "row",
            "factor": 1e250, "dtype": "f4"},
        FLAGGED,
    ),
    Found(
        "rounded", "coefficients were told from what was rounded", A_FIT,
        {
            **PLAIN, "shape": (9, 8), "rank": 0, "errors": "block", "share": 0.1, "noise": 0.2, "missing": "column",
            "blank": "column", "factor": 1e250, "dtype": "f4", "seed": 8},
        RobustMatrixCompletion(rank=2, init_scale=0.01),
    ),
    Found(
        "two-sizes", "the smaller half of the entries were 1e-220 of the others", A_FIT,
        {**PLAIN, "shape": (3, 2), "rank": 1, "share": 0.1, "missing": "none", "factor": 1e250},
        RobustMatrixCompletion(step_size="geometric", max_iter=1),
    ),
    Found(
        "loss", "the loss, of errors near the largest number, was more than that", A_FIT,
        {**PLAIN, "shape": (12, 14), "share": 0.1, "blank": "most", "missing": "none"},
        FLAGGED,
    ),
    Found(
        "ratio-of-rows", "the ratio of two rows was more than a single-precision number", A_FIT,
        {**PLAIN, "shape": (2, 9), "rank": 1, "blank": "row", "missing": "none", "factor": 1e8, "dtype": "f4"},
        RobustPCA(),
    ),
    Found(
        "symmetric", "symmetric factors, whose product is not negative, vanished on the way", A_FIT,
        {**PLAIN_MEASURED, "seed": 2, "kind": "matrix", "shape": (6, 6), "rank": 1, "many": 0.0},
        RobustLowRankRecovery(rank=2, n_init=2, symmetric=True),
    ),
    Found(
        "none-held-out", "so few that none was held out to be told from the others", A_FIT,
        {**PLAIN_MEASURED, "seed": 0, "kind": "entries", "shape": (4, 4), "rank": 3, "many": 0.40625},
        RobustLowRankRecovery(symmetric=True),
    ),
    Found(
        "diverges", "factors overflowed on the way of a run that diverges", A_FIT,
        {
            **PLAIN_MEASURED, "seed": 2, "kind": "sparse", "shape": (2, 2), "rank": 1, "many": 0.3125,
            "errors": "absurd", "share": 0.5, "dtype": "f4"},
        RobustLowRankRecovery(init_scale=1e-15, step_size="geometric", symmetric=False),
    ),
]  # fmt: skip
