"""What of a matrix no direction of a fit captures, because it is less than the noise."""

from __future__ import annotations

import numpy as np

# Power of a direction, in units of the most that one of noise has, up to which a fit may lack it, and from which it
# would have it. If the spectrum goes on falling as it does, the next direction has 18 and more in matrices of a sharp
# rank, and in those whose singular values fall as j^-1.5 at most 1.5, 4 to 7 where one alone is found: with nothing
# between (3 alone) 90 % standard errors of these hold 0.44 to 0.74 of the truth, 0.78 to 0.92 so
# (``python asv_bench/studies/uncertainty.py --row grid``).
_LACKED, _SEEN = 3.0, 10.0
# Exponent by which powers fall if nothing is known of it: singular values fall as 1 / j.
_USUAL_FALL = 2.0


def edge_power(size: float, n: float, p: float) -> float:
    """Most power that a direction of noise of variance one has by chance, in `size` entries of an n x p matrix."""
    return float((np.sqrt(n) + np.sqrt(p)) ** 2 / size)


def share_beyond(power: np.ndarray, edge: float, error: float) -> float:
    """Share of the noise variance that may be a part of the matrix: the directions after those of a fit.

    `power` is the mean variance of the entries of each direction, `error` that of the errors of the fit, and `edge`
    that of a direction of noise, all in units of the noise variance. Nothing is beyond the fit if the next direction
    would be seen. Else as much is as the errors of the fit have, which the best rank balances: where powers fall as
    j^-g, the sum of both is least if what is left out is 1 / (g - 1) of the errors. It may well be as much as a
    direction of noise, or as the next one.
    """
    power = np.sort(power[power > 0.0])[::-1]
    k = len(power)
    if not k:
        return min(max(error, edge), 1.0)
    fall = np.log(power[0] / power[-1]) / np.log(k) if k > 1 else _USUAL_FALL
    following = float(power[-1] * (k / (k + 1.0)) ** fall)
    is_lacked = np.interp(np.log(following / edge), np.log([_LACKED, _SEEN]), [1.0, 0.0])
    return min(max(error, edge, following), 1.0) * float(is_lacked)
