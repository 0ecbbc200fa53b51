"""The life cycle of alarms: states, delays, dead band, and what must hold whatever happens."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent import alarms
from edge_agent.alarms import Board, Book, Condition, Event, Moment, Order, Rule, Rules

START_S = 1_790_000_000.0
WORDS = {"cause": "c", "consequence": "d", "action": "e", "rationale": "f", "raised_by": "inspect"}
RULES = Rules(
    {
        "camera": Rule(priority="high", off_delay_s=2.0, **WORDS),
        "framing": Rule(priority="high", on_delay_s=3.0, off_delay_s=5.0, suppressed_by=("camera",), **WORDS),
        "unit": Rule(priority="high", acknowledging=False, shelving=False, **WORDS),
        "waiting": Rule(priority="medium", above=10.0, dead_band=2.0, **WORDS),
        "water": Rule(priority="medium", early_priority="low", early_consequence="will", **WORDS),
        "lamps": Rule(priority="low", out_of_service=True, **WORDS),
    },
    {"high": 3600.0, "medium": 28_800.0, "low": 86_400.0},
)
LONGEST_S = 86_400.0


class Station:
    """A book that is looked at again and again."""

    def __init__(self) -> None:
        self.book, self.now, self.orders = Book(), Moment(50.0, START_S), {}
        self.events: list[Event] = []

    def look(self, *conditions: Condition, after_s: float = 1.0, jump_s: float = 0.0) -> Board:
        self.now = Moment(self.now.monotonic_s + after_s, self.now.utc_s + after_s + jump_s)
        self.book, events = alarms.step(
            self.book, RULES, conditions=conditions, orders=self.orders.values(), now=self.now
        )
        self.events += events
        return alarms.board(self.book, RULES)

    def order(self, id: str, word: str, *, for_s: float = 600.0, occurrence: str | None = None) -> None:
        since = next((one.since for one in self.book.entries if one.id == id), "")
        self.orders[id, word == "acknowledge"] = Order(
            key=str(len(self.events)) + word,
            id=id,
            order=word,
            by="erna",
            at_s=self.now.utc_s,
            for_s=for_s,
            occurrence=since if occurrence is None else occurrence,
            reason="repaired at noon",
        )

    def restart(self) -> None:
        self.book = alarms.resumed(msgspec.json.decode(msgspec.json.encode(self.book), type=Book))
        self.now = Moment(3.0, self.now.utc_s)

    def state(self, id: str) -> str:
        return next((alarms.state(one, RULES.alarm[id]) for one in self.book.entries if one.id == id), "normal")

    def happened(self, id: str) -> list[str]:
        return [event.event for event in self.events if event.id == id]


@pytest.fixture
def station() -> Station:
    return Station()


def condition(id: str, words: str = "it is so: mend it", **fields) -> Condition:
    return Condition(id=id, words=words, **fields)


CAMERA, FRAMING = condition("camera"), condition("framing", "moved 9.0 px: turn it back")


def test_an_alarm_is_raised_acknowledged_and_goes(station):
    (alarm,) = station.look(CAMERA).active
    assert (alarm.state, alarm.cause, alarm.action, alarm.consequence) == ("unacknowledged", "it is so", "mend it", "d")
    station.order("camera", "acknowledge")
    (alarm,) = station.look(CAMERA).active
    assert (alarm.state, alarm.acknowledged_by) == ("acknowledged", "erna")
    station.look()
    assert station.look(after_s=2.0) == Board()
    assert station.happened("camera") == ["raised", "acknowledged", "returned"]


def test_an_alarm_that_went_before_anybody_saw_it_stays_aside_until_somebody_has(station):
    station.look(CAMERA)
    station.look()
    board = station.look(after_s=2.0)
    assert board.active == () and [(one.id, one.state, one.holds) for one in board.aside] == [
        ("camera", "returned", False)
    ]
    assert board.holding == ()
    station.order("camera", "acknowledge")
    assert station.look() == Board()


def test_delays_hide_what_is_short_and_bridge_what_is_away_for_short(station):
    assert station.look(FRAMING) == station.look(FRAMING, after_s=2.9) == Board()
    assert station.look(after_s=0.2) == Board()
    station.look(FRAMING)
    assert len(station.look(FRAMING, after_s=3.0).active) == 1
    station.look()
    assert len(station.look(after_s=4.9).active) == 1
    station.look(FRAMING)
    station.look()
    assert len(station.look(after_s=4.9).active) == 1
    assert station.look(after_s=0.2).active == ()
    assert station.happened("framing") == ["raised", "returned"]


def test_a_quantity_has_to_come_back_behind_its_dead_band_and_what_is_no_number_changes_nothing(station):
    def state(value: float) -> str:
        station.look(condition("waiting", value=value))
        return station.state("waiting")

    assert [state(value) for value in (10.0, float("nan"), 10.1, 8.5, float("nan"), 8.0)] == [
        "normal",
        "normal",
        *["unacknowledged"] * 3,
        "returned",
    ]
    assert state(7.0) == "returned" and state(9.0) == "returned"
    state(11.0)
    assert station.events[-1].eased == 7.0, "how far it went back: what a wider dead band would have had to bridge"


def test_numbers_that_change_make_no_new_message_but_now_and_then(station):
    for _ in range(4):
        (alarm,) = station.look(condition("camera", "moved 9.0 px: turn it")).active
    (later,) = station.look(condition("camera", "moved 9.3 px: turn it")).active
    assert later == alarm
    (later,) = station.look(condition("camera", "moved 9.4 px: turn it"), after_s=11.0).active
    assert (later.text, later.since) == ("moved 9.4 px: turn it", alarm.since)
    assert station.look(condition("camera", "no pictures: check power")).active[0].text == "no pictures: check power"


def test_what_was_to_come_and_has_come_is_to_be_seen_again(station):
    (alarm,) = station.look(condition("water", early=True)).active
    assert (alarm.priority, alarm.consequence) == ("low", "will")
    station.order("water", "acknowledge")
    station.look(condition("water", early=True))
    (alarm,) = station.look(condition("water")).active
    assert (alarm.priority, alarm.consequence, alarm.state) == ("medium", "d", "unacknowledged")
    assert [event.told for event in station.events if event.event == "raised"] == [True, True]


def test_a_shelved_alarm_is_aside_until_its_time_is_up_and_then_asks_again(station):
    station.look(CAMERA)
    station.order("camera", "acknowledge")
    station.order("camera", "shelve", for_s=60.0)
    board = station.look(CAMERA)
    assert board.active == () and [(one.state, one.holds) for one in board.aside] == [("shelved", True)]
    assert board.holding == board.aside and board.aside[0].shelved_until
    assert station.look(CAMERA, after_s=57.0).active == ()
    (alarm,) = station.look(CAMERA, after_s=2.0).active
    assert alarm.state == "unacknowledged"
    assert station.look(CAMERA).active[0].state == "unacknowledged", "the old acknowledgement does not count again"
    assert [event.event for event in station.events if event.told] == ["raised", "shelf_ended"]


def test_a_shelf_is_left_by_order_and_no_longer_than_the_priority_allows(station):
    station.order("camera", "shelve", for_s=1e9)
    station.look(CAMERA)
    assert station.state("camera") == "shelved"
    station.look(CAMERA, after_s=3599.0)
    assert station.state("camera") == "shelved"
    station.look(CAMERA, after_s=1.0)
    assert station.state("camera") == "unacknowledged"
    station.order("camera", "shelve")
    station.look(CAMERA)
    station.order("camera", "unshelve")
    station.look(CAMERA)
    assert station.state("camera") == "unacknowledged"
    station.order("unit", "shelve")
    station.look(condition("unit"))
    assert station.state("unit") == "acknowledged", "it may not be shelved, and nobody has to acknowledge it"


def test_what_follows_from_another_alarm_is_not_told_as_well(station):
    station.look(FRAMING)
    station.look(FRAMING, after_s=3.0)
    board = station.look(FRAMING, CAMERA)
    assert [one.id for one in board.active] == ["camera"] and board.aside[0].state == "suppressed"
    station.look(FRAMING)
    assert [one.id for one in station.look(FRAMING, after_s=2.0).active] == ["framing"]
    station.order("camera", "shelve")
    assert [one.id for one in station.look(FRAMING, CAMERA).active] == ["framing"], (
        "of what nobody sees nothing follows"
    )


def test_what_is_out_of_service_is_seen_to_be(station):
    board = station.look(condition("lamps"))
    assert board.active == () and board.aside[0].state == "out_of_service" and not station.events[-1].told


def test_an_acknowledgement_of_an_older_occurrence_is_none_of_the_newer(station):
    station.look(CAMERA)
    old = station.book.entries[0].since
    station.look()
    station.look(after_s=2.0)
    station.look(CAMERA)
    station.order("camera", "acknowledge", occurrence=old)
    assert station.look(CAMERA).active[0].state == "unacknowledged"


def test_a_clock_that_is_set_back_shelves_nothing_for_ever_and_one_that_is_set_forward_ends_the_shelf(station):
    station.order("camera", "shelve", for_s=3000.0)
    station.look(CAMERA)
    station.look(CAMERA, jump_s=-1e8)
    assert station.state("camera") == "shelved"
    station.restart()
    station.look(CAMERA)
    station.look(CAMERA, after_s=3000.0)
    assert station.state("camera") == "unacknowledged"
    station.order("camera", "shelve", for_s=3000.0)
    station.look(CAMERA)
    station.look(CAMERA, jump_s=1e8)
    assert station.state("camera") == "unacknowledged"


def test_a_shelf_runs_on_while_the_device_is_off(station):
    station.order("camera", "shelve", for_s=3000.0)
    station.look(CAMERA)
    station.restart()
    station.look(CAMERA, jump_s=3000.0)
    assert station.state("camera") == "unacknowledged"


def test_an_alarm_that_left_the_catalogue_leaves_the_book_and_a_condition_without_alarm_is_our_bug(station):
    station.book = Book(entries=(alarms.Entry(id="former", holds=True),))
    assert station.look() == Board()
    with pytest.raises(KeyError):
        station.look(condition("unheard-of"))


IDS = sorted(RULES.alarm)
TURNS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(IDS), st.sampled_from([0.0, 7.0, 9.0, 11.0, 20.0, float("nan")])),
        st.sampled_from([0.25, 1.0, 4.0, 700.0, 30_000.0]),
        st.sampled_from([0.0, 0.0, 0.0, 0.0, -1e7, 1e7]),
        st.one_of(
            st.none(),
            st.tuples(st.sampled_from(IDS), st.sampled_from(["acknowledge", "shelve", "unshelve"])),
            st.just("restart"),
            st.just("again"),
        ),
    ),
    max_size=14,
)


def turn(station: Station, there: dict[str, float], after_s: float, jump_s: float) -> tuple[list[Event], Board]:
    before = len(station.events)
    found = [condition(id, value=value, early=id == "water" and value > 10) for id, value in there.items()]
    board = station.look(*found, after_s=after_s, jump_s=jump_s)
    return station.events[before:], board


@settings(max_examples=400, deadline=None)
@given(TURNS)
def test_whatever_happens_no_alarm_is_lost_and_every_shelf_ends(turns):
    live_through(turns)


@pytest.mark.full
@settings(max_examples=10_000, deadline=None)
@given(TURNS)
def test_no_alarm_is_lost_in_ten_thousand_histories(turns):
    live_through(turns)


def live_through(turns):
    station, acknowledged = Station(), set()
    for there, after_s, jump_s, order in turns:
        if order == "restart":
            before = station.book
            station.restart()
            assert station.book.entries == before.entries
        elif order == "again":
            station.orders |= {
                key: msgspec.structs.replace(one, key=one.key + "'") for key, one in station.orders.items()
            }
        elif order:
            station.order(*order, for_s=5000.0)
        held = {one.id: one.holds for one in station.book.entries}
        events, board = turn(station, there, after_s, jump_s)
        shown = {alarm.id for alarm in (*board.active, *board.aside)}
        for one in station.book.entries:
            assert not one.holds or one.id in shown
            assert one.holds == held.get(one.id, False) or {"raised", "returned"} & {
                event.event for event in events if event.id == one.id
            }
            assert one.shelf is None or one.shelf.left_s <= RULES.longest_shelf_s[RULES.alarm[one.id].priority]
            assert one.shelf is None or RULES.alarm[one.id].shelving
        for event in events:
            occurrence = (event.id, next(one.since for one in station.book.entries if one.id == event.id))
            if event.event == "acknowledged":
                assert occurrence not in acknowledged
                acknowledged.add(occurrence)
            elif event.event in ("raised", "unshelved", "shelf_ended"):
                # It is to be seen anew, also where another alarm or a shelf hides it for now.
                acknowledged.discard(occurrence)
    station.orders.clear()
    for jump_s in (-1e6, 0.0):
        turn(station, {}, LONGEST_S / 2 + 1, jump_s)
    assert all(one.shelf is None for one in station.book.entries)


@settings(max_examples=100, deadline=None)
@given(TURNS)
def test_the_same_history_gives_the_same_book(turns):
    stations = Station(), Station()
    for there, after_s, jump_s, order in turns:
        for station in stations:
            if isinstance(order, tuple):
                station.order(*order)
            turn(station, there, after_s, jump_s)
    assert msgspec.json.encode(stations[0].book) == msgspec.json.encode(stations[1].book)
    assert [event.event for event in stations[0].events] == [event.event for event in stations[1].events]
