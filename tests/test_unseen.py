"""What a clip shows of a camera that was moved: tank and lamps where somebody knows that it frames them, else black."""

import numpy as np
import pytest

from edge_agent.clips import ClipHeader, ClipWriter, read
from edge_agent.decision import Signal
from edge_agent.eyes import Sight
from edge_agent.records import Composite, Frame, Framing, TankView
from edge_agent.station import Lamp
from edge_agent.unseen import LONGEST_S, Unseen

LAMP = Lamp(means="ok", rect_px=(2, 3, 8, 6))
OK, LOST = Framing("ok", np.eye(3), 4, 0.1), Framing("lost", np.eye(3))


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
    again = Framing("ok", np.eye(3), 4, 0.2)
    shown, unseen = filmed(OK, OK, OK, again, again)
    assert shown == [(True, True)] * 5
    assert not unseen.hides(Composite(np.zeros((24, 32, 3), np.uint8), 0.2, 0.05))


def test_what_came_since_the_last_good_look_is_black_once_no_code_is_in_sight(filmed):
    before = Framing("ok", np.eye(3), 4, 0.2)
    shown, unseen = filmed(before, before, OK, OK, OK, LOST, LOST, OK)
    assert shown == [(True, True)] * 2 + [(False, False)] * 5 + [(True, True)]
    hidden = Composite(np.zeros((24, 32, 3), np.uint8), 0.2, 0.05)
    assert unseen.hides(hidden)
    assert not unseen.hides(Composite(hidden.image, 0.05, 0.05))


def test_a_hand_before_one_code_hides_nothing(filmed):
    shown, _ = filmed(OK, Framing("lost", np.eye(3), 3, 0.1), Framing("lost", np.eye(3), 3, 0.1), OK)
    assert shown == [(True, True)] * 4


def test_of_a_camera_that_was_moved_by_more_than_a_lamp_the_lamp_is_black(filmed):
    near, far = Framing("shifted", np.eye(3), 4, 4.0), Framing("shifted", np.eye(3), 4, 7.0)
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
