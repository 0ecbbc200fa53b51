"""The origins net on made-up kymographs: slanted lines that go on beginning at one height, and lines that do not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from edge_agent.kymograph import NEVER, ORIGIN_ROWS, ROWS, STRIPS, Kymograph, strips
from models import origin_fit
from models.cases import CaseEvidence, CaseTruth
from models.origin_fit import OriginRecipe

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


@pytest.mark.full
def test_a_dark_case_costs_nothing_and_a_net_of_it_can_be_asked(net):
    evidence, _ = case(1, leaky=False)
    dark = CaseEvidence(evidence.times, evidence.classes, evidence.bubbles, evidence.glow * 0, 1.5, (640, 480))
    assert (odds_of(net, dark) == NEVER).all()
