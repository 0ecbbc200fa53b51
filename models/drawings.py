"""Judged cases -> the page's figures: ROC, risk against coverage, reliability; each with the sentence that reads it."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from models import curves, report_words
from models.bounds import lower, upper
from models.charts import Axis, Chart, ticks_up_to
from models.judged import Judged
from models.rates import scored

TENTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
NEAR_PERFECT = 0.98
"""From this AUC on the ROC shows its corner alone: in the whole there is nothing to see."""


def figures(judged: Sequence[Judged], found: dict[str, Any]) -> str:
    """All three, without the silent leaks."""
    seen = [one for one in judged if not one.labelled.silent]
    scores, leaky = scored(seen)
    drawn = [
        _figure(
            _roc(scores, leaky, found),
            f"AUC {report_words.area(found['without_silent'])}, of cases with a score. Dots: what lies above each of "
            "the bundle's two limits.",
        ),
        _figure(
            _risk(seen, found),
            "The error of the answers as more of them are given, the surest first: both limits move inwards by as much "
            "(in log odds), and what is unlike training comes last. The dot is the bundle's own limits.",
        ),
        _figure(
            _reliability(scores, leaky),
            f"Calibration: {report_words.calibration(found)}. Dots: tenths of the scores, larger where there are more "
            "cases, with 95 % intervals, as if leaks and good units were as many.",
        ),
    ]
    return f'<div class="figures">{"".join(drawn)}</div>'


def _roc(scores: np.ndarray, leaky: np.ndarray, found: dict[str, Any]) -> Chart | None:
    points = curves.roc(scores, leaky)
    if not len(points):
        return None
    near = found["without_silent"]["auc"] >= NEAR_PERFECT
    across = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1) if near else TENTHS
    up = (0.9, 0.92, 0.94, 0.96, 0.98, 1.0) if near else TENTHS
    title = "ROC, its upper left corner" if near else "ROC"
    chart = Chart(title, Axis("false alarms among good units", across), Axis("leaks found", up))
    if not near:
        chart.line(((0, 0), (1, 1)), "guide")
    chart.line(_corners(points))
    for name, limit in found["thresholds"].items():
        above = scores > limit
        x, y = float(above[~leaky].mean()), float(above[leaky].mean())
        chart.dot(x, y, words=f"{name} {limit:g}")
        chart.label(x, y, f"{name.split('_')[0]} {limit:g}")
    return chart


def _risk(judged: Sequence[Judged], found: dict[str, Any]) -> Chart | None:
    seen, limits = found["without_silent"], found["thresholds"]
    told = [one for one in judged if one.case.score is not None and one.labelled.label != "not_testable"]
    scores, leaky = scored(told)
    sure, says_leak = curves.sureness(scores, limits["ok_below"], limits["leak_above"])
    withheld = np.array([one.case.verdict == "uncertain" for one in told], bool) & (sure > 0)
    sure[withheld] = sure.min(initial=0.0) - 1
    points = curves.risk_coverage(sure, says_leak != leaky, seen["cases"])
    if not len(points):
        return None
    chart = Chart(
        "Risk against coverage",
        Axis("coverage", TENTHS),
        Axis("error of the answers", ticks_up_to(max(0.005, float(points[:, 1].max()), seen["error"] or 0.0))),
    )
    chart.line(map(tuple, points.tolist()))
    if seen["error"] is not None:
        chart.dot(seen["coverage"], seen["error"], words=f"answered: coverage {seen['coverage']:.2%}")
        chart.label(seen["coverage"], seen["error"], "answered")
    return chart


def _reliability(scores: np.ndarray, leaky: np.ndarray) -> Chart | None:
    rows = curves.reliability(scores, leaky)
    if not len(rows):
        return None
    chart = Chart("Reliability", Axis("score", TENTHS), Axis("share of leaks", TENTHS))
    chart.line(((0, 0), (1, 1)), "guide")
    odds = leaky.sum() / (~leaky).sum()
    for score, share, leaks, goods in rows.tolist():
        count = int(leaks + goods)
        low, high = (_at_equal_odds(bound(int(leaks), count, 0.975) or 0.0, odds) for bound in (lower, upper))
        chart.bar(score, low, high)
        chart.dot(score, share, radius=min(9.0, 2.5 + count**0.5 / 4), words=f"{int(leaks)} leaks of {count} cases")
    return chart


def _at_equal_odds(share: float, odds: float) -> float:
    """A share of leaks where they are `odds` a good case -> the share where both are as many."""
    return share / (share + (1 - share) * odds) if share else 0.0


def _corners(points: np.ndarray) -> list[tuple[float, float]]:
    """A ROC goes up and to the right in steps, not aslant."""
    steps = [(float(points[0, 0]), float(points[0, 1]))]
    for x, y in points[1:].tolist():
        steps += [(steps[-1][0], y), (x, y)] if x != steps[-1][0] and y != steps[-1][1] else [(x, y)]
    return steps


def _figure(chart: Chart | None, words: str) -> str:
    """Nothing where there is nothing to draw: that there is none stands in the words above the figures."""
    if chart is None:
        return ""
    return f"<figure><h3>{escape(chart.title)}</h3>{chart.svg()}<figcaption>{escape(words)}</figcaption></figure>"
