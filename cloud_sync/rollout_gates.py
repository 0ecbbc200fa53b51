"""PURE. Seats and what their devices report -> the figure of every gate, its limit, and whether it is broken.

A device is compared with its own former values; what those that are not updated yet have worsened by meanwhile is
nobody's fault and is added to the limit. Shares are tested (`worsening`), everything else has a hard limit.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from statistics import median

import msgspec

from cloud_sync import worsening
from cloud_sync.rollout_plan import Gates
from cloud_sync.rollout_records import GateName, Reading, Report, Rollout, Seat
from cloud_sync.worsening import Tally
from models.bounds import at_most

Device = tuple[Seat, Report]
SHARES: tuple[GateName, ...] = ("uncertain", "not_tested", "disagreement")
METRICS_SETTLE_S = 60.0
"""Metrics that come so soon after the switch speak of the bundle before, in part."""


class Fleet(msgspec.Struct, frozen=True):
    """The devices of a rollout, sorted."""

    updated: tuple[Device, ...]
    """They run the new bundle, or did when they failed."""
    others: tuple[Device, ...]
    """They were not asked and run what they ran."""
    touched: int
    refused: int
    returned: int


def readings(rollout: Rollout, fleet: Fleet, now: float) -> list[Reading]:
    """Of all devices together first, then of each; only where there is a figure."""
    gates = rollout.plan.gates
    found = [*_failures(fleet, gates), *_alarms(fleet, gates), *_crashes(fleet, gates), *_latencies(fleet, gates, now)]
    for gate in SHARES:
        found += _shares(rollout, fleet, gate)
    return sorted(found, key=lambda reading: reading.place is not None)


def latency_limit_ms(seat: Seat, gates: Gates) -> float:
    """How long a verdict may take on this device."""
    if seat.before.verdict_ms is None:
        return gates.latency_most_ms
    return max(gates.latency_free_ms, gates.latency_ratio * seat.before.verdict_ms)


def verdict_ms(seat: Seat, report: Report) -> float | None:
    """Of the new bundle; None until metrics speak of it alone."""
    settled = report.metrics_at is not None and seat.taken_at is not None
    if not settled or report.metrics_at < seat.taken_at + METRICS_SETTLE_S:  # type: ignore[operator]
        return None
    return report.verdict_ms


def crashes(seat: Seat, report: Report) -> int:
    """Starts beyond the first one since the device runs the bundle."""
    heard = report.metrics_at is not None and seat.taken_at is not None and report.metrics_at > seat.taken_at
    return max(0, report.starts - 1) if heard else 0


def counts(gate: GateName, tally: Tally) -> tuple[int, int]:
    """(what happened, out of how many) of one share."""
    if gate == "disagreement":
        return tally.disagreed, tally.compared
    return (tally.uncertain if gate == "uncertain" else tally.not_tested), tally.cases


def since_switch(seat: Seat, report: Report) -> Tally:
    """Cases of the new bundle in this rollout."""
    return report.new - seat.before.new


def _failures(fleet: Fleet, gates: Gates) -> Iterator[Reading]:
    counted: tuple[tuple[GateName, int, float], ...] = (
        ("refused", fleet.refused, gates.refused_share),
        ("returned", fleet.returned, gates.returned_share),
    )
    for gate, failed, share in counted:
        if fleet.touched:
            limit = math.floor(share * fleet.touched)
            yield Reading(gate, None, failed, limit, fleet.touched, failed > limit)


def _alarms(fleet: Fleet, gates: Gates) -> Iterator[Reading]:
    if not fleet.updated:
        return
    window = gates.alarm_window_s
    struck = sum(_alarmed(*device, _span(device[0], window)) for device in fleet.updated)
    spans = [_span(seat, window) for seat, _ in fleet.updated]
    meanwhile = min(since for since, _ in spans), max(until for _, until in spans)
    beside = sum(_alarmed(*device, meanwhile) for device in fleet.others)
    share = beside / len(fleet.others) if fleet.others else 0.0
    limit = math.floor((share + gates.alarm_share) * len(fleet.updated))
    yield Reading("high_alarms", None, struck, limit, len(fleet.updated), struck > limit)


def _span(seat: Seat, window_s: float) -> tuple[float, float]:
    """In which a new alarm counts: the device may have switched well before the cloud heard of it."""
    taken_at = seat.taken_at or 0.0
    return (taken_at if seat.asked_at is None else seat.asked_at), taken_at + window_s


def _alarmed(seat: Seat, report: Report, span: tuple[float, float]) -> bool:
    return any(span[0] <= began <= span[1] and name not in seat.before.alarms for name, began in report.alarms)


def _crashes(fleet: Fleet, gates: Gates) -> Iterator[Reading]:
    each = [(seat, crashes(seat, report)) for seat, report in fleet.updated]
    if not each:
        return
    limit = max(gates.crashes_most, math.floor(gates.crashes_share * len(each)))
    total = sum(number for _, number in each)
    yield Reading("crashes", None, total, limit, len(each), total > limit)
    for seat, number in each:
        yield Reading("crashes", seat.place, number, gates.crashes_most, 1, number > gates.crashes_most)


def _latencies(fleet: Fleet, gates: Gates, now: float) -> Iterator[Reading]:
    ratios, enough = [], []
    for seat, report in fleet.updated:
        value = verdict_ms(seat, report)
        if value is None:
            continue
        held = seat.slow_since is not None and now - seat.slow_since >= gates.latency_hold_s
        yield Reading("latency", seat.place, value, latency_limit_ms(seat, gates), 1, held)
        if seat.before.verdict_ms:
            ratios.append(value / seat.before.verdict_ms)
            enough.append(value > gates.latency_free_ms)
    if len(ratios) >= 3:  # the middle one of fewer is one device's own
        middle, noticed = median(ratios), 2 * sum(enough) > len(enough)
        limit = gates.latency_pooled_ratio
        yield Reading("latency", None, middle, limit, len(ratios), noticed and middle > limit)


def _shares(rollout: Rollout, fleet: Fleet, gate: GateName) -> Iterator[Reading]:
    """Half of the false-halt rate goes to the pooled tests, half to the devices' own; half of each to the limit."""
    gates = rollout.plan.gates
    pooled_risk = gates.false_halt_rate / (2 * len(SHARES) * len(rollout.sizes))
    own_risk = gates.false_halt_rate / (2 * len(SHARES) * len(rollout.seats))
    margin = getattr(gates, f"{gate}_margin")
    drift = _drift(fleet.others, gate, margin, pooled_risk)
    most = _pooled_before(fleet.updated, gate, pooled_risk / 2)
    limit = min(gates.share_most, most + margin + drift)
    happened, cases = _added(counts(gate, since_switch(*device)) for device in fleet.updated)
    yield from _reading(gate, None, (happened, cases), limit, pooled_risk)
    for seat, report in fleet.updated:
        counted = counts(gate, since_switch(seat, report))
        if counted[1]:
            own = at_most(*counts(gate, seat.before.ran), 1 - own_risk / 2)
            yield from _reading(gate, seat, counted, min(gates.share_most, own + margin + drift), own_risk)


def _reading(
    gate: GateName, seat: Seat | None, counted: tuple[int, int], limit: float, risk: float
) -> Iterator[Reading]:
    happened, cases = counted
    if cases:
        breach = worsening.log_evidence(happened, cases, limit) >= math.log(2 / risk)
        yield Reading(gate, seat.place if seat else None, happened / cases, limit, cases, breach)


def _pooled_before(updated: Sequence[Device], gate: GateName, risk: float) -> float:
    """The bound on what these devices would show together, each weighed as it counts now.

    With one share for all this is Clopper & Pearson's bound; the effective number of cases is that of a weighed mean.
    """
    weighed = [(counts(gate, since_switch(*device))[1], *counts(gate, device[0].before.ran)) for device in updated]
    known = [(weight, happened, cases) for weight, happened, cases in weighed if weight and cases]
    total = sum(weight for weight, _, _ in known)
    if not total:
        return 1.0
    share = sum(weight / total * happened / cases for weight, happened, cases in known)
    effective = 1 / sum((weight / total) ** 2 / cases for weight, _, cases in known)
    return at_most(share * effective, effective, 1 - risk)


def _drift(others: Sequence[Device], gate: GateName, margin: float, risk: float) -> float:
    """What the devices without the bundle have worsened by; 0 unless that is as sure as a breach has to be."""
    before = _added(counts(gate, seat.before.ran) for seat, _ in others)
    since = _added(counts(gate, report.ran - seat.before.ran) for seat, report in others)
    if not before[1] or not since[1]:
        return 0.0
    limit = min(0.99, at_most(*before, 1 - risk / 2) + margin)
    if worsening.log_evidence(*since, limit) < math.log(2 / risk):
        return 0.0
    return max(0.0, since[0] / since[1] - before[0] / before[1])


def _added(pairs: Iterable[tuple[int, int]]) -> tuple[int, int]:
    both = list(pairs)
    return sum(one for one, _ in both), sum(all_ for _, all_ in both)
