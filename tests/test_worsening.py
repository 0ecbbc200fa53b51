"""Evidence that a share is worse than it may be: how seldom it lies, whoever looks how often, and how soon it sees."""

import math

import numpy as np
import pytest
from fleet import NEW, NOW, Fleet, places
from in_full import in_full

from cloud_sync import rollout_state as rules
from cloud_sync import worsening
from cloud_sync.rollout_plan import Plan
from cloud_sync.worsening import Tally

RISK = 0.05


def first_breach(happened: np.ndarray, most: float, risk: float) -> int | None:
    """After how many cases, looked at every ten, the evidence is there."""
    counts = np.cumsum(happened)
    for cases in range(10, len(happened) + 1, 10):
        if worsening.log_evidence(int(counts[cases - 1]), cases, most) >= math.log(1 / risk):
            return cases
    return None


@pytest.mark.parametrize("most", [0.02, 0.2])
def test_a_share_that_is_just_at_its_limit_is_called_worse_no_more_often_than_the_risk(most: float) -> None:
    draw = np.random.default_rng(1)
    wrong = sum(first_breach(draw.random(1000) < most, most, RISK) is not None for _ in range(400))
    assert wrong <= RISK * 400


def test_a_worse_share_is_seen_soon() -> None:
    draw = np.random.default_rng(2)
    needed = {
        share: np.median([first_breach(draw.random(2000) < share, 0.04, RISK / 100) or 9999 for _ in range(60)])
        for share in (1.0, 0.3, 0.12)
    }
    assert needed[1.0] <= 10 and needed[0.3] <= 50 and needed[0.12] <= 260, needed


def test_tallies_add_up_and_never_fall_below_nothing() -> None:
    assert Tally(9, 2, 1, 6, 1) - Tally(5, 2, 0, 5, 3) == Tally(4, 0, 1, 1, 0)
    assert Tally(4, 0, 1, 1, 0) + Tally(5, 2, 0, 5, 3) == Tally(9, 2, 1, 6, 3)


@pytest.mark.parametrize("rollouts", [30, in_full(1000)])
def test_of_rollouts_that_worsen_nothing_no_more_are_stopped_than_declared(rollouts: int) -> None:
    """Twelve stations that differ, a bundle that changes nothing, 24 looks a step."""
    draw = np.random.default_rng(3)
    stopped = sum(_ends(draw, worse=1.0) != "done" for _ in range(rollouts))
    assert stopped <= 0.05 * rollouts


def test_a_rollout_of_a_bundle_that_is_five_times_as_often_uncertain_is_stopped() -> None:
    draw = np.random.default_rng(4)
    assert [_ends(draw, worse=5.0) for _ in range(10)].count("done") == 0


def _ends(draw: np.random.Generator, *, worse: float) -> str:
    fleet, now = Fleet(12), NOW
    shares = dict(zip(fleet.devices, draw.uniform(0.005, 0.05, 12), strict=True))
    for place, device in fleet.devices.items():
        device.change(ran=_cases(draw, shares[place], 400))
    rollout = rules.planned(NEW, places(12), Plan(soak_h=8.0), now)
    while rollout.state not in ("done", "rolling_back"):
        for place, bundle in rules.wishes(rollout).items():
            if fleet.devices[place].report.running != bundle:
                fleet.devices[place].takes(bundle, now)
        for place, device in fleet.devices.items():
            has_it = device.report.running == NEW
            device.works(_cases(draw, shares[place] * (worse if has_it else 1.0), 15), now)
        now += 1200.0
        rollout = rules.decide(rollout, fleet.reports, now).rollout
    return rollout.state


def _cases(draw: np.random.Generator, share: float, count: int) -> Tally:
    uncertain, untested = (int(number) for number in draw.binomial(count, share, 2))
    compared = count - min(count, uncertain + untested)
    return Tally(count, uncertain, untested, compared, int(draw.binomial(compared, share / 2)))
