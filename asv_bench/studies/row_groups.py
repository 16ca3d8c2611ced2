"""Study of tables whose rows, or columns, come in groups that are unlike: nights, outages, rare rows, copies.

    python asv_bench/studies/row_groups.py --count 20
    python asv_bench/studies/row_groups.py --count 20 --json one.json   # then with another version, --against one.json

nights: hourly yields of solar plants, zero at night, with noise of a tenth of the value; in every other table 2 % of
those of days are zero, too. outages: days and their 24 hours, on a twentieth of the days four to six hours are zero.
rare: groups of rows, each with a profile of its own, the smallest 3 to 8 % of them, with noise. instruments: a rank of
three, a part of the rows with four to eight times the noise of the others. copies: columns of a rank with noise, each
there twice, in units of their own in every other table. few: matrices of a rank with noise, 2 to 4 entries seen for
each degree of freedom. objects: pixels and frames of a video, an object moves slowly before a scene of changing light.
videos: frames and pixels, one to three objects before a scene whose light changes in two ways, with little noise.
units: vital signs, 1, 4 or 10 % of the rows in units of 10, 100 or 1000 times those of the others.

10 % of the entries are hidden and judged (of outages, objects and videos those that are wrong; of few all that are not
seen), days alone where there are nights, and the other rows where some are in another unit. Errors are in standard
deviations of the columns: root mean squares of ours, beside the best of medians, five neighbours and iterative
imputation, chosen with hindsight. The cover is that of 90 % intervals, flagged the share of the entries that are not
wrong.
"""

import time

import numpy as np
from harness import compare_tables, mean_of, quiet
from tables import PEERS

from sklearn_robustlr import RobustMatrixCompletion

FIRST_TEST_SEED = 15000


def hidden_at_random(rng, truth):
    return rng.uniform(size=truth.shape) < 0.1


def nights(rng, seed):
    n, p = int(rng.choice([500, 1000])), int(rng.choice([10, 20, 40]))
    sun = np.clip(np.sin(2 * np.pi * np.arange(n) / 24 + rng.uniform(-0.2, 0.2, n)), 0, None) ** 1.3
    cloud = rng.uniform(0.2, 1, (n, 3)) @ rng.dirichlet([1.5] * 3, p).T
    truth = sun[:, None] * cloud * np.exp(rng.standard_normal(p)) * (1 + 0.1 * rng.standard_normal((n, p)))
    day = np.repeat(sun[:, None] > 0, p, axis=1)
    wrong = (rng.uniform(size=truth.shape) < 0.02 * (seed % 2)) & day
    hidden = hidden_at_random(rng, truth)
    return truth, np.where(wrong, 0.0, truth), hidden, hidden & day & ~wrong, ~wrong & day


def outages(rng, seed):
    n, hours, length = int(rng.choice([365, 730])), np.arange(24), int(rng.choice([4, 5, 6]))
    day = 40 + 15 * np.exp(-((hours - 9) ** 2) / 8) + 22 * np.exp(-((hours - 19) ** 2) / 6)
    season = 1 + 0.25 * np.cos(2 * np.pi * np.arange(n) / 365) + 0.03 * rng.standard_normal(n)
    heat = np.outer(rng.gamma(2, 2, n), 1 + 0.5 * np.cos(2 * np.pi * (hours - 6) / 24))
    truth = np.outer(season, day) + heat + 0.25 * np.cumsum(rng.standard_normal((n, 24)), axis=1)
    wrong = np.zeros(truth.shape, dtype=bool)
    for i in rng.choice(n, n // 20, replace=False):
        first = rng.randint(25 - length)
        wrong[i, first : first + length] = True
    return truth, np.where(wrong, 0.0, truth), np.zeros_like(wrong), wrong, ~wrong


def rare(rng, seed):
    n, p, k = (int(rng.choice(these)) for these in ([150, 300, 600], [30, 60, 120], [3, 4, 5]))
    group = np.where(np.arange(n) < rng.uniform(0.03, 0.08) * n, k - 1, rng.randint(k - 1, size=n))
    truth = 2 * rng.standard_normal((k, p))[group] + rng.choice([0.1, 0.2, 0.4]) * rng.standard_normal((n, p))
    hidden = hidden_at_random(rng, truth)
    return truth, truth, hidden, hidden & (group == k - 1)[:, None], np.ones_like(hidden)


def instruments(rng, seed):
    n, p = int(rng.choice([120, 300])), int(rng.choice([30, 60]))
    loud = rng.uniform(size=(n, 1)) < rng.uniform(0.1, 0.5)
    noise = np.where(loud, rng.uniform(4, 8), 1.0) * 0.1 * rng.standard_normal((n, p))
    truth = rng.standard_normal((n, 3)) @ rng.standard_normal((3, p)) + noise
    hidden = hidden_at_random(rng, truth)
    return truth, truth, hidden, hidden, np.ones_like(hidden)


def copies(rng, seed):
    n, p = int(rng.choice([100, 200])), int(rng.choice([12, 20]))
    once = rng.standard_normal((n, 3)) @ rng.standard_normal((3, p)) + 0.2 * rng.standard_normal((n, p))
    truth = np.hstack([once, once * np.exp(rng.standard_normal(p) * (seed % 2)) + 30 * (seed % 2)])
    hidden = hidden_at_random(rng, truth)
    return truth, truth, hidden, hidden, np.ones_like(hidden)


def few(rng, seed):
    shape, k = tuple(rng.randint(60, 150, 2)), rng.randint(1, 5)
    truth = rng.standard_normal((shape[0], k)) @ rng.standard_normal((k, shape[1]))
    truth += 0.2 * truth.std() * rng.standard_normal(shape)
    hidden = rng.uniform(size=shape) > rng.uniform(2, 4) * k * (sum(shape) - k) / np.prod(shape)
    return truth, truth, hidden, hidden, np.ones_like(hidden)


def objects(rng, seed):
    frames, down, across = np.arange(80), np.arange(24)[:, None], np.arange(32)
    scene = 100 + 40 * np.sin(across / 5 + rng.uniform(0, 6)) + 30 * np.cos(down / 4 + rng.uniform(0, 6))
    truth = np.outer(scene, 1 + 0.1 * np.cos(frames / 10)) + rng.choice([2, 4]) * rng.standard_normal((768, 80))
    top, left = 8 + (3 * np.sin(frames / 6)).astype(int), 26 * frames // 80
    within = (abs(2 * (down - top[:, None, None]) - 7) < 8) & (abs(2 * (across - left[:, None, None]) - 5) < 6)
    wrong = within.reshape(80, -1).T
    return truth, np.where(wrong, 220 + 3 * rng.standard_normal((768, 80)), truth), np.zeros_like(wrong), wrong, ~wrong


def videos(rng, seed):
    (down, across), t, n_objects = np.mgrid[:24, :32], np.arange(120), 1 + seed % 3
    scene = 1 + 0.4 * np.sin(across / 5 + rng.uniform(0, 6)) * np.cos(down / 4 + rng.uniform(0, 6))
    light = 1 + 0.2 * np.sin(t / 24) + 0.02 * rng.standard_normal(120)
    truth = light[:, None, None] * scene + 0.15 * np.cos(t / 19)[:, None, None] * (across / 32 * scene)
    data, wrong = truth + 0.01 * rng.standard_normal(truth.shape), np.zeros(truth.shape, dtype=bool)
    for _ in range(n_objects):
        top, speed, first, level = rng.uniform(4, 18), rng.uniform(0.3, 1.2), rng.uniform(0, 32), rng.choice([0.0, 1.8])
        place = (first + speed * t) % 40 - 4
        within = (abs(across - place[:, None, None]) < 2.5) & (abs(down - top) < 3)
        data, wrong = np.where(within, level, data), wrong | within
    wrong &= abs(data - truth) > 0.1
    truth, data, wrong = (part.reshape(120, -1) for part in (truth, data, wrong))
    return truth, data, np.zeros_like(wrong), wrong, ~wrong


def units(rng, seed):
    level, size = np.array([37, 75, 125, 80, 72, 170, 25, 5.5, 5, 40]), np.array([0.4, 13, 18, 10, 11, 10, 3, 1, 1, 14])
    factors = 0.8 * rng.standard_normal((500, 3)) @ rng.standard_normal((3, 10)) + 0.5 * rng.standard_normal((500, 10))
    truth, wrong = level + size * factors, rng.uniform(size=(500, 1)) < [0.01, 0.04, 0.1][seed % 3]
    hidden = hidden_at_random(rng, truth)
    data, right = np.where(wrong, 10.0 ** rng.randint(1, 4) * truth, truth), np.repeat(~wrong, 10, axis=1)
    return truth, data, hidden, hidden & right, right


ROWS = {row.__name__: row for row in (nights, outages, rare, instruments, copies, few, objects, videos, units)}


def run(row, seed):
    rng = np.random.RandomState(seed)
    truth, data, hidden, judged, right = ROWS[row](rng, seed)
    kept = ~hidden.all(axis=0)
    truth, data, hidden, judged, right = (part[:, kept] for part in (truth, data, hidden, judged, right))
    data, unit = np.where(hidden, np.nan, data), truth.std(axis=0)

    def error(filled):
        return float(np.sqrt(np.mean(np.clip((filled - truth) / unit, -100.0, 100.0)[judged] ** 2)))

    with quiet():
        began = time.perf_counter()
        model = RobustMatrixCompletion(replace="outliers", keep_empty_features=True).fit(data)
        seconds = time.perf_counter() - began
        low, high = model.predict_interval(data, coverage=0.9)
        peers = [error(np.where(judged, PEERS[name](data), data)) for name in ("median", "neighbours", "iterative")]
    own, rounding = error(model.transform(data)), 1e-6 * unit
    return {
        "seed": seed,
        "error": own,
        "best": own / max(min(peers), 1e-3),
        "medians": own / max(peers[0], 1e-3),
        "cover": float(((low - rounding <= truth) & (truth <= high + rounding))[judged].mean()),
        "flagged": float(model.outliers_[right & ~hidden].mean()),
        "seconds": seconds,
        "verdict": model.stop_reason_,
        "converged": bool(model.converged_),
    }


def cells(results):
    return {
        "tables": len(results),
        "error": f"{mean_of(results, 'error'):.3f}",
        "over best": f"{mean_of(results, 'best'):.2f}",
        "worst over medians": f"{max(r['medians'] for r in results):.2f}",
        "cover": f"{np.mean([r['cover'] for r in results]):.3f}",
        "flagged": f"{np.mean([r['flagged'] for r in results]):.2%}",
        "most flagged": f"{max(r['flagged'] for r in results):.1%}",
        "exact": sum(r["verdict"] == "exact" for r in results),
        "converged": sum(r["converged"] for r in results),
        "seconds, mean": f"{np.mean([r['seconds'] for r in results]):.1f}",
    }


if __name__ == "__main__":
    compare_tables(__doc__, ROWS, run, cells, first_seed=FIRST_TEST_SEED)
