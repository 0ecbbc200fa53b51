"""Units are found at stations that nobody tuned for: sharp or dim, shaken, plain walls and walls full of lines."""

import pytest

from benchmarks import speed, verdict
from calibration.scene import at_pose, draw_station
from edge_agent.bundle import open_bundle
from edge_agent.inspection import shipped_bundle

WERE_MISSED = (9100, 9102, 9103, 9106)
"""Where the picture lay 1-2 px beside that of set-up, or the wall was plain, a unit was there before it came."""

BUSY = 6
"""Times as long as `bench verdict` allows: tests run beside each other, on any machine."""


@pytest.fixture(scope="module")
def bundle():
    return open_bundle(shipped_bundle())


def every_unit_is_timed(seed: int, count: int, bundle) -> None:
    ledger = verdict.measure(count, 1, seed, bundle)
    figures = ledger.figures()
    assert (figures["found"], figures["extra"], figures["timed"]) == (count, 0, count), figures
    assert len(ledger.speed.aggregator_ms) == len(ledger.speed.verdict_ms) == count
    for name, (_, limit_ms, _) in speed.TARGETS.items():
        assert 0 < figures[name]["median"] < BUSY * limit_ms, figures


@pytest.mark.full
def test_a_unit_is_found_in_water_that_just_became_murky(bundle):
    ledger = verdict.Ledger()
    verdict._one_pose(at_pose(draw_station(9000, "reference"), 3), range(94, 96), 100, 9000, bundle, ledger)
    assert [truth.haze > 2 for truth, _ in ledger.pairs] == [False, True]
    assert ledger.figures()["timed"] == 2


@pytest.mark.full
def test_a_unit_is_found_where_ripples_rise_shortly_before(bundle):
    every_unit_is_timed(9911, 3, bundle)


@pytest.mark.full
@pytest.mark.parametrize("seed", [*WERE_MISSED, *range(9940, 9952)])
def test_units_are_found_at_any_station(seed, bundle):
    every_unit_is_timed(seed, 3, bundle)
