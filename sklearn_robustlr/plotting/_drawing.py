"""What the displays share: axes, colours, logarithmic lines."""

from __future__ import annotations

import numpy as np

# Colours of Okabe and Ito, told apart by the colour-blind.
BLUE, VERMILLION, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "0.65"


def axes(ax):
    """Axes to draw on, new ones for None; the one place that asks for matplotlib."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "sklearn_robustlr.plotting needs matplotlib: python -m pip install 'sklearn-robustlr[plot]'."
        ) from error
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def lines(ax, x, values, style, kwargs):
    """Draw lines; the user's `kwargs`, perhaps abbreviated ("lw"), take the place of the `style`."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    return ax.plot(x, values, **{**style, **normalize_kwargs(kwargs, Line2D)})


def log_lines(ax, x, values, style, kwargs):
    """Draw lines on a logarithmic axis of at least a decade; a zero, which it has no place for, leaves a gap."""
    positive = np.where(values > 0, values, np.nan)
    drawn = lines(ax, x, positive, style, kwargs)
    if np.isfinite(positive).any():
        ax.set_yscale("log")
        low, high = ax.get_ylim()
        wider = np.sqrt(max(10 * low / high, 1.0))
        ax.set_ylim(low / wider, high * wider, auto=None)
    return drawn


def legend(ax, **kwargs):
    """Small legend that stays readable over lines."""
    ax.legend(**{"fontsize": "small", "framealpha": 0.9, "edgecolor": "none", **kwargs})
