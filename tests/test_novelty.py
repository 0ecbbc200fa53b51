"""How far a case lies from those of training: what is measured, and what a verdict makes of it."""

import numpy as np
import torch

from edge_agent.account import FEATURES, MAPPED, SCORED, Account
from edge_agent.records import Evidence
from models import novelty
from models.cases import Features, together
from models.net import CaseNet
from models.train import LIMITS


def cases_of(count: int, seed: int, *, familiar: bool = True, beside: float = 0.0) -> Features:
    """Features that go together as those of a station do, `beside` them in one direction."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((count, 3)) @ np.random.default_rng(0).standard_normal((3, len(FEATURES)))
    values = (common + 0.3 * rng.standard_normal(common.shape) - 4).astype(np.float32)
    values[:, -2] += beside
    ones = np.ones(count, np.float32)
    return Features(values, rng.random(count) < 0.5, ones, np.arange(count), np.full(count, familiar))


def test_one_familiar_case_in_a_hundred_is_taken_for_unfamiliar_and_what_lies_beside_them_nearly_always():
    known = cases_of(300, 1)
    limit, familiar = novelty.limit(known, seed=1), novelty.familiar_of(known)
    fresh, other = cases_of(2000, 2), cases_of(200, 3, beside=3.0)
    beyond = [familiar.distances(one) > limit for one in (fresh, other)]
    assert beyond[0].mean() < 0.03
    assert beyond[1].mean() > 0.8


def test_make_believe_has_no_part_in_what_is_familiar():
    known, make_believe = cases_of(120, 1), cases_of(400, 4, familiar=False, beside=9.0)
    both = together([known, make_believe])
    assert novelty.limit(both, seed=1) == novelty.limit(known, seed=1)


def test_a_stations_few_judged_clips_make_it_familiar():
    """They weigh more than simulated cases, which are many."""
    known, station = cases_of(300, 1), cases_of(400, 8, beside=3.0)
    judged = Features(
        station.values[:20], station.leaky[:20], np.full(20, 6, np.float32), np.arange(20) + 300, station.familiar[:20]
    )
    after = together([known, judged])
    beyond = [
        (novelty.familiar_of(rows).distances(station)[20:] > novelty.limit(rows, seed=1)).mean()
        for rows in (known, after)
    ]
    assert beyond[0] > 0.8 and beyond[1] < 0.1


def test_the_net_that_is_shipped_gives_the_same_distances():
    known = cases_of(80, 5)
    values = torch.from_numpy(known.values)
    net = CaseNet(values.mean(0) * 0, values.std(0), len(SCORED))
    novelty.teach(net, known)
    said = net(values).detach().numpy()
    assert said.shape == (80, 2)
    np.testing.assert_allclose(said[:, 1], novelty.familiar_of(known).distances(known), rtol=1e-3)


def test_of_fewer_than_a_hundred_cases_nobody_says_what_one_in_a_hundred_is():
    assert novelty.limit(cases_of(60, 6), seed=1) is None
    assert novelty.limit(cases_of(1, 6), seed=1) is None


def test_an_account_keeps_the_mean_and_the_highest_of_what_the_detector_felt():
    account = Account(1.5, (640, 480), LIMITS, lambda strips: np.zeros((len(strips), 30), np.float32))
    quiet, lively = np.zeros((2, 4), np.float32), np.array([[0.1, 0, 0, 0.3], [0.9, 0, 0.5, 1]], np.float32)
    for number, classes in enumerate((quiet, lively, quiet, quiet)):
        account.add(Evidence(number / 10, np.zeros((8, 8), np.float32), np.empty((0, 6)), 0.0, classes), number / 10)
    felt = dict(zip(FEATURES, np.exp(account.features(2.0)).tolist(), strict=True))
    assert len(MAPPED) == 16
    np.testing.assert_allclose(felt["mean_mean_speck"], 0.3 / 4 + 1e-3, rtol=1e-4)
    np.testing.assert_allclose(felt["highest_highest_bead"], 0.5 + 1e-3, rtol=1e-4)
    np.testing.assert_allclose(felt["mean_highest_rising"], 0.9 / 4 + 1e-3, rtol=1e-4)
