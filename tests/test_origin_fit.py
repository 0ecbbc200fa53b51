"""The origins net on made-up kymographs: slanted lines that go on beginning at one height, and lines that do not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from edge_agent.kymograph import NEVER, ORIGIN_ROWS, PICTURE, PLAIN, ROWS, STRIPS, Kymograph, strips
from models import origin_fit
from models.cases import CaseEvidence, CaseTruth
from models.origin_fit import LEAST_SHOWN, OriginRecipe

SECONDS = 9.0
RISE_ROWS_S = 32.0


def case(seed: int, *, leaky: bool) -> tuple[CaseEvidence, CaseTruth]:
    """Trapped air in the first second and now and then a late bubble from anywhere; a leak besides."""
    rng = np.random.default_rng(seed)
    early = [(at_s, rng.uniform(0.2, 0.8), rng.uniform(0.5, 0.9)) for at_s in rng.exponential(0.3, 12)]
    late = [(at_s, rng.uniform(0.2, 0.8), rng.uniform(0.5, 0.9)) for at_s in rng.uniform(1, 9, rng.poisson(2))]
    x, y, rate_s = rng.uniform(0.2, 0.8), rng.uniform(0.5, 0.9), rng.uniform(1, 5)
    leak = [(at_s, x, y) for at_s in np.arange(rng.uniform(0, 1 / rate_s), SECONDS, 1 / rate_s)] if leaky else []
    times = np.arange(0, SECONDS, 0.1) + 0.02
    glow = np.zeros((len(times), ROWS, STRIPS), np.uint8)
    for at_s, share_x, share_y in early + late + leak:
        row = share_y * ROWS - RISE_ROWS_S * (times - at_s)
        seen = (times >= at_s) & (row > 3) & (rng.random(len(times)) < 0.8)
        glow[seen, row[seen].astype(int), int(share_x * STRIPS)] = rng.integers(100, 255, int(seen.sum()))
    none = np.empty((0, 7), np.float32)
    classes = np.zeros((len(times), 2, 4), np.float32)
    evidence = CaseEvidence(times.astype(np.float32), classes, none, glow, 1.5, (640, 480))
    return evidence, CaseTruth(leaky=leaky, births=np.array(leak, np.float32).reshape(-1, 3))


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    torch.set_num_threads(1)
    known = [case(seed, leaky=seed % 2 == 0) for seed in range(32)]
    recipe = OriginRecipe(epochs=16, batch=2, rate=6e-3)
    return origin_fit.fit(origin_fit.kymographs(known), recipe, seed=1, settle_s=1.0, log=lambda line: None)


def odds_of(net, evidence: CaseEvidence) -> np.ndarray:
    def look(strips: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return net(torch.from_numpy(strips)).numpy()

    watch = Kymograph(look)
    for since_s, glow in zip(evidence.times.tolist(), evidence.glow, strict=True):
        watch.add(glow.astype(np.float32) / 255, since_s)
    return watch.origins()


def test_the_net_is_taught_with_the_pictures_that_a_device_shows_it():
    evidence, truth = case(7, leaky=True)
    evidence = replace(evidence, times=(np.arange(len(evidence.times)) * 0.1).astype(np.float32))
    taught = origin_fit.kymographs([(evidence, truth)])
    shown: list[np.ndarray] = []

    def look(strips: np.ndarray) -> np.ndarray:
        shown.append(strips)
        return np.zeros((len(strips), ORIGIN_ROWS), np.float32)

    watch = Kymograph(look)
    for since_s, glow in zip(evidence.times.tolist(), evidence.glow, strict=True):
        watch.add(glow.astype(np.float32) / 255, since_s)
    watch.origins()
    assert np.array_equal(shown[-1], strips(taught.glow[0], taught.watched[0], 0.0)[1])
    assert taught.watched[0].sum() == len(evidence.times)


@pytest.mark.full
def test_a_leak_is_told_from_trapped_air_in_cases_of_unseen_seeds(net):
    leaks = [odds_of(net, case(seed, leaky=True)[0]).max() for seed in range(1000, 1020)]
    tights = [odds_of(net, case(seed, leaky=False)[0]).max() for seed in range(2000, 2020)]
    assert np.mean([leak > tight for leak in leaks for tight in tights]) > 0.95


@pytest.mark.full
def test_the_likeliest_cell_is_where_the_leak_is(net):
    near = []
    for seed in range(1000, 1020):
        evidence, truth = case(seed, leaky=True)
        odds = odds_of(net, evidence)
        row, strip = np.unravel_index(odds.argmax(), odds.shape)
        _, x, y = truth.births[0]
        near.append(abs(strip + 0.5 - x * STRIPS) <= 2 and abs(row + 0.5 - y * odds.shape[0]) <= 3)
    assert np.mean(near) >= 0.85


def test_nobody_insists_on_a_leak_that_let_go_one_bubble():
    twice = np.array([[2.0, 0.5, 0.8], [4.0, 0.5, 0.8]], np.float32)
    wanted, undecided = origin_fit._wanted(twice, 1.0, 9.0)
    assert wanted.any() and undecided.any() and not (wanted & undecided).any()
    wanted, undecided = origin_fit._wanted(twice[:1], 1.0, 9.0)
    assert not wanted.any() and undecided.any()


def plain(level: int, *, leaky: bool, looks: int = 90) -> tuple[CaseEvidence, CaseTruth]:
    """A case that glows evenly; a leak's bubbles all begin at one place."""
    evidence, _ = case(1, leaky=False)
    evidence = replace(
        evidence, times=evidence.times[:looks], classes=evidence.classes[:looks], glow=evidence.glow[:looks] * 0 + level
    )
    births = [(at_s, 0.51, 0.8) for at_s in (2.0, 4.0)] if leaky else []
    return evidence, CaseTruth(leaky=leaky, births=np.array(births, np.float32).reshape(-1, 3))


def part_of(known: list[tuple[CaseEvidence, CaseTruth]], recipe: OriginRecipe, seed: int) -> tuple[np.ndarray, ...]:
    """What one step shows of the first of `known`, to its end."""
    rng = np.random.default_rng(seed)
    return origin_fit._part(origin_fit.kymographs(known), 0, replace(recipe, whole_share=1.0), 1.0, rng)


def test_where_a_part_is_hidden_another_tight_unit_shows():
    known = [plain(200, leaky=True), plain(90, leaky=False, looks=50), plain(140, leaky=True)]
    uppers = []
    for seed in range(12):
        _, pictures, wanted, _ = part_of(known, OriginRecipe(mixed_share=0, hidden_share=1), seed)
        # The tight unit was watched for 50 steps: beyond them its looks begin again.
        glow = np.round(pictures[0, PLAIN, [30, 70]] * 255)
        assert set(glow.flat) <= {90, 200} and (glow[0] == glow[1]).all(), "its own light and the tight unit's alone"
        hidden = np.flatnonzero(glow[0] == 90)
        if not len(hidden):
            continue
        uppers.append(hidden[0] == 0)
        assert len(hidden) == 1 + hidden[-1] - hidden[0] < ROWS and (uppers[-1] or hidden[-1] == ROWS - 1)
        # Where the origin itself is hidden, it is where its bubbles come into view.
        origin = 48 if uppers[-1] else hidden[0]
        assert np.abs(np.flatnonzero(wanted.any(axis=1)).mean() + 0.5 - origin / 2) <= 1
    assert len(uppers) >= 10 and 2 < sum(uppers) < len(uppers) - 2


def test_what_is_hidden_leaves_a_quarter_of_the_height_to_the_lowest_leak():
    rng = np.random.default_rng(1)
    births = np.array([[2.0, 0.3, 0.5], [4.0, 0.6, 0.8]], np.float32)
    draws = [origin_fit._hidden_rows(births, rng) for _ in range(200)]
    upper, lower = [end for first, end in draws if first == 0], [first for first, end in draws if first]
    assert 60 < len(upper) < 140 and {end for first, end in draws if first} == {ROWS}
    assert 0 <= min(upper) < 5 and 25 < max(upper) <= 48 - LEAST_SHOWN
    assert LEAST_SHOWN <= min(lower) < 20 and 43 < max(lower) < 48
    for low in (0.02, 0.3, 0.99):
        draws = [origin_fit._hidden_rows(np.array([[2.0, 0.5, low]], np.float32), rng) for _ in range(100)]
        assert all(first >= LEAST_SHOWN and end == ROWS or first == 0 for first, end in draws)
        assert all(end <= max(0, round(low * ROWS) - LEAST_SHOWN) for first, end in draws if first == 0)


def test_a_tight_unit_on_top_takes_nothing_away():
    known = [plain(100, leaky=True), plain(90, leaky=False)]
    known[1][0].glow[40] = 220
    _, pictures, _, _ = part_of(known, OriginRecipe(mixed_share=1, hidden_share=0), 3)
    assert set(np.round(pictures[0, PLAIN, 5:80] * 255).flat) == {100, 220}


def test_a_case_moves_aside_with_all_that_is_known_of_its_leak():
    evidence, truth = plain(90, leaky=True)
    evidence.glow[25:35, :, int(0.51 * STRIPS)] = 200
    places = set()
    for seed in range(40):
        chosen, pictures, wanted, undecided = part_of([(evidence, truth)], OriginRecipe(), seed)
        (bright,) = chosen[pictures[:, PLAIN, 30, 20] > 0.5]
        way = np.flatnonzero((wanted | undecided).any(axis=0))
        # Over the border too: seven strips, the leak's own in their middle.
        assert wanted[:, bright].any() and set(way) == {(int(bright) + aside) % STRIPS for aside in range(-3, 4)}
        places.add(int(bright))
    assert len(places) > 20


def test_strips_of_a_leak_are_all_learnt_from_and_some_of_the_others():
    rng = np.random.default_rng(1)
    asked = origin_fit._asked(np.array([13, 14, 15]), 16, 8, rng)
    assert list(asked) == sorted(set(asked)) and {13, 14, 15} <= set(asked) and len(asked) == 8
    assert list(origin_fit._asked(np.arange(7), 7, 8, rng)) == list(range(7))
    assert len(origin_fit._asked(np.arange(13), 16, 8, rng)) == 13 + 3


class Said(torch.nn.Module):
    """Says what it is told to."""

    def __init__(self, odds: np.ndarray) -> None:
        super().__init__()
        self.odds = torch.nn.Parameter(torch.from_numpy(odds.T.astype(np.float32)))

    def forward(self, strips: torch.Tensor) -> torch.Tensor:
        return self.odds


def test_a_leak_may_be_seen_anywhere_on_its_bubbles_way_but_best_at_its_origin():
    wanted, undecided = origin_fit._wanted(np.array([[2.0, 0.5, 0.8], [4.0, 0.5, 0.8]], np.float32), 1.0, 9.0)
    chosen = np.arange(STRIPS)

    def loss_of(*sure: tuple[int, int]) -> float:
        odds = np.full((ORIGIN_ROWS, len(chosen)), -6.0)
        for row, strip in sure:
            odds[row, strip] = 5.0
        return origin_fit._loss(Said(odds), chosen, np.zeros((1, *PICTURE), np.float32), wanted, undecided).item()

    nothing, at_origin, above = loss_of(), loss_of((24, 20)), loss_of((10, 20))
    elsewhere, below = loss_of((10, 5)), loss_of((29, 20))
    assert at_origin < above < nothing < min(elsewhere, below)
    # Its own strip did not stand out enough to be looked at, but one that its bubbles sway into.
    chosen = np.array([5, 22])
    assert loss_of((10, 1)) < loss_of() < loss_of((10, 0))


@pytest.mark.full
def test_a_dark_case_costs_nothing_and_a_net_of_it_can_be_asked(net):
    evidence, _ = case(1, leaky=False)
    dark = CaseEvidence(evidence.times, evidence.classes, evidence.bubbles, evidence.glow * 0, 1.5, (640, 480))
    assert (odds_of(net, dark) == NEVER).all()
