"""The faults that the twin plays are the ones that the device tells, and nothing is told before or long after."""

import pytest

from calibration.faults import Impairment
from calibration.scene import draw_scene, draw_station
from calibration.twin import Twin
from edge_agent.camera_watch import CameraWatch

LOOK = draw_station(31, "demo", (320, 240))
FROM_S, UNTIL_S = 3.0, 6.5
KINDS = {
    "duplicate": (0.0, "duplicated"), "stale": (40.0, "stale"), "resolution": (2.0, "resolution"),
    "half": (0.0, "half_rate"), "freeze": (0.0, "frozen"), "black": (0.0, "black"), "white": (0.0, "white"),
    "noise": (40.0, "noise"),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_a_fault_that_the_twin_plays_is_told_by_its_name_within_two_seconds(name):
    amount, kind = KINDS[name]
    fault, watch, told = Impairment(name, FROM_S, amount, UNTIL_S), CameraWatch(), []
    for frame, _ in Twin(LOOK, [draw_scene(3, LOOK, "demo")], fps=20.0, seed=4, impairments=(fault,)).frames():
        watch.see(frame, frame.monotonic_s)
        found = watch.fault(frame.monotonic_s)
        told.append((frame.monotonic_s, found.kind if found else ""))
    kinds = [(at_s, said) for at_s, said in told if said]
    assert all(FROM_S <= at_s <= UNTIL_S + 5.0 for at_s, _ in kinds)
    assert next(at_s for at_s, said in kinds if said == kind) <= FROM_S + 2.0
