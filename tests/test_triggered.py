"""Immersions that the line announces: the same steps, another beginning and end."""

import numpy as np

from edge_agent.immersion import THUMB_SIZE, TriggeredImmersions

STEP_S = 0.05


def still(now_s: float) -> np.ndarray:
    return np.full(THUMB_SIZE[::-1], 100.0, np.float32)


def swinging(now_s: float) -> np.ndarray:
    """A unit of a third of the picture that comes and goes."""
    thumb = still(now_s)
    first = int(now_s / STEP_S) % 16
    thumb[:, first : first + 10] = 40.0
    return thumb


def play(watch: TriggeredImmersions, seconds: float, *, begin_s: float, show=still, decided=False):
    steps = [begin_s + STEP_S * number for number in range(round(seconds / STEP_S))]
    return [watch.step(show(now_s), now_s, decided=decided) for now_s in steps]


def test_nothing_begins_without_an_order():
    assert {now.phase for now in play(TriggeredImmersions(), 2.0, begin_s=0.0)} == {"empty"}


def test_an_order_begins_an_immersion_that_settles_when_the_unit_rests():
    watch = TriggeredImmersions()
    play(watch, 1.0, begin_s=0.0)
    watch.trigger()
    moving = play(watch, 1.0, begin_s=1.0, show=swinging)
    assert {now.entered_s for now in moving} == {1.0}
    assert {now.settled_s for now in moving} == {None}
    rests = play(watch, 2.0, begin_s=2.0)[-1]
    assert (rests.phase, rests.moving) == ("watching", False)
    assert 2.0 <= rests.settled_s <= 2.4


def test_the_next_order_begins_the_next_immersion():
    watch = TriggeredImmersions()
    watch.trigger()
    first = play(watch, 1.0, begin_s=0.0)[-1]
    watch.trigger()
    second = play(watch, 1.0, begin_s=1.0)[-1]
    assert (first.entered_s, second.entered_s) == (0.0, 1.0)
    assert second.settled_s >= 1.0


def test_the_decision_ends_it():
    watch = TriggeredImmersions()
    watch.trigger()
    play(watch, 1.0, begin_s=0.0)
    ended = play(watch, 0.1, begin_s=1.0, decided=True)[0]
    assert (ended.phase, ended.left_s) == ("empty", 1.0)
    assert play(watch, 1.0, begin_s=1.1, decided=True)[-1].phase == "empty"
