"""Cases made of points: what counts as an origin, and that features do not depend on what they should not."""

import numpy as np
import pytest

from edge_agent import origins
from edge_agent.account import FEATURES, Account
from edge_agent.bundle import Thresholds
from edge_agent.kymograph import ORIGIN_ROWS, ROWS, STRIPS
from edge_agent.records import Evidence

THRESHOLDS = Thresholds(
    ok_below=0.2, leak_above=0.8, bubble_above=0.3, settle_s=1.0, lamp_lit_above=0.5, murky_below=0.3
)
SPEED_PX_S = 250.0
SMALLEST_PX = 2.5


DARK = np.zeros((1, 1), np.float32)


def says_nothing(strips: np.ndarray) -> np.ndarray:
    return np.full((len(strips), ORIGIN_ROWS), -4.0, np.float32)


def watched(births, *, seconds=8.0, px_per_mm=1.4, rising=True, scale=1.0, look=says_nothing, heat=DARK) -> Account:
    """`births`: (time_s, x_px, y_px[, diameter_px]); each bubble rises to the surface at y = 30. `look`: the origins
    net's word on every strip that glows in `heat`."""
    account = Account(px_per_mm, (round(600 * scale), round(440 * scale)), THRESHOLDS, look)
    for now_s in np.arange(0, seconds, 0.1):
        rows = []
        for born_s, x, y, *size in births:
            way = SPEED_PX_S * (now_s - born_s) * (1 if rising else -1)
            if born_s <= now_s and 30 < y - way < 430:
                velocity, diameter = -SPEED_PX_S if rising else SPEED_PX_S, size[0] if size else 3.0
                rows.append((x * scale, (y - way) * scale, 0.9, 0, velocity * scale, diameter * scale))
        account.add(Evidence(now_s, heat, np.array(rows, np.float32).reshape(-1, 6), 0.9), now_s)
    return account


def feature(account: Account, name: str) -> float:
    return float(account.features(SMALLEST_PX)[FEATURES.index(name)])


LEAK = [(born_s, 300.0, 380.0) for born_s in np.arange(0.3, 8, 0.6)]


def test_a_leak_has_one_origin_where_it_is():
    account = watched(LEAK)
    assert account.best_origin() == pytest.approx((300, 380), abs=8)
    assert len(account.origins()) == 1
    assert "one point" in account.words()
    assert (
        account.words_if_tight()
        == f"{account.origins()[0].births} bubbles rose from one place in 7.0 s, not as from a leak"
    )


def sure_of(x_px: float, y_px: float) -> dict:
    """Heat in one strip, and an origins net that is sure of one place in it."""
    heat = np.zeros((ROWS, STRIPS), np.float32)
    heat[:, int(x_px * STRIPS / 600)] = 0.5
    odds = np.full(ORIGIN_ROWS, -4.0, np.float32)
    odds[int(y_px * ORIGIN_ROWS / 440)] = 3.0
    return {"heat": heat, "look": lambda strips: np.tile(odds, (len(strips), 1))}


def test_the_learned_origin_says_how_high_where_bubbles_are_followed_from_further_up():
    counted_px = watched(LEAK).best_origin()
    # Rows of the net are 10 mm high: 3 mm lower say nothing, 8 mm higher do.
    assert watched(LEAK, **sure_of(300, 388)).best_origin() == counted_px == pytest.approx((300, 385), abs=1)
    assert watched(LEAK, **sure_of(300, 374)).best_origin() == pytest.approx((300, 374), abs=1)
    assert watched(LEAK, **sure_of(300, 425)).best_origin() == pytest.approx((300, 425), abs=12)


def test_place_rate_and_words_are_of_one_and_the_same_origin():
    often, seldom = [(at_s, 500.0, 300.0) for at_s in np.arange(0.4, 8, 0.4)], LEAK[::2]
    plain, told = watched(often + seldom), watched(often + seldom, **sure_of(300, 380))
    assert plain.best_origin()[0] == pytest.approx(500, abs=8) and told.best_origin()[0] == pytest.approx(300, abs=8)
    assert told.emission().births_per_s < 0.7 * plain.emission().births_per_s
    assert f": {told.emission().births} in" in told.words()


def test_a_place_that_is_learned_alone_is_told_without_a_rate():
    for births in ([], [(at_s, 500.0, 300.0) for at_s in np.arange(0.4, 8, 0.4)]):
        account = watched(births, **sure_of(100, 380))
        assert account.best_origin() == pytest.approx((100, 380), abs=15)
        assert account.emission() is None and "too faint to be followed" in account.words()
        assert account.words_if_tight() == "something faint rose at one place, not as from a leak"


def test_strays_below_a_leak_do_not_lower_it():
    assert watched([*LEAK, (2.2, 300.0, 415.0), (5.1, 301.0, 412.0)]).best_origin() == pytest.approx((300, 380), abs=8)


def test_trapped_air_that_goes_before_the_water_settles_has_no_origin():
    account = watched([(born_s, 250.0 + 9 * born_s, 350.0) for born_s in np.linspace(0, 0.9, 15)])
    assert account.best_origin() is None
    assert "no bubble rose" in account.words() == account.words_if_tight()
    assert feature(account, "early_rising_tracks") > 0


def test_one_late_bubble_is_no_persistent_origin():
    account = watched([(4.0, 200.0, 380.0)])
    assert account.origins()[0].slots == 1
    assert "none from the same place again" in account.words() == account.words_if_tight()


def test_births_all_over_the_unit_are_many_origins():
    rng = np.random.default_rng(1)
    account = watched([(born_s, rng.uniform(30, 570), rng.uniform(200, 400)) for born_s in np.arange(1.2, 7.5, 0.5)])
    assert len(account.origins()) > 6
    assert feature(account, "share_of_best_origin") < 0.4


def test_the_most_persistent_origin_comes_first():
    account = watched(LEAK + [(1.5, 100.0, 300.0), (1.6, 100.0, 300.0), (5.0, 500.0, 300.0)])
    assert account.best_origin()[0] == pytest.approx(300, abs=8)


def test_things_that_go_down_count_as_nothing():
    account = watched([(born_s, 300.0, 60.0) for born_s in np.arange(0.3, 8, 0.6)], rising=False)
    assert account.best_origin() is None
    assert feature(account, "column_slots") == 0


def test_features_are_finite_and_as_many_as_their_names_for_any_case():
    for births in ([], LEAK, LEAK[:1]):
        for seconds in (0.1, 0.9, 8.0):
            features = watched(births, seconds=seconds).features(SMALLEST_PX)
            assert features.shape == (len(FEATURES),)
            assert features.dtype == np.float32
            assert np.isfinite(features).all()


def test_features_do_not_depend_on_the_size_of_the_picture():
    one, double = watched(LEAK, px_per_mm=1.4), watched(LEAK, px_per_mm=2.8, scale=2.0)
    differ = np.abs(one.features(SMALLEST_PX) - double.features(SMALLEST_PX)) > 0.02
    # But for one: where a bubble covers more pixels there is more of it to spare.
    assert [name for name, differs in zip(FEATURES, differ, strict=True) if differs] == ["size_to_spare"]


def test_bubbles_of_one_size_are_told_from_trapped_air_of_all_sizes():
    births = [(born_s, 300.0, 380.0) for born_s in (2.0, 3.5, 5.0, 6.5)]
    alike = [(*birth, size) for birth, size in zip(births, (3.0, 3.2, 2.9, 3.1), strict=True)]
    all_sizes = [(*birth, size) for birth, size in zip(births, (2.0, 9.0, 3.5, 6.0), strict=True)]
    assert feature(watched(alike), "size_unlikeness") < 0.15
    assert feature(watched(all_sizes), "size_unlikeness") > 0.5
    # One bubble alone says nothing of how alike its fellows are.
    assert feature(watched(alike[:1]), "size_unlikeness") == pytest.approx(0.3)
    assert feature(watched([]), "size_unlikeness") == pytest.approx(0.3)


def test_large_bubbles_have_more_to_spare_than_the_smallest_that_can_be_seen():
    small, large = ([(born_s, 300.0, 380.0, size) for born_s in (2.0, 5.0)] for size in (2.0, 8.0))
    assert feature(watched(large), "size_to_spare") - feature(watched(small), "size_to_spare") == pytest.approx(
        np.log(4), abs=0.01
    )


def test_asking_twice_changes_nothing():
    account = watched(LEAK)
    np.testing.assert_array_equal(account.features(SMALLEST_PX), account.features(SMALLEST_PX))


def test_more_births_than_memory_allows_are_thinned_and_the_leak_stays(monkeypatch):
    told = watched(LEAK).origins()[0].births
    monkeypatch.setattr(origins, "MOST_BIRTHS", 6)
    account = watched(LEAK)
    assert account.best_origin() == pytest.approx((300, 380), abs=8)
    (place,) = account.origins()
    assert len(place.births_s) <= 6
    assert place.each > 1 and place.births == pytest.approx(told, abs=place.each), "each one stands for several"
    assert feature(account, "late_births") == pytest.approx(np.log1p(place.births))
