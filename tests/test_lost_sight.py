"""Leaks that a camera has lost sight of: what is no longer where it was set up to be is not tested, never `ok`."""

import pytest

from calibration.twin import open_twin
from edge_agent.bundle import open_bundle
from edge_agent.inspection import inspect_recording, shipped_bundle

CASE = "twin:seed=77,cases=1,leaky_share=1,profile=reference,single=1,own=1,fps=15"


@pytest.mark.parametrize("fault", ["shift@0:12", "shift@0:150", "shift@0:400", "rotate@0:6", "covered@0:3"])
def test_a_leak_that_framing_made_invisible_is_not_tested(fault: str) -> None:
    camera = open_twin(f"{CASE},fault={fault}")
    cases = list(inspect_recording(camera, open_bundle(shipped_bundle()), profile=camera.profile, single=True))
    assert cases and {case.verdict for case in cases} == {"not_tested"}
    assert all(case.framing.status != "ok" and case.reason for case in cases)


def test_the_same_leak_is_found_where_the_camera_stands_as_it_was_set_up() -> None:
    camera = open_twin(CASE)
    (case,) = inspect_recording(camera, open_bundle(shipped_bundle()), profile=camera.profile, single=True)
    assert (case.verdict, case.framing.status) == ("leak", "ok")
