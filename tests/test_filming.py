"""Filming at the edge of the disk, and stretches in which the camera shows nothing: inspection goes on."""

import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from in_full import in_full

from cloud_sync.config import CloudConfig
from edge_agent import clips
from edge_agent.bundle import open_bundle
from edge_agent.case import Identity
from edge_agent.filming import film_in
from edge_agent.inspection import make_inspector, shipped_bundle, working_view
from edge_agent.pipeline import Sampling
from edge_agent.records import Case, ClipRef, Frame
from edge_agent.wire import sha256_of
from tests.fakes_disk import full_disk
from tests.fakes_tape import FPS, PROFILE, tape


@pytest.fixture(scope="module")
def bundle():
    return open_bundle(shipped_bundle())


def inspector_for(bundle, draft=None, say=None):
    size, _ = working_view(PROFILE, bundle.manifest.preprocessing)
    film = film_in(draft, size, PROFILE, bundle=bundle.ref, profile_sha256=None, say=say) if draft else None
    first = next(tape().frames())
    sampling = Sampling(1.0, random.Random(1).random)
    return make_inspector(first, Identity("plant", "TANK1", "boot"), PROFILE, bundle, sampling=sampling, open_clip=film)


def cases_of(inspector, frames: Iterable[Frame]) -> list[Case]:
    return [case for frame in frames for case in inspector.step(frame)] + inspector.finish()


def without(begin_s: float, end_s: float) -> Iterable[Frame]:
    """The tape with a stretch missing."""
    return (frame for frame in tape().frames() if not begin_s <= frame.monotonic_s < end_s)


def later(frames: Iterable[Frame], from_s: float, by_s: float) -> Iterable[Frame]:
    """What was taken from `from_s` on comes later: the camera stood still."""
    for frame in frames:
        late_s = by_s if frame.monotonic_s >= from_s else 0.0
        yield Frame(frame.image, frame.sequence, frame.monotonic_s + late_s, frame.taken_at + late_s)


def test_a_folder_that_takes_no_clip_costs_the_clip_and_is_said_once(bundle):
    said: list[str] = []
    inspector = inspector_for(bundle, lambda id: Path("/proc/no-such-folder") / id, said.append)
    (case,) = cases_of(inspector, tape().frames())
    assert case.verdict != "not_tested"
    assert case.clip is None
    assert inspector.clip_path(case) is None
    assert len(said) == 1
    assert "goes on without its clip" in said[0]


def test_a_disk_that_fills_up_while_filming_costs_the_clip_and_not_the_case(bundle, tmp_path):
    said: list[str] = []
    inspector = inspector_for(bundle, lambda id: tmp_path / f"{id}.tmp", said.append)
    with full_disk(200_000):
        (case,) = cases_of(inspector, tape().frames())
    assert (case.verdict != "not_tested", case.clip, len(said)) == (True, None, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("limit", "value"),
    [("MAX_FRAMES", 50), in_full("FILMED_BYTES", clips.END_BYTES + 1_000_000)],
)
def test_a_clip_that_is_full_ends_there_and_is_kept_and_the_case_goes_on(tmp_path, monkeypatch, bundle, limit, value):
    monkeypatch.setattr(clips, limit, value)
    said: list[str] = []
    inspector = inspector_for(bundle, lambda id: tmp_path / f"{id}.tmp", said.append)
    (case,) = cases_of(inspector, tape().frames())
    (path,) = tmp_path.iterdir()
    clip = clips.read(path)
    assert case.clip == ClipRef(sha256_of(path.read_bytes()), path.stat().st_size)
    assert clip.whole and 20 < clip.frame_count < len(tape().pictures) / 2
    assert case.clip.bytes < clips.FILMED_BYTES and clip.frame_count <= clips.MAX_FRAMES
    assert case.verdict == "leak" and case.decision == tape().truth.decision
    assert len(said) == 1 and "take the unit out" in said[0]


def test_no_more_is_filmed_than_the_cloud_takes():
    assert CloudConfig(data_dir="").max_clip_mb * 1_000_000 >= clips.FILMED_BYTES


def test_an_abandoned_case_leaves_no_clip(bundle, tmp_path):
    inspector = inspector_for(bundle, lambda id: tmp_path / f"{id}.tmp")
    for frame in tape().frames(last=int(tape().truth.settled_s * FPS) + 10):
        assert inspector.step(frame) == []
    assert len(list(tmp_path.iterdir())) == 1
    inspector.abandon()
    assert list(tmp_path.iterdir()) == []
    assert inspector.finish() == []


def test_a_short_gap_costs_its_seconds_only(bundle):
    begin_s = tape().truth.settled_s + 2.0
    (case,) = cases_of(inspector_for(bundle), without(begin_s, begin_s + 1.0))
    assert case.verdict != "not_tested"
    (whole,) = cases_of(inspector_for(bundle), tape().frames())
    assert case.usable_s == pytest.approx(whole.usable_s - 1.0, abs=0.15)


def test_a_gap_in_which_the_unit_may_have_been_changed_makes_the_case_not_tested(bundle):
    begin_s = tape().truth.settled_s + 2.0
    (case,) = cases_of(inspector_for(bundle), later(tape().frames(), begin_s, 3.0))
    assert (case.verdict, case.decision) == ("not_tested", tape().truth.decision)
    assert "showed nothing for 3." in case.reason


def test_after_a_long_gap_the_old_case_is_closed_and_the_lamp_makes_its_own(bundle):
    begin_s = tape().truth.settled_s + 2.0
    old, lamp = cases_of(inspector_for(bundle), later(tape().frames(), begin_s, 60.0))
    assert (old.verdict, old.decision) == ("not_tested", "none")
    assert old.ended_s == pytest.approx(begin_s, abs=0.1)
    assert (lamp.verdict, lamp.decision) == ("not_tested", tape().truth.decision)
