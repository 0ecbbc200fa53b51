"""Two devices with one name take turns; one that is started again, or whose cable is loose, does not."""

from cloud_sync.speakers import ALARM, LASTING_S, MOST_IDS, Speakers
from edge_agent import utc
from edge_agent.messages import Status

PLACE = ("plant", "TANK1")
T = 1_790_000_000.0


def said(uplink_id, since_s, word="online"):
    return Status(status=word, software="1", since=utc.text(T + since_s), uplink_id=uplink_id)


def after(*statuses):
    heard = Speakers(T)
    for second, status in enumerate(statuses):
        heard.hear(PLACE, status, T + second)
    return heard


def told(heard, second=60.0):
    return heard.alarms([PLACE], T + second)


def test_one_that_comes_back_after_another_is_a_second_device():
    heard = after(said("a", 0), said("b", 5), said("a", 6))
    alarm = told(heard)[*PLACE, ALARM]
    assert alarm.priority == "high" and "two devices speak as plant/TANK1 by turns (1 times)" in alarm.text
    heard.hear(PLACE, said("b", 20), T + 20)
    assert "(2 times)" in told(heard)[*PLACE, ALARM].text


def test_restarts_loose_cables_and_last_words_are_no_second_device():
    assert told(after(said("a", 0), said("b", 5), said("c", 9), said("d", 12))) == {}
    assert told(after(said("a", 0), said("a", 5), said("a", 9))) == {}
    assert told(after(said("a", 0), said("b", 5), said("a", 6, "offline"))) == {}
    assert told(after(said(None, 0), said("b", 5), said(None, 6))) == {}, "a station of an older version"


def test_what_the_broker_says_a_second_time_is_nothing_new():
    again = (said("a", 0), said("a", 3), said("b", 5))
    assert told(after(*again, *again, *again)) == {}


def test_the_alarm_goes_when_nobody_has_taken_turns_for_a_while_and_only_once():
    heard = after(said("a", 0), said("b", 5), said("a", 6))
    later = T + 2 + LASTING_S
    assert told(heard, 2 + LASTING_S)[*PLACE, ALARM] is not None
    ended = heard.alarms([PLACE], later + 1)
    assert ended == {(*PLACE, ALARM): None}
    assert heard.alarms([PLACE], later + 2) == ended, "until it is committed"
    heard.kept(ended)
    assert heard.alarms([PLACE], later + 3) == {}


def test_what_a_process_before_has_left_goes_too():
    heard = Speakers(T)
    assert heard.alarms([PLACE], T + LASTING_S) == {}
    assert heard.alarms([PLACE], T + LASTING_S + 1) == {(*PLACE, ALARM): None}


def test_a_device_that_restarts_for_years_takes_no_memory():
    heard = after(*(said(f"run{number}", number) for number in range(1000)))
    assert len(heard._spoke[PLACE]) == MOST_IDS
