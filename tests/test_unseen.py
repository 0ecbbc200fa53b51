"""What a clip shows of a camera that was moved: tank and lamps where somebody knows that it frames them, else black."""

import numpy as np
import pytest
from fakes_camera import SIZE_PX, moved, profile, reference_corners, seen
from fakes_camera import frame as camera_frame

from edge_agent.clips import ClipHeader, ClipWriter, read
from edge_agent.decision import Signal
from edge_agent.eyes import Sight
from edge_agent.framing import FramingWatch
from edge_agent.records import Composite, Frame, Framing, TankView
from edge_agent.station import Lamp
from edge_agent.unseen import LONGEST_S, Unseen

LAMP = Lamp(means="ok", rect_px=(2, 3, 8, 6))


def framed(status="ok", codes=4, shift_px=0.1, *, now=None):
    """`now`: codes in the picture itself, where what is believed is older."""
    return Framing(status, np.eye(3), codes, shift_px, codes_now=codes if now is None else now)


OK, LOST = framed(), framed("lost", 0)


def sight(at_s, framing):
    image = np.full((32, 40, 3), 200, np.uint8)
    view = TankView(np.full((24, 32), 150, np.uint8), int(at_s * 20), at_s, np.eye(3))
    thumb = np.zeros((24, 32), np.float32)
    return Sight(Frame(image, int(at_s * 20), at_s, 1e9), framing, view, thumb, "", Signal("none"))


@pytest.fixture
def filmed(tmp_path):
    """(framing of each frame, 20 a second) -> for each: is the tank to be seen, is the lamp; and the Unseen itself."""

    def film(*framings):
        path = tmp_path / "clip"
        path.unlink(missing_ok=True)
        writer = ClipWriter(path, ClipHeader(case_id="c", station="S", view_size_px=(32, 24), lamps=("ok",)))
        unseen = Unseen((LAMP,))
        for number, framing in enumerate(framings):
            for record in unseen.step(sight(number / 20, framing), writer):
                writer.add(record)
        for record in unseen.rest():
            writer.add(record)
        writer.close()
        frames = list(read(path).frames())
        assert [frame.view.sequence for frame in frames] == list(range(len(framings)))
        return [(bool(one.view.grey.any()), bool(one.lamp_crops[0].any())) for one in frames], unseen

    return film


def test_pictures_between_two_good_looks_are_seen(filmed):
    again = framed()
    shown, unseen = filmed(OK, OK, OK, again, again)
    assert shown == [(True, True)] * 5
    assert not unseen.hides(Composite(np.zeros((24, 32, 3), np.uint8), 0.2, 0.05))


def test_what_came_since_the_last_good_look_is_black_once_no_code_is_in_sight(filmed):
    before = framed()
    shown, unseen = filmed(before, before, OK, OK, OK, LOST, LOST, OK)
    assert shown == [(True, True)] * 2 + [(False, False)] * 5 + [(True, True)]
    hidden = Composite(np.zeros((24, 32, 3), np.uint8), 0.2, 0.05)
    assert unseen.hides(hidden)
    assert not unseen.hides(Composite(hidden.image, 0.05, 0.05))


def test_a_hand_before_one_code_hides_nothing(filmed):
    shown, _ = filmed(OK, framed("lost", 3), framed("lost", 3), OK)
    assert shown == [(True, True)] * 4


def test_a_picture_without_a_code_is_black_before_anybody_believes_it_and_so_is_all_since_the_last_whole_look(filmed):
    one, none = framed(codes=4, now=1), framed(codes=4, now=0)
    assert filmed(OK, one, none, framed("lost", 1))[0] == [(False, False)] * 3 + [(True, True)]
    assert filmed(OK, one, none)[0] == [(False, False)] * 3


def test_a_code_that_is_missed_for_a_moment_hides_nothing(filmed):
    assert filmed(OK, framed(codes=4, now=3), framed(codes=4, now=1), framed(), OK)[0] == [(True, True)] * 5


@pytest.mark.parametrize("covered", [0, 1])
@pytest.mark.parametrize("begins_s", [2.0, 2.1, 2.2, 2.3])
@pytest.mark.parametrize("lasts_s", [0.0, 0.2, 0.5])
def test_of_a_camera_that_pans_away_no_picture_without_a_code_is_seen(filmed, lasts_s, begins_s, covered):
    corners = dict(list(reference_corners().items())[covered:])
    seconds = [number / 15 for number in range(60)]
    left = [max(0.0, 1.0 if at_s >= begins_s + lasts_s else (at_s - begins_s) / (lasts_s or 1)) for at_s in seconds]
    panned = [_in_picture(moved(corners, (-share * SIZE_PX[0], 0.0))) for share in left]
    watch = FramingWatch(profile(), lambda image: seen(panned[image[0, 0]]))
    numbered = (np.full(SIZE_PX[::-1], number, np.uint8) for number in range(len(seconds)))
    shown, _ = filmed(*[watch.step(camera_frame(image, n, fps=15.0)) for n, image in enumerate(numbered)])
    assert any(tank for tank, _ in shown[:30]) and not panned[-1]
    assert not [at_s for at_s, codes, one in zip(seconds, panned, shown, strict=True) if not codes and any(one)]


def _in_picture(corners):
    """Codes that are whole in it."""
    return {name: points for name, points in corners.items() if (points >= 0).all() and (points < SIZE_PX).all()}


def test_of_a_camera_that_was_moved_by_more_than_a_lamp_the_lamp_is_black(filmed):
    near, far = framed("shifted", 4, 4.0), framed("shifted", 4, 7.0)
    shown, _ = filmed(near, far, OK)
    assert shown == [(True, True), (True, False), (True, True)]


def test_a_recording_without_codes_and_a_source_that_never_looks_again_are_shown(filmed):
    assert filmed(*[Framing("unchecked", np.eye(3))] * 3)[0] == [(True, True)] * 3


def test_no_more_waits_than_comes_in_some_seconds(tmp_path):
    writer = ClipWriter(tmp_path / "clip", ClipHeader(case_id="c", station="S", view_size_px=(32, 24), lamps=("ok",)))
    unseen, most, written = Unseen((LAMP,)), 0, 0
    for number in range(int(20 * 3 * LONGEST_S)):
        written += len(unseen.step(sight(number / 20, OK), writer))
        most = max(most, number + 1 - written)
    assert 20 < most <= 20 * LONGEST_S + 2
    writer.discard()
