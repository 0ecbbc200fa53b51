"""Only the rectified tank view and the lamp crops ever leave the device: of all else in the picture not a byte does.

The same immersion is inspected twice, once in a room that is painted over in a pattern of its own: whatever leaves
must be the same. And once the camera is turned into the room.
"""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import paho.mqtt.client as mqtt
import pytest

from benchmarks.installation import Processes, sending, taking_in, until
from cloud_sync import config as cloud_config
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.config import CloudConfig
from cloud_sync.store import open_store
from edge_agent import agent, clips, config, wire
from edge_agent.messages import ClipManifest
from edge_agent.records import Case, Frame
from tests.fakes_tape import FPS, PROFILE, TapeCamera, tape, write_device

NEAR_PX, QUIET_PX = 6, 36
"""So near to tank and lamps, and to the corners with their codes, the room is left as it is: views are interpolated,
and codes need a quiet edge."""
SQUARE_PX = 9
COLOURS = ((255, 0, 255), (0, 255, 0))
"""Magenta and green, as nothing at the tank is."""
WITHIN_S = 90.0
PAN_S = 0.5
LONGEST_WORDS = 2000
"""Characters: no text of a message is a picture."""


def room() -> np.ndarray:
    """(H, W) bool: what is neither tank nor lamp."""
    width, height = PROFILE.frame_size_px
    ours = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(ours, np.array(PROFILE.tank_px, np.int32), 1)
    for lamp in PROFILE.lamps:
        x, y, across, down = lamp.rect_px
        ours[y : y + down, x : x + across] = 1
    ours = cv2.dilate(ours, np.ones((2 * NEAR_PX + 1,) * 2, np.uint8))
    for x, y in PROFILE.tank_px:
        cv2.circle(ours, (round(x), round(y)), QUIET_PX, 1, -1)
    return ours == 0


def pattern() -> np.ndarray:
    """(H, W, 3) uint8: squares of two colours."""
    width, height = PROFILE.frame_size_px
    y, x = np.mgrid[:height, :width] // SQUARE_PX
    return np.array(COLOURS, np.uint8)[(x + y) % 2]


class Room(TapeCamera):
    """The tape, in a room that is painted over."""

    def frames(self) -> Iterator[Frame]:
        mask, painted = room(), pattern()
        assert mask.mean() > 0.05, "there is a room to be seen"
        for frame in super().frames():
            image = frame.image.copy()
            image[mask] = painted[mask]
            yield replace(frame, image=image)


class Turned(TapeCamera):
    """The tape, until somebody turns the camera away while the unit rests."""

    def frames(self) -> Iterator[Frame]:
        turned_at = tape().truth.settled_s + 2.0
        for frame in super().frames():
            yield frame if frame.monotonic_s < turned_at else replace(frame, image=_noisy(pattern(), frame.sequence))


class Panned(TapeCamera):
    """The tape at 15 frames a second, until somebody turns the camera away within half a second."""

    def frames(self) -> Iterator[Frame]:
        panned_at = tape().truth.settled_s + 2.1
        for frame in _slower(super().frames()):
            away = (frame.monotonic_s - panned_at) / PAN_S
            yield replace(frame, image=_beside(frame, min(1.0, away))) if away > 0 else frame


def _slower(frames: Iterator[Frame]) -> Iterator[Frame]:
    """Three of four, a little beside their time."""
    kept = (frame for frame in frames if frame.sequence % 4)
    return (replace(frame, sequence=number) for number, frame in enumerate(kept))


def _beside(frame: Frame, share: float) -> np.ndarray:
    """What is to be seen once the picture has moved out by this share of its width."""
    both = np.hstack([frame.image, _noisy(pattern(), frame.sequence)])
    left = round(share * frame.image.shape[1])
    return np.ascontiguousarray(both[:, left : left + frame.image.shape[1]])


def _noisy(image: np.ndarray, seed: int) -> np.ndarray:
    """A picture that never changes is a frozen one."""
    return cv2.add(image, np.random.default_rng(seed).integers(0, 12, image.shape, np.uint8))


class Left:
    """What left a device, message by message, and what the cloud then held."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.held: list[bytes] = []

    def clips(self) -> list[bytes]:
        """Put together from their parts, in the order of their announcement."""
        found: dict[str, dict[int, bytes]] = {}
        for topic, payload in self.messages:
            told = wire.parse_topic(topic)
            if told.kind == "clip_manifest":
                found.setdefault(wire.decode(payload, ClipManifest).sha256, {})
            elif told.kind == "clip_part":
                found.setdefault(str(told.id), {})[int(told.part or 0)] = payload
        return [b"".join(part for _, part in sorted(parts.items())) for parts in found.values()]

    def words(self) -> list[bytes]:
        """Everything but parts of clips."""
        return [payload for topic, payload in self.messages if wire.parse_topic(topic).kind != "clip_part"]


def inspected(folder: Path, camera: TapeCamera) -> Left:
    """The whole way: agent, outbox, uplink, a broker at which everything is heard, ingest and its store."""
    folder.mkdir()
    with EmbeddedBroker(0, folder / "broker") as broker:
        settings = {"broker": config.BrokerConfig(port=broker.port), "audit": config.AuditConfig(floor=1.0)}
        device_path = write_device(folder, keep_free_mb=0, **settings)
        assert agent.agent_inspect(["--config", str(device_path)], openers={"tape:": lambda _: camera}) == 0
        device = config.load(device_path)
        cloud = CloudConfig(data_dir=str(folder / "cloud"), broker=cloud_config.BrokerConfig(port=broker.port))
        store, left = open_store(cloud), Left()
        processes = Processes({"uplink": sending(device, folder), "ingest": taking_in(cloud, folder)})
        try:
            with heard(broker.port, left):
                processes.start("ingest")
                processes.start("uplink")
                wanted = [clip.stem for clip in device.spool_path.glob("*.twclip")]
                assert wanted and until(lambda: all(map(store.holds, wanted)), WITHIN_S)
                assert until(lambda: any("/metrics" in topic for topic, _ in left.messages), WITHIN_S)
        finally:
            processes.stop()
        left.held = [store.clip(sha256).read_bytes() for sha256 in wanted]
    return left


class heard:
    """A client that hears everything that is published."""

    def __init__(self, port: int, left: Left) -> None:
        self._client, self._ready = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2), threading.Event()
        self._client.on_connect = lambda *_: self._client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = lambda _, __, one: left.messages.append((one.topic, bytes(one.payload)))
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> None:
        self._client.loop_start()
        assert self._ready.wait(WITHIN_S)

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def pictures(clip: clips.Clip) -> Iterator[np.ndarray]:
    """Every picture in a clip: views, lamp crops, and what the net saw."""
    for frame in clip.frames():
        yield frame.view.grey
        yield from frame.lamp_crops
    evidence = clip.evidence()
    if evidence is not None:
        yield evidence.composite
        yield evidence.heat


def shows_the_room(picture: np.ndarray) -> bool:
    """Whether the pattern is in it: its colours, or in grey a board of its squares."""
    if picture.ndim == 3:
        return bool(((picture[..., 1].astype(int) - picture[..., 0]) > 120).sum() > 20)
    small = picture.astype(np.float32)
    step = SQUARE_PX
    if min(small.shape) <= 2 * step:
        return False
    across = (small[:, step:] - small[:, :-step])[:-step]
    down = (small[step:] - small[:-step])[:, :-step]
    return bool(((np.abs(across) > 25) & (np.abs(down) > 25)).mean() > 0.3)


def read(data: bytes) -> clips.Clip:
    return clips.read(data)


def test_the_pattern_is_found_where_it_is_shown():
    grey = cv2.cvtColor(pattern(), cv2.COLOR_BGR2GRAY)
    assert shows_the_room(pattern()) and shows_the_room(grey)
    frame = next(tape().frames())
    assert not shows_the_room(frame.image) and not shows_the_room(cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY))


@pytest.mark.full
def test_what_leaves_is_the_same_whatever_the_room_around_the_tank_looks_like(tmp_path):
    plain, painted = inspected(tmp_path / "plain", TapeCamera()), inspected(tmp_path / "painted", Room())
    (before,), (after,) = plain.clips(), painted.clips()
    assert painted.held == [after]
    frames = list(zip(read(before).frames(), read(after).frames(), strict=True))
    assert len(frames) > 100
    for one, other in frames:
        # Shake is measured at the codes, whose edges are smoothed over what is beside them: a thousandth of a pixel.
        differ = cv2.absdiff(one.view.grey, other.view.grey)
        assert differ.max() < 15 and differ.mean() < 0.2
        assert all(map(np.array_equal, one.lamp_crops, other.lamp_crops))
    assert not any(map(shows_the_room, pictures(read(after))))
    kinds = {wire.parse_topic(topic).kind for topic, _ in painted.messages}
    assert kinds <= {"status", "case", "clip_manifest", "clip_part", "metrics", "alarm", "receipt"}
    for words in painted.words():
        assert max(map(len, words.split(b'"')), default=0) < LONGEST_WORDS
    cases = [
        [wire.decode(data, Case) for topic, data in left.messages if topic.endswith("/case")][0]
        for left in (plain, painted)
    ]
    assert cases[0].verdict == cases[1].verdict and abs(cases[0].score - cases[1].score) < 0.02


@pytest.mark.full
def test_a_camera_that_is_turned_into_the_room_sends_no_picture_of_it(tmp_path):
    left = inspected(tmp_path / "turned", Turned())
    (clip,) = map(read, left.clips())
    turned_at = tape().truth.settled_s + 2.0
    frames = list(clip.frames())
    before = [frame for frame in frames if frame.view.monotonic_s < turned_at - 1.0]
    after = [frame for frame in frames if frame.view.monotonic_s >= turned_at]
    assert len(before) > FPS and all(frame.view.grey.any() for frame in before)
    # Also those that came before anybody noticed.
    assert len(after) > FPS and after[0].framing == "ok" and after[-1].framing == "lost"
    assert not any(frame.view.grey.any() or any(crop.any() for crop in frame.lamp_crops) for frame in after)
    assert not any(map(shows_the_room, pictures(clip)))


@pytest.mark.full
def test_a_camera_that_pans_away_over_half_a_second_sends_no_picture_without_a_code(tmp_path):
    left = inspected(tmp_path / "panned", Panned())
    (clip,) = map(read, left.clips())
    frames = list(clip.frames())
    panned_at = tape().truth.settled_s + 2.1
    gone_s = panned_at + PAN_S * max(x for x, _ in PROFILE.tank_px) / PROFILE.frame_size_px[0]
    before = [frame for frame in frames if frame.view.monotonic_s < panned_at - 1.0]
    gone = [frame for frame in frames if frame.view.monotonic_s >= gone_s]
    assert len(before) > FPS / 2 and all(frame.view.grey.any() for frame in before)
    assert len(gone) > FPS / 2 and gone[0].framing != "lost" and gone[-1].framing == "lost"
    assert not any(frame.view.grey.any() or any(crop.any() for crop in frame.lamp_crops) for frame in gone)
