"""Bubbles of made-up composites, linked."""

import numpy as np

from edge_agent.records import Evidence
from edge_agent.tracks import Linker


def evidence(*rows) -> Evidence:
    return Evidence(0.0, np.zeros((1, 1), np.float32), np.array(rows, np.float32).reshape(-1, 6), 0.0)


def followed(times, place, velocity=(0.0, -200.0), missing=()) -> Linker:
    linker = Linker()
    for index, now_s in enumerate(times):
        rows = [] if index in missing else [(*place(now_s), 0.9, *velocity, 3.0)]
        linker.add(evidence(*rows), now_s)
    return linker


def test_one_bubble_makes_one_track():
    tracks = followed(np.arange(10) / 10, lambda s: (100, 300 - 200 * s)).tracks()
    assert [len(track.points) for track in tracks] == [10]


def test_a_track_survives_a_bubble_that_is_missed_twice():
    tracks = followed(np.arange(10) / 10, lambda s: (100, 300 - 200 * s), missing=(4, 5)).tracks()
    assert [len(track.points) for track in tracks] == [8]


def test_a_bubble_that_comes_back_too_late_is_another():
    linker = followed((0.0, 0.1, 0.2), lambda s: (100, 300 - 200 * s))
    linker.add(evidence(), 0.9)
    linker.add(evidence((100, 300 - 200, 0.9, 0, -200, 3)), 1.0)
    assert sorted(len(track.points) for track in linker.tracks()) == [1, 3]


def test_a_dense_chain_does_not_alias():
    # 30 bubbles a second, 7 px apart, each 20 px on in every composite: the nearest is never the same one.
    linker, births = Linker(), np.arange(0, 1.5, 1 / 30)
    for now_s in np.arange(15) / 10:
        born = births[(births <= now_s) & (now_s - births < 1.0)]
        linker.add(evidence(*[(100, 300 - 200 * (now_s - birth), 0.9, 0, -200, 3) for birth in born]), now_s)
    for track in linker.tracks():
        step_px = np.diff(track.points[:, 2])
        assert np.all(np.abs(step_px + 200 * np.diff(track.points[:, 0])) < 1.0)


def test_two_bubbles_side_by_side_keep_apart():
    linker = Linker()
    for now_s in np.arange(8) / 10:
        linker.add(
            evidence((100, 300 - 200 * now_s, 0.9, 0, -200, 3), (112, 300 - 200 * now_s, 0.8, 0, -200, 3)), now_s
        )
    assert sorted({round(float(x)) for track in linker.tracks() for x in track.points[:, 1]}) == [100, 112]
    assert len(linker.tracks()) == 2
