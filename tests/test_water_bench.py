"""The water benchmark: when a shift counts as alarmed in time, and what is named as missed."""

from benchmarks import water
from benchmarks.water_tank import Reading, Tank
from edge_agent.bundle import open_bundle
from edge_agent.inspection import shipped_bundle
from edge_agent.records import Visibility
from edge_agent.water_trend import WaterOutlook

SEEN = Visibility(noise_levels=1.0, light_levels=90.0)
CLEAR, MURKY = WaterOutlook("clear", 0.8), WaterOutlook("murky", 0.2)


def shift(outlooks, leaks):
    return water.Shift([Reading(0.1, 0.8, SEEN, leak) for leak in leaks], outlooks, 1.0, 600.0)


def test_an_alarm_is_in_time_when_it_stands_before_the_first_case_that_cannot_show_the_leak():
    leaks = [0.2, 0.5, 1.2, 2.0]
    assert shift([CLEAR, MURKY, MURKY, MURKY], leaks).in_time
    assert not shift([CLEAR, CLEAR, MURKY, MURKY], leaks).in_time
    assert not shift([MURKY, CLEAR, CLEAR, MURKY], leaks).in_time
    assert shift([CLEAR] * 2, leaks[:2]).lost_at is None
    assert shift([MURKY] * 4, leaks).at_once and not shift([CLEAR] * 3 + [MURKY], leaks).at_once
    assert water.taken_back([CLEAR, MURKY, CLEAR, MURKY]) == 1


def test_each_missed_target_has_a_line():
    told = {"shifts": 12, "at_once": 0, "in_time": 9, "lost": 10, "murky": 40, "murky_alarmed": 39}
    kept = {"one_unit": {"p05": 0.99}}
    figures = {"monotone": kept, "alarm": {"8 h": told}, "hysteresis": {"cleared": 0, "called_murky": 3, "stations": 3}}
    (words,) = water.missed(figures)
    assert "9 of 10 shifts" in words and "8 h" in words
    spoilt = {
        "monotone": {"one_unit": {"p05": 0.9}},
        "alarm": {},
        "hysteresis": {"cleared": 2, "called_murky": 2, "stations": 3},
    }
    assert len(water.missed(spoilt)) == 3
    always = {"8 h": told | {"at_once": 12, "in_time": 10}}
    (words,) = water.missed(figures | {"alarm": always})
    assert "12 of 12 stations were alarmed in fresh water" in words
    never = {"8 h": dict.fromkeys(told, 0)}
    assert ["no shift lost" in words for words in water.missed(figures | {"alarm": never})] == [True]


def test_the_haze_of_one_station_is_read_in_order_and_costs_small_leaks():
    readings = Tank(2_950_000, open_bundle(shipped_bundle())).same_unit((0.1, 0.6, 2.0))
    assert water.spearman(readings) == 1.0
    leaks = [one.smallest_leak for one in readings]
    assert leaks == sorted(leaks)
