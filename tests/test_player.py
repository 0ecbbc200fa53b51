"""What the player is told over HTTP: the stored frames byte for byte, and nothing that a blind expert must not see."""

import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec
import player_clips
import pytest
from flask.testing import FlaskClient

from cloud_sync import accounts, clip_pages, video
from cloud_sync.config import CloudConfig
from cloud_sync.folder_store import FolderStore
from cloud_sync.intake import Intake
from cloud_sync.video import Videos
from cloud_sync.web import create_app
from edge_agent import clips
from edge_agent.errors import StoreError
from edge_agent.records import ClipRef
from models.data import PREPROCESSING

PASSWORD = "correct horse battery"


class Desk:
    """One case with a clip of ten frames, and an expert."""

    def __init__(self, folder: Path) -> None:
        config = CloudConfig(data_dir=str(folder / "cloud"))
        self.app = create_app(config)
        self.app.config["WTF_CSRF_ENABLED"] = False
        self.shelf = self.app.extensions["tankwatch"]
        self.intake = Intake(self.shelf.engine, FolderStore(config.folder), max_clip_bytes=10_000_000)
        self.path = folder / "1.twclip"
        self.ref = player_clips.write(self.path, frames=10)
        self.case_id = player_clips.deliver(self.intake, self.path, 1, self.ref)
        accounts.add_user(self.shelf.engine, "erna", PASSWORD, "expert", now=1.0)

    def signed_in(self) -> FlaskClient:
        client = self.app.test_client()
        client.post("/login", data={"name": "erna", "password": PASSWORD})
        return client

    def spoilt(self) -> str:
        path = self.path.with_name("2.twclip")
        player_clips.write(path, frames=12)
        sha256 = player_clips.spoil(path)
        player_clips.deliver(self.intake, path, 2, ClipRef(sha256, path.stat().st_size))
        return sha256


@pytest.fixture
def desk(tmp_path: Path, quick_passwords: None) -> Iterator[Desk]:
    yield Desk(tmp_path)


def test_the_description_gives_times_and_addresses_and_nothing_that_would_tell(desk: Desk) -> None:
    answer = desk.signed_in().get(f"/clips/{desk.ref.sha256}/clip.json")
    assert set(answer.json) == set(clip_pages.Descriptor.__struct_fields__)
    assert answer.json["size_px"] == list(player_clips.SIZE) and answer.json["whole"]
    assert answer.json["taken_s"] == [700.123 + n / 15 for n in range(10)]
    assert answer.json["times_s"] == video.times_s(desk.shelf.videos.of(desk.ref.sha256))
    assert answer.json["fps"] == pytest.approx(15)
    assert answer.headers["Cache-Control"].startswith("private, max-age")


def test_composites_are_spaced_as_those_that_the_nets_were_trained_on() -> None:
    assert PREPROCESSING.spacing_ms / 1000 == clip_pages.SPACING_S


@pytest.mark.parametrize("codec", ["jpeg", "png"])
def test_frames_come_byte_for_byte_as_they_are_stored(desk: Desk, codec: str) -> None:
    path = desk.path.with_name("3.twclip")
    ref = player_clips.write(path, frames=8, codec=codec)
    player_clips.deliver(desk.intake, path, 3, ref)
    client, stored = desk.signed_in(), list(clips.read(path).tank_pictures(range(8)))
    one = client.get(f"/clips/{ref.sha256}/frames/5")
    assert (one.data, one.mimetype) == (stored[5], f"image/{codec}")
    assert all(picture in path.read_bytes() for picture in stored)
    assert _split(client.get(f"/clips/{ref.sha256}/frames.bin?from=2&count=3").data) == stored[2:5]
    assert _split(client.get(f"/clips/{ref.sha256}/frames.bin?count=99&step=3").data) == stored[::3]


def test_one_answer_holds_no_more_frames_than_the_limit(desk: Desk) -> None:
    path = desk.path.with_name("4.twclip")
    ref = player_clips.write(path, frames=clip_pages.MOST_FRAMES + 5, size=(32, 24))
    player_clips.deliver(desk.intake, path, 4, ref)
    answer = desk.signed_in().get(f"/clips/{ref.sha256}/frames.bin?count=100000")
    assert len(_split(answer.data)) == clip_pages.MOST_FRAMES


@pytest.mark.parametrize("rest", ["frames/10", "frames/-1", "frames/x", "frames.bin?from=10", "frames.bin?from=1e9"])
def test_a_frame_that_is_not_there_is_not_found_or_the_first(desk: Desk, rest: str) -> None:
    answer = desk.signed_in().get(f"/clips/{desk.ref.sha256}/{rest}")
    assert answer.status_code == 404 or _split(answer.data) == list(clips.read(desk.path).tank_pictures([0]))


@pytest.mark.parametrize("rest", ["clip.json", "frames/0", "frames.bin?count=2"])
def test_frames_are_for_experts(desk: Desk, rest: str) -> None:
    address = f"/clips/{desk.ref.sha256}/{rest}"
    assert desk.app.test_client().get(address).status_code == 302
    assert desk.signed_in().get(f"/clips/{'0' * 64}/{rest}").status_code == 404


def test_a_damaged_clip_is_tried_once_and_the_page_says_what_is_wrong(desk: Desk) -> None:
    sha256 = desk.spoilt()
    client, videos = desk.signed_in(), desk.shelf.videos
    assert videos.fault(sha256) is None
    assert client.get(f"/clips/{sha256}.webm").status_code == 404
    fault = videos.fault(sha256)
    assert fault is not None and "clip holds a JPEG" in fault
    assert client.get(f"/clips/{sha256}/clip.json").json["fault"] == fault
    with pytest.raises(StoreError, match="clip holds a JPEG"):
        Videos(desk.shelf.store).of(sha256)
    page = client.get(f"/review/{desk.case_id[:-1]}2").get_data(as_text=True)
    assert "The clip is damaged and cannot be shown." in page and "lip holds a JPEG" in page
    assert 'value="cannot_tell"' in page and 'value="leak"' not in page
    assert str(desk.shelf.store.clip(sha256).parent) not in page


@pytest.mark.parametrize("rest", ["frames/3", "frames.bin?count=5"])
def test_frames_of_a_damaged_clip_say_what_is_wrong_before_its_video_was_tried(desk: Desk, rest: str) -> None:
    sha256 = desk.spoilt()
    answer = desk.signed_in().get(f"/clips/{sha256}/{rest}")
    assert answer.status_code == 410 and "clip holds a JPEG" in answer.get_data(as_text=True)
    assert desk.shelf.videos.fault(sha256) == answer.get_data(as_text=True)
    assert str(desk.shelf.store.clip(sha256).parent) not in answer.get_data(as_text=True)


def test_frames_that_the_disk_does_not_give_are_no_damage(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = desk.ref.sha256
    path = desk.shelf.store.clip(sha256)
    path.unlink()
    path.symlink_to(path)
    monkeypatch.setattr(desk.shelf.store, "clip", lambda _: path)
    monkeypatch.setattr(desk.shelf.store, "holds", lambda _: True)
    assert desk.signed_in().get(f"/clips/{sha256}/frames/0").status_code == 404
    assert desk.shelf.videos.fault(sha256) is None


def test_a_file_that_is_no_clip_says_so_without_naming_our_folders(desk: Desk) -> None:
    sha256 = desk.ref.sha256
    desk.shelf.store.clip(sha256).write_bytes(b"rot" * 100)
    answer = desk.signed_in().get(f"/clips/{sha256}/clip.json")
    assert answer.json["fault"].startswith("the clip is no clip")
    assert str(desk.path.parent) not in answer.get_data(as_text=True)


def test_a_disk_that_cannot_be_read_is_no_damage(desk: Desk) -> None:
    path = desk.shelf.store.clip(desk.ref.sha256)
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(StoreError):
        desk.shelf.videos.of(desk.ref.sha256)
    path.write_bytes(kept)
    assert desk.shelf.videos.fault(desk.ref.sha256) is None
    assert desk.shelf.videos.of(desk.ref.sha256).is_file()


def test_the_page_weighs_less_than_150_kb_without_the_clip(desk: Desk) -> None:
    client = desk.signed_in()
    page = client.get(f"/review/{desk.case_id}").data
    static = Path(clip_pages.__file__).parent / "static"
    parts = [*static.glob("player*.js"), *(static / name for name in ("pages.css", "judge.js", "drop.svg"))]
    assert len(page) + sum(path.stat().st_size for path in parts) < 150_000


def test_the_addresses_in_the_page_are_enough_to_load_a_clip(desk: Desk) -> None:
    with desk.app.test_request_context():
        known = clip_pages.addresses(desk.ref.sha256)
    client = desk.signed_in()
    assert all(client.get(address).status_code == 200 for address in (known.clip, known.video, known.frames))
    assert msgspec.json.decode(msgspec.json.encode(known))["times_s"] == []


def _split(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return found
