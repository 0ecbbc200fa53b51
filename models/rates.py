"""Judged cases -> counts, rates and exact bounds: the whole, each slice, what stands apart, and the certificate."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from edge_agent.bundle import Bundle
from models import bounds, code_version, curves
from models.bounds import CONFIDENCE, ErrorCounts, JudgedSet, lower, upper
from models.curves import Interval, Slope
from models.judged import Judged
from models.labelled import REQUIRED, SMALLER, Labelled, Manifest

VERDICTS = ("ok", "leak", "uncertain", "not_tested")
TRUTHS = ("leak", "silent", "ok", "not_testable")
"""Rows of the confusion: `silent` leaks apart from the others."""
MOST_SLICE_VALUES = 8
"""A key with more words than this tells cases apart, it is no slice."""
QUANTILES = 4
NEAR_MM = 10.0
"""A leak's place is right within this distance."""
MOST_ERRORS = 0.002
"""The limit of both rates that an evaluation is held against, named before anything is judged."""


def summary(
    judged: Sequence[Judged], bundle: Bundle, manifest: Manifest, now: datetime, *, cases_sha256: str | None = None
) -> dict[str, Any]:
    """All that is reported, ready for JSON. `cases_sha256`: of the file that keeps the cases."""
    seen = [one for one in judged if not one.labelled.silent]
    scores, leaky = scored(seen)
    return {
        "schema": "tankwatch/evaluation/3",
        **rates(judged),
        "bundle": msgspec.to_builtins(bundle.ref),
        "manifest": {"name": manifest.path.name, "sha256": manifest.sha256},
        "simulated": sum(one.labelled.simulated for one in judged),
        "program": code_version.of_judging(),
        "cases_sha256": cases_sha256,
        "measured_at": _utc(now),
        "thresholds": {name: getattr(bundle.manifest.thresholds, name) for name in ("ok_below", "leak_above")},
        "confusion": confusion(judged),
        "silent": {
            "cases": len(judged) - len(seen),
            "verdicts": _verdicts([one for one in judged if one.labelled.silent]),
        },
        "without_silent": rates(seen),
        "required": _required(seen),
        "promise": _promise(seen),
        "certificate": _certificate(judged, seen, bundle, manifest, now),
        "calibration": _slope(curves.calibration(scores, leaky)),
        "leak_places": places(seen),
        "leak_sizes": sizes(seen),
        "slices": slices(judged),
    }


def rates(judged: Sequence[Judged]) -> dict[str, Any]:
    """Counts, rates and exact bounds. Rates that nothing can be said of are null."""
    tested = [one for one in judged if one.labelled.label != "not_testable"]
    counts = error_counts(tested)
    covered, wrong = counts.leaks + counts.goods, counts.missed + counts.false_alarms
    together = bounds.both(counts)
    refused = [one for one in judged if one.labelled.label == "not_testable"]
    area = curves.auc_interval(*scored(tested))
    return {
        "cases": len(tested),
        "auc": None if area is None else round(area.value, 5),
        "auc_interval": _ends(area),
        "coverage": _share(covered, len(tested)),
        "error": _share(wrong, covered),
        "miss_rate": _share(counts.missed, counts.leaks),
        "false_alarm_rate": _share(counts.false_alarms, counts.goods),
        "bounds": {
            "confidence": CONFIDENCE,
            "coverage_lower": lower(covered, len(tested), CONFIDENCE),
            "error_upper": upper(wrong, covered, CONFIDENCE),
            "miss_rate_upper": upper(counts.missed, counts.leaks, CONFIDENCE),
            "false_alarm_rate_upper": upper(counts.false_alarms, counts.goods, CONFIDENCE),
            # Promised together, each takes half of the risk.
            "joint": {
                "miss_rate_upper": together.miss_rate,
                "false_alarm_rate_upper": together.false_alarm_rate,
            },
        },
        "counts": {
            "leaks_answered": counts.leaks,
            "missed": counts.missed,
            "good_answered": counts.goods,
            "false_alarms": counts.false_alarms,
        },
        "verdicts": _verdicts(tested),
        "not_testable": {
            "cases": len(refused),
            "not_tested": sum(one.case.verdict == "not_tested" for one in refused),
        },
    }


def error_counts(judged: Sequence[Judged]) -> ErrorCounts:
    """Answers and wrong answers of both classes."""
    return bounds.error_counts((one.labelled.label, one.case.verdict) for one in judged)


def scored(judged: Sequence[Judged]) -> tuple[np.ndarray, np.ndarray]:
    """(scores, leaky) of the leaks and good units that have a score; (n,) each."""
    rows = [
        (one.case.score, one.labelled.label == "leak")
        for one in judged
        if one.case.score is not None and one.labelled.label != "not_testable"
    ]
    return np.array([score for score, _ in rows], float), np.array([leaky for _, leaky in rows], bool)


def confusion(judged: Sequence[Judged]) -> dict[str, dict[str, int]]:
    """What was true -> what was said -> how often."""
    return {truth: _verdicts([one for one in judged if truth_of(one) == truth]) for truth in TRUTHS}


def truth_of(one: Judged) -> str:
    """Its row of the confusion."""
    return "silent" if one.labelled.silent else one.labelled.label


def places(judged: Sequence[Judged]) -> dict[str, Any]:
    """How far from a true origin the detected leaks were said to be; a leak without a place is not near."""
    found = [
        one
        for one in judged
        if (one.labelled.label, one.case.verdict) == ("leak", "leak") and one.labelled.leak_origins_px
    ]
    away_mm = np.array([one.origin_error_mm for one in found if one.origin_error_mm is not None])
    counted = len(away_mm) + sum(one.case.leak_at_px is None for one in found)
    near = int((away_mm <= NEAR_MM).sum())
    return {
        "cases": counted,
        "median_mm": round(float(np.median(away_mm)), 2) if len(away_mm) else None,
        "p90_mm": round(float(np.quantile(away_mm, 0.9)), 2) if len(away_mm) else None,
        "within_mm": NEAR_MM,
        "near": _share(near, counted),
        "near_lower": lower(near, counted, CONFIDENCE),
    }


def sizes(judged: Sequence[Judged]) -> dict[str, Any]:
    """How many times the true leak was told of detected leaks with one place, and how often the truth lay within the
    case's own 95 % interval."""
    told = [
        (one.case.emission, one.labelled.quantities["leak_std_cm3_s"])
        for one in judged
        if (one.labelled.label, one.case.verdict) == ("leak", "leak")
        and one.labelled.quantities.get("leak_std_cm3_s", 0) > 0
        and one.labelled.quantities.get("leaks", 1) == 1
        and one.case.emission is not None
    ]
    ratios = np.array([emission.leak_std_cm3_s / true for emission, true in told])
    inside = sum(emission.leak_std_cm3_s_low <= true <= emission.leak_std_cm3_s_high for emission, true in told)
    return {
        "cases": len(told),
        "median_ratio": round(float(np.median(ratios)), 3) if told else None,
        "ratio_90": np.quantile(ratios, (0.05, 0.95)).round(3).tolist() if told else None,
        "inside": _share(inside, len(told)),
    }


def slices(judged: Sequence[Judged]) -> dict[str, dict[str, Any]]:
    """Key -> value -> its rates and places: words as they are, numbers in bins."""
    found = {}
    for key in sorted({key for one in judged for key in one.labelled.slices}):
        values = sorted({one.labelled.slices[key] for one in judged if key in one.labelled.slices})
        if 1 < len(values) <= MOST_SLICE_VALUES:
            found[key] = {
                value: _slice([one for one in judged if one.labelled.slices.get(key) == value]) for value in values
            }
    for key in sorted({key for one in judged for key in one.labelled.quantities}):
        told = [one for one in judged if key in one.labelled.quantities]
        bins = _bins(np.array([one.labelled.quantities[key] for one in told]))
        if len(bins) > 1:
            found[key] = {name: _slice([told[number] for number in inside]) for name, inside in bins.items()}
    return found


def _slice(judged: Sequence[Judged]) -> dict[str, Any]:
    return {**rates(judged), "leak_places": places(judged)}


def _bins(values: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> which of the (n,) numbers belong there, smallest first. Few different numbers have a bin each; so has one
    that is as frequent as a bin should be, and the others are divided evenly. A bin is named by its own smallest and
    largest number.
    """
    different, counts = np.unique(values, return_counts=True)
    alone = different if len(different) <= QUANTILES else different[counts * QUANTILES >= len(values)]
    own = np.isin(values, alone)
    bins = [np.flatnonzero(values == value) for value in alone]
    if not own.all():
        edges = np.quantile(values[~own], np.linspace(0, 1, QUANTILES - len(alone) + 1)[1:-1])
        part = np.searchsorted(edges, values, side="right")
        bins += [np.flatnonzero(~own & (part == number)) for number in range(len(edges) + 1)]
    bins = sorted((inside for inside in bins if len(inside)), key=lambda inside: values[inside].min())
    return dict(zip(_names([(values[inside].min(), values[inside].max()) for inside in bins]), bins, strict=True))


def _names(ends: Sequence[tuple[float, float]]) -> list[str]:
    """With as many digits as tell them apart."""
    for digits in range(3, 18):
        names = [_number(low, digits) + (f"-{_number(high, digits)}" if high > low else "") for low, high in ends]
        if len(set(names)) == len(names):
            break
    return names


def _number(value: float, digits: int) -> str:
    written = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in written else written


def _required(seen: Sequence[Judged]) -> dict[str, Any] | None:
    """The rates without the leaks that are smaller than their station has to find, and what was said of those; a leak
    of which the manifest says nothing has to be found. None where no recording tells."""
    if all(REQUIRED not in one.labelled.slices for one in seen):
        return None
    smaller = [one for one in seen if _is_smaller(one.labelled)]
    others = [one for one in seen if not _is_smaller(one.labelled)]
    apart = {"cases": len(smaller), "verdicts": _verdicts(smaller)}
    return {**rates(others), "promise": _promise(others), "smaller": apart}


def _is_smaller(one: Labelled) -> bool:
    return one.label == "leak" and one.slices.get(REQUIRED) == SMALLER


def _promise(seen: Sequence[Judged]) -> dict[str, Any]:
    """Whether these cases show that both rates are within MOST_ERRORS."""
    kept = bounds.keeps(error_counts(seen), MOST_ERRORS, MOST_ERRORS)
    return {"most_missed": MOST_ERRORS, "most_false_alarms": MOST_ERRORS, "confidence": CONFIDENCE, "shown": kept}


def _certificate(
    judged: Sequence[Judged], seen: Sequence[Judged], bundle: Bundle, manifest: Manifest, now: datetime
) -> dict[str, Any] | None:
    tested = sum(one.labelled.label != "not_testable" for one in seen)
    of = JudgedSet(
        manifest.path.name,
        manifest.sha256,
        _utc(now),
        cases=tested,
        silent=len(judged) - len(seen),
        program=code_version.of_judging(),
    )
    found = bounds.certificate(error_counts(seen), bundle.manifest.thresholds, of)
    return None if found is None else msgspec.to_builtins(found)


def _utc(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _slope(found: Slope | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "slope": round(found.slope.value, 3),
        "slope_interval": _ends(found.slope, 3),
        "intercept": round(found.intercept.value, 3),
        "intercept_interval": _ends(found.intercept, 3),
        "cases": found.cases,
        "enough": found.enough,
        "between": list(curves.BETWEEN),
        "wanted": list(curves.SLOPE_WANTED),
    }


def _ends(interval: Interval | None, digits: int = 5) -> list[float] | None:
    return None if interval is None else [round(interval.low, digits), round(interval.high, digits)]


def _verdicts(judged: Sequence[Judged]) -> dict[str, int]:
    return {word: sum(one.case.verdict == word for one in judged) for word in VERDICTS}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
