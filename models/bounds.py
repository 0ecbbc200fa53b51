"""Errors counted among independent cases -> exact bounds on the rate behind them (Clopper & Pearson 1934). PURE."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from scipy.special import bdtr, betaincinv

from edge_agent.bundle import Certificate, Thresholds

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """Answered cases of both classes, and the wrong answers among them."""

    leaks: int
    missed: int
    goods: int
    false_alarms: int


def error_counts(said: Iterable[tuple[str, str]]) -> ErrorCounts:
    """Of pairs of what was true and what was said; answers are `leak` and `ok`."""
    counted = Counter(said)
    missed, false_alarms = counted["leak", "ok"], counted["ok", "leak"]
    return ErrorCounts(counted["leak", "leak"] + missed, missed, counted["ok", "ok"] + false_alarms, false_alarms)


@dataclass(frozen=True, slots=True)
class RateBounds:
    """Upper bounds of both rates. None where there is no case of the class."""

    miss_rate: float | None
    false_alarm_rate: float | None


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """Which cases a certificate speaks of, as Certificate has it."""

    name: str
    sha256: str
    measured_at: str
    cases: int
    silent: int
    program: str


def at_most(events: float, trials: float, confidence: float) -> float:
    """The largest rate under which so few events are no wonder (Clopper & Pearson 1934); 1 without trials.

    Weighted counts need not be whole.
    """
    return 1.0 if events >= trials else float(betaincinv(events + 1, trials - events, confidence))


def at_least(events: float, trials: float, confidence: float) -> float:
    """The smallest rate under which so many events are no wonder; 0 without trials."""
    return 0.0 if events <= 0 else float(betaincinv(events, max(trials - events, 0.0) + 1, 1 - confidence))


def upper(events: int, trials: int, confidence: float) -> float | None:
    """`at_most` as reports have it: to six digits, None without trials."""
    return round(at_most(events, trials, confidence), 6) if trials else None


def lower(events: int, trials: int, confidence: float) -> float | None:
    """`at_least` as reports have it."""
    return round(at_least(events, trials, confidence), 6) if trials else None


def estimate(events: int, trials: int) -> float | None:
    """The rate that is as likely too high as too low (median-unbiased): more than nothing where no event was seen."""
    return upper(events, trials, 0.5)


def both(counts: ErrorCounts, confidence: float = CONFIDENCE) -> RateBounds:
    """Bounds that hold together with `confidence`: each takes half of the risk."""
    half = (1 + confidence) / 2
    return RateBounds(
        upper(counts.missed, counts.leaks, half),
        upper(counts.false_alarms, counts.goods, half),
    )


def keeps(counts: ErrorCounts, most_missed: float, most_alarms: float, confidence: float = CONFIDENCE) -> bool:
    """Whether the cases show that both rates are within limits that were named before they were counted.

    "One of the two is too high" is refuted where each is refuted: neither needs a part of the other's risk (an
    intersection-union test, Berger 1982), so 1 error in 2,371 of each class shows 0.002 at 95 %.
    """
    return (
        max(p_value(counts.missed, counts.leaks, most_missed), p_value(counts.false_alarms, counts.goods, most_alarms))
        <= 1 - confidence + 1e-12
    )


def certificate(
    counts: ErrorCounts, thresholds: Thresholds, judged: JudgedSet, *, confidence: float = CONFIDENCE
) -> Certificate | None:
    """What a judged set shows of the thresholds; None where no case of one class was answered.

    Only for a set that had no part in choosing them, and once: of several tries the best is no certificate.
    """
    bounds = both(counts, confidence)
    missed, alarms = estimate(counts.missed, counts.leaks), estimate(counts.false_alarms, counts.goods)
    if bounds.miss_rate is None or bounds.false_alarm_rate is None or missed is None or alarms is None:
        return None
    return Certificate(
        data=judged.name,
        data_sha256=judged.sha256,
        measured_at=judged.measured_at,
        ok_below=thresholds.ok_below,
        leak_above=thresholds.leak_above,
        confidence=confidence,
        cases=judged.cases,
        silent=judged.silent,
        coverage=round((counts.leaks + counts.goods) / judged.cases, 6),
        leaks=counts.leaks,
        missed=counts.missed,
        miss_rate_upper=bounds.miss_rate,
        miss_rate_estimate=missed,
        goods=counts.goods,
        false_alarms=counts.false_alarms,
        false_alarm_rate_upper=bounds.false_alarm_rate,
        false_alarm_rate_estimate=alarms,
        program=judged.program,
    )


def p_value(events: int, trials: int, most: float) -> float:
    """How likely so few events are where the rate is above `most`; 1 without trials."""
    return float(bdtr(events, trials, most)) if trials else 1.0
