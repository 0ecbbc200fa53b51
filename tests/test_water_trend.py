"""The clarity of case after case: murky with hysteresis, and when the water will be due."""

from math import exp, log

import numpy as np
import pytest

from edge_agent.bundle import RecallCurve, Sensitivity
from edge_agent.records import Visibility
from edge_agent.visibility import smallest_leak_std_cm3_s
from edge_agent.water_trend import LEAD_H, SPARE, Need, WaterOutlook, WaterWatch, theil_sen

LIMIT = 0.3
H_S = 3600.0


def follow(hazes, *, every_s=120.0, begins_s=0.0, watch=None) -> list[WaterOutlook]:
    watch = watch or WaterWatch(LIMIT)
    return [watch.see(exp(-haze), begins_s + number * every_s) for number, haze in enumerate(hazes)]


def shift(per_hour, hours, *, start=0.1, every_s=120.0, noise=0.05, seed=1):
    """Haze of cases over a shift, with what units and light do to it."""
    at_h = np.arange(0, hours, every_s / H_S)
    return np.maximum(0.0, start + per_hour * at_h + np.random.default_rng(seed).normal(0, noise, len(at_h)))


def test_nothing_is_known_of_water_that_nobody_has_seen():
    assert WaterWatch(LIMIT).outlook == WaterOutlook("unknown", None, None)


def test_murky_water_is_murky_until_it_is_much_clearer():
    watch = WaterWatch(LIMIT)
    words = [watch.see(clarity, 60.0 * n).status for n, clarity in enumerate([0.35, 0.29, 0.28, 0.32, 0.29, 0.33, 0.4])]
    assert words == ["clear", "clear", "murky", "murky", "murky", "murky", "murky"]
    assert [watch.see(0.8, 500.0 + n).status for n in range(3)][-1] == "clear"


def needy(light_levels):
    """A need of 1 std cm3/s, and what cases of a station in that light can show by their clarity."""
    usual = Visibility(noise_levels=1.0, light_levels=90.0, clarity=0.7)
    curve = RecallCurve(usual=usual, offset=-2.2, size=3.4, light_levels=2.0, clarity=1.5)
    sensitivity = Sensitivity(recall=0.5, curve=curve)

    def shows(clarity):
        seen = Visibility(noise_levels=1.0, light_levels=light_levels, clarity=clarity)
        return smallest_leak_std_cm3_s(0.4, 10.0, sensitivity, seen)

    return Need(1.0, sensitivity), shows


def test_the_clarity_that_a_station_needs_is_the_one_at_which_its_gauge_has_nothing_to_spare():
    need, shows = needy(30.0)
    needed = need.clarity(0.68, shows(0.68))
    assert LIMIT < needed < 0.7
    assert shows(needed) == pytest.approx(1.0 / SPARE, rel=0.01)
    assert need.clarity(0.5, shows(0.5)) == pytest.approx(needed, rel=0.01)


def test_water_of_a_poorly_lit_station_is_murky_earlier_and_else_at_the_bundles_limit():
    for light_levels, murky in ((30.0, True), (300.0, False)):
        need, shows = needy(light_levels)
        watch = WaterWatch(LIMIT, need)
        said = [watch.see(clarity, 60.0 * n, shows(clarity)) for n, clarity in enumerate([0.65] * 5 + [0.33] * 5)]
        assert said[4].status == "clear" and (said[-1].status == "murky") == murky
    assert WaterWatch(LIMIT, need).see(0.5, 0.0).status == "clear"


@pytest.mark.parametrize("fresh", [0.5, 0.63, 0.66, 0.9])
@pytest.mark.parametrize("spare", [0.8, 1.05, 1.2, 2.0])
def test_fresh_water_is_clear_at_every_station_and_clear_again_after_a_change(fresh, spare):
    """However little it has to spare, and however low its fresh water reads: no change of the water would help."""
    need, shows = needy(90.0)
    need = Need(spare * shows(fresh), need.sensitivity)
    watch = WaterWatch(LIMIT, need)
    clear = [watch.see(fresh, 60.0 * n, shows(fresh)).status for n in range(12)]
    murky = [watch.see(0.2, 800.0 + 60.0 * n, shows(0.2)).status for n in range(12)]
    again = [watch.see(fresh, 1600.0 + 60.0 * n, shows(fresh)).status for n in range(12)]
    assert set(clear) == {"clear"} and murky[-1] == "murky" and again[-1] == "clear"


def test_a_need_that_nobody_can_tell_any_more_is_forgotten():
    need, shows = needy(30.0)
    watch, low = WaterWatch(LIMIT, need), 0.95 * need.clarity(0.68, shows(0.68))
    for n, clarity in enumerate([0.68] * 4 + [low] * 8):
        watch.see(clarity, 60.0 * n, shows(clarity))
    assert watch.outlook.status == "murky"
    soon, late = ([watch.see(0.52, begin_s + 60.0 * n).status for n in range(3)] for begin_s in (900.0, 20 * H_S))
    assert soon[-1] == "murky" and late[-1] == "clear"


@pytest.mark.parametrize(("weight", "leak"), [(1e-3, 0.003), (0.005, 0.1), (1e-6, 1e9), (100.0, 1e-12)])
def test_a_curve_of_odd_weights_gives_a_need_between_nothing_and_the_usual(weight, leak):
    usual = Visibility(noise_levels=1.0, light_levels=90.0, clarity=0.7)
    curve = RecallCurve(usual=usual, offset=-2.2, size=100.0, clarity=weight)
    assert 0 <= Need(1e-5, Sensitivity(recall=0.5, curve=curve)).clarity(0.6, leak) <= 0.7


def test_one_dark_unit_is_no_murky_water():
    assert all(outlook.status == "clear" for outlook in follow([0.2] * 10 + [2.0] + [0.2] * 10))


@pytest.mark.parametrize("per_hour", [0.08, 0.2, 0.35])
def test_the_hours_until_murky_are_those_of_the_line(per_hour):
    for seed in range(20):
        hazes = shift(per_hour, 3.0, seed=seed)
        due = follow(hazes)[-1].due
        left_h = (-log(LIMIT) - 0.1) / per_hour - 3.0
        assert due is not None and due.least_hours <= due.hours <= due.most_hours
        assert abs(due.hours - left_h) <= 0.35 * left_h + 0.2


def test_the_interval_holds_the_truth_nine_times_out_of_ten():
    held = 0
    for seed in range(100, 300):
        due = follow(shift(0.15, 2.5, seed=seed))[-1].due
        held += due is not None and due.least_hours <= (-log(LIMIT) - 0.1) / 0.15 - 2.5 <= due.most_hours
    assert held >= 170


@pytest.mark.parametrize("every_s", [120.0, 600.0])
def test_the_interval_holds_when_the_device_itself_will_call_the_water_murky(every_s):
    """Units of one water differ: by when the first ones cross the limit, not by the line alone."""
    held = 0
    for seed in range(100):
        hazes = shift(0.3, 8.0, every_s=every_s, noise=0.1, seed=seed)
        outlooks, asked = follow(hazes, every_s=every_s), round(2.5 * H_S / every_s)
        murky_h = next(at for at, one in enumerate(outlooks) if one.status == "murky") * every_s / H_S
        due = outlooks[asked].due
        held += due is not None and due.least_hours <= murky_h - asked * every_s / H_S <= due.most_hours
    assert held >= 85


def test_dark_units_do_not_bend_the_line():
    hazes = shift(0.2, 3.0)
    hazes[::7] += 1.0
    due = follow(hazes)[-1].due
    assert due is not None and abs(due.hours - 2.5) < 0.8


def test_water_without_a_trend_is_not_forecast():
    quiet = sum(follow(shift(0.0, 4.0, start=0.3, seed=seed))[-1].due is None for seed in range(40))
    assert quiet >= 34
    assert follow(shift(-0.1, 4.0, start=0.8))[-1].due is None


def test_a_few_cases_are_no_trend():
    assert all(outlook.due is None for outlook in follow(shift(0.3, 0.9)))


def test_water_that_takes_days_is_not_forecast():
    due = follow(shift(0.01, 10.0, noise=0.005))[-1].due
    assert due is None


def test_fresh_water_begins_a_line_of_its_own():
    watch = WaterWatch(LIMIT)
    used = follow(shift(0.3, 4.0), watch=watch)
    fresh = follow(shift(0.0, 0.5), begins_s=4.2 * H_S, watch=watch)
    assert used[-1].status == "murky" and fresh[-1].status == "clear" and fresh[-1].due is None
    later = follow(shift(0.2, 3.0), begins_s=4.7 * H_S, watch=watch)[-1].due
    assert later is not None and abs(later.hours - 2.5) < 0.8


def test_words_name_the_hours_and_the_cure_in_time():
    outlooks = follow(shift(0.25, 5.0, noise=0.02))
    early, timely, late = (outlooks[round(hours * 30)] for hours in (0.5, 1.9, 4.9))
    assert early.words == ""
    assert timely.due is not None and timely.due.hours <= LEAD_H
    assert "about 3 h until it must be changed" in timely.words and "plan the change" in timely.words
    assert late.words == "the water is murky: change the water"


def test_the_slope_is_the_median_of_all_pairs():
    x = np.arange(9.0)
    slope, low, high = theil_sen(x, 2 * x + np.where(x == 4, 50, 0))
    assert slope == 2.0 and low <= 2.0 <= high
