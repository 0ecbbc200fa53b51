"""Lamps become decisions only when they are steadily lit."""

from edge_agent.decision import DecisionWatch


def follow(readings, fps=20):
    watch = DecisionWatch(0.5)
    return [watch.step(reading, n / fps) for n, reading in enumerate(readings)]


OFF, OK, LEAK, BOTH = (
    {"ok": 0.1, "leak": 0.1},
    {"ok": 0.9, "leak": 0.1},
    {"ok": 0.0, "leak": 0.95},
    {"ok": 0.9, "leak": 0.9},
)


def test_a_steady_lamp_is_a_decision_from_when_it_was_first_seen_lit():
    signals = follow([OFF] * 10 + [LEAK] * 10)
    assert signals[-1].decision == "leak"
    assert signals[-1].since_s == 0.5
    assert sum(signal.fresh for signal in signals) == 1


def test_a_single_flash_is_no_decision():
    assert all(signal.decision == "none" for signal in follow([OFF] * 10 + [OK] + [OFF] * 10))


def test_a_lamp_that_beats_with_the_frame_rate_is_lit():
    signals = follow([OFF] * 10 + [OK, OFF, OK, OK] * 10)
    assert all(signal.decision == "ok" for signal in signals[20:])
    assert sum(signal.fresh for signal in signals) == 1


def test_two_lamps_at_once_are_no_decision():
    assert all(signal.decision == "none" for signal in follow([OFF] * 10 + [BOTH] * 20))


def test_a_lamp_that_goes_out_ends_the_decision():
    assert follow([OFF] * 5 + [OK] * 20 + [OFF] * 40)[-1].decision == "none"


def test_a_blinking_lamp_is_one_decision():
    signals = follow(([OK] * 10 + [OFF] * 10) * 5)
    assert sum(signal.fresh for signal in signals) == 1
    assert signals[-1].decision == "ok"


def test_a_lamp_that_stays_lit_over_a_gap_of_the_camera_is_no_second_decision():
    watch = DecisionWatch(0.5)
    times = [n / 20 for n in range(40) if not 20 <= n < 32]
    signals = [watch.step(OK, at_s) for at_s in times]
    assert sum(signal.fresh for signal in signals) == 1
    assert {signal.since_s for signal in signals if signal.decision == "ok"} == {0.0}


def test_the_other_lamp_ends_the_decision_at_once():
    signals = follow([OK] * 20 + [LEAK] * 20)
    assert [signal.decision for signal in signals if signal.fresh] == ["ok", "leak"]
    assert signals[-1].since_s == 1.0


def test_a_slow_camera_reads_lamps_too():
    signals = follow([OFF] * 3 + [OK] * 4 + [OFF] * 5, fps=3)
    assert [(signal.decision, signal.since_s) for signal in signals if signal.fresh] == [("ok", 1.0)]
    assert signals[-1].decision == "none"


def test_a_station_without_lamps_never_decides():
    assert all(signal.decision == "none" for signal in follow([{}] * 20))


def test_a_lamp_that_is_stuck_says_nothing_new_when_the_other_goes_out():
    signals = follow([OK] * 20 + [BOTH] * 20 + [OK] * 20)
    assert sum(signal.fresh for signal in signals) == 1
    assert signals[30].decision == "none"
    assert signals[-1] == signals[15]
