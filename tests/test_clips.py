import hashlib
import zlib
from contextlib import suppress

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent import clips
from edge_agent.errors import StoreError
from edge_agent.records import Composite, Evidence, TankView

SIZE = (64, 48)


def view(n: int) -> TankView:
    grey = np.random.default_rng(n).integers(0, 255, SIZE[::-1], np.uint8)
    return TankView(cv2.blur(grey, (9, 9)), n, n / 15, np.eye(3) * (n + 1))


def lamp(n: int) -> np.ndarray:
    return np.full((12, 10, 3), (n, 200, 30), np.uint8)


def strongest() -> tuple[Composite, Evidence]:
    image = np.dstack([view(n).grey for n in range(3)])
    bubbles = np.array([[30, 20, 0.9, 0, -80, 4]], np.float32)
    heat = np.linspace(0, 1, 12 * 16, dtype=np.float32).reshape(12, 16)
    return Composite(image, 0.2, 1 / 15), Evidence(0.2, heat, bubbles, 0.9)


def write_clip(path, *, frames=5, codec="jpeg", evidence=True):
    header = clips.ClipHeader(
        case_id="c-1", station="TANK1", view_size_px=SIZE, px_per_mm=0.8, lamps=("ok", "leak"), codec=codec
    )
    writer = clips.ClipWriter(path, header)
    for n in range(frames):
        writer.frame(view(n), 1e9 + n / 15, [lamp(n), lamp(n + 1)], framing="ok")
    if evidence:
        writer.evidence(*strongest(), (30.0, 41.5))
    return writer.close(clips.Watch(settled_s=0.1, spans_s=((0.1, 0.3),), usable_s=0.2))


def test_a_clip_gives_back_its_frames_its_times_its_lamps_and_its_evidence(tmp_path):
    ref = write_clip(tmp_path / "a.twclip")
    clip = clips.read(tmp_path / "a.twclip")
    frames = list(clip.frames())
    assert clip.whole and clip.frame_count == 5 and clip.watch.spans_s == ((0.1, 0.3),)
    assert [frame.view.sequence for frame in frames] == list(range(5))
    assert frames[2].view.monotonic_s == 2 / 15 and frames[2].taken_at == 1e9 + 2 / 15 and frames[2].framing == "ok"
    assert np.array_equal(frames[3].view.homography, np.eye(3) * 4)
    assert np.abs(frames[4].view.grey.astype(int) - view(4).grey).mean() < 2
    assert frames[1].lamp_crops[1].shape == (12, 10, 3) and abs(int(frames[1].lamp_crops[1][0, 0, 1]) - 200) < 6
    evidence = clip.evidence()
    composite, original = strongest()
    assert np.array_equal(evidence.composite, composite.image)
    assert np.abs(evidence.heat - original.heat).max() < 1 / 255
    assert evidence.numbers.origin_px == (30.0, 41.5) and evidence.numbers.bubbles[0][4] == -80
    data = (tmp_path / "a.twclip").read_bytes()
    assert ref.sha256 == hashlib.sha256(data).hexdigest() and ref.bytes == len(data)
    assert [v.sequence for v in clips.read(data).views()] == list(range(5))


def test_a_gold_clip_is_bit_exact(tmp_path):
    write_clip(tmp_path / "a.twclip", codec="png")
    for n, frame in enumerate(clips.read(tmp_path / "a.twclip").frames()):
        assert np.array_equal(frame.view.grey, view(n).grey)
        assert np.array_equal(frame.lamp_crops[0], lamp(n))


def test_a_truncated_clip_gives_every_whole_frame_and_says_that_it_is_not_whole(tmp_path):
    write_clip(tmp_path / "a.twclip", evidence=False)
    data = (tmp_path / "a.twclip").read_bytes()
    whole = clips.read(data)
    counts = set()
    for end in range(len(clips.MAGIC) + 300, len(data), 97):
        clip = clips.read(data[:end])
        assert not clip.whole and len(list(clip.frames())) == clip.frame_count
        counts.add(clip.frame_count)
    assert counts == {0, 1, 2, 3, 4, 5} and whole.frame_count == 5 and whole.evidence() is None


def test_frames_before_a_damaged_byte_are_still_there(tmp_path):
    write_clip(tmp_path / "a.twclip")
    data = bytearray((tmp_path / "a.twclip").read_bytes())
    data[len(data) // 2] ^= 0x10
    clip = clips.read(bytes(data))
    assert not clip.whole and clip.frame_count == len(list(clip.frames())) < 5


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_bytes_raise_anything_but_a_store_error(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "a.twclip"
    write_clip(path, frames=2)
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    fixed = _with_right_checksums(bytes(damaged))
    for candidate in (bytes(damaged), fixed):
        with suppress(StoreError):
            clip = clips.read(candidate)
            list(clip.frames())
            clip.evidence()


def _with_right_checksums(data: bytes) -> bytes:
    """Damage that a checksum would show, dressed up by somebody who knows the format."""
    parts, at = [data[:8]], 8
    while at + 9 <= len(data):
        length = int.from_bytes(data[at + 1 : at + 5], "little")
        record = data[at : at + 5 + length]
        parts += [record, zlib.crc32(record).to_bytes(4, "little")]
        at += 9 + length
    return b"".join(parts)


def test_a_picture_larger_than_promised_is_refused_before_it_is_decoded(tmp_path):
    header = clips.ClipHeader(case_id="c-1", station="TANK1", view_size_px=SIZE)
    writer = clips.ClipWriter(tmp_path / "a.twclip", header)
    large = TankView(np.zeros((4000, 4000), np.uint8), 0, 0.0, np.eye(3))
    writer._size = (4000, 4000)
    writer.frame(large, 0.0)
    writer.close()
    with pytest.raises(StoreError, match="wanted"):
        list(clips.read(tmp_path / "a.twclip").frames())


@pytest.mark.parametrize("data", [b"", b"TWCLIP1\n", b"\x89PNG\r\n\x1a\n", b"TWCLIP1\nH\xff\xff\xff\xff" + b"0" * 100])
def test_what_is_no_clip_is_refused(data, tmp_path):
    with pytest.raises(StoreError):
        clips.read(data)


def test_a_missing_clip_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"none\.twclip"):
        clips.read(tmp_path / "none.twclip")


def test_a_discarded_clip_leaves_nothing(tmp_path):
    header = clips.ClipHeader(case_id="c-1", station="TANK1", view_size_px=SIZE)
    writer = clips.ClipWriter(tmp_path / "a.twclip", header)
    writer.frame(view(0), 0.0)
    writer.discard()
    writer.discard()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreError, match="closed"):
        writer.frame(view(1), 0.0)


def test_a_full_disk_is_a_store_error_with_a_cure():
    header = clips.ClipHeader(case_id="c-1", station="TANK1", view_size_px=SIZE)
    with pytest.raises(StoreError, match="free"):
        clips.ClipWriter(clips.Path("/proc/no-such-folder/a.twclip"), header)
