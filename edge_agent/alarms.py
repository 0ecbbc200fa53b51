"""Conditions, what people ordered and the time -> each alarm's state after ISA-18.2, and what has happened. PURE.

A condition is a fact that is there or not; an alarm is what people have to deal with: it comes after a delay, is
acknowledged, shelved for a while, and goes. Times are counted as durations on a clock that nobody sets, so that neither
a restart nor a clock that is set back shelves anything for ever.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from edge_agent import utc
from edge_agent.messages import Alarm, AlarmPriority, AlarmState, Identifier

Process = Literal["inspect", "uplink", "update"]
OrderWord = Literal["acknowledge", "shelve", "unshelve"]
EventWord = Literal[
    "raised", "returned", "acknowledged", "shelved", "unshelved", "shelf_ended", "suppressed", "released"
]
PRIORITIES: tuple[AlarmPriority, ...] = ("high", "medium", "low")
WORDS_EVERY_S = 10.0
"""Numbers that change from frame to frame make an alarm no new message, but now and then."""
EASED_S = 600.0
"""How far a quantity went back after an alarm is followed for so long: what comes later is another trouble."""
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One alarm of the catalogue: what it means, and what is asked of whoever sees it."""

    raised_by: Process
    priority: AlarmPriority
    early_priority: AlarmPriority | None = None
    """While it tells of a trouble that only comes; None = the same."""
    cause: str
    consequence: str
    early_consequence: str = ""
    action: str
    rationale: str
    """Why it is an alarm at all, and why of this priority."""
    on_delay_s: Seconds = 0.0
    """The condition has to be there for so long."""
    off_delay_s: Seconds = 0.0
    """And away for so long."""
    above: float | None = None
    below: float | None = None
    """The quantity's limit, where the alarm has one; never both."""
    dead_band: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """The quantity has to come back by so much behind the limit."""
    unit: str = ""
    acknowledging: bool = True
    """Whether somebody has to say that he has seen it."""
    shelving: bool = True
    out_of_service: bool = False
    suppressed_by: tuple[Identifier, ...] = ()
    """While one of these is told, this one follows from it and is not told as well."""

    @property
    def limit(self) -> float | None:
        """`above` or `below`; None where the words alone say whether it holds."""
        return self.above if self.above is not None else self.below


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """One fact as a module sees it now. Where it has a `value`, the rule's limit judges it; else it is there."""

    id: Identifier
    words: str
    """Fact, limit and `: ` cure; without a cure the catalogue's holds."""
    value: float | None = None
    consequence: str = ""
    """Where it is another than the catalogue's."""
    early: bool = False
    """The trouble has not come yet."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a person has ordered of one alarm. Each `key` is carried out once; whoever keeps it gives it one."""

    key: str = ""
    id: Identifier
    order: OrderWord
    by: str
    at_s: float
    """UTC, seconds since 1970."""
    occurrence: str = ""
    """`since` of the alarm that was seen: another one is not acknowledged by it."""
    for_s: float = 0.0
    reason: str = ""


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm out of sight. It ends when the UTC is reached or the seconds are used up, whichever comes first."""

    by: str
    reason: str
    until_s: float
    left_s: float


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm's past, as far as it counts."""

    id: Identifier
    holds: bool = False
    """The condition, after delays and dead band."""
    since: str = ""
    """UTC of the newest occurrence, which it names."""
    unseen: bool = False
    """Nobody has acknowledged that occurrence."""
    acknowledged_by: str = ""
    acknowledged_at: str | None = None
    words: str = ""
    consequence: str = ""
    early: bool = False
    value: float | None = None
    eased: float | None = None
    """The value farthest on the good side of the limit since the alarm went."""
    words_s: float = 0.0
    """Age of the words."""
    differs_s: float | None = None
    """For how long the condition has been other than `holds`."""
    away_s: float = 0.0
    shelf: Shelf | None = None
    suppressed: bool = False
    acknowledgement: str = ""
    """Key of the last order of its kind that was carried out."""
    shelving: str = ""


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """All alarms of one process."""

    schema: Literal["tankwatch/alarm-book/1"] = "tankwatch/alarm-book/1"
    entries: tuple[Entry, ...] = ()
    """By id."""
    monotonic_s: float | None = None
    """Of the last look; None after a restart, when that clock has begun anew."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to an alarm."""

    at_s: float
    """UTC, seconds since 1970."""
    id: Identifier
    event: EventWord
    priority: AlarmPriority
    told: bool = False
    """Whether it asked people to look: a new alarm, or one that came back from the shelf."""
    words: str = ""
    by: str = ""
    reason: str = ""
    value: float | None = None
    eased: float | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment on two clocks: one that nobody sets, and UTC in seconds since 1970."""

    monotonic_s: float
    utc_s: float


@dataclass(frozen=True, slots=True)
class Rules:
    """One process's part of the catalogue. `longest_shelf_s` by priority."""

    alarm: Mapping[str, Rule]
    longest_shelf_s: Mapping[AlarmPriority, float]


@dataclass(frozen=True, slots=True)
class Board:
    """For the screen. `aside`: shelved, suppressed, out of service, or gone before anybody acknowledged it."""

    active: tuple[Alarm, ...] = ()
    aside: tuple[Alarm, ...] = ()

    @property
    def holding(self) -> tuple[Alarm, ...]:
        """For the wire: all whose cause is there, with their state."""
        return (*self.active, *(alarm for alarm in self.aside if alarm.holds))


def step(
    book: Book, rules: Rules, *, conditions: Iterable[Condition], orders: Iterable[Order], now: Moment
) -> tuple[Book, tuple[Event, ...]]:
    """One look. Alarms that are in the book and no more in the catalogue are left out of it. Raises KeyError where a
    condition is not in the catalogue: that is our bug."""
    elapsed_s = 0.0 if book.monotonic_s is None else max(0.0, now.monotonic_s - book.monotonic_s)
    told = {one.id: one for one in conditions}
    entries = {one.id: one for one in book.entries if one.id in rules.alarm}
    events: list[Event] = []
    for id in sorted(entries.keys() | told.keys()):
        one, rule = entries.get(id, Entry(id=id)), rules.alarm[id]
        entries[id] = _felt(one, rule, told.get(id), elapsed_s=elapsed_s, now=now, events=events)
    for id, one in sorted(entries.items()):
        entries[id] = _shelved(one, rules, elapsed_s=elapsed_s, now=now, events=events)
    for order in orders:
        if order.id in rules.alarm:
            one = entries.get(order.id, Entry(id=order.id))
            entries[order.id] = _obeyed(one, rules, order, now=now, events=events)
    for id, one in sorted(entries.items()):
        entries[id] = _hidden(one, rules, entries, now=now, events=events)
    told_events = tuple(_addressed(event, entries[event.id], rules) for event in events)
    return Book(entries=tuple(entries[id] for id in sorted(entries)), monotonic_s=now.monotonic_s), told_events


def resumed(book: Book) -> Book:
    """After a restart: the clock that nobody sets may have begun anew."""
    return msgspec.structs.replace(book, monotonic_s=None)


def state(one: Entry, rule: Rule) -> AlarmState:
    """The state after ISA-18.2."""
    if rule.out_of_service:
        return "out_of_service"
    if one.shelf:
        return "shelved"
    if one.suppressed:
        return "suppressed"
    if one.holds:
        return "unacknowledged" if one.unseen else "acknowledged"
    return "returned" if one.unseen else "normal"


def board(book: Book, rules: Rules) -> Board:
    """What the screen shows, the gravest first, then the oldest."""
    active, aside = [], []
    for one in book.entries:
        rule = rules.alarm.get(one.id)
        if rule is None:
            continue
        word = state(one, rule)
        if word in ("unacknowledged", "acknowledged"):
            active.append(_alarm(one, rule, word))
        elif word in ("returned", "shelved") or (word != "normal" and one.holds):
            aside.append(_alarm(one, rule, word))
    return Board(tuple(sorted(active, key=rank)), tuple(sorted(aside, key=rank)))


def longest_shelf_s(rule: Rule, rules: Rules) -> float:
    """How long it may be shelved at once; 0 = never."""
    return rules.longest_shelf_s[rule.priority] if rule.shelving else 0.0


def priority(one: Entry, rule: Rule) -> AlarmPriority:
    """Of the alarm as it is now."""
    return rule.early_priority if one.early and rule.early_priority else rule.priority


def rank(alarm: Alarm) -> tuple[int, str, str]:
    """The gravest first, then the oldest."""
    return PRIORITIES.index(alarm.priority), alarm.since, alarm.id


def _felt(
    one: Entry, rule: Rule, condition: Condition | None, *, elapsed_s: float, now: Moment, events: list[Event]
) -> Entry:
    """Delays and dead band."""
    is_there = _is_there(rule, condition, one.holds)
    if is_there and condition:
        one = _worded(one, rule, condition, elapsed_s=elapsed_s, now=now, events=events)
    one = _easing(one, rule, condition, elapsed_s)
    if is_there == one.holds:
        return msgspec.structs.replace(one, differs_s=None)
    differs_s = 0.0 if one.differs_s is None else one.differs_s + elapsed_s
    if differs_s < (rule.on_delay_s if is_there else rule.off_delay_s):
        return msgspec.structs.replace(one, differs_s=differs_s)
    return _raised(one, rule, now, events) if is_there else _returned(one, rule, now, events)


def _is_there(rule: Rule, condition: Condition | None, holds: bool) -> bool:
    if condition is None:
        return False
    value, limit = condition.value, rule.limit
    if value is None or limit is None:
        return bool(condition.words)
    if value != value:
        # Not a number: nothing is known, so nothing changes.
        return holds
    band = rule.dead_band if holds else 0.0
    return value > limit - band if rule.above is not None else value < limit + band


def _worded(
    one: Entry, rule: Rule, condition: Condition, *, elapsed_s: float, now: Moment, events: list[Event]
) -> Entry:
    """Words as they are now; a trouble that was to come and has come is to be seen anew."""
    is_same = one.holds and one.early == condition.early and _shape(one.words) == _shape(condition.words)
    if is_same and one.words_s + elapsed_s < WORDS_EVERY_S:
        return msgspec.structs.replace(one, words_s=one.words_s + elapsed_s, value=_known(condition))
    has_come = one.holds and one.early and not condition.early
    one = msgspec.structs.replace(
        one,
        words=condition.words,
        consequence=condition.consequence,
        value=_known(condition),
        early=condition.early,
        words_s=0.0,
    )
    if has_come:
        one = _to_be_seen(one, rule)
        events.append(_event("raised", one, rule, now))
    return one


def _known(condition: Condition | None) -> float | None:
    """The value; None where it is no number."""
    value = condition.value if condition else None
    return value if value == value else None


def _shape(words: str) -> str:
    return re.sub(r"[\d.]+", "", words)


def _easing(one: Entry, rule: Rule, condition: Condition | None, elapsed_s: float) -> Entry:
    """Follows how far the quantity goes back after the alarm went."""
    if one.holds or not one.since or rule.limit is None or one.away_s > EASED_S:
        return one
    known = [seen for seen in (one.eased, _known(condition)) if seen is not None]
    eased = (min if rule.above is not None else max)(known, default=None)
    return msgspec.structs.replace(one, eased=eased, away_s=one.away_s + elapsed_s)


def _raised(one: Entry, rule: Rule, now: Moment, events: list[Event]) -> Entry:
    since = utc.text(now.utc_s)
    if since == one.since:
        # A clock that was set back must not give two occurrences one name.
        since = utc.text(now.utc_s + 0.001)
    one = _to_be_seen(msgspec.structs.replace(one, holds=True, since=since, differs_s=None), rule)
    events.append(_event("raised", one, rule, now))
    return msgspec.structs.replace(one, eased=None, away_s=0.0)


def _returned(one: Entry, rule: Rule, now: Moment, events: list[Event]) -> Entry:
    one = msgspec.structs.replace(one, holds=False, differs_s=None, suppressed=False, eased=None, away_s=0.0)
    events.append(_event("returned", one, rule, now))
    return one


def _to_be_seen(one: Entry, rule: Rule) -> Entry:
    return msgspec.structs.replace(one, unseen=rule.acknowledging, acknowledged_by="", acknowledged_at=None)


def _obeyed(one: Entry, rules: Rules, order: Order, *, now: Moment, events: list[Event]) -> Entry:
    rule = rules.alarm[one.id]
    if order.order == "acknowledge":
        return one if order.key == one.acknowledgement else _acknowledged(one, rule, order, now, events)
    if order.key == one.shelving:
        return one
    one = msgspec.structs.replace(one, shelving=order.key)
    if order.order == "shelve":
        return _put_aside(one, rules, order, now=now, events=events)
    return _taken_down(one, rule, _event("unshelved", one, rule, now, order), events) if one.shelf else one


def _acknowledged(one: Entry, rule: Rule, order: Order, now: Moment, events: list[Event]) -> Entry:
    one = msgspec.structs.replace(one, acknowledgement=order.key)
    if order.occurrence != one.since or not one.unseen:
        return one
    events.append(_event("acknowledged", one, rule, now, order))
    return msgspec.structs.replace(one, unseen=False, acknowledged_by=order.by, acknowledged_at=utc.text(now.utc_s))


def _put_aside(one: Entry, rules: Rules, order: Order, *, now: Moment, events: list[Event]) -> Entry:
    """An order that lay there while nobody looked has less left; one that is dated in the future gains nothing."""
    rule = rules.alarm[one.id]
    left_s = min(order.for_s - max(0.0, now.utc_s - order.at_s), longest_shelf_s(rule, rules))
    if left_s <= 0:
        return one
    events.append(_event("shelved", one, rule, now, order))
    shelf = Shelf(by=order.by, reason=order.reason, until_s=now.utc_s + left_s, left_s=left_s)
    return msgspec.structs.replace(one, shelf=shelf)


def _shelved(one: Entry, rules: Rules, *, elapsed_s: float, now: Moment, events: list[Event]) -> Entry:
    if one.shelf is None:
        return one
    rule = rules.alarm[one.id]
    longest_s = longest_shelf_s(rule, rules)
    left_s = min(one.shelf.left_s - elapsed_s, longest_s)
    until_s = min(one.shelf.until_s, now.utc_s + longest_s)
    if left_s <= 0 or now.utc_s >= until_s:
        return _taken_down(one, rule, _event("shelf_ended", one, rule, now), events)
    return msgspec.structs.replace(one, shelf=msgspec.structs.replace(one.shelf, left_s=left_s, until_s=until_s))


def _taken_down(one: Entry, rule: Rule, event: Event, events: list[Event]) -> Entry:
    events.append(event)
    one = msgspec.structs.replace(one, shelf=None)
    return _to_be_seen(one, rule) if one.holds else one


def _hidden(one: Entry, rules: Rules, entries: Mapping[str, Entry], *, now: Moment, events: list[Event]) -> Entry:
    """What follows from another alarm that is told is not told as well."""
    rule = rules.alarm[one.id]
    is_hidden = one.holds and any(_is_told(entries.get(id), rules) for id in rule.suppressed_by)
    if is_hidden != one.suppressed:
        one = msgspec.structs.replace(one, suppressed=is_hidden)
        if one.holds:
            events.append(_event("suppressed" if is_hidden else "released", one, rule, now))
    return one


def _is_told(one: Entry | None, rules: Rules) -> bool:
    return one is not None and one.holds and one.shelf is None and not rules.alarm[one.id].out_of_service


def _event(word: EventWord, one: Entry, rule: Rule, now: Moment, order: Order | None = None) -> Event:
    return Event(
        at_s=now.utc_s,
        id=one.id,
        event=word,
        priority=priority(one, rule),
        words=one.words,
        by=order.by if order else "",
        reason=order.reason if order else "",
        value=one.value,
        eased=one.eased,
    )


def _addressed(event: Event, one: Entry, rules: Rules) -> Event:
    """Whether it asked anybody to look, by how the alarm stands at the end of the look."""
    asks = event.event in ("raised", "unshelved", "shelf_ended") or (event.event == "released" and one.unseen)
    is_seen = state(one, rules.alarm[one.id]) in ("unacknowledged", "acknowledged")
    return msgspec.structs.replace(event, told=True) if asks and is_seen else event


def _alarm(one: Entry, rule: Rule, word: AlarmState) -> Alarm:
    cause, cure = one.words.rsplit(": ", 1) if ": " in one.words else (rule.cause, rule.action)
    usual = rule.early_consequence if one.early and rule.early_consequence else rule.consequence
    return Alarm(
        id=one.id,
        priority=priority(one, rule),
        text=one.words,
        since=one.since,
        cause=cause,
        consequence=one.consequence or usual,
        action=cure,
        state=word,
        holds=one.holds,
        acknowledged_by=one.acknowledged_by,
        acknowledged_at=one.acknowledged_at,
        shelved_until=utc.text(one.shelf.until_s) if one.shelf else None,
    )
