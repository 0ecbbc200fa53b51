"""Decoding in a process apart: what is wrong with a clip, or with the process that decodes it, stops nothing."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from cloud_fakes import a_clip

from cloud_sync import decoding, video, webm
from cloud_sync.decoding import Decoding
from cloud_sync.folder_store import FolderStore
from cloud_sync.video import Videos
from edge_agent import clips
from edge_agent.errors import StoreError
from edge_agent.wire import sha256_of


@pytest.fixture
def lane():
    lane = Decoding()
    yield lane
    lane.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    a_clip(tmp_path / "a.twclip", frames=6)
    return tmp_path / "a.twclip"


def crashing(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Whatever decoder is started from now on runs `code` where it would encode."""
    program = folder / "cloud_sync_decoder_for_tests.py"
    home = str(Path(decoding.HOME))
    program.write_text(
        f"import sys, os, signal; sys.path.insert(0, {home!r})\n"
        "from cloud_sync import decoder, webm\n"
        f"def encode(views):\n    {code}\n"
        "webm.encode = encode\ndecoder.main()\n"
    )
    monkeypatch.setattr(decoding, "PROGRAM", [str(program)])


def test_video_poster_and_heat_map_come_from_a_process_apart_that_stays(lane, clip):
    (clip.parent / "a.webm").write_bytes(lane.video(clip))
    (clip.parent / "b.webm").write_bytes(webm.encode(clips.read(clip).views()))
    assert video.times_s(clip.parent / "a.webm") == video.times_s(clip.parent / "b.webm")
    first = lane.pid
    assert first not in (None, os.getpid())
    assert lane.poster(clip).startswith(b"\xff\xd8") and lane.heat(clip).startswith(b"\x89PNG")
    assert lane.pid == first


def test_a_process_that_is_killed_is_started_anew_and_the_clip_is_shown_all_the_same(lane, clip):
    lane.poster(clip)
    os.kill(lane.pid, signal.SIGKILL)
    assert lane.poster(clip).startswith(b"\xff\xd8")


def test_one_that_is_killed_in_the_middle_of_a_clip_has_a_second_try(lane, clip, tmp_path, monkeypatch):
    once = tmp_path / "once"
    crashing(
        tmp_path,
        monkeypatch,
        f"os.path.exists({str(once)!r}) or (os.mkdir({str(once)!r}), os.abort())\n    return b'v'",
    )
    assert lane.video(clip) == b"v" and once.is_dir()


@pytest.mark.parametrize("code", ["os.abort()", "os.kill(os.getpid(), signal.SIGSEGV)", "os._exit(3)"])
def test_a_clip_that_ends_every_process_is_damaged_and_the_next_one_is_shown(tmp_path, monkeypatch, code):
    store, whole = FolderStore(tmp_path / "cloud"), decoding.PROGRAM
    shas = [_kept(store, tmp_path / name, frames) for name, frames in (("bad", 5), ("good", 6))]
    videos = Videos(store)
    crashing(tmp_path, monkeypatch, code)
    with pytest.raises(StoreError, match="ends every process that tries to"):
        videos.of(shas[0])
    monkeypatch.setattr(decoding, "PROGRAM", whole)
    assert videos.of(shas[1]).is_file()
    assert "ends every process" in videos.fault(shas[0]) and videos.fault(shas[1]) is None
    videos.decoding.close()


@pytest.mark.parametrize("second", ["os.kill(os.getpid(), signal.SIGKILL)", "os.abort()"])
def test_a_clip_whose_process_is_killed_from_outside_is_not_damaged(tmp_path, monkeypatch, second):
    store, whole, once = FolderStore(tmp_path / "cloud"), decoding.PROGRAM, tmp_path / "once"
    sha256, videos = _kept(store, tmp_path / "a", 5), Videos(store)
    kill = f"os.mkdir({str(once)!r}), os.kill(os.getpid(), signal.SIGKILL)"
    crashing(tmp_path, monkeypatch, f"{second} if os.path.exists({str(once)!r}) else ({kill})")
    with pytest.raises(StoreError, match="killed from outside"):
        videos.of(sha256)
    assert once.is_dir() and videos.fault(sha256) is None
    monkeypatch.setattr(decoding, "PROGRAM", whole)
    assert videos.of(sha256).is_file()
    videos.decoding.close()


def test_a_clip_that_takes_more_time_than_its_size_allows_is_damaged(lane, clip, tmp_path, monkeypatch):
    crashing(tmp_path, monkeypatch, "decoder._allow(0.2)\n    while True: pass")
    with pytest.raises(StoreError, match="more CPU time than a clip of its size may") as caught:
        lane.video(clip)
    assert caught.value.__cause__ is None


def test_a_clip_that_takes_more_memory_is_refused_and_the_process_stays(lane, clip, tmp_path, monkeypatch):
    crashing(tmp_path, monkeypatch, "return bytes(8 << 30)")
    with pytest.raises(StoreError, match="MemoryError"):
        lane.video(clip)
    assert lane.poster(clip)


def test_a_decoder_can_write_no_file(lane, clip, tmp_path, monkeypatch):
    target = tmp_path / "written"
    crashing(tmp_path, monkeypatch, f"return open({str(target)!r}, 'wb').write(b'x')")
    with pytest.raises(StoreError):
        lane.video(clip)
    assert not target.exists() or target.stat().st_size == 0


def test_a_machine_that_is_too_busy_leaves_the_clip_as_it_is(tmp_path, monkeypatch):
    store = FolderStore(tmp_path / "cloud")
    sha256, videos = _kept(store, tmp_path / "a", 5), Videos(store)
    monkeypatch.setattr(decoding, "START_S", -1e6)
    with pytest.raises(StoreError, match="too busy"):
        videos.of(sha256)
    assert videos.fault(sha256) is None
    monkeypatch.undo()
    assert videos.of(sha256).is_file()
    videos.decoding.close()


def test_a_clip_that_is_gone_is_no_damaged_one(lane, tmp_path):
    with pytest.raises(StoreError, match="cannot be read") as caught:
        lane.video(tmp_path / "gone.twclip")
    assert isinstance(caught.value.__cause__, OSError)


def test_the_process_ends_with_whoever_asked_it(clip):
    lane = Decoding()
    lane.poster(clip)
    pid = lane.pid
    del lane
    deadline_s = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert not Path(f"/proc/{pid}").exists()


def test_threads_take_turns(lane, clip):
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(lane.poster(clip))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(found)) == 1


def _kept(store: FolderStore, path: Path, frames: int) -> str:
    a_clip(path, frames=frames, size=(96, 64))
    sha256 = sha256_of(path.read_bytes())
    store.put(sha256, path)
    return sha256
