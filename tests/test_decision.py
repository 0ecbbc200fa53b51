"""Lamps become decisions only when they are steadily lit."""

from edge_agent.decision import DARK_S, FORGET_S, REPORT_S, DecisionWatch
from edge_agent.lamp_reading import LampLimits, LampReading


def follow(readings, fps=20):
    watch = DecisionWatch()
    return [watch.step(reading, n / fps) for n, reading in enumerate(readings)]


DARK, LIT, UNREADABLE = LampReading(0.9, 0.02), LampReading(0.1, 0.9), LampReading(0.1, 0.0, 0.8)
OFF, OK, LEAK, BOTH, COVERED = (
    {"ok": DARK, "leak": DARK},
    {"ok": LIT, "leak": DARK},
    {"ok": DARK, "leak": LIT},
    {"ok": LIT, "leak": LIT},
    {"ok": UNREADABLE, "leak": DARK},
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
    watch = DecisionWatch()
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
    signals = follow([OK] * 20 + [BOTH] * 20 + [OK] * 30)
    assert sum(signal.fresh for signal in signals) == 1
    assert (signals[30].decision, signals[30].panel) == ("none", "both")
    assert signals[-1] == signals[15]


def test_the_panel_has_a_word_for_all_that_two_lamps_can_show():
    for readings, word in ((OFF, "off"), (OK, "ok"), (LEAK, "leak"), (BOTH, "both"), (COVERED, "unreadable")):
        assert follow([readings] * 20)[-1].panel == word


def test_a_lamp_whose_partner_cannot_be_read_decides_nothing():
    half_seen = {"ok": UNREADABLE, "leak": LIT}
    assert all(signal.decision == "none" for signal in follow([OFF] * 20 + [half_seen] * 100))


def test_an_arm_that_passes_before_a_lit_lamp_is_no_second_decision():
    signals = follow([OFF] * 10 + [OK] * 20 + [COVERED] * 40 + [OK] * 20)
    assert sum(signal.fresh for signal in signals) == 1
    assert {signal.decision for signal in signals[20:]} == {"ok"}
    assert {signal.since_s for signal in signals[20:]} == {0.5}


def test_a_lamp_that_is_lit_behind_an_arm_is_a_decision_when_the_arm_is_gone():
    signals = follow([OFF] * 10 + [COVERED] * 30 + [LEAK] * 20)
    assert [(signal.decision, signal.since_s) for signal in signals if signal.fresh] == [("leak", 2.0)]


def test_what_was_decided_is_forgotten_where_the_lamps_cannot_be_read_for_long():
    signals = follow([OK] * 20 + [COVERED] * round(20 * (FORGET_S + 1)) + [OK] * 20)
    assert signals[19 + round(20 * (FORGET_S + 0.8))].decision == "none"
    assert [signal.decision for signal in signals if signal.fresh] == ["ok", "ok"]


def test_lamps_that_cannot_be_read_for_long_are_reported_with_limit_and_cure():
    signals = follow([OFF] * 10 + [COVERED] * round(20 * (REPORT_S + 2)) + [OFF] * 20)
    assert signals[30].words == "" and signals[30].panel == "unreadable"
    assert "the ok lamp cannot be read" in signals[-21].words and "limit 10 s" in signals[-21].words
    assert (signals[-1].words, signals[-1].panel) == ("", "off")


def test_two_lamps_that_are_lit_together_and_beat_apart_never_decide():
    beating = [BOTH] * 4 + [OK] * 8 + [BOTH] * 4 + [LEAK] * 8
    signals = follow([OFF] * 10 + beating * 6, fps=20)
    assert all(signal.decision == "none" for signal in signals)


def test_a_lamp_that_goes_out_beside_a_lit_one_leaves_its_decision_after_a_while():
    signals = follow([OFF] * 10 + [BOTH] * 10 + [OK] * round(20 * (DARK_S + 0.6)))
    assert [(signal.decision, signal.since_s) for signal in signals if signal.fresh] == [("ok", 0.5)]


def test_a_net_that_is_sure_of_nothing_has_not_read_the_lamp():
    likely, sure = LampLimits(lit_above=0.5, dark_below=0.05), LampLimits(lit_above=0.8, dark_below=0.05)
    assert LampReading(0.2, 0.4, 0.3).word(likely) == "unreadable"
    assert LampReading(0.6, 0.02, 0.1).word(sure) == "dark"
    assert LampReading(0.9, 0.1).word(sure) == "unreadable", "it may be lit, if dimly"
    assert LampReading(0.9, 0.1).word(LampLimits(0.8, dark_below=0.2)) == "dark"
    assert LampReading(0.3, 0.65, 0.1).word(sure) == "unreadable"
    assert LampReading(0.3, 0.7).word(likely) == "lit"
