"""How a parallel run stands, how much is missing, and what a year's challengers share."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import promotions
from cloud_sync import promotion
from cloud_sync.paired import Pair
from cloud_sync.policy import Promotion

RULES = Promotion()


def a_day(day: int, **more: int) -> list[Pair]:
    """A thousand units, five known leaks; `more`: leaks that the champion or the challenger alone missed."""

    def units(champion: str, challenger: str, truth: str | None, number: int, *, drawn: bool = True) -> Pair:
        audited = truth == "leak" and champion == challenger
        words = {"champion": champion, "challenger": challenger, "truth": truth}
        return Pair(day=day, drawn=drawn, probability=0.5 if audited else 1.0, units=number, **words)

    return [
        units("ok", "ok", None, 970, drawn=False),
        units("leak", "leak", "leak", 5),
        units("uncertain", "ok", "ok", 9),
        units("ok", "uncertain", "ok", 5),
        units("ok", "leak", "leak", more.get("champion", 0)),
        units("leak", "ok", "leak", more.get("challenger", 0)),
        units("leak", "ok", None, more.get("waiting", 0)),
    ]


def days(number: int, **more: int) -> list[Pair]:
    return [pair for day in range(number) for pair in a_day(day, **more) if pair.units]


def test_nothing_known_is_nothing_proven() -> None:
    found = promotion.evidence([], RULES, alpha=0.005, days=1)
    assert (found.state, found.misses, found.better, found.course) == ("running", 0.0, 0.0, ())
    assert found.needed.expected is None
    assert promotion.evidence([], RULES, alpha=0.005, days=120).state == "futile"


def test_a_better_challenger_wins_and_what_was_needed_was_foretold() -> None:
    early = promotion.evidence(days(4, champion=1), RULES, alpha=0.005, days=4)
    assert early.state == "running" and early.needed.expected is not None and early.needed.low is not None
    assert early.needed.low <= early.needed.expected
    done = next(
        n for n in range(4, 60) if promotion.evidence(days(n, champion=1), RULES, alpha=0.005, days=n).state == "won"
    )
    final = promotion.evidence(days(done, champion=1), RULES, alpha=0.005, days=done)
    assert final.judged == pytest.approx(early.judged + early.needed.expected, rel=0.2)
    assert final.misses >= final.threshold and final.better >= final.threshold
    assert [point.day for point in final.course] == list(range(done))


def test_one_that_misses_more_is_lost_and_one_that_is_alike_does_not_get_there() -> None:
    assert promotion.evidence(days(20, challenger=1), RULES, alpha=0.005, days=20).state == "lost"
    both = promotion.evidence(days(40, challenger=1, champion=1), RULES, alpha=0.005, days=40)
    assert both.state == "futile"


def test_a_challenger_that_misses_more_at_one_station_does_not_win_by_another() -> None:
    better = [msgspec.structs.replace(pair, place="plant/TANK1") for pair in days(40, champion=3)]
    worse = [msgspec.structs.replace(pair, place="plant/TANK2") for pair in days(40, challenger=1)]
    found = promotion.evidence(better + worse, RULES, alpha=0.005, days=40)
    assert found.better >= found.threshold and found.misses < 0 and found.state == "futile"
    assert found.needed.expected is None
    alike = [msgspec.structs.replace(pair, place="plant/TANK2") for pair in days(40, champion=2)]
    assert promotion.evidence(better + alike, RULES, alpha=0.005, days=40).state == "won"


def test_units_that_wait_hold_it_up_and_do_not_end_it() -> None:
    pairs = [*days(30, champion=1), *(pair for pair in a_day(30, champion=1, waiting=40) if pair.units)]
    found = promotion.evidence(pairs, RULES, alpha=0.005, days=31)
    assert found.waiting == 40
    assert found.last[0] < found.misses, "the days before them still count"
    assert found.counts["missed_more_waiting"] == 40


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), max_size=60))
def test_however_many_challengers_run_the_year_stakes_no_more_than_it_has(ends) -> None:
    before: list[tuple[float, float]] = []
    for last in ends:
        alpha = float(promotion.stake(RULES, before))
        assert 0 < alpha <= RULES.share_of_rest * RULES.alpha_per_year + 1e-12
        back = float(promotion.given_back(alpha, *last))
        assert 0 <= back <= alpha
        before.append((alpha, back))
    assert sum(alpha - back for alpha, back in before) <= RULES.alpha_per_year


def test_the_25th_of_a_year_needs_about_half_as_much_again_as_the_first() -> None:
    before: list[tuple[float, float]] = []
    for _ in range(25):
        before.append((float(promotion.stake(RULES, before)), 0.0))
    first, late = before[0][0], before[-1][0]
    assert math.log(1 / late) / math.log(1 / first) == pytest.approx(1.48, abs=0.01)


def test_evidence_is_kept_as_json_and_read_again() -> None:
    found = promotion.evidence(days(3, champion=1), RULES, alpha=0.005, days=3)
    assert msgspec.json.decode(msgspec.json.encode(found), type=promotion.Evidence) == found


def test_two_words_differ_where_an_answer_is_among_them() -> None:
    assert promotion.differ("ok", "leak") and promotion.differ("uncertain", "ok")
    assert not promotion.differ("ok", "ok") and not promotion.differ("uncertain", "not_tested")


@pytest.mark.parametrize("plant", ["all kinds", "at the margin", "alike, 10 % leaking"])
def test_in_simulated_years_wrong_promotions_stay_within_the_budget(plant: str) -> None:
    row = promotions.ledger(plant, 40, 7)
    assert row["wrong_share_at_least"] <= RULES.alpha_per_year
    assert row["years_wrong"] <= 2
    assert (row["right_won"] > 0) == (plant == "all kinds")


@pytest.mark.full
def test_in_a_thousand_years_at_most_one_in_twenty_holds_a_wrong_promotion(capsys) -> None:
    assert promotions.run(["--json"]) == 0


def test_power_rises_with_the_improvement_and_is_drawn() -> None:
    few = promotions._race_row("first of a year", 0.005, 0.01, runs=20, seed=1)
    many = promotions._race_row("first of a year", 0.005, 0.06, runs=20, seed=1)
    assert many["won_share"] >= 0.9 > few["won_share"]
    assert promotions.drawing([many], "days").startswith('<svg xmlns="http://www.w3.org/2000/svg"')
