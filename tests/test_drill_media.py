"""A few of each kind through the drill, and what would show if decoding were not apart or let hostile clips in."""

import pytest

from benchmarks import drill_media, hostile_clips, media_names
from benchmarks.drill_media import FAULTS, Plan
from benchmarks.hostile_clips import Hostile
from cloud_sync import decoding, webm
from edge_agent import clips, picture_form, pictures
from edge_agent.errors import StoreError

FEW = (
    "picture: JPEG and a page", "picture: PNG that moves", "file: archive behind its end",
    "file: 600 frames of 16 million pixels", "evidence: JPEG in steps", "harmless: case id that is a path",
)  # fmt: skip


@pytest.fixture
def few(monkeypatch):
    chosen = {
        name: made
        for kind in (hostile_clips._PICTURES, hostile_clips._FILES, hostile_clips._HARMLESS)
        for name, made in kind.items()
        if any(one.endswith(f": {name}") for one in FEW)
    }
    for kind in ("_PICTURES", "_FILES", "_HARMLESS"):
        made = getattr(hostile_clips, kind)
        monkeypatch.setattr(hostile_clips, kind, {name: made[name] for name in made if name in chosen})


def test_hostile_clips_are_refused_in_words_and_a_killed_decoder_costs_no_clip(tmp_path, few):
    ledger = drill_media.drill(Plan(spoilt=12, kills=1, seed=4), tmp_path)
    assert drill_media.is_good(ledger), ledger
    assert ledger["refused"] >= 10 and ledger["kills"] >= 2


@pytest.mark.full
def test_every_hostile_clip_is_refused_within_a_moment(tmp_path):
    ledger = drill_media.drill(drill_media.plan_of(False, 1), tmp_path)
    assert drill_media.is_good(ledger), ledger


def test_every_kind_of_picture_is_refused_by_its_headers_alone(monkeypatch):
    monkeypatch.setattr(pictures.cv2, "imdecode", lambda *_: pytest.fail("a picture was decoded"))
    for name, make in hostile_clips._PICTURES.items():
        clip = clips.read(hostile_clips.clip([make()]))
        with pytest.raises(StoreError):
            clip.check_pictures()
        with pytest.raises(StoreError):
            list(clip.frames())
        assert clip.frame_count == 1, name


@pytest.mark.parametrize("name", [name for name in hostile_clips._FILES if "million pixels" not in name])
def test_every_kind_of_lying_file_is_refused_without_decoding(monkeypatch, name):
    monkeypatch.setattr(pictures.cv2, "imdecode", lambda *_: pytest.fail("a picture was decoded"))
    with pytest.raises(StoreError):
        clip = clips.read(hostile_clips._FILES[name]())
        clip.check_pictures()
        if not list(webm.ticks(clip.taken_s())):
            raise StoreError(webm.NO_FRAME)


def test_a_video_needs_no_lamp():
    bomb = hostile_clips._FILES["lamp that is a bomb"]()
    assert len(list(clips.read(bomb).views())) == 1
    with pytest.raises(StoreError):
        list(clips.read(bomb).frames())


def test_pictures_as_we_write_them_are_plain():
    for size in ((64, 48), (640, 480), (3, 5)):
        grey = hostile_clips.np.zeros(size[::-1], "uint8")
        for picture in (grey, hostile_clips.np.dstack([grey] * 3)):
            for suffix, options in ((".jpg", []), (".png", []), (".png", [16, 1])):
                assert picture_form.form_fault(pictures.encoded(picture, suffix, options)) == ""


@pytest.mark.full
@pytest.mark.parametrize(
    ("part", "name", "broken", "key"),
    [
        (pictures, "form_fault", lambda _: "", "golden_let_in"),
        (drill_media, "MOST_MS", -1.0, "slow"),
        (media_names, "let_in", lambda *_: ["../../x"], "names_let_in"),
        (decoding, "TRIES", 1, "good_lost"),
    ],
)
def test_what_is_broken_would_show(tmp_path, few, monkeypatch, part, name, broken, key):
    monkeypatch.setattr(part, name, broken)
    ledger = drill_media.drill(Plan(spoilt=1, kills=1, seed=4), tmp_path)
    assert ledger[key] > 0 and not drill_media.is_good(ledger), ledger


def test_a_file_out_of_place_would_show(tmp_path):
    (tmp_path / "cloud" / "clips" / "ab").mkdir(parents=True)
    (tmp_path / "cloud" / "clips" / "ab" / ("ab" * 32 + ".twclip")).touch()
    assert media_names.out_of_place(tmp_path) == []
    (tmp_path / "cloud" / "clips" / "x.webm").touch()
    assert media_names.out_of_place(tmp_path) == ["cloud/clips/x.webm"]


def test_a_ledger_with_any_fault_is_not_good():
    good = dict.fromkeys(FAULTS, 0) | {"refused": 5, "kills": 2}
    assert drill_media.is_good(good)
    assert not any(drill_media.is_good(good | {name: 1}) for name in FAULTS)


def test_hostile_clips_are_what_they_say():
    made = hostile_clips.every()
    assert len(made) > 90 and sum(one.harmless for one in made.values()) >= 8
    assert all(isinstance(one, Hostile) for one in made.values())
