"""Make-believe clips: the same by seed, of every kind, and nothing that stops a run."""

import numpy as np

from models import nuisance


def test_the_same_seed_gives_the_same_pictures():
    first, second = (list(nuisance.pictures(7, seconds=0.2, fps=20)) for _ in range(2))
    assert all(np.array_equal(a, b) and s == t for (s, a), (t, b) in zip(first, second, strict=True))


def test_thirty_seeds_give_whole_pictures_of_many_kinds():
    means = []
    for seed in range(30):
        pictures = [picture for _, picture in nuisance.pictures(seed, seconds=0.1, fps=20, size=(160, 120))]
        assert [picture.shape for picture in pictures] == [(120, 160)] * 2
        assert pictures[0].dtype == np.uint8
        means.append(float(pictures[0].mean()))
    assert np.std(means) > 10
