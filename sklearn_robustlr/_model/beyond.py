"""What of a matrix no direction of a fit captures, because it is less than the noise."""

from __future__ import annotations

import numpy as np

# Power of a direction, in units of the most that one of noise has, up to which a fit may lack it, and from which it
# would have it. If the spectrum goes on falling as it does, the next direction has 18 and more in matrices of a sharp
# rank, and in those whose singular values fall as j^-1.5 at most 1.5, 4 to 7 where one alone is found: with nothing
# between (3 alone) 90 % standard errors of these hold 0.44 to 0.74 of the truth, 0.78 to 0.92 so
# (``python asv_bench/studies/uncertainty.py --row grid``).
_LACKED, _SEEN = 3.0, 10.0
# Exponent by which powers fall if nothing is known of it, as where singular values fall as 1 / j, and the logarithm of
# the range of directions that tell as much. Without it, measurements of which two directions are found have less.
_USUAL_FALL, _ITS_RANGE = 2.0, 0.2
# Most that is beyond a fit, in units of its errors. With 1 to 3 errors of the spectra of ``--row spectra`` are
# 1.13 to 1.03 (1 / j) and 0.90 to 0.83 (exponential) times what standard errors say.
_MOST = 1.5


def edge_power(size: float, n: float, p: float) -> float:
    """Most power that a direction of noise of variance one has by chance, in `size` entries of an n x p matrix."""
    return float((np.sqrt(n) + np.sqrt(p)) ** 2 / size)


def share_beyond(power: np.ndarray, edge: float, error: float) -> float:
    """Share of the noise variance that may be a part of the matrix: the directions after those of a fit.

    `power` is the mean variance of the entries of each direction, `error` that of the errors of the fit, and `edge`
    that of a direction of noise, all in units of the noise variance. Those of less power than the edge are hardly told
    from noise. After the others, the power goes on falling as it does in the second half of them, as j^-g. Nothing is
    beyond the fit if the next direction would be seen. Where the best rank balances the errors of the fit and what it
    leaves out, the latter is 1 / (g - 1) of the former: it is taken to be at most :data:`_MOST` times as much, or as
    much as a direction of noise or the next one.
    """
    power = np.sort(power[power > 0.0])[::-1]
    if not len(power):
        return min(max(error, edge), 1.0)
    k = max(int(np.count_nonzero(power >= edge)), 1)
    half = max(k // 2, 1)
    fallen, over = np.log(power[half - 1] / power[k - 1]), np.log(k / half)
    fall = float(fallen + _ITS_RANGE * _USUAL_FALL) / (over + _ITS_RANGE)
    # as unsure as the fall, the next direction is
    unsure = np.log((k + 1.0) / k) / np.log(2.0) / np.sqrt(1.0 + over / _ITS_RANGE)
    log_following = np.log(power[k - 1]) - fall * np.log((k + 1.0) / k)
    log_seen = np.log(_SEEN / _LACKED) * unsure
    is_lacked = np.interp(log_following - np.log(edge * _LACKED), [0.0, log_seen], [1.0, 0.0])
    following, rest = float(np.exp(log_following)), np.inf
    if fall > 1.0:  # and the sum of all after the next one, by an integral
        rest = following + power[k - 1] * (k / (k + 1.5)) ** fall * (k + 1.5) / (fall - 1.0)
    return min(max(float(rest), edge), max(_MOST * error, edge, following), 1.0) * float(is_lacked)
