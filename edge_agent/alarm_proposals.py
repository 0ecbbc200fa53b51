"""The last weeks of alarms -> what might be set otherwise, with what it would have changed and missed. PURE.

Nothing changes by itself: a proposal is a sentence for a person, and accepting it is a change like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

import msgspec

from edge_agent.alarm_catalogue import Catalogue, Setting
from edge_agent.alarms import EASED_S, Event, Rule

LEAST_TIMES = 20
"""Fewer in a month are no pattern."""
SHARE = 0.8
"""Of the repetitions that a proposal has to spare people."""
FLEETING_S = 10.0
"""What is over so soon leaves nothing to do."""
DELAYS_S = (2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of one alarm."""

    id: str
    setting: Setting
    old: float
    new: float
    why: str
    changes: str
    missed: str


@dataclass(frozen=True, slots=True)
class Lasted:
    """One occurrence: when its condition came and went, without the delays; how far the quantity eased before."""

    began_s: float
    ended_s: float
    eased: float | None


def proposals(events: Sequence[Event], catalogue: Catalogue) -> tuple[Proposal, ...]:
    """By alarm. `events`: of the last weeks, in their order."""
    found = []
    for id in sorted({event.id for event in events} & catalogue.alarm.keys()):
        rule = catalogue.alarm[id]
        past = lasted([event for event in events if event.id == id], rule)
        one = _dead_band(id, rule, past) or _off_delay(id, rule, past, catalogue.bounds.most_off_delay_s)
        one = one or _on_delay(id, rule, past, catalogue.bounds.most_on_delay_s)
        found += [one] if one else []
    return tuple(found)


def lasted(events: Sequence[Event], rule: Rule) -> list[Lasted]:
    """One alarm's occurrences that have ended."""
    found, began = [], None
    for event in events:
        if event.event == "raised" and began is None:
            began = event
        elif event.event == "returned" and began is not None:
            end_s = max(began.at_s, event.at_s - rule.off_delay_s)
            found.append(Lasted(began.at_s - rule.on_delay_s, end_s, began.eased))
            began = None
    return found


def raised_with(past: Sequence[Lasted], on_delay_s: float, off_delay_s: float) -> int:
    """How many alarms the same conditions would have made with these delays."""
    count, holds_until_s = 0, float("-inf")
    for one in past:
        if one.began_s < holds_until_s:
            holds_until_s = one.ended_s + off_delay_s
        elif one.ended_s - one.began_s >= on_delay_s:
            count, holds_until_s = count + 1, one.ended_s + off_delay_s
    return count


def _gaps(past: Sequence[Lasted]) -> list[float]:
    return [later.began_s - one.ended_s for one, later in zip(past, past[1:], strict=False)]


def _off_delay(id: str, rule: Rule, past: Sequence[Lasted], most_s: float) -> Proposal | None:
    gaps = [gap for gap in _gaps(past) if gap <= most_s]
    new_s = _least_delay(gaps, rule.off_delay_s, most_s)
    if new_s is None:
        return None
    before, after = len(past), raised_with(past, rule.on_delay_s, new_s)
    return Proposal(
        id=id,
        setting="off_delay_s",
        old=rule.off_delay_s,
        new=new_s,
        why=f"it came again within {new_s:g} s after it had gone, {sum(gap < new_s for gap in gaps)} times",
        changes=f"{after} instead of {before} alarms",
        missed=f"no alarm; each would have stood for {new_s - rule.off_delay_s:g} s longer after its cause had gone",
    )


def _dead_band(id: str, rule: Rule, past: Sequence[Lasted]) -> Proposal | None:
    """As wide as the quantity went back between two alarms."""
    if rule.limit is None:
        return None
    again = [
        later.eased
        for one, later in zip(past, past[1:], strict=False)
        if later.eased is not None and later.began_s - one.ended_s <= EASED_S
    ]
    if len(again) < LEAST_TIMES:
        return None
    needed = sorted(abs(rule.limit - eased) for eased in again)
    new = _rounded_up(needed[ceil(SHARE * len(needed)) - 1])
    if not rule.dead_band < new <= abs(rule.limit):
        return None
    spared = sum(one < new for one in needed)
    return Proposal(
        id=id,
        setting="dead_band",
        old=rule.dead_band,
        new=new,
        why=f"it came again {len(again)} times within {EASED_S / 60:.0f} min, after less than {new:g} {rule.unit}",
        changes=f"{len(past) - spared} instead of {len(past)} alarms",
        missed=f"no alarm; it would have stood until the quantity was {new:g} behind its limit of {rule.limit:g}",
    )


def _on_delay(id: str, rule: Rule, past: Sequence[Lasted], most_s: float) -> Proposal | None:
    """A grave alarm is never proposed to come later."""
    if rule.priority == "high":
        return None
    fleeting = [one.ended_s - one.began_s for one in past if one.ended_s - one.began_s <= FLEETING_S]
    new_s = _least_delay(fleeting, rule.on_delay_s, most_s)
    if new_s is None:
        return None
    before, after = len(past), raised_with(past, new_s, rule.off_delay_s)
    missed = [took for took in fleeting if took < new_s]
    return Proposal(
        id=id,
        setting="on_delay_s",
        old=rule.on_delay_s,
        new=new_s,
        why=f"it was over within {new_s:g} s, {len(missed)} times",
        changes=f"{after} instead of {before} alarms",
        missed=f"{before - after} troubles that lasted {max(missed):.1f} s at most; all others come {new_s:g} s later",
    )


def _least_delay(spans_s: Sequence[float], old_s: float, most_s: float) -> float | None:
    """The shortest that spares most of the repetitions; None where there is no pattern."""
    if len(spans_s) < LEAST_TIMES:
        return None
    for delay_s in DELAYS_S:
        if old_s < delay_s <= most_s and sum(span < delay_s for span in spans_s) >= SHARE * len(spans_s):
            return delay_s
    return None


def _rounded_up(value: float) -> float:
    """To one digit, and above it: what stands exactly there is bridged too."""
    if value <= 0:
        return 0.0
    step = 10.0 ** floor(log10(value))
    return round((floor(value / step) + 1) * step, 12)
