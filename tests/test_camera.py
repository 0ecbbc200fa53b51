import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes_camera import Clock, FakeSource, frame

from edge_agent import capture
from edge_agent.camera import open_camera
from edge_agent.capture import KEPT_FRAMES, LiveCapture, without_password
from edge_agent.errors import StationError
from edge_agent.records import Frame

WAIT_S = 10.0


@pytest.fixture(autouse=True)
def quick_goodbyes(request, monkeypatch) -> None:
    """Most threads here wait for something that never comes: who closes need not wait for them, but for one test."""
    if "closing" not in request.node.name:
        monkeypatch.setattr(capture, "CLOSE_S", 0.05)


def recorded(path: Path, codec: str = "MJPG", frames: int = 12, fps: float = 20.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), 10 * number % 250, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "MJPG"), ("a.avi", "MJPG"), ("a.wmv", "WMV2"), ("a.mp4", "mp4v")]
)
def test_a_video_gives_all_its_frames_with_the_containers_times(tmp_path: Path, name: str, codec: str) -> None:
    camera = open_camera(str(recorded(tmp_path / name, codec)))
    frames = list(camera.frames())
    assert [f.sequence for f in frames] == list(range(12))
    assert [f.monotonic_s for f in frames] == pytest.approx([n / 20 for n in range(12)], abs=1e-3)
    assert frames[5].image.shape == (48, 64, 3) and abs(float(frames[5].image.mean()) - 50) < 4
    assert camera.frame_count == 12 and not camera.live


def test_a_recording_can_be_read_twice(tmp_path: Path) -> None:
    camera = open_camera(str(recorded(tmp_path / "a.mkv")))
    assert len(list(camera.frames())) == len(list(camera.frames())) == 12


def test_a_cut_off_video_gives_what_is_readable_and_a_note(tmp_path: Path) -> None:
    whole = recorded(tmp_path / "a.mkv", frames=60).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    camera = open_camera(str(tmp_path / "cut.mkv"))
    read = len(list(camera.frames()))
    assert 10 < read < 50
    assert camera.notes == [f"only {read} of 60 frames of cut.mkv can be read: the file is cut off or damaged"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.mp4", None, "does not exist"),
        ("a.mp4", b"", "is empty (0 bytes)"),
        ("a.mp4", b"no video at all, only text", "is no video that can be read"),
        ("a.mp4", b"\x00\x00\x00\x20ftypisom" + bytes(400), "is no video that can be read"),
    ],
)
def test_what_is_no_video_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(StationError) as error:
        list(open_camera(str(tmp_path / name)).frames())
    assert words in str(error.value) and "\n" not in str(error.value)


def test_every_real_video_is_read_to_its_last_frame(real_data: Path) -> None:
    counts = {
        "nobubbles-aquarium-fish/fish.mp4": (155, 6.16),
        "water-surface-river/video_orig.gif": (20, 3.8),
        "nobubbles-beads-in-water/bulk-water.mov": (480, 19.978),
    }
    for name, (count, last_s) in counts.items():
        frames = list(open_camera(str(real_data / name)).frames())
        assert (len(frames), round(frames[-1].monotonic_s, 2)) == (count, round(last_s, 2))


def images(folder: Path, names: list[str], size: tuple[int, int] = (64, 48)) -> Path:
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / name), np.full((size[1], size[0], 3), 20 + 20 * number, np.uint8))
    return folder


def test_a_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    folder = images(tmp_path / "f", ["img8.png", "img9.png", "img10.png"])
    (folder / "notes.txt").write_text("not an image")
    frames = list(open_camera(str(folder)).frames())
    assert [int(f.image.mean()) for f in frames] == [20, 40, 60]
    assert [f.monotonic_s for f in frames] == [0.0, 0.04, 0.08]


def test_a_gap_in_a_folders_numbers_counts_as_dropped_frames(tmp_path: Path) -> None:
    camera = open_camera(str(images(tmp_path / "f", ["a_001.png", "a_002.png", "a_005.png", "a_006.png"])))
    assert [f.sequence for f in camera.frames()] == [0, 1, 4, 5]
    assert "2 images are missing between a_001.png and a_006.png" in camera.notes


def test_names_that_do_not_count_in_equal_steps_are_simply_in_order(tmp_path: Path) -> None:
    folder = images(tmp_path / "f", ["t1003.png", "t2001.png", "t2718.png", "t9999.png"])
    assert [f.sequence for f in open_camera(str(folder)).frames()] == [0, 1, 2, 3]


def test_a_folder_of_mixed_sizes_is_refused_before_its_first_frame(tmp_path: Path) -> None:
    images(tmp_path / "f", ["a1.png", "a2.png"])
    images(tmp_path / "f", ["a3.png"], (32, 24))
    with pytest.raises(StationError, match="a3.png is 32x24, a1.png is 64x48"):
        open_camera(str(tmp_path / "f"))


def test_a_damaged_image_is_left_out_with_a_note(tmp_path: Path) -> None:
    folder = images(tmp_path / "f", ["a1.png", "a2.png", "a3.png"])
    (folder / "a2.png").write_bytes((folder / "a2.png").read_bytes()[:40])
    camera = open_camera(str(folder))
    assert [f.sequence for f in camera.frames()] == [0, 2]
    assert "a2.png cannot be decoded and is left out" in camera.notes


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StationError, match="holds no image"):
        open_camera(str(tmp_path))


def test_further_kinds_of_source_are_opened_by_their_beginning_or_ending() -> None:
    opened: list[str] = []
    openers = {"twin:": opened.append, ".clip": opened.append}
    open_camera("twin:seed=1", openers)
    open_camera("/some/where/a.clip", openers)
    assert opened == ["twin:seed=1", "/some/where/a.clip"]


@pytest.mark.parametrize(
    ("source", "cure"),
    [
        (
            "rtsp://user:secret@127.0.0.1:9/stream",
            "127.0.0.1:9 does not answer (Connection refused): check power, cable",
        ),
        ("rtsps://user:secret@127.0.0.1:9/stream", "check power, cable, address and password"),
        ("rtsp://user:secret@127.0.0.1:many/", "its address is not of the form rtsp://user:password@host:port/path"),
        ("/dev/video97", "check cable and power"),
    ],
)
def test_a_camera_that_is_not_there_is_reported_and_given_up_in_words(source: str, cure: str) -> None:
    heard: list[str] = []
    camera = open_camera(source, patience_s=0.6, say=heard.append)
    with pytest.raises(StationError) as error:
        list(camera.frames())
    assert f"cannot be opened: {cure}" in str(error.value)
    assert "next attempt in 0.5 s" in heard[0]
    assert "secret" not in str(error.value) + "".join(heard)


def test_a_password_is_never_shown() -> None:
    for secret in ("u:p", "u:p@ss", "u:p/ss@"):
        assert without_password(f"rtsp://{secret}@10.0.0.1/x") == "rtsp://10.0.0.1/x"


def first(camera: LiveCapture, count: int) -> list[int]:
    """Sequences of the next frames, then the camera is closed."""
    sequences = []
    for taken in camera.frames():
        sequences.append(taken.sequence)
        if len(sequences) == count:
            camera.close()
    return sequences


def test_a_camera_comes_back_after_refusals_and_the_numbers_go_on() -> None:
    clock, heard = Clock(), []
    source = FakeSource((1, "ends"), (0, "refused"), (0, "refused"), (3, "blocks"), clock=clock)
    camera = LiveCapture(source, now=clock, first_pause_s=0.01, say=heard.append)
    assert first(camera, 4) == [0, 1, 2, 3]
    assert [words.rpartition("in ")[2] for words in camera.notes] == ["0.01 s", "0.02 s", "0.04 s"]
    assert [words.partition(";")[0] for words in heard] == [
        "camera has ended its stream",
        "camera fake cannot be opened: plug it in",
    ]
    assert camera.health().reconnects == 3
    source.release.set()


def test_a_read_that_never_returns_is_left_behind_and_replaced() -> None:
    clock = Clock()
    source = FakeSource((2, "blocks"), (2, "blocks"), clock=clock)
    camera = LiveCapture(source, now=clock, stall_s=5.0)
    taken = camera.frames()
    assert [next(taken).sequence for _ in range(2)] == [0, 1]
    clock.turn(6.0)
    assert camera.health().status == "stalled"
    assert next(taken).sequence == 2
    assert source.connections == 2
    assert camera.health().status == "ok"
    camera.close()
    source.release.set()


def test_closing_does_not_wait_for_a_thread_that_is_stuck() -> None:
    clock = Clock()
    source = FakeSource((1, "blocks"), clock=clock)
    camera = LiveCapture(source, now=clock)
    assert first(camera, 1) == [0]
    assert not source.ended.is_set()
    source.release.set()


def test_closing_from_another_thread_ends_the_frames_though_no_connection_ever_worked() -> None:
    clock = Clock()
    refused = threading.Event()
    camera = LiveCapture(FakeSource((0, "refused"), clock=clock), now=clock, say=lambda words: refused.set())
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.extend(f.sequence for f in camera.frames()))
    reader.start()
    assert refused.wait(WAIT_S)
    assert camera.health().status == "waiting"
    assert "cannot be opened" in camera.health().words
    camera.close()
    reader.join(WAIT_S)
    assert not reader.is_alive() and seen == []


def test_a_slow_consumer_gets_the_newest_frames_and_the_lost_ones_are_counted() -> None:
    clock, begun, all_sent = Clock(), threading.Event(), threading.Event()

    def connect() -> Iterator[Frame]:
        for number in range(50):
            yield frame(np.full((48, 64), 90 + number, np.uint8), number, clock())
            if number == 0:
                begun.wait(WAIT_S)
        all_sent.set()
        threading.Event().wait(WAIT_S)

    camera = LiveCapture(connect, now=clock)
    taken = camera.frames()
    sequences = [next(taken).sequence]
    begun.set()
    assert all_sent.wait(WAIT_S)
    sequences += [next(taken).sequence for _ in range(KEPT_FRAMES)]
    assert sequences == [0, 46, 47, 48, 49]
    assert camera.health().dropped == 45
    camera.close()


def health_after(levels: list[int], every_s: float = 0.5, *, noise: bool = True) -> str:
    """What is wrong after pictures of these grey levels, or the status."""
    clock, rng, all_sent = Clock(), np.random.default_rng(0), threading.Event()

    def connect() -> Iterator[Frame]:
        for number, level in enumerate(levels):
            clock.turn(every_s)
            jitter = rng.integers(0, 3, (48, 64)) if noise else 0
            yield frame(np.clip(level + jitter + np.zeros((48, 64)), 0, 255).astype(np.uint8), number, clock())
        all_sent.set()
        threading.Event().wait(WAIT_S)

    camera = LiveCapture(connect, now=clock)
    next(camera.frames_or_time(WAIT_S))
    assert all_sent.wait(WAIT_S)
    health = camera.health()
    camera.close()
    return health.fault.kind if health.fault else health.status


@pytest.mark.parametrize(
    ("levels", "noise", "status"),
    [
        ([100] * 6, True, "ok"),
        ([100] * 6, False, "frozen"),
        ([100, 2], True, "black"),
        ([100, 253], True, "white"),
    ],
)
def test_health_tells_frozen_black_and_white_pictures(levels: list[int], noise: bool, status: str) -> None:
    assert health_after(levels, noise=noise) == status


def test_a_frame_whose_time_did_not_rise_is_left_out_and_counted() -> None:
    clock = Clock()

    def connect() -> Iterator[Frame]:
        for number, early_s in enumerate((0.5, 0.0, 0.2, -0.1)):
            yield frame(np.full((48, 64), 90 + number, np.uint8), number, clock() - early_s)
        threading.Event().wait(WAIT_S)

    camera = LiveCapture(connect, now=clock)
    assert first(camera, 3) == [0, 1, 3]
    assert camera.health().left_out == 1


def test_the_rate_is_measured_from_capture_times() -> None:
    clock = Clock()

    def connect() -> Iterator[Frame]:
        for number in range(3):
            clock.turn(0.04)
            yield frame(np.full((48, 64), 90 + number, np.uint8), number, clock())
        threading.Event().wait(WAIT_S)

    camera = LiveCapture(connect, now=clock)
    first(camera, 3)
    assert camera.health().fps == pytest.approx(25, rel=0.05)
