"""Challenge parts by themselves: what a run says, when the next is due, and exactly which units a miss calls back."""

import random

import pytest

from cloud_sync import challenge, challenge_figures
from cloud_sync.challenge import Interval, Moment, Part, Plan, Run

HOUR, DAY = 3600.0, 86_400.0
MIDNIGHT = 20_000 * DAY


def run(sequence: int, verdict: str = "leak", **about) -> Run:
    usual = {"case_id": f"c{sequence}", "site": "plant", "station": "TANK1", "serial": "R-1", "truth": "leak"}
    where = {"boot_id": "aaaa-1", "sequence": sequence, "started_at": 60.0 * sequence}
    truth = about.get("truth", "leak")
    return Run(**usual | where | {"verdict": verdict, "result": challenge.result(truth, verdict)} | about)


def test_one_wrong_word_makes_a_run_wrong() -> None:
    words = {
        ("leak", "ok"): "missed",
        ("ok", "leak"): "missed",
        ("leak", "wait"): "passed",
        ("uncertain", "ok"): "missed",
    }
    assert {said: challenge.result("leak", *said) for said in words} == words
    assert challenge.result("ok", "ok", "leak") == "false_alarm"


@pytest.mark.parametrize(
    ("truth", "word", "result"),
    [
        ("leak", "leak", "passed"),
        ("leak", "ok", "missed"),
        ("ok", "ok", "passed"),
        ("ok", "leak", "false_alarm"),
        ("leak", "uncertain", "repeat"),
        ("ok", "not_tested", "repeat"),
        ("leak", "none", "repeat"),
    ],
)
def test_what_was_said_of_a_part_is_right_wrong_or_to_be_repeated(truth: str, word: str, result: str) -> None:
    assert challenge.result(truth, word) == result


def test_a_case_shows_the_part_that_was_registered_when_it_began() -> None:
    first = Part(id=1, site="plant", serial="R-1", truth="leak", registered_at=10.0, retired_at=20.0)
    second = Part(id=2, site="plant", serial="R-1", truth="ok", registered_at=30.0)
    found = [challenge.part_of([second, first], "R-1", at, called=False) for at in (9.9, 10.0, 19.9, 20.0, 30.0)]
    assert [part and part.id for part in found] == [None, 1, 1, None, 2]
    assert challenge.part_of([first, second], "R-2", 15.0, called=True) is None
    assert challenge.part_of([second], "R-1", 0.0, called=True) == second, "a clock in 1970 hides no part"
    assert challenge.part_of([first], "R-1", 25.0, called=True) is None, "what is retired may leak otherwise by now"


def test_only_the_same_part_or_a_leak_known_to_be_no_larger_proves_that_the_station_would_have_found_it() -> None:
    missed = run(9, "ok", leak_std_cm3_s=1e-3)
    assert challenge.proves(run(1, leak_std_cm3_s=1e-3, serial="R-2"), missed)
    assert challenge.proves(run(1, leak_std_cm3_s=2e-4, serial="R-2"), missed)
    assert challenge.proves(run(1, leak_std_cm3_s=None), missed)
    assert not challenge.proves(run(1, leak_std_cm3_s=1e-2, serial="R-2"), missed)
    assert not challenge.proves(run(1, leak_std_cm3_s=None, serial="R-2"), missed)
    assert not challenge.proves(run(1, "uncertain"), missed)
    assert not challenge.proves(run(1, "ok", truth="ok", serial="G-1"), missed)


def test_a_miss_calls_back_what_came_after_the_last_good_run_up_to_itself_in_any_order_of_arrival() -> None:
    runs = [run(5), run(2), run(9, "ok"), run(12), run(7, "uncertain"), run(8, "ok", truth="ok", serial="G-1")]
    missed = runs[2]
    for seed in range(5):
        random.Random(seed).shuffle(runs)
        assert challenge.called_back(missed, runs) == Interval(run(5).moment, missed.moment)
        assert challenge.since(missed, runs) == Interval(missed.moment, run(12).moment)
        assert not challenge.is_open(missed, runs)
    assert challenge.is_open(missed, [run(5), missed])
    assert challenge.called_back(missed, [missed]) == Interval(None, missed.moment)


def test_restarts_and_jumping_clocks_move_no_unit_and_another_installation_goes_by_time() -> None:
    interval = Interval(Moment("aaaa-1", 5, 300.0), Moment("aaaa-2", 9, 540.0))
    inside = [Moment("aaaa-1", 6, 0.0), Moment("aaaa-2", 8, 9e9), Moment("aaaa-2", 9, 0.0), Moment("bbbb-1", 1, 301.0)]
    outside = [Moment("aaaa-1", 5, 400.0), Moment("aaaa-2", 10, 400.0), Moment("bbbb-1", 7, 300.0)]
    assert all(challenge.holds(interval, one) for one in inside)
    assert not any(challenge.holds(interval, one) for one in [*outside, Moment("bbbb-1", 7, 541.0)])


def test_a_part_is_due_at_once_then_with_each_shift_or_so_many_hours_later() -> None:
    shifts = Plan(when="shift", shift_starts_s=(int(6 * HOUR), int(14 * HOUR), int(22 * HOUR)))
    assert challenge.due(shifts, "k", None, 5.0) == 5.0
    at = {5.9: 6.0, 6.0: 14.0, 13.99: 14.0, 22.5: 30.0, 23.99: 30.0}
    for ran, due in at.items():
        assert challenge.due(shifts, "k", MIDNIGHT + ran * HOUR, 0.0) == MIDNIGHT + due * HOUR, ran
    for plan in (Plan(when="hours", hours=8.0), Plan(when="shift", hours=8.0)):
        assert challenge.due(plan, "k", MIDNIGHT, 0.0) == MIDNIGHT + 8 * HOUR


def test_random_times_come_at_the_declared_rate_by_the_salt_alone_and_never_stay_away() -> None:
    plan = Plan(when="random", a_day=3.0, salt="s")
    days, at, times = 2_000, MIDNIGHT, []
    while at < MIDNIGHT + days * DAY:
        at = challenge.due(plan, "plant/TANK1/leak", at, 0.0)
        times.append(at)
    assert abs(len(times) / days - 3.0) < 0.15, "four standard errors"
    assert times[:9] == [challenge.due(plan, "plant/TANK1/leak", before, 0.0) for before in [MIDNIGHT, *times[:8]]]
    assert challenge.due(plan, "plant/TANK2/leak", MIDNIGHT, 0.0) != times[0]
    rare = challenge.due(Plan(when="random", a_day=1e-9), "k", MIDNIGHT, 0.0)
    assert 0 < rare - MIDNIGHT <= challenge.LONGEST_RANDOM_S + challenge.SLOT_S


def test_what_is_due_is_said_in_words() -> None:
    told = [challenge.told(1000.0, now, 1800.0) for now in (-6200.0, 1000.0, 2800.0, 2801.0, 300_000.0)]
    assert [one.state for one in told] == ["later", "due", "due", "overdue", "overdue"]
    assert told[0].words == "in 2 h 0 min"
    assert told[3].words == "by 30 min: run one before the next unit"
    assert "3 days" in told[4].words


def test_each_leak_rate_has_its_share_found_with_an_exact_bound_once_there_are_enough() -> None:
    small = [run(n, "leak" if n > 1 else "ok", leak_std_cm3_s=1e-4, decision="leak") for n in range(6)]
    large = [run(n, leak_std_cm3_s=1e-2) for n in range(59)]
    good = [run(n, "ok", truth="ok", serial="G-1", decision="leak") for n in range(4)]
    found = challenge_figures.kinds([*good, *small, *large])
    assert [(kind.truth, kind.leak_std_cm3_s, kind.runs) for kind in found] == [
        ("leak", 1e-2, 59),
        ("leak", 1e-4, 6),
        ("ok", None, 4),
    ]
    assert found[0].machine.right_at_least == pytest.approx(0.05 ** (1 / 59), abs=1e-5)
    assert (found[0].inspector.repeat, found[0].inspector.right_at_least) == (59, None)
    assert (found[1].machine.right, found[1].machine.wrong, found[1].inspector.right) == (4, 2, 6)
    assert (found[2].machine.right_at_least, found[2].inspector.wrong) == (None, 4)
