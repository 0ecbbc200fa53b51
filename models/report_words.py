"""The summary of an evaluation -> words for a person at a terminal, and the sentences that the page shares with it."""

from typing import Any

from models.bounds import CONFIDENCE
from models.curves import LEAST_FOR_SLOPE
from models.labelled import REQUIRED

LEAST_CASES = 10
"""A slice of fewer says nothing: one error in nine is no rate."""


def words(found: dict[str, Any]) -> str:
    """The whole summary, a line each thing; as on the page, silent leaks are counted apart."""
    seen = found["without_silent"]
    lines = [
        f"{seen['cases']} leaks and good units, bundle {found['bundle']['version']} ({found['bundle']['sha256'][:12]})",
        f"recordings        {made_up(found)}; program {found['program'][:12]}, {found['measured_at']}",
        f"AUC               {area(seen)}",
        *_rates(seen),
        "verdicts          " + counted(seen["verdicts"]),
    ]
    if found["silent"]["cases"]:
        lines += [
            f"silent leaks      {found['silent']['cases']}, not counted above: {counted(found['silent']['verdicts'])}"
        ]
        lines += ["with them", f"  AUC               {area(found)}", *(f"  {line}" for line in _rates(found))]
    if found["required"] is not None:
        lines += [f"to be found       {required(found)}"]
    refused = found["not_testable"]
    if refused["cases"]:
        lines.append(f"not testable      {refused['not_tested']} of {refused['cases']} refused")
    lines += [
        f"certificate       {certificate(found)}",
        f"calibration       {calibration(found)}",
        f"leak's place      {places(found)}",
        f"leak's size       {sizes(found)}",
        *_confusion(found),
    ]
    _, few = told_slices(found)
    lines += [f"  {line}" for line in _slices(found)]
    lines += [f"  not shown: slices of fewer than {LEAST_CASES} cases ({few})"] if few else []
    return "\n".join(lines)


def card(found: dict[str, Any], *, dated: str) -> str:
    """The section of a model card that says what this evaluation measured; Markdown."""
    _, few = told_slices(found)
    seen = found["without_silent"]
    lines = [
        f"## Measured on {found['manifest']['name']} ({found['manifest']['sha256'][:12]}), {dated[:10]}",
        f"Of the recordings {made_up(found)}; judged by program {found['program'][:12]}. "
        f"Without {found['silent']['cases']} silent leaks. Rates with exact one-sided {CONFIDENCE:.0%} bounds.",
        "",
        f"- certificate: {certificate(found)}",
        f"- AUC {area(seen)}; coverage {rate(seen, 'coverage', 'coverage_lower')}",
        f"- miss rate {rate(seen, 'miss_rate', 'miss_rate_upper')}; false alarm rate "
        f"{rate(seen, 'false_alarm_rate', 'false_alarm_rate_upper')}",
        f"- verdicts: {counted(seen['verdicts'])}",
        *([] if found["required"] is None else [f"- leaks that their station has to find: {required(found)}"]),
        f"- calibration: {calibration(found)}",
        f"- leak's place: {places(found)}",
        f"- leak's size: {sizes(found)}",
        "",
        f"By slice, silent leaks among them (not shown: {few} of fewer than {LEAST_CASES} cases):",
        "",
        *(f"- {line}" for line in _slices(found)),
    ]
    return "\n".join(lines) + "\n"


def made_up(found: dict[str, Any]) -> str:
    """What the recordings are: nobody shall take the simulated station's figures for a plant's."""
    if not found["simulated"]:
        return "none of them is simulated"
    every = sum(sum(said.values()) for said in found["confusion"].values())
    return "all of them are simulated" if found["simulated"] == every else f"{found['simulated']} are simulated"


def told_slices(found: dict[str, Any]) -> tuple[dict[str, dict[str, Any]], int]:
    """Slices of enough cases to tell anything, and how many others there are."""
    every = found["slices"]
    large = {
        key: {value: one for value, one in values.items() if one["cases"] >= LEAST_CASES}
        for key, values in every.items()
    }
    # What the station has to find tells more than any other slice.
    told = {key: large[key] for key in sorted(large, key=lambda key: key != REQUIRED) if large[key]}
    return told, sum(map(len, every.values())) - sum(map(len, told.values()))


def area(rates: dict[str, Any]) -> str:
    """The AUC with its interval, or why there is none."""
    if rates["auc"] is None:
        return "undefined: scored cases of both labels, leak and ok, are needed"
    low, high = rates["auc_interval"]
    return f"{rates['auc']:.5f} ({low:.5f}-{high:.5f})"


def rate(rates: dict[str, Any], name: str, bound: str) -> str:
    """A rate with its one-sided bound."""
    value = rates[name]
    if value is None:
        return "no cases"
    return f"{value:.4f} ({'>=' if bound.endswith('lower') else '<='} {rates['bounds'][bound]:.4f} at {CONFIDENCE:.0%})"


def counted(verdicts: dict[str, int]) -> str:
    """Verdicts and how many of each."""
    return ", ".join(f"{word} {count}" for word, count in verdicts.items())


def certificate(found: dict[str, Any]) -> str:
    """What these cases show of both rates together, and what the rates probably are."""
    promise, given = found["promise"], found["certificate"]
    most = promise["most_missed"]
    if given is None:
        return "none: answered cases of both labels, leak and ok, are needed"
    shown = "shown" if promise["shown"] else "not shown"
    return (
        f"miss rate <= {given['miss_rate_upper']:.3%} ({given['missed']} of {given['leaks']}, probably "
        f"{given['miss_rate_estimate']:.3%}) and false alarm rate <= {given['false_alarm_rate_upper']:.3%} "
        f"({given['false_alarms']} of {given['goods']}, probably {given['false_alarm_rate_estimate']:.3%}), together "
        f"at {given['confidence']:.0%}, at coverage {given['coverage']:.2%}; both <= {most:.2%}: {shown}"
    )


def required(found: dict[str, Any]) -> str:
    """The same without leaks that are smaller than their station has to find: `found["required"]` is not None."""
    rates = found["required"]
    smaller, promise = rates["smaller"], rates["promise"]
    coverage = "no cases" if rates["coverage"] is None else f"coverage {rates['coverage']:.2%}"
    return (
        f"without {smaller['cases']} smaller ones ({counted(smaller['verdicts'])}) AUC {area(rates)}, {coverage}, "
        f"{_missed(rates)}, {_alarms(rates)}; both <= {promise['most_missed']:.2%}: "
        f"{'shown' if promise['shown'] else 'not shown'}"
    )


def calibration(found: dict[str, Any]) -> str:
    """The slope with its interval, and whether it means anything."""
    slope = found["calibration"]
    if slope is None:
        return "undefined: uncertain scores of both labels are needed"
    low, high = slope["slope_interval"]
    said = (
        f"slope {slope['slope']:.2f} ({low:.2f}-{high:.2f}), intercept {slope['intercept']:.2f}, on {slope['cases']} "
        f"cases with a score between {slope['between'][0]:g} and {slope['between'][1]:g}"
    )
    return said if slope["enough"] else f"{said}: too few, {LEAST_FOR_SLOPE} are needed"


def places(found: dict[str, Any]) -> str:
    """How near the true origin leaks were placed."""
    near = found["leak_places"]
    if not near["cases"]:
        return "unknown: the manifest names no leak_origin_px of a detected leak, or the station has no scale"
    middle = (
        "" if near["median_mm"] is None else f"median {near['median_mm']:.1f} mm, 90 % within {near['p90_mm']:.1f} mm; "
    )
    return (
        f"{middle}{near['near']:.1%} of {near['cases']} detected leaks within {near['within_mm']:g} mm of the truth "
        f"(>= {near['near_lower']:.1%} at {CONFIDENCE:.0%})"
    )


def sizes(found: dict[str, Any]) -> str:
    """How near the true leak the told one was, and what the told intervals are worth."""
    told = found["leak_sizes"]
    if not told["cases"]:
        return "unknown: the manifest names no leak_std_cm3_s of a detected leak with one place"
    low, high = told["ratio_90"]
    return (
        f"median {told['median_ratio']:.2f} of the truth, nine of ten {low:.2f} to {high:.2f}; the truth lay within "
        f"the 95 % interval of {told['inside']:.1%} of {told['cases']} detected leaks with one place"
    )


def _confusion(found: dict[str, Any]) -> list[str]:
    """What was true -> how often each verdict was given."""
    words = list(found["verdicts"])
    rows = {truth: "".join(f"{said[word]:11}" for word in words) for truth, said in found["confusion"].items()}
    head = "truly             " + "".join(f"{word:>11}" for word in words)
    return [head, *(f"  {truth:16}{counts}" for truth, counts in rows.items())]


def _slices(found: dict[str, Any]) -> list[str]:
    """A line each slice that is told."""
    told, _ = told_slices(found)
    return [
        f"{key}={value}: {one['cases']} cases, coverage {one['coverage']:.1%}, {_missed(one)}, {_alarms(one)}"
        + _placed(one)
        for key, values in told.items()
        for value, one in values.items()
    ]


def _missed(one: dict[str, Any]) -> str:
    counts, most = one["counts"], one["bounds"]["miss_rate_upper"]
    return f"missed {counts['missed']} of {counts['leaks_answered']}{_at_most(most)}"


def _alarms(one: dict[str, Any]) -> str:
    counts, most = one["counts"], one["bounds"]["false_alarm_rate_upper"]
    return f"false alarms {counts['false_alarms']} of {counts['good_answered']}{_at_most(most)}"


def _placed(one: dict[str, Any]) -> str:
    near = one["leak_places"]
    return f", {near['near']:.1%} of {near['cases']} placed right" if near["cases"] else ""


def _at_most(bound: float | None) -> str:
    return "" if bound is None else f" (<= {bound:.2%})"


def _rates(rates: dict[str, Any]) -> list[str]:
    return [
        f"coverage          {rate(rates, 'coverage', 'coverage_lower')}",
        f"error             {rate(rates, 'error', 'error_upper')}",
        f"miss rate         {rate(rates, 'miss_rate', 'miss_rate_upper')}",
        f"false alarm rate  {rate(rates, 'false_alarm_rate', 'false_alarm_rate_upper')}",
    ]
