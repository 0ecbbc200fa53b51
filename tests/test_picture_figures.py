import numpy as np
import pytest

from edge_agent.camera_watch import FROZEN_S
from edge_agent.decision import Signal
from edge_agent.eyes import Sight
from edge_agent.messages import FrameCounts, MissingCounts
from edge_agent.picture_figures import LOOK_EVERY_S, PictureFigures
from edge_agent.records import Frame, Framing, TankView, Visibility

SEEN = Visibility(noise_levels=2.2, light_levels=120.0, paper_levels=90.0, blur_px=1.1)
NOISE = np.random.default_rng(3)
FPS = 10


def sight(number, *, thumb=None, fault="", framing=None, visibility=None, clarity=None):
    taken_s = number / FPS
    thumb = NOISE.uniform(80, 160, (24, 32)).astype(np.float32) if thumb is None else thumb
    view = TankView(np.zeros((4, 4), np.uint8), number, taken_s, np.eye(3))
    frame = Frame(np.zeros((2, 2, 3), np.uint8), number, taken_s, 1.7e9 + taken_s)
    framing = framing or Framing("ok", np.eye(3), 4, 0.4, 0.1)
    return Sight(frame, framing, view, thumb, fault, Signal("none"), clarity, visibility)


def watched(seconds, **changes):
    figures = PictureFigures()
    for number in range(round(seconds * FPS) + 1):
        measured = {"visibility": SEEN, "clarity": 0.9} if number % FPS == 1 else {}
        figures.see(sight(number, **(measured | changes)))
    return figures


def test_a_look_tells_light_sharpness_noise_water_and_what_can_be_seen():
    told = watched(LOOK_EVERY_S).told
    assert (told.noise_levels, told.paper_levels, told.blur_px, told.clarity) == (2.2, 90.0, 1.1, 0.9)
    assert told.contrast_levels == pytest.approx(72, abs=4)
    assert (told.corners_seen, told.rotation_deg) == (4, 0.1)
    assert told.smallest_bubble_px > 0 and told.smallest_bubble_mm is None
    assert (told.looks, told.missing) == (1, MissingCounts())


def test_the_smallest_bubble_is_told_in_millimetres_where_the_scale_is_known():
    from edge_agent.bundle import Sensitivity

    figures = PictureFigures()
    figures.measured_for(Sensitivity(), 0.5)
    for number in range(30):
        figures.see(sight(number, visibility=SEEN if number == 2 else None))
    assert figures.told.smallest_bubble_mm == pytest.approx(figures.told.smallest_bubble_px / 0.5, rel=0.01)


def test_there_is_one_look_in_two_seconds_whatever_the_frame_rate():
    assert watched(10).told.looks == 5


def test_what_cannot_be_measured_is_none_and_counted_as_missing():
    lost = Framing("lost", np.eye(3), 1)
    told = watched(2 * LOOK_EVERY_S, visibility=None, clarity=None, framing=lost).told
    assert (told.noise_levels, told.blur_px, told.clarity, told.smallest_bubble_px) == (None, None, None, None)
    assert told.missing == MissingCounts(2, 2, 2, 2, 2)


def test_every_frame_counts_once_by_what_it_was_good_for():
    figures, still = PictureFigures(), np.full((24, 32), 90.0, np.float32)
    figures.see(sight(0))
    figures.see(sight(1, fault="the picture is black: check the light"))
    figures.see(sight(2, framing=Framing("shifted", np.eye(3), 4, 30.0)))
    for number in range(3, 3 + 1 + FPS + 5):
        figures.see(sight(number, thumb=still))
    counts = figures.told.frames
    assert counts == FrameCounts(usable=2, misframed=1, blind=1, duplicated=FPS * FROZEN_S - 1, frozen=6)
