"""Pictures for who must not open the camera: published only while somebody looks, and never a reason to fail."""

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent import live
from edge_agent.errors import StationError, StoreError
from edge_agent.live import PublishedCamera, Publisher
from edge_agent.records import Frame
from tests.fakes_camera import Clock
from tests.fakes_disk import full_disk

SCENE = cv2.GaussianBlur(np.random.default_rng(5).integers(0, 255, (720, 1280, 3)).astype(np.uint8), (0, 0), 6)


class Floor:
    """An inspection that shows a new frame each 50 ms, and who looks, on one clock that only `pass_time` turns."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder / "live", Clock()
        self.publisher = Publisher(self.folder, self.clock)
        self.shows = True
        self.number = 0

    def pass_time(self, seconds: float) -> None:
        for _ in range(max(1, round(seconds / 0.05))):
            self.clock.turn(0.05)
            if self.shows:
                self.number += 1
                self.publisher.frame = Frame(SCENE, self.number, 7.0 + 0.05 * self.number, 1_790_000_000.0)
            self.publisher.turn()

    def camera(self, **other) -> PublishedCamera:
        return PublishedCamera(self.folder, clock=self.clock, pause=self.pass_time, **other)


@pytest.fixture
def floor(tmp_path):
    return Floor(tmp_path)


def test_nothing_is_published_while_nobody_looks(floor):
    floor.pass_time(5.0)
    assert not floor.folder.exists()


def test_frames_come_to_commissioning_with_their_number_and_times_as_large_as_the_camera_gives_them(floor):
    frames = list(islice(floor.camera().frames(), 5))
    assert [frame.image.shape for frame in frames] == [(720, 1280, 3)] * 5
    assert np.abs(frames[0].image.astype(int) - SCENE).mean() < 2.0
    assert all(frame.monotonic_s == pytest.approx(7.0 + 0.05 * frame.sequence) for frame in frames)
    assert frames[0].taken_at == 1_790_000_000.0


def test_setup_gets_five_pictures_a_second_and_the_screen_ten_small_ones(floor):
    began_s = floor.clock()
    list(islice(floor.camera().frames(), 21))
    assert 4.0 <= floor.clock() - began_s < 5.5
    screen = live.pictures(floor.folder, 10.0, clock=floor.clock, pause=floor.pass_time)
    began_s, shown = floor.clock(), []
    while floor.clock() - began_s < 2.0:
        shown.append(next(screen))
    assert 15 <= len([data for data in shown if data]) <= 21
    assert live.decoded(shown[-1]).image.shape == (360, 640, 3)


def test_three_seconds_after_the_last_wish_nothing_is_done_any_more(floor):
    next(floor.camera().frames())
    floor.pass_time(live.WANTED_S + 0.5)
    last = (floor.folder / "setup.jpg").stat().st_mtime_ns
    floor.pass_time(5.0)
    assert (floor.folder / "setup.jpg").stat().st_mtime_ns == last


def test_a_wish_that_lies_there_from_before_a_restart_or_from_a_wrong_clock_is_none(floor):
    live.wish(floor.folder, "screen")
    floor.publisher = Publisher(floor.folder, floor.clock)
    floor.pass_time(2.0)
    assert not (floor.folder / "screen.jpg").exists()


def test_a_torn_old_foreign_or_missing_picture_is_none(floor):
    next(floor.camera().frames())
    path, now_s = floor.folder / "setup.jpg", floor.clock()
    whole = path.read_bytes()
    assert live.newest(floor.folder, "setup", now_s) == whole
    assert live.newest(floor.folder, "setup", now_s + live.STALE_S + 1) is None
    assert live.newest(floor.folder, "setup", now_s - 100) is None
    for torn in (b"", whole[:3], whole[: len(whole) // 2], b"\xff\xd8\xff\xfe\x00\x05abc\xff\xd9", b"text"):
        path.write_bytes(torn)
        assert live.newest(floor.folder, "setup", now_s) is None
        assert live.decoded(torn) is None
    assert live.newest(floor.folder, "screen", now_s) is None


def test_a_camera_that_falls_silent_ends_the_patience_of_commissioning_in_words(floor):
    frames = floor.camera(patience_s=4.0).frames()
    next(frames)
    floor.shows = False
    with pytest.raises(StationError, match="no picture for 4 s .limit 4 s.: see that it runs"):
        list(frames)


def test_who_sends_pictures_hears_each_second_that_there_is_none(floor):
    floor.shows = False
    quiet = live.pictures(floor.folder, 10.0, clock=floor.clock, pause=floor.pass_time)
    began_s = floor.clock()
    assert list(islice(quiet, 3)) == [b"", b"", b""]
    assert floor.clock() - began_s == pytest.approx(3.0, abs=0.3)


def test_a_picture_is_a_plain_jpeg_for_whoever_knows_nothing_of_ours(floor):
    screen = live.pictures(floor.folder, 10.0, clock=floor.clock, pause=floor.pass_time)
    data = next(screen)
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (360, 640, 3)


def test_a_grey_camera_stays_grey(floor):
    frame = Frame(SCENE[..., 0], 3, 1.5, 2.5)
    back = live.decoded(live.encoded(frame, live.PICTURES[1], 9.0))
    assert (back.image.shape, back.sequence, back.monotonic_s, back.taken_at) == ((720, 1280), 3, 1.5, 2.5)


def test_a_full_disk_is_said_to_the_thread_beside_the_frame_loop_and_pictures_come_again(floor):
    frames = floor.camera().frames()
    next(frames)
    with full_disk(), pytest.raises(StoreError):
        floor.pass_time(0.5)
    assert next(frames).sequence > 0


def test_a_closed_camera_gives_no_more(floor):
    camera = floor.camera()
    frames = camera.frames()
    next(frames)
    camera.close()
    assert list(frames) == []
