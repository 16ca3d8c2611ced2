"""What a notebook shows of a fitted estimator, above scikit-learn's own diagram."""

from __future__ import annotations

from html import escape


class SummaryMixin:
    """Rank, verdict, noise and outliers of the fit in the HTML representation."""

    @property
    def _repr_html_(self):
        diagram = super()._repr_html_  # type: ignore[misc]  # of BaseEstimator; raises where diagrams are switched off
        return lambda: _summary(self) + diagram()

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        if "text/html" in bundle:
            bundle["text/html"] = _summary(self) + bundle["text/html"]
        return bundle


def _summary(estimator):
    """Table of one row, nothing before `fit`; plain styles, for notebooks that are not trusted drop style sheets."""
    if not hasattr(estimator, "outliers_"):
        return ""
    n_values = getattr(estimator, "_n_observed", None) or estimator.outliers_.shape[0]
    # of rows that came in parts the flags are not all at hand
    n_outliers = getattr(estimator, "_n_flagged", None)
    n_outliers = int(estimator.outliers_.sum()) if n_outliers is None else n_outliers
    color, word = ("#009e73", "converged") if estimator.converged_ else ("#d55e00", "not converged")
    why = ": ".join(filter(None, (estimator.stop_reason_, estimator._stop_message)))
    cells = {
        "rank": f"{estimator.rank_}",
        "verdict": f'<b style="color: {color}">{word}</b>: {escape(why)}',
        "noise scale": f"{estimator.scale_:.3g}",
        "outliers": f"{n_outliers / n_values:.1%} ({n_outliers} of {n_values})",
    }
    style = "text-align: left; padding: 0.2em 1em 0.2em 0"
    head, body = (
        "".join(f'<{tag} style="{style}">{cell}</{tag}>' for cell in row)
        for tag, row in (("th", cells), ("td", cells.values()))
    )
    return f'<table class="robustlr-summary" style="margin: 0.3em 0"><tr>{head}</tr><tr>{body}</tr></table>'
