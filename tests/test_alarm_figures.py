"""What is measured of the history, and what is proposed from it."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent import alarms
from edge_agent.alarm_catalogue import shipped
from edge_agent.alarm_figures import figures
from edge_agent.alarm_proposals import lasted, proposals, raised_with
from edge_agent.alarms import Book, Condition, Event, Moment, Rules
from edge_agent.messages import Alarm

START_S = 1_790_000_000.0
DAY_S = 86_400.0


def told(at_s, id="camera", **fields):
    return Event(at_s=START_S + at_s, id=id, event="raised", priority="high", told=True, **fields)


def measured(events, active=(), operators=1, span_s=DAY_S):
    rules = msgspec.structs.replace(shipped().figures, operators=operators)
    return figures(events, active, rules, span_s=(START_S, START_S + span_s))


def test_a_calm_day_is_within_the_aim_and_a_flood_is_not():
    calm = measured([told(at) for at in range(0, 86_400, 1800)])
    assert (calm.told, round(calm.per_10_min, 2), calm.is_within_aim, calm.flood_share) == (48, 0.33, True, 0.0)
    flood = measured([told(100 + at) for at in range(200)])
    assert (flood.worst_10_min, flood.worst_hour, flood.worst_hour_at_s) == (200, 200, START_S + 100)
    assert not flood.is_within_aim and flood.flood_share == 1 / 144
    assert measured([told(100 + at) for at in range(200)], operators=2).is_within_aim


def test_an_empty_history_has_figures():
    found = measured([])
    assert (found.told, found.worst_hour, found.worst_hour_at_s, found.most_frequent) == (0, 0, None, ())
    assert measured([], span_s=0.0).per_10_min == 0.0


def test_who_comes_most_often_who_chatters_and_who_stands_for_days_is_named():
    events = [told(at, "lamps") for at in (0, 20, 40, 59, 5000)] + [told(7000, "water")]
    old = Alarm(
        id="tank",
        priority="low",
        text="t",
        since="2026-09-19T14:13:20.000Z",
        cause="c",
        consequence="d",
        action="e",
    )
    found = measured(events, [old])
    assert [(one.id, one.told, round(one.share, 2)) for one in found.most_frequent] == [
        ("lamps", 5, 0.83),
        ("water", 1, 0.17),
    ]
    assert [(one.id, one.told) for one in found.chattering] == [("lamps", 2)]
    assert [(one.id, one.hours) for one in found.stale] == [("tank", 72.0)]


def test_what_nobody_was_told_does_not_count():
    assert measured([msgspec.structs.replace(told(5), told=False)]).told == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 9000), max_size=40))
def test_the_worst_spans_are_those_of_a_plain_search(times):
    found = measured([told(at) for at in times])
    for span_s, worst in ((600, found.worst_10_min), (3600, found.worst_hour)):
        assert worst == max((sum(at <= other < at + span_s for other in times) for at in times), default=0)


def lived(spans, id="lamps", values=None, off_delay_s=None):
    """The events that the life cycle makes of a condition that was there in these spans of seconds."""
    rule = shipped().alarm[id]
    if off_delay_s is not None:
        rule = msgspec.structs.replace(rule, off_delay_s=off_delay_s)
    rules = Rules({id: rule}, shipped().rules(rule.raised_by).longest_shelf_s)
    book, events = Book(), []
    for second in range(int(spans[-1][1]) + 60):
        is_there = any(begin <= second < end for begin, end in spans)
        value = None if values is None else (values[0] if is_there else values[1])
        there = [Condition(id=id, words="w: c", value=value)] if is_there or values else []
        book, news = alarms.step(book, rules, conditions=there, orders=(), now=Moment(float(second), START_S + second))
        events += news
    return events


FLICKER = [(start, start + 20) for start in range(0, 25 * 35, 35)]
"""25 times there for 20 s, away for 15 s."""


def test_an_alarm_that_comes_and_goes_gets_a_proposal_for_a_longer_off_delay_with_what_it_changes():
    events = lived(FLICKER)
    (one,) = proposals(events, shipped())
    assert (one.id, one.setting, one.old, one.new) == ("lamps", "off_delay_s", 5.0, 20.0)
    assert one.changes == "1 instead of 25 alarms" and "24 times" in one.why and "15 s longer" in one.missed
    assert [event.event for event in lived(FLICKER, off_delay_s=20.0)] == ["raised", "returned"]


def test_nineteen_times_are_no_pattern():
    assert proposals(lived(FLICKER[:20]), shipped()) == ()


def test_an_alarm_that_is_over_at_once_is_proposed_to_come_later_but_a_grave_one_never():
    fleeting = [(start, start + 3) for start in range(0, 22 * 610, 610)] + [(14_000, 14_100)]
    (one,) = proposals(lived(fleeting), shipped())
    assert (one.setting, one.new, one.changes) == ("on_delay_s", 5.0, "1 instead of 23 alarms")
    assert "22 troubles that lasted 3.0 s at most" in one.missed
    assert proposals(lived(fleeting, "camera"), shipped()) == ()


def test_a_quantity_at_its_limit_is_proposed_a_wider_dead_band():
    spans = [(start, start + 20) for start in range(10, 25 * 60, 60)]
    rule = msgspec.structs.replace(shipped().alarm["disk-space"], dead_band=0.0)
    catalogue = msgspec.structs.replace(shipped(), alarm={"disk-space": rule})
    rules = Rules({"disk-space": rule}, {"high": 1.0, "medium": 1.0, "low": 1.0})
    book, events = Book(), []
    for second in range(1600):
        share = 0.48 if any(begin <= second < end for begin, end in spans) else 0.53
        there = [Condition(id="disk-space", words="w", value=share)]
        book, news = alarms.step(book, rules, conditions=there, orders=(), now=Moment(second, START_S + second))
        events += news
    (one,) = proposals(events, catalogue)
    assert (one.setting, one.old, one.new) == ("dead_band", 0.0, 0.04)
    assert one.changes == "1 instead of 25 alarms"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 40)), min_size=1, max_size=12), st.integers(5, 40))
def test_what_a_proposal_promises_is_what_the_life_cycle_would_have_done(lengths, off_delay_s):
    spans, at = [], 0
    for there, away in lengths:
        spans.append((at, at + there))
        at += there + away
    past = lasted(lived(spans, off_delay_s=0.0), msgspec.structs.replace(shipped().alarm["lamps"], off_delay_s=0.0))
    really = [event for event in lived(spans, off_delay_s=float(off_delay_s)) if event.event == "raised"]
    # A look a second counts the time away from the first look that finds it: a look less.
    assert raised_with(past, 0.0, off_delay_s + 1.0) == len(really)
