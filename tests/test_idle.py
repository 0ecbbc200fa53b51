"""Over an empty tank fewer frames are looked at, and no unit is seen later for it."""

from dataclasses import replace

import numpy as np
import pytest
from test_selfreport import sight

from edge_agent.bundle import open_bundle
from edge_agent.case import Identity
from edge_agent.codes import MarkerReader
from edge_agent.decision import DecisionWatch, Signal
from edge_agent.framing import CALM_PERIOD_S, PERIOD_S, FramingWatch
from edge_agent.idle import LOOK_EVERY_S, REST_S, IdleWatch
from edge_agent.immersion import Immersion
from edge_agent.inspection import make_inspector, shipped_bundle
from edge_agent.lamp_reading import LampReading
from edge_agent.pipeline import Sampling
from edge_agent.records import CameraFault, Frame, Framing
from tests.fakes_camera import retaken
from tests.fakes_tape import FPS, PROFILE, tape

EMPTY = Immersion("empty")
BEFORE_S = 4.0
"""Of an empty tank, before the tape."""


def at(now_s: float) -> Frame:
    return Frame(np.zeros((4, 4), np.uint8), round(now_s * FPS), now_s, now_s, faults=())


def looked(idle: IdleWatch, seconds: float, *, began_s: float = 0.0, **other) -> list[float]:
    """Plays frames at 20 a second; when those were that were looked at."""
    shown = {"sight": sight(), "immersion": EMPTY, "between_cases": True} | other
    seen = []
    for number in range(round(seconds * FPS)):
        now_s = began_s + number / FPS
        if not idle.may_pass(at(now_s)):
            seen.append(now_s)
            now = replace(shown["sight"], frame=at(now_s))
            idle.saw(now, shown["immersion"], between_cases=shown["between_cases"])
    return seen


def test_after_two_seconds_in_which_nothing_happens_every_third_frame_is_enough():
    seen = looked(IdleWatch(), 10.0)
    assert len([now_s for now_s in seen if now_s <= REST_S]) == REST_S * FPS + 1
    gaps = np.diff([now_s for now_s in seen if now_s > REST_S])
    assert gaps.max() <= LOOK_EVERY_S + 1.01 / FPS and 45 <= len(gaps) <= 60


@pytest.mark.parametrize(
    "stirring",
    [
        {"immersion": Immersion("entering", entered_s=1.0)},
        {"immersion": Immersion("empty", moving=True)},
        {"between_cases": False},
        {"sight": sight(fault="the picture is black (level 3): check the light")},
        {"sight": sight(framing=Framing("shifted", np.eye(3), 4, 9.0))},
        {"sight": replace(sight(), signal=Signal("ok", 1.0, panel="ok"))},
        {"sight": replace(sight(), signal=Signal("none", panel="unreadable"))},
    ],
)
def test_whatever_stirs_or_is_wrong_brings_every_frame_at_once_and_for_two_seconds(stirring):
    idle = IdleWatch()
    looked(idle, 5.0)
    # The look at which it stirs is at most one pace later.
    assert len(looked(idle, 3.0, began_s=5.0, **stirring)) >= 3.0 * FPS - 3
    assert len(looked(idle, REST_S, began_s=8.0)) >= REST_S * FPS - 1
    assert len(looked(idle, REST_S, began_s=10.0)) < REST_S * FPS / 2


@pytest.mark.parametrize("lit_for_s", [0.3, 0.5, 1.0])
def test_a_lamp_is_decided_on_whenever_it_lights_over_an_empty_tank_and_however_shortly(lit_for_s):
    """The signal itself is what stirs: a second look has to come within the window that decides on a lamp."""
    for late_s in np.linspace(0.0, 1.0, 20, endpoint=False):
        idle, decisions, lit_s, fresh = IdleWatch(), DecisionWatch(), 6.0 + late_s, []
        for number in range(round(9.0 * FPS)):
            now_s = number / FPS
            if idle.may_pass(at(now_s)):
                continue
            is_lit = lit_s <= now_s < lit_s + lit_for_s
            ok = LampReading(0.0, 1.0) if is_lit else LampReading(1.0, 0.0)
            signal = decisions.step({"ok": ok, "leak": LampReading(1.0, 0.0)}, now_s)
            fresh += [now_s - lit_s] if signal.fresh else []
            idle.saw(replace(sight(), frame=at(now_s), signal=signal), EMPTY, between_cases=True)
        assert len(fresh) == 1 and fresh[0] <= 0.35, f"lit {late_s:.2f} s after a look"


def test_a_clock_that_goes_back_lets_nothing_pass():
    idle = IdleWatch()
    looked(idle, 5.0, began_s=100.0)
    assert not idle.may_pass(at(50.0))


def test_markers_are_looked_at_once_a_second_while_nothing_moves_and_at_their_pace_as_soon_as_something_does():
    looks: list[float] = []
    reader, now_s = MarkerReader(PROFILE), 0.0

    def read(image):
        looks.append(now_s)
        return reader(image)

    watch, image = FramingWatch(PROFILE, read), next(tape().frames()).image
    for number in range(100):
        now_s, watch.calm = number / FPS, number < 60
        assert watch.step(Frame(image, number, now_s, now_s)).status == "ok"
    assert np.diff([look for look in looks if look < 3.0]) == pytest.approx(CALM_PERIOD_S)
    assert max(np.diff([look for look in looks if look >= 3.0])) < PERIOD_S + 1.01 / FPS


def test_a_unit_that_comes_in_is_seen_as_soon_as_if_every_frame_had_been_looked_at():
    found = []
    for saves in (False, True):
        who = Identity("plant", PROFILE.station, "boot")
        inspector = make_inspector(
            None, who, PROFILE, open_bundle(shipped_bundle()), sampling=Sampling(0.02, lambda: 0.5)
        )
        idle, passed = IdleWatch(), 0
        for frame in _empty_then_a_unit():
            if saves and idle.may_pass(frame):
                passed += 1
                continue
            inspector.step(frame)
            idle.saw(inspector.sight, inspector.immersion, between_cases=inspector.between_cases)
            inspector.rest(calm=saves and idle.is_calm)
        found.append((inspector.immersion, inspector.progress, passed))
    (every, watched, _), (fewer, watched_with_fewer, passed) = found
    assert passed > 20
    assert fewer.entered_s == pytest.approx(every.entered_s, abs=LOOK_EVERY_S)
    assert fewer.settled_s == pytest.approx(every.settled_s, abs=0.01)
    assert watched_with_fewer.usable_s == pytest.approx(watched.usable_s, abs=0.01)


def _empty_then_a_unit():
    empty = list(tape().frames(last=10))
    number = 0
    until = int((tape().truth.settled_s + 1.5) * FPS)
    for _ in range(round(BEFORE_S * FPS / len(empty))):
        for frame in empty:
            yield Frame(retaken(frame.image, number), number, number / FPS, 1e9 + number / FPS, faults=())
            number += 1
    for frame in tape().frames(last=until):
        yield Frame(retaken(frame.image, number), number, number / FPS, 1e9 + number / FPS, faults=())
        number += 1


def test_a_frame_that_nobody_has_judged_or_that_is_at_fault_never_passes():
    idle = IdleWatch()
    looked(idle, REST_S + 1.0)
    well = at(REST_S + 1.0)
    assert idle.may_pass(well)
    assert not idle.may_pass(replace(well, faults=None))
    assert not idle.may_pass(replace(well, faults=(CameraFault("noise", "it is noisy: give more light"),)))
