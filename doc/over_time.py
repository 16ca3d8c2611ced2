"""Draw what benchmarks of a few commits came to, from the figures that are stored in the repository."""

import json
import math
from pathlib import Path

import matplotlib.pyplot as plt

# Colours of Okabe and Ito.
COLORS = {"time": "#0072b2", "memory": "#009e73", "error": "#d55e00"}
HEADS = {"time": "time", "memory": "peak of memory", "error": "error"}
# Errors below are those of rounding, and drawn as zero.
ROUNDING = 1e-12


def duration(seconds):
    """Seconds in words."""
    return f"{seconds:.3g} s" if seconds >= 0.9995 else f"{1e3 * seconds:.3g} ms"


def size(count):
    """A number of bytes in words."""
    return f"{count / 1e6:.0f} MB"


def error(value):
    """An error in words."""
    return "rounding" if value < ROUNDING else f"{value:.2g}"


WORDS = {"time": duration, "memory": size, "error": error}


def word(kind, value):
    """A figure in words."""
    return "" if value is None else WORDS[kind](value)


def _panel(ax, kind, values):
    """One line of figures, and the last of them in words."""
    shown = [math.nan if value is None else value if value > ROUNDING else 0.0 for value in values]
    ax.set(ylim=(0, 1.2 * max((value for value in shown if value > 0.0), default=1.0)))
    ax.plot(range(1, 1 + len(shown)), shown, "o-", color=COLORS[kind], lw=1.2, ms=3, clip_on=False)
    ax.text(1.03, 0.5, word(kind, values[-1]), transform=ax.transAxes, va="center", fontsize=8)
    ax.set(xlim=(0.6, len(shown) + 0.4), xticks=[], yticks=[])
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color("0.8")


def draw(stored, target):
    """Write the picture to `target`: a row for each benchmark, with its time, memory and error."""
    kept = json.loads(Path(stored).read_text())
    rows = kept["benchmarks"]
    figure, axes = plt.subplots(len(rows), 3, figsize=(9, 0.42 * len(rows) + 0.8), squeeze=False)
    figure.subplots_adjust(left=0.36, right=0.92, top=0.94, bottom=0.05, wspace=0.5, hspace=0.35)
    for line, benchmark in zip(axes, rows, strict=True):
        line[0].text(-0.1, 0.5, benchmark["title"], transform=line[0].transAxes, ha="right", va="center", fontsize=8.5)
        for ax, kind in zip(line, HEADS, strict=True):
            _panel(ax, kind, benchmark[kind])
    for top, bottom, head in zip(axes[0], axes[-1], HEADS.values(), strict=True):
        top.set_title(head, fontsize=9)
        count = len(kept["commits"])
        bottom.set_xticks(range(1, count + 1), range(1, count + 1), fontsize=8)
    figure.savefig(target)
    plt.close(figure)


def _rows(head, rows, widths):
    """A table of lists of cells."""
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {' '.join(map(str, widths))}", ""]
    for cells in [head, *rows]:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(cells)]
    return "\n".join(lines) + "\n"


def tables(stored, target):
    """Write what was measured where, the commits, and all figures, as tables."""
    kept = json.loads(Path(stored).read_text())
    versions = ", ".join(f"{name.replace('python', 'Python')} {number}" for name, number in kept["versions"].items())
    commits = [(i, one["date"], f"``{one['hash']}``", one["title"]) for i, one in enumerate(kept["commits"], 1)]
    count = len(commits)
    parts = [
        f"They were measured on {kept['machine']}, with {versions}, at these commits:\n",
        _rows(("no.", "date", "commit", "what it brought"), commits, (5, 15, 15, 65)),
    ]
    for kind, head in (("time", "Times"), ("memory", "Peaks of memory"), ("error", "Errors")):
        cells = [(one["title"], *(word(kind, value) for value in one[kind])) for one in kept["benchmarks"]]
        parts.append(f"{head}\n{'-' * len(head)}\n")
        parts.append(_rows(("benchmark", *range(1, count + 1)), cells, (40, *[60 // count] * count)))
    Path(target).write_text("\n".join(parts))
