"""A rollout as a story: who is asked when, what stops it, and what comes back; then thousands of histories."""

import contextlib
from collections.abc import Iterable

import msgspec
import pytest
from fleet import BEFORE, GOOD, HOUR, NEW, NOW, OLD, QUICK, Device, Fleet, places
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_sync import rollout_state as rules
from cloud_sync.rollout_plan import Plan, sizes
from cloud_sync.rollout_records import Decision, Place, Report, Rollout
from cloud_sync.worsening import Tally
from edge_agent.errors import ConfigError
from edge_agent.messages import UpdateReport
from edge_agent.records import BundleRef


class Story:
    """A rollout, its fleet and a clock."""

    def __init__(self, count: int, plan: Plan = QUICK) -> None:
        self.fleet, self.now = Fleet(count), NOW
        self.rollout = rules.planned(NEW, places(count), plan, NOW)
        self.told: list = []

    def look(self, later_h: float = 0.0) -> Decision:
        self.now += later_h * HOUR
        decision = rules.decide(self.rollout, self.fleet.reports, self.now)
        self.rollout = decision.rollout
        self.told += decision.events
        return decision

    def wished(self) -> set:
        return {place for place, bundle in rules.wishes(self.rollout).items() if bundle == NEW}

    def obey(self) -> None:
        self.fleet.obey(rules.wishes(self.rollout), self.now)

    def to_step(self, step: int) -> None:
        """All is well until the devices of this step have the bundle and worked with it."""
        self.look()
        self.obey()
        for _ in range(step):
            self.look()
            self.fleet.work(self.now)
            self.look(1.0)
            self.obey()
        self.look(0.1)
        self.fleet.work(self.now)

    def first(self):
        """The device that has the bundle."""
        (place,) = self.wished()
        return self.fleet.devices[place]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.told]


def test_a_bundle_that_works_reaches_every_device_step_by_step() -> None:
    story, counts = Story(20), []
    while story.rollout.state != "done":
        story.look(1.0)
        story.obey()
        story.look(0.1)
        story.fleet.work(story.now)
        counts.append(len(story.wished()))
    assert sorted(set(counts)) == [1, 5, 10, 20]
    assert story.kinds().count("took") == 20 and "breached" not in story.kinds()
    assert set(rules.wishes(story.rollout).values()) == {NEW}


def test_steps_have_at_least_one_device_and_those_that_add_none_are_left_out() -> None:
    assert sizes(Plan(), 1000) == (50, 250, 500, 1000)
    assert sizes(Plan(), 3) == (1, 3)
    assert sizes(Plan(), 1) == (1,)
    with pytest.raises(ConfigError, match="at least one station"):
        rules.planned(NEW, [], Plan(), NOW)


def test_who_comes_first_is_stable_and_another_one_for_another_bundle() -> None:
    def order(bundle: BundleRef, known: Iterable[Place]) -> list[Place]:
        return [seat.place for seat in rules.planned(bundle, known, Plan(), NOW).seats]

    assert order(NEW, places(40)) == order(NEW, reversed(places(40)))
    assert order(NEW, places(40))[0] != order(OLD, places(40))[0]


def test_no_step_ends_without_its_time_and_its_cases() -> None:
    story = Story(20)
    story.look()
    story.obey()
    story.look(30.0)
    assert story.rollout.state == "soaking"
    story.look(30.0)
    assert (story.rollout.state, story.rollout.step) == ("soaking", 0), "time without cases shows nothing"
    story.fleet.work(story.now)
    story.look()
    assert (story.rollout.state, story.rollout.step) == ("rolling", 1)


@pytest.mark.parametrize(
    ("gate", "harm"),
    [
        ("uncertain", {"new": Tally(100, 60, 0, 40, 0)}),
        ("not tested", {"new": Tally(100, 0, 60, 40, 0)}),
        ("disagreement", {"new": Tally(100, 0, 0, 100, 40)}),
        ("crashes", {"starts": 4}),
        ("high alarms", {"alarms": (("picture", NOW + 30),)}),
    ],
)
def test_a_device_that_does_worse_takes_the_bundle_back_from_all(gate: str, harm: dict) -> None:
    story = Story(20)
    story.to_step(0)
    story.first().change(metrics_at=story.now + 10, **harm)
    story.look(0.01)
    assert story.rollout.state == "rolling_back"
    assert any(event.kind == "breached" and event.words.startswith(gate) for event in story.told), story.told
    assert set(rules.wishes(story.rollout).values()) == {OLD}
    story.obey()
    story.look()
    assert story.rollout.state == "rolled_back" and story.told[-1].words == "every device is back"


def test_a_verdict_that_stays_slow_takes_the_bundle_back_and_one_slow_moment_does_not() -> None:
    story = Story(20)
    story.to_step(0)
    story.first().change(verdict_ms=900.0, metrics_at=story.now)
    story.look()
    story.first().change(verdict_ms=120.0, metrics_at=story.now + 30)
    story.look(0.01)
    story.look(0.1)
    assert story.rollout.state == "soaking"
    story.first().change(verdict_ms=900.0, metrics_at=story.now)
    story.look()
    story.look(0.1)
    assert story.rollout.state == "rolling_back"


@pytest.mark.parametrize("state", ["refused", "returned"])
def test_a_bundle_that_the_first_device_refuses_or_returns_goes_no_further(state: str) -> None:
    story = Story(20)
    story.look()
    story.first().fails(state, story.now)
    story.look()
    assert story.rollout.state in ("rolling_back", "rolled_back")
    assert (state in story.kinds()) and ("breached" in story.kinds())


def test_what_a_device_said_of_an_earlier_wish_is_no_news() -> None:
    story = Story(20)
    for device in story.fleet.devices.values():
        device.fails("refused", NOW - 5000)
    story.look()
    story.look(0.1)
    assert story.rollout.state == "rolling"


def test_one_of_hundreds_that_refuses_stays_as_it_was_and_stops_nobody() -> None:
    story = Story(200)
    story.to_step(2)
    story.look(1.0)
    place = next(seat.place for seat in story.rollout.seats if seat.asked_at and not seat.taken_at)
    story.fleet.devices[place].fails("refused", story.now, "the disk is full: make room")
    for other, bundle in rules.wishes(story.rollout).items():
        if other != place and story.fleet.devices[other].report.running != bundle:
            story.fleet.devices[other].takes(bundle, story.now)
    story.look(0.1)
    assert rules.wishes(story.rollout)[place] == OLD
    story.fleet.work(story.now)
    story.look(1.1)
    assert story.rollout.state == "done"
    assert story.told[-1].words == "1 failed and stay as they were"


def test_a_device_that_is_late_gives_its_place_to_another_and_is_tried_again_at_the_end() -> None:
    story = Story(20)
    story.look()
    (late,) = story.wished()
    story.fleet.devices[late].change(online=False)
    story.look(2.0)
    (other,) = story.wished()
    assert other != late and rules.wishes(story.rollout)[late] == OLD
    story.obey()
    for _ in range(3):
        story.look()
        story.fleet.work(story.now)
        story.look(1.0)
        story.obey()
    assert late in story.wished(), "the last step asks everybody"
    story.look(2.0)
    story.fleet.work(story.now)
    story.look(1.1)
    assert story.rollout.state == "done" and "1 late" in story.told[-1].words


def test_who_may_not_switch_is_held_back_with_the_reason_and_the_others_go_on() -> None:
    story = Story(4)
    held = ("plant", "TANK2")
    story.fleet.devices[held].change(mode="partial", why_not="no certificate of bundle 4 for partial")
    story.fleet.devices["plant", "TANK3"].change(running=None)
    for _ in range(6):
        story.look(1.0)
        story.obey()
        story.look(0.1)
        story.fleet.work(story.now)
    assert story.rollout.state == "done"
    assert held not in rules.wishes(story.rollout)
    words = {seat.place: seat.held for seat in story.rollout.seats if seat.held}
    assert words == {held: "no certificate of bundle 4 for partial", ("plant", "TANK3"): rules.NEVER_SAID}


def test_a_person_halts_resumes_and_takes_back() -> None:
    story = Story(20)
    story.to_step(1)
    story.rollout = rules.halt(story.rollout, story.now)
    had = story.wished()
    story.look(100.0)
    assert story.rollout.state == "halted" and story.wished() == had
    story.rollout = rules.resume(story.rollout, story.now)
    story.look()
    assert story.rollout.state == "soaking"
    story.rollout = rules.roll_back(story.rollout, story.now)
    assert set(rules.wishes(story.rollout).values()) == {OLD}
    story.look(1.9)
    assert story.rollout.state == "rolling_back", "devices have not said that they are back"
    story.look(0.2)
    assert story.rollout.state == "rolled_back" and "5 devices" in story.told[-1].words
    for verb in (rules.halt, rules.resume, rules.roll_back, rules.abort):
        with pytest.raises(ConfigError, match="the rollout is rolled_back and cannot be"):
            verb(story.rollout, story.now)


def test_while_halted_the_gates_are_watched() -> None:
    story = Story(20)
    story.to_step(0)
    story.rollout = rules.halt(story.rollout, story.now)
    story.first().change(starts=5, metrics_at=story.now + 10)
    story.look(0.01)
    assert story.rollout.state == "rolling_back"


def test_a_finished_rollout_goes_back_with_one_step() -> None:
    story = Story(3)
    story.to_step(1)
    story.look(1.1)
    assert story.rollout.state == "done"
    story.rollout = rules.roll_back(story.rollout, story.now)
    assert rules.wishes(story.rollout) == dict.fromkeys(places(3), OLD)


def test_what_the_whole_plant_worsens_by_is_not_the_bundles_fault() -> None:
    story = Story(20)
    story.to_step(0)
    murky = Tally(400, 8, 100, 292, 3)
    story.fleet.work(story.now, murky)
    story.look()
    assert story.rollout.state == "soaking", "the others are as badly off"
    story.first().works(Tally(400, 8, 300, 100, 1), story.now)
    story.look()
    assert story.rollout.state == "rolling_back"


def test_a_device_goes_back_to_what_it_was_wished_unless_it_failed_there() -> None:
    wished, story = BundleRef(9, "9" * 64), Story(1)
    story.fleet.devices["plant", "TANK1"].change(asked=wished)
    story.look()
    assert story.rollout.seats[0].former == wished
    again = Story(1)
    again.fleet.devices["plant", "TANK1"].change(
        asked=wished, update=UpdateReport(bundle=wished, state="returned", words="it hung", at="then")
    )
    again.look()
    assert again.rollout.seats[0].former == OLD


# --- thousands of histories -------------------------------------------------------------------------------------------

WORDS = ("obey", "obey one", "work", "harm", "wait", "long wait", "offline", "online", "refuse", "return", "forget")
PRESSED = {"halt": rules.halt, "resume": rules.resume, "back": rules.roll_back, "abort": rules.abort}
WAITS_H = {"wait": 0.6, "long wait": 3.0}
ACTS = st.tuples(st.sampled_from((*WORDS, *WORDS, *PRESSED)), st.integers(0, 11))


class History:
    """Anything may happen between two looks; reports may be old, since devices say what they said before."""

    def __init__(self, count: int) -> None:
        self.fleet, self.now, self.count = Fleet(count), NOW, count
        self.rollout = rules.planned(NEW, places(count), QUICK, NOW)

    def happen(self, word: str, number: int) -> None:
        place = places(self.count)[number % self.count]
        wishes = rules.wishes(self.rollout)
        if word in PRESSED:
            with contextlib.suppress(ConfigError):  # a step that is none changes nothing
                self.rollout = PRESSED[word](self.rollout, self.now)
        elif word in WAITS_H:
            self.now += HOUR * WAITS_H[word]
        elif word == "obey":
            self.fleet.obey(wishes, self.now)
        elif word == "work":
            self.fleet.work(self.now)
        elif word != "obey one":
            self._of_one(word, self.fleet.devices[place])
        elif place in wishes:
            self.fleet.devices[place].takes(wishes[place], self.now)

    def _of_one(self, word: str, device: Device) -> None:
        match word:
            case "harm":
                device.works(Tally(50, 40, 0, 10, 9), self.now)
            case "offline" | "online":
                device.change(online=word == "online")
            case "refuse" | "return":
                device.fails("refused" if word == "refuse" else "returned", self.now)
            case "forget":
                device.change(running=OLD, metrics_at=None, new=Tally(), ran=BEFORE)

    def look(self) -> None:
        before = self.rollout
        restarted = msgspec.json.decode(msgspec.json.encode(before), type=Rollout)
        reports = self.fleet.reports
        after = rules.decide(restarted, reports, self.now)
        assert rules.decide(after.rollout, reports, self.now) == Decision(after.rollout, after.wishes, ())
        self.rollout = after.rollout
        self.check(before, after)

    def check(self, before: Rollout, after: Decision) -> None:
        now = after.rollout
        wished_new = [place for place, bundle in after.wishes.items() if bundle == NEW]
        assert len(wished_new) <= now.sizes[now.step]
        assert now.step >= before.step
        assert {seat.place for seat in before.seats if seat.former} <= set(after.wishes)
        formers = {seat.place: seat.former for seat in before.seats if seat.former}
        assert all(seat.former == formers.get(seat.place, seat.former) for seat in now.seats)
        if now.state in ("rolling_back", "rolled_back"):
            assert after.wishes == {seat.place: seat.former for seat in now.seats if seat.former}
        if before.state in ("done", "rolled_back"):
            assert now == before

    def settle(self) -> None:
        """From now on every device is there, obeys and works well: the rollout comes to its end."""
        for _ in range(40):
            if self.rollout.state in ("done", "rolled_back"):
                return
            if self.rollout.state == "halted":
                self.rollout = rules.resume(self.rollout, self.now)
            for device in self.fleet.devices.values():
                device.change(online=True, update=None)
            self.look()
            self.fleet.obey(rules.wishes(self.rollout), self.now)
            self.look()
            self.fleet.work(self.now)
            self.now += 1.1 * HOUR
        raise AssertionError(f"stuck in {self.rollout.state}")


def _histories(count: int, acts: list) -> None:
    history = History(count)
    for word, number in acts:
        history.happen(word, number)
        history.look()
    history.settle()


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 12), st.lists(ACTS, max_size=25))
def test_whatever_happens_the_rules_hold_and_it_ends(count: int, acts: list) -> None:
    _histories(count, acts)


@pytest.mark.full
@settings(max_examples=4000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 40), st.lists(ACTS, max_size=60))
def test_whatever_happens_over_thousands_of_histories_the_rules_hold(count: int, acts: list) -> None:
    _histories(count, acts)


def test_a_place_of_which_nothing_is_known_is_held_back_and_the_first_report_frees_it() -> None:
    rollout = rules.planned(NEW, places(1), QUICK, NOW)
    waiting = rules.decide(rollout, {}, NOW).rollout
    assert (waiting.state, waiting.seats[0].held) == ("rolling", rules.NEVER_SAID)
    asked = rules.decide(waiting, {("plant", "TANK1"): Report(running=OLD, online=True, ran=GOOD)}, NOW + 5)
    assert asked.wishes == {("plant", "TANK1"): NEW}


def test_a_rollout_that_has_to_wait_for_its_places_asks_nobody() -> None:
    story = Story(3)
    decision = rules.decide(story.rollout, story.fleet.reports, NOW, free=False)
    assert (decision.rollout, decision.wishes, decision.events) == (story.rollout, {}, ())
