"""How much air leaves: made-up cases of known births, sizes and speeds."""

import numpy as np
import pytest

from edge_agent.account import Account
from edge_agent.bundle import Thresholds
from edge_agent.kymograph import ORIGIN_ROWS
from edge_agent.records import Evidence

THRESHOLDS = Thresholds(
    ok_below=0.2, leak_above=0.8, bubble_above=0.3, settle_s=1.0, lamp_lit_above=0.5, murky_below=0.3
)
PX_PER_MM = 1.5


def watched(rate_s, *, diameter_mm=2.0, speed_mm_s=250.0, recall=1.0, seconds=11.0, px_per_mm=PX_PER_MM) -> Account:
    """A leak at (300, 380) px; each bubble is found in a share `recall` of the composites."""
    account = Account(px_per_mm, (600, 440), THRESHOLDS, lambda strips: np.zeros((len(strips), ORIGIN_ROWS)))
    births, rng = np.arange(0.2, seconds, 1 / rate_s), np.random.default_rng(3)
    for now_s in np.arange(0, seconds, 0.1):
        up = speed_mm_s * PX_PER_MM * (now_s - births[births <= now_s])
        up = up[(up < 340) & (rng.random(len(up)) < recall)]
        rows = [(300, 380 - way, 0.9, 0, -speed_mm_s * PX_PER_MM, diameter_mm * PX_PER_MM) for way in up]
        account.add(
            Evidence(now_s, np.zeros((1, 1), np.float32), np.array(rows, np.float32).reshape(-1, 6), 0.9), now_s
        )
    return account


@pytest.mark.parametrize("rate_s", [1.0, 4.0, 12.0])
def test_rate_size_speed_and_leak_come_out_as_they_were(rate_s):
    told = watched(rate_s).emission()
    assert told.births_per_s == pytest.approx(rate_s, rel=0.25)
    assert told.diameter_mm == pytest.approx(2.0, rel=0.02)
    assert told.rise_mm_s == pytest.approx(250, rel=0.05)
    true = rate_s * np.pi / 6 * 0.2**3
    assert told.leak_std_cm3_s_low < true < told.leak_std_cm3_s_high


def test_bubbles_that_are_found_half_of_the_time_hardly_lower_the_rate():
    assert watched(3.0, recall=0.6).emission().births_per_s > 0.55 * 3.0


def test_a_few_bubbles_are_less_certain_than_many():
    few, many = watched(0.5).emission(), watched(8.0).emission()
    assert few.leak_std_cm3_s_high / few.leak_std_cm3_s_low > many.leak_std_cm3_s_high / many.leak_std_cm3_s_low


def test_without_a_scale_or_a_bubble_nobody_says_how_much():
    assert watched(3.0, px_per_mm=None).emission() is None
    assert watched(0.01, seconds=1.5).emission() is None


def test_the_reason_names_rate_size_and_interval():
    said = watched(3.0).words()
    assert "bubbles rise from one point" in said and "/s of 2.0 mm" in said and "std cm3/s" in said


@pytest.mark.parametrize(("told_px", "true_px"), [(2.0, 1.914), (2.8, 2.8), (7.0, 7.884), (16.0, 20.06), (40.0, 50.16)])
def test_a_diameter_is_drawn_back_from_the_middle_and_no_further_than_was_measured(told_px, true_px):
    told = watched(4.0, diameter_mm=told_px / PX_PER_MM, seconds=4.0).emission()
    assert told.diameter_mm * PX_PER_MM == pytest.approx(true_px, rel=6e-3)
