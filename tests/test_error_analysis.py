"""What to work on next: errors by slice, weighted, against people, with the gain; too few are said to be too few."""

import pytest
from statsmodels.stats.proportion import proportion_confint

from cloud_sync import error_analysis, slices
from cloud_sync.error_analysis import analyse, weighted
from cloud_sync.slices import Judged, Opinion, Slice

NOON = 1_795_003_200.0 - 1_795_003_200.0 % 86_400 + 12 * 3600


def case(number: int, verdict: str = "ok", truth: str = "ok", **about) -> Judged:
    known = {"place": "plant/TANK1", "started_at": NOON, "decision": truth, "state": "single", "probability": 1.0}
    return Judged(case_id=f"c{number}", verdict=verdict, truth=truth, sampled_for="audit", **known | about)


def found(cases: list[Judged], group: str, name: str) -> error_analysis.Finding:
    (one,) = [one for one in analyse(cases) if one.slice == Slice(group, name)]
    return one


def test_the_interval_is_wilsons_where_all_weights_are_alike() -> None:
    hits = [True] * 7 + [False] * 43
    share, low, high = weighted([1.0] * 50, hits)
    assert (share, low, high) == pytest.approx((0.14, *proportion_confint(7, 50, method="wilson")), abs=1e-6)
    assert weighted([20.0] * 50, hits) == pytest.approx((share, low, high))


def test_a_case_counts_for_those_it_stands_for_and_uneven_weights_widen_the_interval() -> None:
    share, low, high = weighted([50.0, 1.0, 1.0, 1.0], [True, False, False, False])
    assert share == pytest.approx(50 / 53)
    assert low < 0.3 and high > share


def test_a_worked_example_gives_share_gap_and_gain() -> None:
    murky = [case(n, "ok", "leak", clarity=0.3, decision="ok" if n < 2 else "leak") for n in range(10)]
    murky += [case(n, clarity=0.3) for n in range(10, 40)]
    clear = [case(n, clarity=0.9) for n in range(40, 158)] + [case(n, "leak", "ok", clarity=0.9) for n in (158, 159)]
    one = found(murky + clear, "murk", "clarity below 0.4")
    assert (one.machine.cases, one.machine.of, one.machine.share) == (40, 10, 0.25)
    assert one.share.share == pytest.approx(10 / 12)
    assert one.inspector is not None and one.inspector.share == pytest.approx(2 / 40)
    assert one.gap == pytest.approx(0.2) and one.gain == pytest.approx(0.2 * 40 / 160)
    assert analyse(murky + clear)[0].gain == pytest.approx(0.05)


def test_uncertain_and_untested_cases_are_no_errors() -> None:
    assert not any(error_analysis.is_error(case(1, word, "leak")) for word in ("uncertain", "not_tested", "leak"))
    assert analyse([case(n, "uncertain", "leak") for n in range(20)]) == []
    assert error_analysis.overall([case(1, "uncertain")]) is None and analyse([]) == []


def test_what_holds_every_case_is_no_slice() -> None:
    cases = [case(n, "ok", "leak" if n < 9 else "ok", clarity=0.3 if n < 20 else 0.9) for n in range(60)]
    assert [one.slice.group for one in analyse(cases)] == ["murk"]


def test_a_slice_that_is_too_small_says_so_and_comes_last() -> None:
    few = [case(n, "ok", "leak", place="plant/TANK2") for n in range(2)]
    many = [case(n, "ok", "leak" if n < 9 else "ok") for n in range(5, 65)]
    ordered = analyse(few + many)
    assert found(few + many, "station", "plant/TANK2").too_few
    assert [one.too_few for one in ordered] == sorted(one.too_few for one in ordered)


def test_single_experts_are_measured_where_two_agreed_or_a_third_settled() -> None:
    opinions = (Opinion("erna", "ok"), Opinion("emil", "leak"))
    sure = [case(n, truth="leak", state="adjudicated", opinions=opinions) for n in range(5)]
    alone = [case(n, opinions=(Opinion("erna", "leak"),)) for n in range(5, 9)]
    _, expert = error_analysis.human_error(sure + alone)
    assert expert is not None and (expert.cases, expert.of) == (10, 5)


def test_a_case_is_in_one_slice_of_each_group_and_in_each_of_its_tags() -> None:
    one = case(1, clarity=0.6, light_levels=None, leak_std_cm3_s=2e-3, seen="stream", tags=("foam", "dusk"))
    assert set(slices.slices_of(one, (60.0, 90.0))) == {
        Slice("station", "plant/TANK1"),
        Slice("shift", "early, 6 to 14 UTC"),
        Slice("murk", "clarity 0.6 to 0.8"),
        Slice("light", "grey level unknown"),
        Slice("leak rate", "std cm3/s 0.001 to 0.01"),
        Slice("seen", "stream"),
        Slice("sampled for", "audit"),
        Slice("tag", "foam"),
        Slice("tag", "dusk"),
    }


def test_light_is_cut_into_thirds_of_what_was_measured() -> None:
    cases = [case(n, light_levels=float(n)) for n in range(30)]
    low, high = slices.light_limits(cases)
    names = [slices.band(one.light_levels, (low, high), "grey level") for one in cases]
    assert sorted(names.count(name) for name in set(names)) == [10, 10, 10]
    assert slices.light_limits(cases[:5]) == ()
    assert slices.light_limits([case(n, light_levels=50.0) for n in range(30)]) == ()
    assert slices.shift(NOON + 11 * 3600) == slices.NIGHT
